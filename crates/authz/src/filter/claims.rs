//! What a genuine token must say.

use std::time::Duration;

use nuncio_api::filter::Jwt;
use serde_json::Value;

/// What the claims must say; see [`Jwt`] for each field.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRules {
    issuer: Option<String>,
    require_issuer: bool,
    audiences: Vec<String>,
    require_audience: bool,
    every_audience: bool,
    expires: TimeRule,
    not_before: TimeRule,
    issued: TimeRule,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct TimeRule {
    required: bool,
    /// Seconds.
    leeway: f64,
}

/// Why a genuine token is refused. Texts are for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each text says all")]
pub enum ClaimError {
    #[error("token is expired")]
    Expired,
    #[error("token is not valid yet")]
    NotYet,
    #[error("token used before issued")]
    IssuedLater,
    #[error("token has an invalid issuer")]
    Issuer,
    #[error("token has an invalid audience")]
    Audience,
    #[error("token has an invalid claim `{0}`")]
    Type(&'static str),
    #[error("token lacks the claim `{0}`")]
    Missing(&'static str),
}

impl ClaimError {
    /// Returns the bit that golang-jwt's `ValidationError.Errors` has for it;
    /// templates of existing Filters compare with it.
    pub const fn golang_bit(self) -> i64 {
        match self {
            Self::Audience => 8,
            Self::Expired => 16,
            Self::IssuedLater => 32,
            Self::Issuer => 64,
            Self::NotYet => 128,
            Self::Type(_) | Self::Missing(_) => 512,
        }
    }
}

impl ClaimRules {
    /// Takes the rules of a Filter.
    pub fn new(jwt: &Jwt) -> Self {
        let rule = |required, leeway: nuncio_api::filter::GoDuration| TimeRule {
            required,
            leeway: leeway.0.as_secs_f64(),
        };
        Self {
            issuer: (!jwt.issuer.is_empty()).then(|| jwt.issuer.clone()),
            require_issuer: jwt.require_issuer,
            audiences: jwt.all_audiences().into_iter().map(str::to_owned).collect(),
            require_audience: jwt.require_audience,
            every_audience: jwt.require_audience_all,
            expires: rule(jwt.require_expires_at, jwt.leeway_for_expires_at),
            not_before: rule(jwt.require_not_before, jwt.leeway_for_not_before),
            issued: rule(jwt.require_issued_at, jwt.leeway_for_issued_at),
        }
    }

    /// Checks claims at a time since the Unix epoch.
    ///
    /// # Errors
    /// The first rule that is not met. A claim of the wrong type is never
    /// taken for an absent one.
    pub fn check(&self, claims: &Value, now: Duration) -> Result<(), ClaimError> {
        let now = now.as_secs_f64();
        if let Some(expires) = self.expires.read(claims, "exp")?
            && now >= expires + self.expires.leeway
        {
            return Err(ClaimError::Expired);
        }
        if let Some(start) = self.not_before.read(claims, "nbf")?
            && now + self.not_before.leeway < start
        {
            return Err(ClaimError::NotYet);
        }
        if let Some(issued) = self.issued.read(claims, "iat")?
            && now + self.issued.leeway < issued
        {
            return Err(ClaimError::IssuedLater);
        }
        self.check_issuer(claims)?;
        self.check_audience(claims)
    }

    fn check_issuer(&self, claims: &Value) -> Result<(), ClaimError> {
        match (claims.get("iss"), &self.issuer) {
            (None, _) if self.require_issuer => Err(ClaimError::Missing("iss")),
            (Some(Value::String(issuer)), Some(wanted)) if issuer != wanted => {
                Err(ClaimError::Issuer)
            }
            (None | Some(Value::String(_)), _) => Ok(()),
            (Some(_), _) => Err(ClaimError::Type("iss")),
        }
    }

    fn check_audience(&self, claims: &Value) -> Result<(), ClaimError> {
        let named: Vec<&str> = match claims.get("aud") {
            None if self.require_audience => return Err(ClaimError::Missing("aud")),
            None => return Ok(()),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list
                .iter()
                .map(Value::as_str)
                .collect::<Option<_>>()
                .ok_or(ClaimError::Type("aud"))?,
            Some(_) => return Err(ClaimError::Type("aud")),
        };
        let mut wanted = self.audiences.iter().map(|audience| named.contains(&audience.as_str()));
        let met = match self.every_audience {
            true => wanted.all(|met| met),
            false => self.audiences.is_empty() || wanted.any(|met| met),
        };
        if met { Ok(()) } else { Err(ClaimError::Audience) }
    }
}

impl TimeRule {
    fn read(self, claims: &Value, name: &'static str) -> Result<Option<f64>, ClaimError> {
        /// The year 9999 in seconds; later is a mistake or an attack.
        const LATEST: f64 = 253_402_300_800.0;
        match claims.get(name) {
            None if self.required => Err(ClaimError::Missing(name)),
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(time) if (0.0..LATEST).contains(&time) => Ok(Some(time)),
                _ => Err(ClaimError::Type(name)),
            },
        }
    }
}

/// Returns the scopes a token grants: `scope`, or `scp`, as one text of words
/// or a list.
pub fn scopes(claims: &Value) -> Vec<&str> {
    let mut scopes = Vec::new();
    for name in ["scope", "scp"] {
        match claims.get(name) {
            Some(Value::String(text)) => scopes.extend(text.split_ascii_whitespace()),
            Some(Value::Array(list)) => scopes.extend(list.iter().filter_map(Value::as_str)),
            _ => {}
        }
    }
    scopes
}

#[cfg(test)]
mod tests {
    use nuncio_api::filter::GoDuration;
    use serde_json::json;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn check(jwt: &Jwt, claims: &Value) -> Result<(), ClaimError> {
        ClaimRules::new(jwt).check(claims, NOW)
    }

