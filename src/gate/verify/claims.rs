//! Checks claims against what the issuer may assert (RFC 7519 §4).
//!
//! In: the claims of a token with a valid signature. Out: the reason why they are refused, if any.
//! Afterwards, times, issuer, audience, lifetime and the additional required claims are as
//! expected.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::super::clock::unix_seconds_f64;
use super::super::reason::CredentialError;

/// Extra tolerance for an issuer whose clock is ahead. Applies only to `iat`, which says when the
/// token was issued and grants nothing.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// 9999-12-31T23:59:59Z, the last time that RFC 3339 and Python's `datetime` can represent.
const LAST_MOMENT: f64 = 253_402_300_799.0;

/// What a token must assert.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// The required `iss`; `None` accepts any, because the key alone identifies the issuer.
    pub issuer: Option<String>,
    /// The accepted values of `aud`. If empty, the token must not have an `aud`: it would be meant
    /// for another recipient (RFC 7519 §4.1.3).
    pub audiences: Vec<String>,
    /// Tolerance for `exp` and `nbf`.
    pub leeway: Duration,
    /// The maximum time from `iat`, or from now without `iat`, to `exp`.
    pub max_lifetime: Option<Duration>,
    /// Additional required claims.
    pub required: Vec<RequiredClaim>,
}

/// A required claim and its accepted values, if restricted.
#[derive(Debug, Clone, PartialEq)]
pub struct RequiredClaim {
    /// The name, or a dotted path into nested objects.
    pub name: String,
    /// The claim must be one of these values, or a list that contains one; any value if empty.
    pub accepted: Vec<Value>,
}

impl Expectation {
    /// Checks `exp`, `nbf`, `iat`, `iss`, `aud` and the additional required claims.
    pub fn check(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<(), CredentialError> {
        let now = unix_seconds_f64(now);
        self.check_times(claims, now)?;
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        self.check_lifetime(claims, now)?;
        self.required
            .iter()
            .try_for_each(|required| required.check(claims))
    }

    fn check_times(&self, claims: &Map<String, Value>, now: f64) -> Result<(), CredentialError> {
        let leeway = self.leeway.as_secs_f64();
        let exp = numeric_date(claims, "exp")?.ok_or(CredentialError::TokenClaimMissing)?;
        let nbf = numeric_date(claims, "nbf")?;
        let iat = numeric_date(claims, "iat")?;
        // "on or after which the JWT MUST NOT be accepted" (§4.1.4)
        if now - leeway >= exp {
            return Err(CredentialError::TokenExpired);
        }
        if nbf.is_some_and(|nbf| nbf > now + leeway)
            || iat.is_some_and(|iat| iat > now + leeway + CLOCK_SKEW.as_secs_f64())
        {
            return Err(CredentialError::TokenNotYetValid);
        }
        Ok(())
    }

    /// Runs after the issuer and audience checks, because each issuer has its own lifetime limit.
    fn check_lifetime(&self, claims: &Map<String, Value>, now: f64) -> Result<(), CredentialError> {
        let issued = numeric_date(claims, "iat")?.unwrap_or(now);
        let exp = numeric_date(claims, "exp")?.unwrap_or(issued);
        match self.max_lifetime {
            Some(limit) if exp - issued > limit.as_secs_f64() => {
                Err(CredentialError::TokenLifetimeTooLong)
            }
            _ => Ok(()),
        }
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), CredentialError> {
        let Some(expected) = &self.issuer else {
            return Ok(());
        };
        match claims.get("iss") {
            None => Err(CredentialError::TokenClaimMissing),
            Some(Value::String(issuer)) if issuer == expected => Ok(()),
            Some(_) => Err(CredentialError::TokenIssuerRefused),
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), CredentialError> {
        let expected = |audience: &String| self.audiences.contains(audience);
        let accepted = match claims.get("aud") {
            None if self.audiences.is_empty() => true,
            None => return Err(CredentialError::TokenClaimMissing),
            Some(Value::String(audience)) => expected(audience),
            Some(Value::Array(audiences)) => audiences
                .iter()
                .any(|audience| matches!(audience, Value::String(name) if expected(name))),
            Some(_) => false,
        };
        accepted
            .then_some(())
            .ok_or(CredentialError::TokenAudienceRefused)
    }
}

impl RequiredClaim {
    fn check(&self, claims: &Map<String, Value>) -> Result<(), CredentialError> {
        let value = claim(claims, &self.name).filter(|value| !value.is_null());
        let value = value.ok_or(CredentialError::TokenClaimMissing)?;
        let accepted = match value {
            _ if self.accepted.is_empty() => true,
            Value::Array(list) => list.iter().any(|item| self.accepted.contains(item)),
            single => self.accepted.contains(single),
        };
        accepted
            .then_some(())
            .ok_or(CredentialError::TokenClaimRefused)
    }
}

/// Finds a claim by its name, or by a dotted path into nested objects.
///
/// A literal name takes precedence: both Auth0's claims, named by URLs, and the client names in
/// Keycloak's `resource_access` contain dots.
pub(super) fn claim<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    claims.get(path).or_else(|| {
        path.match_indices('.')
            .find_map(|(at, _)| claim(claims.get(&path[..at])?.as_object()?, &path[at + 1..]))
    })
}

/// Reads a `NumericDate` (§2): seconds, with or without a fraction, from 1970 to the year 9999.
///
/// No clock reaches values outside that range: comparing with them is meaningless, and arithmetic
/// with them overflows.
pub(super) fn numeric_date(
    claims: &Map<String, Value>,
    name: &str,
) -> Result<Option<f64>, CredentialError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(seconds) if (0.0..=LAST_MOMENT).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(CredentialError::TokenClaimInvalid),
    }
}
