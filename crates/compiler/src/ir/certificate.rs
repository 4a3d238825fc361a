//! Certificates and keys, held to what Envoy takes: a listener waits for a
//! Secret that Envoy refuses, and with it every Host of the listener.

use pem::Pem;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

/// Returns what is wrong with a certificate chain, or with its key.
pub(crate) fn pair_fault(chain: &[u8], key: &[u8]) -> Option<String> {
    let chain = match blocks(chain, "CERTIFICATE", "certificate") {
        Ok(chain) => chain,
        Err(fault) => return Some(fault),
    };
    let key = match blocks(key, "PRIVATE KEY", "key") {
        Ok(keys) => PrivateKeyDer::try_from(keys[0].contents().to_vec()),
        Err(fault) => return Some(fault),
    };
    let Some(key) = key
        .ok()
        .and_then(|key| aws_lc_rs::default_provider().key_provider.load_private_key(key).ok())
    else {
        return Some("the key cannot be read: RSA of 2048 bits or more, or ECDSA".to_owned());
    };
    let mut leaf = None;
    for block in &chain {
        match X509Certificate::from_der(block.contents()) {
            Ok((_, certificate)) => {
                leaf.get_or_insert_with(|| certificate.public_key().raw.to_vec());
            }
            Err(_) => return Some("a certificate cannot be read".to_owned()),
        }
    }
    match (key.public_key(), leaf) {
        (Some(ours), Some(theirs)) if *ours != *theirs => {
            Some("the key is not that of the first certificate".to_owned())
        }
        _ => None,
    }
}

/// Returns what is wrong with certificates that are to be trusted.
pub(crate) fn anchors_fault(anchors: &[u8]) -> Option<String> {
    match blocks(anchors, "CERTIFICATE", "certificate") {
        Err(fault) => Some(fault),
        Ok(all) => {
            let bad = all.iter().any(|block| X509Certificate::from_der(block.contents()).is_err());
            bad.then(|| "a certificate cannot be read".to_owned())
        }
    }
}

/// Returns what is wrong with lists of revoked certificates.
pub(crate) fn revocations_fault(lists: &[u8]) -> Option<String> {
    match blocks(lists, "X509 CRL", "revocation list") {
        Err(fault) => Some(fault),
        Ok(all) => {
            let read = |block: &Pem| CertificateRevocationList::from_der(block.contents()).is_ok();
            (!all.iter().all(read)).then(|| "a revocation list cannot be read".to_owned())
        }
    }
}

/// Returns the PEM blocks of a kind, at least one.
fn blocks(bytes: &[u8], kind: &str, name: &str) -> Result<Vec<Pem>, String> {
    let all = pem::parse_many(bytes).unwrap_or_default();
    let wanted: Vec<Pem> = all.into_iter().filter(|block| block.tag().ends_with(kind)).collect();
    if wanted.is_empty() { Err(format!("there is no {name} in PEM")) } else { Ok(wanted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn block(kind: &str) -> String {
        format!("-----BEGIN {kind}-----\nQUJD\n-----END {kind}-----\n")
    }

    #[test]
    fn a_pair_must_be_readable_and_belong_together() {
        let ((chain, key), (other, _)) = (pair(), pair());
        let fault = |chain: &str, key: &str| pair_fault(chain.as_bytes(), key.as_bytes());
        assert_eq!(fault(&chain, &key), None);
        assert_eq!(fault(&format!("{chain}{other}"), &key), None);
        assert!(fault(&other, &key).unwrap().contains("not that of the first"));
        assert!(fault(&format!("{chain}{}", block("CERTIFICATE")), &key).is_some());
        assert!(fault(&chain, &block("PRIVATE KEY")).is_some());
        assert!(fault("", &key).is_some());
        assert_eq!(anchors_fault(other.as_bytes()), None);
        assert!(anchors_fault(block("CERTIFICATE").as_bytes()).is_some());
        assert!(revocations_fault(block("X509 CRL").as_bytes()).is_some());
    }
}
