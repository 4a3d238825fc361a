//! The public value that proves control of an account key.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The RFC 7638 thumbprint of an account key: public, safe to hand to every
/// replica, and all that is needed to answer an HTTP-01 challenge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint(String);

impl Thumbprint {
    /// Computes the thumbprint of a P-256 public key.
    ///
    /// Shape: `point` is the uncompressed SEC 1 point, 65 bytes that begin with
    /// 4; anything else gives `None`. Source: RFC 7638 §3, RFC 7518 §6.2.
    pub fn of_p256(point: &[u8]) -> Option<Self> {
        let [4, coordinates @ ..] = point else { return None };
        if coordinates.len() != 64 {
            return None;
        }
        let (x, y) = coordinates.split_at(32);
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        // Members in lexicographic order without white space: RFC 7638 §3.3.
        let jwk =
            format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y));
        Some(Self(encode(&Sha256::digest(jwk.as_bytes()))))
    }

    /// Returns the answer to a challenge: `token.thumbprint`, RFC 8555 §8.1.
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.0)
    }

    /// Returns the base64url text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells whether a text is a challenge token that may be answered.
///
/// Shape: 20 to 128 characters of base64url. RFC 8555 §8.3 asks for at least
/// 128 bits of entropy, which needs 22; authorities in use send 43.
pub fn is_token(text: &str) -> bool {
    (20..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbprint_equals_that_of_a_published_key() {
        // RFC 7517 appendix A.1, first key; thumbprint computed with `step crypto`.
        let x =
            BASE64_URL_SAFE_NO_PAD.decode("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4").unwrap();
        let y =
            BASE64_URL_SAFE_NO_PAD.decode("4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM").unwrap();
        let point = [vec![4], x, y].concat();
        let print = Thumbprint::of_p256(&point).unwrap();
        assert_eq!(print.as_str(), "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s");
        assert_eq!(
            print.key_authorization("tok"),
            "tok.cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"
        );
    }

    #[test]
    fn other_points_have_no_thumbprint() {
        assert_eq!(Thumbprint::of_p256(&[]), None);
        assert_eq!(Thumbprint::of_p256(&[2; 33]), None);
        assert_eq!(Thumbprint::of_p256(&[4; 64]), None);
    }

    #[test]
    fn tokens_are_base64url_of_a_sane_length() {
        assert!(is_token("DGyRejmCefe7v4NfDGDKfA"));
        for bad in ["", "short", "../../../../etc/passwd_", "aaaaaaaaaaaaaaaaaaa\n", "ääääääääääää"]
        {
            assert!(!is_token(bad), "{bad:?}");
        }
        assert!(!is_token(&"a".repeat(129)));
    }
}
