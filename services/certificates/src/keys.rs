//! Keys, requests and throwaway certificates.

use std::collections::BTreeSet;

use nuncio_renewal::name::Name;
use nuncio_renewal::secret::KeyPem;
use nuncio_renewal::thumbprint::Thumbprint;
use nuncio_renewal::time::UnixTime;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

/// Why a key cannot be used. No variant carries a byte of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFault {
    /// Key generation failed, which means that randomness did.
    #[error("no key could be made")]
    Generate(#[source] rcgen::Error),
    /// Not a private key in PEM.
    #[error("the text is not a private key in PEM")]
    Unreadable,
    /// A key of a kind ACME accounts cannot have here.
    #[error(
        "the account key is not ECDSA P-256, the only kind supported; remove the Secret for a new account, or put a P-256 key there"
    )]
    NotP256,
    /// The request could not be made.
    #[error("no certificate request could be made")]
    Request(#[source] rcgen::Error),
}

/// Makes an ECDSA P-256 key: what every CA accepts, for accounts and
/// certificates alike.
pub(crate) fn generate() -> Result<KeyPem, KeyFault> {
    let key = KeyPair::generate().map_err(KeyFault::Generate)?;
    Ok(KeyPem::new(key.serialize_pem()))
}

/// Returns the SubjectPublicKeyInfo (DER) that belongs to a private key of any
/// kind and PEM form.
pub(crate) fn public_key(pem: &str) -> Result<Vec<u8>, KeyFault> {
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyFault::Unreadable)?;
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&der)
        .map_err(|_| KeyFault::Unreadable)?;
    key.public_key().map(|spki| spki.to_vec()).ok_or(KeyFault::Unreadable)
}

/// Returns the PKCS#8 form of an account key and its thumbprint.
pub(crate) fn account(key: &KeyPem) -> Result<(Vec<u8>, Thumbprint), KeyFault> {
    let pair = KeyPair::from_pem(key.reveal()).map_err(|_| KeyFault::Unreadable)?;
    if pair.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(KeyFault::NotP256);
    }
    let thumbprint = Thumbprint::of_p256(pair.public_key_raw()).ok_or(KeyFault::NotP256)?;
    Ok((pair.serialize_der(), thumbprint))
}

/// Returns a PKCS#10 request (DER) for exactly these names and nothing else.
pub(crate) fn request(names: &BTreeSet<Name>, key: &KeyPem) -> Result<Vec<u8>, KeyFault> {
    let pair = KeyPair::from_pem(key.reveal()).map_err(|_| KeyFault::Unreadable)?;
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).map_err(KeyFault::Request)?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&pair).map_err(KeyFault::Request)?;
    Ok(request.der().to_vec())
}

/// Makes a self-signed pair, valid for a year: chain and key as PEM. It is for
/// Hosts that wait for their certificate, so that they speak TLS meanwhile.
pub(crate) fn self_signed(now: UnixTime) -> Result<(String, KeyPem), KeyFault> {
    let key = KeyPair::generate().map_err(KeyFault::Generate)?;
    let mut params = CertificateParams::new(Vec::new()).map_err(KeyFault::Request)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "fallback, no certificate issued yet");
    let date = |time: UnixTime| {
        time::OffsetDateTime::from_unix_timestamp(time.0)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
    };
    params.not_before = date(now.minus(std::time::Duration::from_secs(3600)));
    params.not_after = date(now.plus(std::time::Duration::from_secs(365 * 24 * 3600)));
    let certificate = params.self_signed(&key).map_err(KeyFault::Request)?;
    Ok((certificate.pem(), KeyPem::new(key.serialize_pem())))
}

#[cfg(test)]
mod tests {
    use nuncio_renewal::bundle::Leaf;
    use rcgen::PublicKeyData as _;

    use super::*;

    #[test]
    fn a_fresh_key_serves_accounts_and_certificates() {
        let key = generate().unwrap();
        let (pkcs8, thumbprint) = account(&key).unwrap();
        assert_eq!(thumbprint.as_str().len(), 43);
        let again = KeyPair::try_from(pkcs8.as_slice()).unwrap();
        assert_eq!(again.subject_public_key_info(), public_key(key.reveal()).unwrap());
    }

    #[test]
    fn account_keys_of_another_kind_are_named_as_such() {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let fault = account(&KeyPem::new(key.serialize_pem())).unwrap_err();
        assert!(matches!(fault, KeyFault::NotP256));
        assert!(matches!(account(&KeyPem::new("x")).unwrap_err(), KeyFault::Unreadable));
        assert!(matches!(public_key("").unwrap_err(), KeyFault::Unreadable));
    }

    #[test]
    fn the_fallback_pair_belongs_together() {
        let (chain, key) = self_signed(UnixTime(1_800_000_000)).unwrap();
        let leaf = Leaf::parse(&chain).unwrap();
        assert_eq!(leaf.public_key, public_key(key.reveal()).unwrap());
        assert!(leaf.validity.holds(UnixTime(1_800_000_000)));
    }

    #[test]
    fn requests_carry_names_and_addresses() {
        let names = ["a.org", "10.0.0.1"].map(|name| Name::parse(name).unwrap());
        let der = request(&BTreeSet::from(names), &generate().unwrap()).unwrap();
        let contains = |needle: &[u8]| der.windows(needle.len()).any(|window| window == needle);
        assert!(contains(b"a.org") && contains(&[0x87, 4, 10, 0, 0, 1]));
    }
}
