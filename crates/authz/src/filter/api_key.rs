//! The APIKey filter: a header that holds one of the known keys.

use std::collections::HashMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use http::{HeaderName, StatusCode};
use nuncio_api::filter::{ApiKey, FilterExt};

use super::error_response::{Refusal, json_body};
use super::{ConfigError, Verdict};
use crate::{Denial, Mutations, Request};

/// Secrets the auth service itself holds; never told to anyone.
#[derive(Clone)]
pub struct ServiceKeys {
    /// Random bytes of this process: index keys of look-up tables, so that the
    /// time of a look-up says nothing about the keys in it.
    pub process: [u8; 32],
    /// Key of `hmac:<hex>` values; `None` makes such values unusable.
    pub api_key_hmac: Option<Vec<u8>>,
}

/// Shape: nothing of the keys.
impl std::fmt::Debug for ServiceKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServiceKeys")
    }
}

/// An APIKey filter.
pub struct ApiKeyFilter {
    header: HeaderName,
    remove: bool,
    index: hmac::Key,
    stored: Option<hmac::Key>,
    /// Index of a form of the key, to that form.
    known: HashMap<Vec<u8>, Stored>,
}

/// A key as its Secret holds it.
enum Stored {
    Plain(Vec<u8>),
    Sha256(Vec<u8>),
    Hmac(Vec<u8>),
}

impl ApiKeyFilter {
    /// Builds the filter of a spec and the values of its Secrets.
    ///
    /// # Errors
    /// When the header is no header name, no key is given, or a value is of a
    /// form that cannot be read.
    pub fn new(
        spec: &ApiKey,
        ext: Option<&FilterExt>,
        values: &[Vec<u8>],
        service: &ServiceKeys,
    ) -> Result<Self, ConfigError> {
        let name = match spec.http_header.as_str() {
            "" => "x-api-key",
            name => name,
        };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            ConfigError::new("APIKey.httpHeader", format!("`{name}` is not a header name"))
        })?;
        if spec.keys.is_empty() {
            return Err(ConfigError::new("APIKey.keys", "at least one Secret is required"));
        }
        let index = hmac::Key::new(hmac::HMAC_SHA256, &service.process);
        let stored =
            service.api_key_hmac.as_ref().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key));
        let mut known = HashMap::new();
        for value in values {
            let form = Stored::read(value, stored.is_some())?;
            let place = hmac::sign(&index, &form.tagged()).as_ref().to_vec();
            known.insert(place, form);
        }
        if known.is_empty() {
            return Err(ConfigError::new("APIKey.keys", "the Secrets hold no key"));
        }
        Ok(Self { header, remove: ext.is_some_and(|ext| ext.remove_key), index, stored, known })
    }

    pub(crate) fn judge(&self, request: &Request) -> Verdict {
        let mut values = request.headers.get_all(&self.header).iter();
        let Some(value) = values.next() else {
            return refuse(request, StatusCode::FORBIDDEN, "API key not found");
        };
        if values.next().is_some() {
            return refuse(request, StatusCode::BAD_REQUEST, "more than one API key");
        }
        if !self.knows(value.as_bytes()) {
            return refuse(request, StatusCode::FORBIDDEN, "API key not found");
        }
        let mut changes = Mutations::new();
        if self.remove {
            changes.remove(self.header.clone());
        }
        Verdict::Continue(changes)
    }

    fn knows(&self, presented: &[u8]) -> bool {
        let sha = digest::digest(&digest::SHA256, presented).as_ref().to_vec();
        let mut forms = vec![Stored::Plain(presented.to_vec()), Stored::Sha256(sha)];
        if let Some(key) = &self.stored {
            forms.push(Stored::Hmac(hmac::sign(key, presented).as_ref().to_vec()));
        }
        // Every form is looked up, whichever is found first.
        forms.iter().fold(false, |found, form| {
            let tagged = form.tagged();
            let place = hmac::sign(&self.index, &tagged);
            let equal = self
                .known
                .get(place.as_ref())
                .is_some_and(|stored| verify_slices_are_equal(&stored.tagged(), &tagged).is_ok());
            found | equal
        })
    }
}

