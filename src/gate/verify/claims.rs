//! The registered claims (RFC 7519 §4.1), checked against what the key's owner may say.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::super::clock::unix_seconds_f64;
use super::super::reason::Reason;

/// How far the clock of whoever issued a token may be ahead, for `iat` alone: it says when the token was made, and no right depends on it.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What a token must say about itself.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// `iss`
    pub issuer: String,
    /// One of `aud`
    pub audience: String,
    /// How many seconds `exp` and `nbf` may be off.
    pub leeway: Duration,
}

impl Expectation {
    /// Checks `exp`, `nbf`, `iat`, `iss` and `aud`.
    pub fn check(&self, claims: &Map<String, Value>, now: SystemTime) -> Result<(), Reason> {
        let now = unix_seconds_f64(now);
        let leeway = self.leeway.as_secs_f64();
        let exp = numeric_date(claims, "exp")?.ok_or(Reason::TokenClaimMissing)?;
        let nbf = numeric_date(claims, "nbf")?;
        let iat = numeric_date(claims, "iat")?;
        // "on or after which the JWT MUST NOT be accepted" (§4.1.4)
        if now - leeway >= exp {
            return Err(Reason::TokenExpired);
        }
        if nbf.is_some_and(|nbf| nbf > now + leeway)
            || iat.is_some_and(|iat| iat > now + leeway + CLOCK_SKEW.as_secs_f64())
        {
            return Err(Reason::TokenNotYetValid);
        }
        self.check_issuer(claims)?;
        self.check_audience(claims)
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Reason> {
        match claims.get("iss") {
            None => Err(Reason::TokenClaimMissing),
            Some(Value::String(issuer)) if *issuer == self.issuer => Ok(()),
            Some(_) => Err(Reason::TokenIssuerRefused),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Reason> {
        let accepted = match claims.get("aud") {
            None => return Err(Reason::TokenClaimMissing),
            Some(Value::String(audience)) => *audience == self.audience,
            Some(Value::Array(audiences)) => audiences
                .iter()
                .any(|audience| audience.as_str() == Some(&self.audience)),
            Some(_) => false,
        };
        accepted.then_some(()).ok_or(Reason::TokenAudienceRefused)
    }
}

/// A `NumericDate` (§2): seconds, with or without a fraction.
pub fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Reason> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_f64()),
        Some(_) => Err(Reason::TokenClaimInvalid),
    }
}
