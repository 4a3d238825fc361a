//! Signs the demo's tokens with a key of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// How long a token is good for.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Name of the key in token and key set.
const KEY_ID: &str = "demo";

/// A fresh ES256 key.
#[derive(Debug)]
pub(super) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    /// Makes a key.
    pub(super) fn generate() -> anyhow::Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map_err(|_| anyhow!("cannot generate a key for the demo's tokens"))?;
        Ok(Self { key, random: SystemRandom::new() })
    }

    /// Returns the public key as a JSON Web Key Set (RFC 7517).
    pub(super) fn key_set(&self) -> Value {
        // An uncompressed point: one byte of form, then 32 of x and 32 of y.
        let (x, y) = self.key.public_key().as_ref()[1..].split_at(32);
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": KEY_ID,
            "x": encode(x), "y": encode(y),
        }]})
    }

    /// Returns a token in compact form (RFC 7519).
    pub(super) fn token(&self, issuer: &str, subject: &str, now: SystemTime) -> String {
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": KEY_ID });
        let claims = json!({
            "iss": issuer, "sub": subject, "iat": seconds(now), "exp": seconds(now + LIFETIME),
        });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature = self
            .key
            .sign(&self.random, signed.as_bytes())
            .expect("signing fails only for lack of randomness, which key generation had");
        format!("{signed}.{}", encode(signature))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use base64::Engine as _;

    use super::*;

    #[test]
    fn a_token_is_signed_by_the_key_of_the_key_set() {
        let signer = Signer::generate().unwrap();
        let token = signer.token("issuer", "alice", UNIX_EPOCH);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let set = signer.key_set();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let coordinate = |name: &str| decode(set["keys"][0][name].as_str().unwrap());
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
        let claims: Value =
            serde_json::from_slice(&decode(signed.split('.').nth(1).unwrap())).unwrap();
        assert_eq!(claims["exp"], 86_400);
    }
}