/// Shape: the header and the number of keys; never a key.
impl std::fmt::Debug for ApiKeyFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyFilter")
            .field("header", &self.header)
            .field("keys", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl Stored {
    fn read(value: &[u8], has_hmac_key: bool) -> Result<Self, ConfigError> {
        // An editor's last newline is no part of a key, and no header could
        // ever carry it.
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        let value = value.strip_suffix(b"\r").unwrap_or(value);
        let refuse = |message: &str| Err(ConfigError::new("APIKey.keys", message));
        if value.is_empty() {
            return refuse("a Secret holds an empty key");
        }
        for (tag, is_hmac) in [(&b"sha256:"[..], false), (&b"hmac:"[..], true)] {
            let Some(hex) = value.strip_prefix(tag) else { continue };
            let Some(bytes) = unhex(hex).filter(|bytes| bytes.len() == 32) else {
                return refuse("a hashed key is not 64 hexadecimal digits");
            };
            if is_hmac && !has_hmac_key {
                return refuse("an hmac: key is given, but the service has no key for it");
            }
            return Ok(if is_hmac { Self::Hmac(bytes) } else { Self::Sha256(bytes) });
        }
        Ok(Self::Plain(value.to_vec()))
    }

    /// Returns the bytes with their form, so that no form can pass for another.
    fn tagged(&self) -> Vec<u8> {
        let (tag, bytes) = match self {
            Self::Plain(bytes) => (b'p', bytes),
            Self::Sha256(bytes) => (b's', bytes),
            Self::Hmac(bytes) => (b'h', bytes),
        };
        let mut out = vec![tag];
        out.extend_from_slice(bytes);
        out
    }
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()).collect()
}

/// The body is camel-case in both groups, as Edge Stack documents it.
fn refuse(request: &Request, status: StatusCode, message: &str) -> Verdict {
    let refusal = Refusal { status, message, request_id: &request.id, golang_bits: 0 };
    let body = json_body(nuncio_api::filter::Dialect::Gateway, &refusal);
    Verdict::Respond(Denial::new(status).json(body))
}

#[cfg(test)]
mod tests {
    use nuncio_api::filter::ApiKeySource;

    use super::*;

    fn filter(values: &[&str], hmac: Option<&str>) -> Result<ApiKeyFilter, ConfigError> {
        let source = ApiKeySource { secret_name: "s".into() };
        let spec = ApiKey { http_header: "X-Key".into(), keys: vec![source] };
        let values: Vec<_> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        let service =
            ServiceKeys { process: [3; 32], api_key_hmac: hmac.map(|key| key.as_bytes().to_vec()) };
        ApiKeyFilter::new(&spec, None, &values, &service)
    }

    fn status(filter: &ApiKeyFilter, keys: &[&str]) -> u16 {
        let mut request = Request::default();
        for key in keys {
            request.headers.append("x-key", key.parse().unwrap());
        }
        match filter.judge(&request) {
            Verdict::Continue(_) => 200,
            Verdict::Respond(denial) => denial.status.as_u16(),
            Verdict::Fail(error) => panic!("{error}"),
        }
    }

    #[test]
    fn plain_and_hashed_keys_open_and_nothing_else_does() {
        // SHA-256 of "hashed"; HMAC-SHA-256 of "keyed" under "k".
        let sha = "sha256:";
        let digest = digest::digest(&digest::SHA256, b"hashed");
        let hex: String = digest.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, b"k");
        let tag = hmac::sign(&hmac_key, b"keyed");
        let tag: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let filter =
            filter(&["plain\n", &format!("{sha}{hex}"), &format!("hmac:{tag}")], Some("k"))
                .unwrap();
        for key in ["plain", "hashed", "keyed"] {
            assert_eq!(status(&filter, &[key]), 200, "{key}");
        }
        for keys in
            [&[][..], &["other"], &[""], &["plainx"], &[hex.as_str()], &[&format!("sha256:{hex}")]]
        {
            assert_eq!(status(&filter, keys), 403, "{keys:?}");
        }
        assert_eq!(status(&filter, &["plain", "plain"]), 400);
    }

    #[test]
    fn unusable_values_are_refused_at_load() {
        for (values, hmac) in
            [(&["sha256:12"][..], None), (&[""], None), (&[], None), (&["hmac:00"], Some("k"))]
        {
            assert!(filter(values, hmac).is_err(), "{values:?}");
        }
        let long = format!("hmac:{}", "0".repeat(64));
        assert!(filter(&[&long], None).unwrap_err().message.contains("no key for it"));
    }

    #[test]
    fn the_refusal_is_the_documented_one() {
        let filter = filter(&["a"], None).unwrap();
        let Verdict::Respond(denial) = filter.judge(&Request::default()) else { panic!() };
        let body = r#"{"message":"API key not found","requestId":"","statusCode":403}"#;
        assert_eq!(String::from_utf8(denial.body).unwrap(), body);
    }
}