    #[test]
    fn times_are_compared_with_their_leeway() {
        let plain = Jwt::default();
        let ten = GoDuration(Duration::from_secs(10));
        let lenient = Jwt {
            leeway_for_expires_at: ten,
            leeway_for_not_before: ten,
            leeway_for_issued_at: ten,
            ..Jwt::default()
        };
        for (claims, strict, with_leeway) in [
            (json!({"exp": 1001}), Ok(()), Ok(())),
            (json!({"exp": 1000}), Err(ClaimError::Expired), Ok(())),
            (json!({"exp": 990}), Err(ClaimError::Expired), Err(ClaimError::Expired)),
            (json!({"exp": 1000.5}), Ok(()), Ok(())),
            (json!({"nbf": 1000}), Ok(()), Ok(())),
            (json!({"nbf": 1010}), Err(ClaimError::NotYet), Ok(())),
            (json!({"nbf": 1011}), Err(ClaimError::NotYet), Err(ClaimError::NotYet)),
            (json!({"iat": 1010}), Err(ClaimError::IssuedLater), Ok(())),
        ] {
            assert_eq!(check(&plain, &claims), strict, "{claims}");
            assert_eq!(check(&lenient, &claims), with_leeway, "{claims}");
        }
    }

    #[test]
    fn a_claim_of_the_wrong_type_is_invalid_not_absent() {
        for claims in [
            json!({"exp": "2000"}),
            json!({"exp": null}),
            json!({"exp": -1}),
            json!({"exp": 1e300}),
            json!({"nbf": []}),
            json!({"iat": true}),
            json!({"iss": 1}),
            json!({"aud": {}}),
            json!({"aud": ["a", 1]}),
        ] {
            assert!(
                matches!(check(&Jwt::default(), &claims), Err(ClaimError::Type(_))),
                "{claims}"
            );
        }
    }

    #[test]
    fn required_claims_must_be_there() {
        let jwt = Jwt {
            require_audience: true,
            require_issuer: true,
            require_expires_at: true,
            require_not_before: true,
            require_issued_at: true,
            ..Jwt::default()
        };
        let full = json!({"aud": "a", "iss": "i", "exp": 2000, "nbf": 1, "iat": 1});
        assert_eq!(check(&jwt, &full), Ok(()));
        for name in ["aud", "iss", "exp", "nbf", "iat"] {
            let mut claims = full.clone();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(check(&jwt, &claims), Err(ClaimError::Missing(name)));
        }
    }

    #[test]
    fn issuer_and_audience_are_compared_whole() {
        let audiences = vec!["a".to_owned(), "b".to_owned()];
        let any = Jwt { issuer: "i".into(), audiences: audiences.clone(), ..Jwt::default() };
        let all = Jwt { audiences, require_audience_all: true, ..Jwt::default() };
        assert_eq!(check(&any, &json!({"iss": "i/"})), Err(ClaimError::Issuer));
        assert_eq!(check(&any, &json!({"aud": ["x", "b"]})), Ok(()));
        assert_eq!(check(&any, &json!({"aud": "ab"})), Err(ClaimError::Audience));
        assert_eq!(check(&any, &json!({"aud": []})), Err(ClaimError::Audience));
        assert_eq!(check(&all, &json!({"aud": ["a", "b", "c"]})), Ok(()));
        assert_eq!(check(&all, &json!({"aud": "a"})), Err(ClaimError::Audience));
        assert_eq!(check(&Jwt::default(), &json!({"aud": "x", "iss": "y"})), Ok(()));
    }

    #[test]
    fn scopes_are_words_or_a_list() {
        assert_eq!(scopes(&json!({"scope": "a  b"})), ["a", "b"]);
        assert_eq!(scopes(&json!({"scope": ["a"], "scp": "c"})), ["a", "c"]);
        assert!(scopes(&json!({"scope": 1})).is_empty());
    }
}
