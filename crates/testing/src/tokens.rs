//! An issuer of JSON Web Tokens: keys made anew for each test.

#![allow(clippy::unwrap_used, reason = "used by tests, where a panic is the report")]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// One signing key with its id.
pub struct Issuer {
    id: String,
    algorithm: &'static str,
    key: Key,
}

enum Key {
    Ec(EcdsaKeyPair, &'static str),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Issuer {
    /// Makes an ES256 key.
    pub fn new(id: &str) -> Self {
        Self::with(id, "ES256")
    }

    /// Makes a key of an algorithm: ES256, ES384, ES512, EdDSA, RS256, PS256.
    pub fn with(id: &str, algorithm: &'static str) -> Self {
        let ec = |curve, name| Key::Ec(EcdsaKeyPair::generate(curve).unwrap(), name);
        let key = match algorithm {
            "ES256" => ec(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => ec(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => ec(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            "EdDSA" => Key::Ed(Ed25519KeyPair::generate().unwrap()),
            _ => Key::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap()),
        };
        Self { id: id.to_owned(), algorithm, key }
    }

    /// Returns the public key as a JSON Web Key, `alg` left out.
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Ec(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "kid": self.id, "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Key::Ed(pair) => {
                let x = encode(pair.public_key().as_ref());
                json!({"kty": "OKP", "kid": self.id, "crv": "Ed25519", "x": x})
            }
            Key::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                let (n, e) = (encode(n), encode(e));
                json!({"kty": "RSA", "kid": self.id, "use": "sig", "n": n, "e": e})
            }
        }
    }

    /// Returns the key set of this one key.
    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk()] })
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm, "kid": self.id, "typ": "JWT"});
        self.sign_with(&header.to_string(), &claims.to_string())
    }

    /// Signs any header and claims, JSON or not.
    pub fn sign_with(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let random = SystemRandom::new();
        let signature = match &self.key {
            Key::Ec(pair, _) => pair.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            Key::Ed(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Key::Rsa(pair) => {
                let padding = match self.algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", encode(&signature))
    }
}

/// Encodes as tokens do.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Takes modulus and exponent out of a DER `RSAPublicKey` of 2048 bits:
/// a sequence of two integers, the first with two length bytes.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    // 30 82 LL LL, 02 82 LL LL, modulus with its sign byte.
    let length = usize::from(u16::from_be_bytes([der[6], der[7]]));
    let (modulus, rest) = der[8..].split_at(length);
    // 02 LL, exponent.
    let exponent = &rest[2..2 + usize::from(rest[1])];
    (modulus.strip_prefix(&[0]).unwrap_or(modulus), exponent)
}
