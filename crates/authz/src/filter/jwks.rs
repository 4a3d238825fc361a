//! JSON Web Key Sets: which keys may verify which tokens.

use std::fmt;

use aws_lc_rs::{digest, signature};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::token::Algorithm;
use crate::json;

/// Most bytes of a key set.
pub const MAX_BYTES: usize = 1024 * 1024;
/// Most keys of a key set.
pub const MAX_KEYS: usize = 256;
/// Fewest bits of an RSA modulus (RFC 8725 §3.5 by way of RFC 7518 §3.3).
const MIN_RSA_BITS: usize = 2048;

/// Where a key set came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrigin {
    /// Fetched: shared secrets in it are ignored, since whoever serves it, and
    /// whoever reads it, could sign.
    Remote,
    /// Part of the Filter.
    Local,
}

/// A parsed key set.
pub struct KeySet {
    keys: Vec<Key>,
    /// Digest of the text: sets of one text are one version.
    version: [u8; 32],
}

/// Why a key set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Larger than [`MAX_BYTES`].
    #[error("the key set is larger than {MAX_BYTES} bytes")]
    Size,
    /// More keys than [`MAX_KEYS`].
    #[error("the key set has more than {MAX_KEYS} keys")]
    Count,
    /// No JSON, or members twice.
    #[error("the key set is not JSON with unique members")]
    Json(#[source] serde_json::Error),
    /// JSON, but no key set.
    #[error("the key set has no list `keys`")]
    Shape,
}

struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    family: Family,
    material: Material,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
    Secret,
}

enum Material {
    Key(DecodingKey),
    /// Uncompressed point; jsonwebtoken has no P-521.
    P521(Vec<u8>),
}

impl KeySet {
    /// Parses a key set. Keys that can verify nothing here (other types, for
    /// encryption, too short) are left out.
    ///
    /// # Errors
    /// When the text is no key set or exceeds a bound.
    pub fn parse(bytes: &[u8], origin: KeyOrigin) -> Result<Self, KeySetError> {
        if bytes.len() > MAX_BYTES {
            return Err(KeySetError::Size);
        }
        let value = json::parse(bytes).map_err(KeySetError::Json)?;
        let keys = value.get("keys").and_then(Value::as_array).ok_or(KeySetError::Shape)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::Count);
        }
        let keys = keys
            .iter()
            .filter_map(Value::as_object)
            .filter_map(|key| Key::read(key, origin))
            .collect();
        let mut version = [0; 32];
        version.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Ok(Self { keys, version })
    }

    /// Returns the digest of the text.
    pub const fn version(&self) -> &[u8; 32] {
        &self.version
    }

    /// Returns how many keys can verify something.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Tells whether no key can verify anything.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Tells whether a key has this id.
    pub fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// Verifies a signature with the key the token names, or with up to
    /// [`MAX_TRIES`] keys when it names none.
    pub(crate) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &str,
    ) -> bool {
        self.keys
            .iter()
            .filter(|key| id.is_none() || key.id.as_deref() == id)
            .filter(|key| key.fits(algorithm))
            .take(MAX_TRIES)
            .any(|key| key.verify(algorithm, message, signature))
    }
}

/// Most keys tried for one token.
pub const MAX_TRIES: usize = 4;

/// Shape: the number of keys; never key material.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl Key {
    fn read(jwk: &Map<String, Value>, origin: KeyOrigin) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops") {
            let verifies = |list: &Vec<Value>| list.iter().any(|op| op == "verify");
            if !operations.as_array().is_some_and(verifies) {
                return None;
            }
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name.as_str()?)?),
        };
        let (family, material) = match text("kty")? {
            "RSA" => {
                let modulus = decode(text("n")?)?;
                let significant = modulus.iter().skip_while(|byte| **byte == 0).count();
                if significant * 8 < MIN_RSA_BITS {
                    return None;
                }
                let key = DecodingKey::from_rsa_components(text("n")?, text("e")?).ok()?;
                (Family::Rsa, Material::Key(key))
            }
            "EC" => Self::elliptic(text("crv")?, text("x")?, text("y")?)?,
            "OKP" if text("crv") == Some("Ed25519") => {
                let key = DecodingKey::from_ed_components(text("x")?).ok()?;
                (Family::Ed25519, Material::Key(key))
            }
            "oct" if origin == KeyOrigin::Local => {
                let secret = decode(text("k")?)?;
                if secret.is_empty() {
                    return None;
                }
                (Family::Secret, Material::Key(DecodingKey::from_secret(&secret)))
            }
            _ => return None,
        };
        let id = text("kid").map(str::to_owned);
        Some(Self { id, algorithm, family, material })
    }

    fn elliptic(curve: &str, x: &str, y: &str) -> Option<(Family, Material)> {
        let size = match curve {
            "P-256" => 32,
            "P-384" => 48,
            "P-521" => 66,
            _ => return None,
        };
        let (left, right) = (decode(x)?, decode(y)?);
        if left.len() != size || right.len() != size {
            return None;
        }
        if curve == "P-521" {
            let point = [&[4][..], &left, &right].concat();
            return Some((Family::P521, Material::P521(point)));
        }
        let family = if size == 32 { Family::P256 } else { Family::P384 };
        Some((family, Material::Key(DecodingKey::from_ec_components(x, y).ok()?)))
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{
            EdDsa, Es256, Es384, Es512, Hs256, Hs384, Hs512, None, Ps256, Ps384, Ps512, Rs256,
            Rs384, Rs512,
        };
        let family = match algorithm {
            None => return false,
            Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 => Family::Rsa,
            Es256 => Family::P256,
            Es384 => Family::P384,
            Es512 => Family::P521,
            EdDsa => Family::Ed25519,
            Hs256 | Hs384 | Hs512 => Family::Secret,
        };
        self.family == family && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        match &self.material {
            Material::Key(key) => algorithm.library().is_some_and(|algorithm| {
                jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
            }),
            Material::P521(point) => decode(signature).is_some_and(|signature| {
                let key =
                    signature::UnparsedPublicKey::new(&signature::ECDSA_P521_SHA512_FIXED, point);
                key.verify(message, &signature).is_ok()
            }),
        }
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
