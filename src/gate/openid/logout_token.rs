//! What a logout token must say (OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6).
//!
//! In: the claims of a token whose signature, issuer, audience and times were checked. Out: whose
//! session ended. Afterwards, the token was made to end sessions: an ID token, which the browser
//! may hold, is never taken for one.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::outcome::NoSignIn;
use crate::gate::clock::unix_seconds_f64;
use crate::gate::reason::{CredentialError, Outage};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// The most time from `iat` to arrival. Providers that follow a draft of the standard leave out `exp`.
pub(super) const MAX_AGE: Duration = Duration::from_secs(300);

/// What a verified logout token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout<'p> {
    /// The provider's issuer.
    pub provider: &'p str,
    /// Whose session ended.
    pub ended: Ended,
    /// The user at the provider (`sub`), if the token names them.
    pub subject: Option<String>,
}

/// Why a logout token ends nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutRefused<'p> {
    /// The issuer that the token names, if it is a provider of the settings.
    pub provider: Option<&'p str>,
    /// Why.
    pub why: NoSignIn,
}

impl<'p> LogoutRefused<'p> {
    pub(super) const fn of(provider: &'p str, why: NoSignIn) -> Self {
        Self {
            provider: Some(provider),
            why,
        }
    }
}

impl From<CredentialError> for LogoutRefused<'_> {
    fn from(why: CredentialError) -> Self {
        Self {
            provider: None,
            why: why.into(),
        }
    }
}

impl From<Outage> for LogoutRefused<'_> {
    fn from(outage: Outage) -> Self {
        Self {
            provider: None,
            why: outage.into(),
        }
    }
}

/// Whose session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The session at the provider with this `sid`.
    Session(String),
    /// All sessions of the user with this `sub`.
    Subject(String),
}

impl<'p> Logout<'p> {
    /// Reads the claims of a logout token of `provider`. `typ` is the type in its header.
    pub fn from_claims(
        provider: &'p str,
        claims: &Map<String, Value>,
        typ: Option<&str>,
        now: SystemTime,
    ) -> Result<Self, CredentialError> {
        // Explicit typing is recommended (§2.4); older providers write "JWT" or nothing.
        let is_logout = |typ: &str| {
            ["logout+jwt", "application/logout+jwt", "jwt"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(typ))
        };
        if !typ.is_none_or(is_logout) || claims.contains_key("nonce") {
            return Err(CredentialError::TokenTypeRefused);
        }
        match claims.get("events").and_then(|events| events.get(EVENT)) {
            Some(Value::Object(_)) => {}
            Some(_) => return Err(CredentialError::TokenClaimInvalid),
            None => return Err(CredentialError::TokenTypeRefused),
        }
        let missing = CredentialError::TokenClaimMissing;
        let issued = claims.get("iat").and_then(Value::as_f64).ok_or(missing)?;
        if unix_seconds_f64(now) - issued > MAX_AGE.as_secs_f64() {
            return Err(CredentialError::TokenExpired);
        }
        text(claims, "jti")?.ok_or(missing)?;
        let subject = text(claims, "sub")?;
        let ended = match (text(claims, "sid")?, &subject) {
            (Some(session), _) => Ended::Session(session),
            (None, Some(subject)) => Ended::Subject(subject.clone()),
            (None, None) => return Err(missing),
        };
        Ok(Self {
            provider,
            ended,
            subject,
        })
    }
}

fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, CredentialError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(CredentialError::TokenClaimInvalid),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn read(change: Value, typ: Option<&str>) -> Result<Ended, CredentialError> {
        let mut claims = json!({
            "iat": NOW - 10,
            "jti": "j-1",
            "sid": "session-1",
            "sub": "ann",
            "events": {EVENT: {}},
        });
        for (name, value) in change.as_object().expect("an object") {
            match value {
                Value::Null => claims.as_object_mut().expect("an object").remove(name),
                value => claims
                    .as_object_mut()
                    .expect("an object")
                    .insert(name.clone(), value.clone()),
            };
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let claims = claims.as_object().expect("an object");
        Logout::from_claims("https://op.test", claims, typ, now).map(|logout| logout.ended)
    }

    #[test]
    fn session_comes_before_subject() {
        let session = Ok(Ended::Session("session-1".to_owned()));
        for typ in [
            None,
            Some("logout+jwt"),
            Some("JWT"),
            Some("application/Logout+JWT"),
        ] {
            assert_eq!(read(json!({}), typ), session, "{typ:?}");
        }
        assert_eq!(read(json!({"sub": null}), None), session);
        assert_eq!(
            read(json!({"sid": null}), None),
            Ok(Ended::Subject("ann".to_owned()))
        );
    }

    #[test]
    fn other_tokens_end_nothing() {
        use CredentialError::{
            TokenClaimInvalid, TokenClaimMissing, TokenExpired, TokenTypeRefused,
        };
        for (change, expected) in [
            (json!({"nonce": "n"}), TokenTypeRefused),
            (json!({"events": null}), TokenTypeRefused),
            (
                json!({"events": {"http://schemas.openid.net/event/other": {}}}),
                TokenTypeRefused,
            ),
            (json!({"events": [EVENT]}), TokenTypeRefused),
            (json!({"events": {EVENT: true}}), TokenClaimInvalid),
            (json!({"iat": null}), TokenClaimMissing),
            (json!({"iat": NOW - 301}), TokenExpired),
            (json!({"jti": null}), TokenClaimMissing),
            (json!({"jti": 1}), TokenClaimInvalid),
            (json!({"sid": null, "sub": null}), TokenClaimMissing),
            (json!({"sid": ""}), TokenClaimInvalid),
            (json!({"sid": null, "sub": 7}), TokenClaimInvalid),
        ] {
            assert_eq!(read(change.clone(), None), Err(expected), "{change}");
        }
        for typ in ["at+jwt", "id_token", ""] {
            assert_eq!(read(json!({}), Some(typ)), Err(TokenTypeRefused), "{typ}");
        }
    }
}
