//! A JSON Web Token taken apart; nothing here says that it is genuine.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::json;

/// Most bytes of a token.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Most bytes of its encoded header.
pub const MAX_HEADER: usize = 4 * 1024;

/// A token's `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names of RFC 7518 and RFC 8037 say all")]
pub enum Algorithm {
    None,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    /// Reads the name of RFC 7518, case-sensitive as there.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" => Self::EdDsa,
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            _ => return None,
        })
    }

    /// Returns the signature library's name; `None` where it has none.
    pub(crate) const fn library(self) -> Option<jsonwebtoken::Algorithm> {
        use jsonwebtoken::Algorithm as Library;
        Some(match self {
            Self::None | Self::Es512 => return None,
            Self::Rs256 => Library::RS256,
            Self::Rs384 => Library::RS384,
            Self::Rs512 => Library::RS512,
            Self::Ps256 => Library::PS256,
            Self::Ps384 => Library::PS384,
            Self::Ps512 => Library::PS512,
            Self::Es256 => Library::ES256,
            Self::Es384 => Library::ES384,
            Self::EdDsa => Library::EdDSA,
            Self::Hs256 => Library::HS256,
            Self::Hs384 => Library::HS384,
            Self::Hs512 => Library::HS512,
        })
    }
}

/// A token taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// `header.claims.signature` as sent.
    pub raw: String,
    /// Decoded header.
    pub header: Value,
    /// Decoded claims, an object.
    pub claims: Value,
    /// `alg` of the header.
    pub algorithm: Algorithm,
    /// Length of `header.claims`, the signed part of `raw`.
    signed: usize,
}

/// Why a text is no token that could be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN`], or its header than [`MAX_HEADER`].
    #[error("the token is too long")]
    Size,
    /// Not three parts of base64url; five parts are an encrypted token.
    #[error("the token is not three parts of base64url")]
    Shape,
    /// Header or claims are no JSON object of unique members.
    #[error("the token's header or claims are not a JSON object with unique members")]
    Json,
    /// `alg` is absent or unknown.
    #[error("the token's algorithm is not known")]
    Algorithm,
    /// A header that asks for what is not understood: `crit`, `b64`, `zip`,
    /// a nested token.
    #[error("the token's header asks for an extension that is not supported")]
    Extension,
}

impl Token {
    /// Takes a token apart. Key hints of the header (`jku`, `x5u`, `jwk`,
    /// `x5c`) are never followed.
    ///
    /// # Errors
    /// When it is no signed token of compact form.
    pub fn parse(raw: &str) -> Result<Self, TokenError> {
        if raw.len() > MAX_TOKEN {
            return Err(TokenError::Size);
        }
        let parts: Vec<&str> = raw.split('.').take(4).collect();
        let [header, claims, signature] = parts.as_slice() else { return Err(TokenError::Shape) };
        if header.len() > MAX_HEADER {
            return Err(TokenError::Size);
        }
        let signed = raw.len() - signature.len() - 1;
        if URL_SAFE_NO_PAD.decode(signature).is_err() {
            return Err(TokenError::Shape);
        }
        let header = object(header)?;
        let claims = object(claims)?;
        let members = header.as_object().ok_or(TokenError::Json)?;
        check_extensions(members)?;
        let algorithm = members
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::named)
            .ok_or(TokenError::Algorithm)?;
        if members.get("kid").is_some_and(|id| !id.is_string()) {
            return Err(TokenError::Json);
        }
        Ok(Self { raw: raw.to_owned(), header, claims, algorithm, signed })
    }

    /// Returns `kid` of the header.
    pub fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// Returns `header.claims`.
    pub fn message(&self) -> &str {
        &self.raw[..self.signed]
    }

    /// Returns the encoded signature.
    pub fn signature(&self) -> &str {
        &self.raw[self.signed + 1..]
    }
}

fn object(part: &str) -> Result<Value, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Shape)?;
    let value = json::parse(&bytes).map_err(|_| TokenError::Json)?;
    if value.is_object() { Ok(value) } else { Err(TokenError::Json) }
}

/// Source: RFC 7515 §4.1.11, RFC 7797, RFC 7519 §5.2.
fn check_extensions(header: &Map<String, Value>) -> Result<(), TokenError> {
    let nested = header
        .get("cty")
        .is_some_and(|cty| cty.as_str().is_none_or(|cty| cty.eq_ignore_ascii_case("JWT")));
    let unencoded = header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true));
    let unsupported = ["crit", "zip", "enc"].iter().any(|name| header.contains_key(*name));
    if nested || unencoded || unsupported {
        return Err(TokenError::Extension);
    }
    Ok(())
}
