//! Certificate chains: what they say, and whether one may be used.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::name::Name;
use crate::schedule::Validity;
use crate::time::UnixTime;

/// What is worth knowing of the first certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// When it is valid.
    pub validity: Validity,
    /// Its subject alternative names as text, lower-case, wildcards included.
    pub names: BTreeSet<String>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
}

/// A chain that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The certificates as PEM, leaf first, nothing else.
    pub pem: String,
    /// The first of them.
    pub leaf: Leaf,
}

/// Why a chain cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The text is not PEM.
    #[error("the text is not PEM")]
    NotPem,
    /// There is no certificate in it.
    #[error("there is no certificate in it")]
    Empty,
    /// One of its certificates cannot be read.
    #[error("certificate {0} of the chain cannot be read")]
    Unreadable(usize),
    /// The leaf belongs to another key.
    #[error("it belongs to another private key")]
    WrongKey,
    /// The leaf is for other names.
    #[error("it is for {found}, and {wanted} was ordered")]
    WrongNames {
        /// Names of the leaf.
        found: String,
        /// Names ordered.
        wanted: String,
    },
    /// A certificate is not followed by that of its issuer.
    #[error("certificate {0} of the chain is not followed by its issuer")]
    Unlinked(usize),
    /// Not valid yet.
    #[error("it is not valid before {0}")]
    Early(UnixTime),
    /// Over, or nearly so.
    #[error("it ends at {0}")]
    Late(UnixTime),
}

impl Leaf {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is no readable certificate.
    pub fn parse(text: &str) -> Result<Self, ChainFault> {
        let blocks = certificates(text)?;
        leaf(&read(&blocks[0], 1)?, &blocks[0])
    }

    /// Tells whether a client asking for `name` accepts this certificate.
    pub fn covers(&self, name: &Name) -> bool {
        let name = name.as_str();
        self.names.contains(name)
            || name
                .split_once('.')
                .is_some_and(|(_, parent)| self.names.contains(&format!("*.{parent}")))
    }
}

/// Judges what a CA sent in answer to an order.
///
/// The leaf must be for `public_key` (SubjectPublicKeyInfo, DER) and for
/// exactly `names`; every certificate must be followed by its issuer's; the
/// validity must have begun, five minutes of clock error allowed, and have an
/// hour left, or half of it when the whole is shorter than two.
///
/// # Errors
/// The first fault found.
pub fn check(
    text: &str,
    names: &BTreeSet<Name>,
    public_key: &[u8],
    now: UnixTime,
) -> Result<Chain, ChainFault> {
    let blocks = certificates(text)?;
    let mut chain = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        chain.push(read(block, index + 1)?);
    }
    let leaf = leaf(&chain[0], &blocks[0])?;
    if leaf.public_key != public_key {
        return Err(ChainFault::WrongKey);
    }
    let wanted: BTreeSet<String> = names.iter().map(ToString::to_string).collect();
    if leaf.names != wanted {
        return Err(ChainFault::WrongNames { found: join(&leaf.names), wanted: join(&wanted) });
    }
    for (index, pair) in chain.windows(2).enumerate() {
        if pair[0].issuer().as_raw() != pair[1].subject().as_raw() || !pair[1].is_ca() {
            return Err(ChainFault::Unlinked(index + 1));
        }
    }
    let Validity { not_before, not_after } = leaf.validity;
    if not_before > now.plus(CLOCK_ERROR) {
        return Err(ChainFault::Early(not_before));
    }
    let needed = (leaf.validity.life() / 2).min(MIN_LEFT);
    if now.until(not_after) < needed || not_after <= now {
        return Err(ChainFault::Late(not_after));
    }
    Ok(Chain { pem: pem_of(&blocks), leaf })
}

fn certificates(text: &str) -> Result<Vec<Vec<u8>>, ChainFault> {
    let blocks: Vec<_> = pem::parse_many(text)
        .map_err(|_| ChainFault::NotPem)?
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect();
    if blocks.is_empty() { Err(ChainFault::Empty) } else { Ok(blocks) }
}

fn read(der: &[u8], position: usize) -> Result<X509Certificate<'_>, ChainFault> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(ChainFault::Unreadable(position)),
    }
}

fn leaf(certificate: &X509Certificate<'_>, der: &[u8]) -> Result<Leaf, ChainFault> {
    let sans = certificate.subject_alternative_name().map_err(|_| ChainFault::Unreadable(1))?;
    let mut names = BTreeSet::new();
    for general in sans.iter().flat_map(|extension| &extension.value.general_names) {
        match general {
            GeneralName::DNSName(name) => {
                names.insert(name.to_ascii_lowercase());
            }
            GeneralName::IPAddress(bytes) => {
                let text = match **bytes {
                    [a, b, c, d] => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
                    ref long => <[u8; 16]>::try_from(long)
                        .map(|octets| std::net::Ipv6Addr::from(octets).to_string())
                        .map_err(|_| ChainFault::Unreadable(1))?,
                };
                names.insert(text);
            }
            _ => {}
        }
    }
    let validity = certificate.validity();
    Ok(Leaf {
        validity: Validity {
            not_before: UnixTime(validity.not_before.timestamp()),
            not_after: UnixTime(validity.not_after.timestamp()),
        },
        names,
        public_key: certificate.public_key().raw.to_vec(),
        fingerprint: Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

fn pem_of(blocks: &[Vec<u8>]) -> String {
    let blocks: Vec<_> =
        blocks.iter().map(|der| pem::Pem::new("CERTIFICATE", der.clone())).collect();
    pem::encode_many_config(&blocks, pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

fn join(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "no name".to_owned();
    }
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

const CLOCK_ERROR: std::time::Duration = std::time::Duration::from_secs(300);
const MIN_LEFT: std::time::Duration = std::time::Duration::from_secs(3600);

#[cfg(test)]
mod tests;
