//! Checks claims against what the issuer may assert (RFC 7519 §4).
//!
//! In: the claims of a token with a valid signature. Out: the reason why they are refused, if any.
//! Afterwards, times, issuer, audience, lifetime and the additional required claims are as
//! expected.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::super::clock::{CLOCK_SKEW, unix_seconds_f64};
use super::super::observer::{Cut, Each, OneOf, Shown, Steps};
use super::super::reason::CredentialError;

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
    /// The claim must be one of these values, or a list that contains one. `None`: any value.
    pub accepted: Option<Vec<Value>>,
}

impl Expectation {
    /// Checks `exp`, `nbf`, `iat`, `iss`, `aud` and the additional required claims.
    pub fn check(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let now = unix_seconds_f64(now);
        self.check_times(claims, now, steps)?;
        self.check_issuer(claims, steps)?;
        self.check_audience(claims, steps)?;
        self.check_lifetime(claims, now, steps)?;
        self.required
            .iter()
            .try_for_each(|required| required.check(claims, steps))
    }

    fn check_times(
        &self,
        claims: &Map<String, Value>,
        now: f64,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let leeway = self.leeway.as_secs_f64();
        let result = times(claims, now, leeway);
        if result.is_err() {
            let claim = |name| Shown(claims.get(name));
            steps.note(format_args!(
                "now is {now:.0}, with a leeway of {leeway} seconds; exp is {}, nbf {}, iat {}",
                claim("exp"),
                claim("nbf"),
                claim("iat")
            ));
        }
        result
    }

    /// Runs after the issuer and audience checks, because each issuer has its own lifetime limit.
    fn check_lifetime(
        &self,
        claims: &Map<String, Value>,
        now: f64,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let issued = numeric_date(claims, "iat")?.unwrap_or(now);
        let lifetime = numeric_date(claims, "exp")?.unwrap_or(issued) - issued;
        match self.max_lifetime {
            Some(limit) if lifetime > limit.as_secs_f64() => {
                steps.note(format_args!(
                    "a lifetime of at most {} seconds expected, {lifetime:.0} found",
                    limit.as_secs()
                ));
                Err(CredentialError::TokenLifetimeTooLong)
            }
            _ => Ok(()),
        }
    }

    fn check_issuer(
        &self,
        claims: &Map<String, Value>,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let Some(expected) = &self.issuer else {
            return Ok(());
        };
        let found = claims.get("iss");
        let result = match found {
            None => Err(CredentialError::TokenClaimMissing),
            Some(Value::String(issuer)) if issuer == expected => return Ok(()),
            Some(_) => Err(CredentialError::TokenIssuerRefused),
        };
        let (expected, found) = (Cut(expected), Shown(found));
        steps.note(format_args!("iss {expected} expected, {found} found"));
        result
    }

    fn check_audience(
        &self,
        claims: &Map<String, Value>,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let expected = |audience: &String| self.audiences.contains(audience);
        let found = claims.get("aud");
        let accepted = match found {
            None => self.audiences.is_empty(),
            Some(Value::String(audience)) => expected(audience),
            Some(Value::Array(audiences)) => audiences
                .iter()
                .any(|audience| matches!(audience, Value::String(name) if expected(name))),
            Some(_) => false,
        };
        if accepted {
            return Ok(());
        }
        let expected = Each(&self.audiences);
        steps.note(format_args!(
            "audience {expected} expected, {} found",
            Shown(found)
        ));
        Err(match found {
            None => CredentialError::TokenClaimMissing,
            Some(_) => CredentialError::TokenAudienceRefused,
        })
    }
}

fn times(claims: &Map<String, Value>, now: f64, leeway: f64) -> Result<(), CredentialError> {
    let exp = numeric_date(claims, "exp")?.ok_or(CredentialError::TokenClaimMissing)?;
    let nbf = numeric_date(claims, "nbf")?;
    let iat = numeric_date(claims, "iat")?;
    // "on or after which the JWT MUST NOT be accepted" (§4.1.4)
    if now - leeway >= exp {
        return Err(CredentialError::TokenExpired);
    }
    if nbf.is_some_and(|nbf| nbf > now + leeway)
        // `iat` only says when the token was issued and grants nothing, so it is tolerated further
        // ahead.
        || iat.is_some_and(|iat| iat > now + leeway + CLOCK_SKEW.as_secs_f64())
    {
        return Err(CredentialError::TokenNotYetValid);
    }
    Ok(())
}

impl RequiredClaim {
    pub(super) fn check(
        &self,
        claims: &Map<String, Value>,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let found = claim(claims, &self.name).filter(|value| !value.is_null());
        let is_accepted = match (found, &self.accepted) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(Value::Array(list)), Some(accepted)) => {
                list.iter().any(|item| accepted.contains(item))
            }
            (Some(single), Some(accepted)) => accepted.contains(single),
        };
        if is_accepted {
            return Ok(());
        }
        let (name, value) = (Cut(&self.name), Shown(found));
        match &self.accepted {
            None => steps.note(format_args!("claim {name} expected, {value} found")),
            Some(accepted) => steps.note(format_args!(
                "claim {name}: {} expected, {value} found",
                OneOf(accepted)
            )),
        }
        Err(match found {
            None => CredentialError::TokenClaimMissing,
            Some(_) => CredentialError::TokenClaimRefused,
        })
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
