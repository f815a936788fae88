//! What an ID token must say beyond what every token must (OpenID Connect Core §3.1.3.7).
//!
//! In: the claims of a token whose signature, issuer, audience and times were checked. Out: the
//! reason why they are refused, if any. Afterwards, the token was issued to this client, for this
//! flow, after an authentication of the kind that was asked for, and together with the access token.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;

use crate::gate::clock::{CLOCK_SKEW, unix_seconds_f64};
use crate::gate::reason::CredentialError;

/// What the ID token of one flow must say.
#[derive(Debug)]
pub struct IdTokenExpectation<'e> {
    /// The client that the token must be for.
    pub client_id: &'e str,
    /// Other audiences that the token may have beside the client.
    pub other_audiences: &'e [String],
    /// The flow's nonce.
    pub nonce: &'e str,
    /// The most time since the user authenticated, if limited.
    pub max_age: Option<Duration>,
    /// Accepted values of `acr`; any if empty.
    pub acr_values: &'e [String],
    /// The access token that came with it, if it will be used.
    pub access_token: Option<&'e str>,
}

impl IdTokenExpectation<'_> {
    /// Checks the claims of a token that was signed with `algorithm`.
    pub fn check(
        &self,
        claims: &Map<String, Value>,
        algorithm: Algorithm,
        now: SystemTime,
    ) -> Result<(), CredentialError> {
        self.check_client(claims)?;
        self.check_nonce(claims)?;
        self.check_authentication(claims, now)?;
        self.check_access_token(claims, algorithm)
    }

    /// `aud` and `azp`: the token is for this client, and for no unknown audience.
    fn check_client(&self, claims: &Map<String, Value>) -> Result<(), CredentialError> {
        let refused = CredentialError::TokenAudienceRefused;
        let party = match claims.get("azp") {
            None => None,
            Some(Value::String(party)) if party == self.client_id => Some(party),
            Some(_) => return Err(refused),
        };
        let is_client = |audience: &str| audience == self.client_id;
        let is_known = |audience: &str| {
            is_client(audience) || self.other_audiences.iter().any(|other| other == audience)
        };
        match claims.get("aud") {
            Some(Value::String(audience)) if is_client(audience) => Ok(()),
            Some(Value::Array(audiences)) => {
                let audiences: Option<Vec<&str>> = audiences.iter().map(Value::as_str).collect();
                let audiences = audiences.ok_or(refused)?;
                let for_us = audiences.iter().any(|audience| is_client(audience));
                let known = audiences.iter().all(|audience| is_known(audience));
                let named = audiences.len() == 1 || party.is_some();
                (for_us && known && named).then_some(()).ok_or(refused)
            }
            _ => Err(refused),
        }
    }

    fn check_nonce(&self, claims: &Map<String, Value>) -> Result<(), CredentialError> {
        match claims.get("nonce") {
            Some(Value::String(nonce)) if nonce.as_bytes().ct_eq(self.nonce.as_bytes()).into() => {
                Ok(())
            }
            _ => Err(CredentialError::TokenNonceRefused),
        }
    }

    /// `auth_time` and `acr`, where they were asked for. A provider may ignore the request, so that
    /// a missing claim is a refusal.
    fn check_authentication(
        &self,
        claims: &Map<String, Value>,
        now: SystemTime,
    ) -> Result<(), CredentialError> {
        let refused = Err(CredentialError::TokenAuthenticationRefused);
        if let Some(limit) = self.max_age {
            let oldest = unix_seconds_f64(now) - (limit + CLOCK_SKEW).as_secs_f64();
            match claims.get("auth_time").and_then(Value::as_f64) {
                Some(at) if at >= oldest => {}
                _ => return refused,
            }
        }
        match claims.get("acr").and_then(Value::as_str) {
            _ if self.acr_values.is_empty() => Ok(()),
            Some(acr) if self.acr_values.iter().any(|accepted| accepted == acr) => Ok(()),
            _ => refused,
        }
    }

    /// `at_hash` (§3.1.3.8): optional in the code flow, but it must match if present.
    fn check_access_token(
        &self,
        claims: &Map<String, Value>,
        algorithm: Algorithm,
    ) -> Result<(), CredentialError> {
        let (Some(token), Some(claim)) = (self.access_token, claims.get("at_hash")) else {
            return Ok(());
        };
        match (claim.as_str(), half_hash(algorithm, token)) {
            (Some(hash), Some(expected)) if hash.as_bytes().ct_eq(expected.as_bytes()).into() => {
                Ok(())
            }
            _ => Err(CredentialError::TokenHashRefused),
        }
    }
}

/// The left half of the hash that goes with the algorithm, in base64url; `None` for an algorithm
/// that the gate doesn't know.
fn half_hash(algorithm: Algorithm, token: &str) -> Option<String> {
    let hash = match algorithm {
        Algorithm::HS256 | Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => {
            Sha256::digest(token).to_vec()
        }
        Algorithm::HS384 | Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => {
            Sha384::digest(token).to_vec()
        }
        // Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
        Algorithm::HS512 | Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => {
            Sha512::digest(token).to_vec()
        }
        _ => return None,
    };
    Some(URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn check<'e>(
        change: impl FnOnce(&mut IdTokenExpectation<'e>),
        claims: &Value,
    ) -> Result<(), CredentialError> {
        let mut expectation = IdTokenExpectation {
            client_id: "gate",
            other_audiences: &[],
            nonce: "n-1",
            max_age: None,
            acr_values: &[],
            access_token: None,
        };
        change(&mut expectation);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let claims = claims.as_object().expect("an object");
        expectation.check(claims, Algorithm::RS256, now)
    }

    #[test]
    fn audience_is_the_client_and_nobody_unknown() {
        let refused = Err(CredentialError::TokenAudienceRefused);
        let others = ["project".to_owned()];
        for (claims, expected, with_others) in [
            (json!({"aud": "gate"}), Ok(()), Ok(())),
            (json!({"aud": ["gate"]}), Ok(()), Ok(())),
            (json!({"aud": "gate", "azp": "gate"}), Ok(()), Ok(())),
            (
                json!({"aud": ["gate", "project"], "azp": "gate"}),
                refused,
                Ok(()),
            ),
            (json!({"aud": ["gate", "project"]}), refused, refused),
            (
                json!({"aud": ["gate", "stranger"], "azp": "gate"}),
                refused,
                refused,
            ),
            (json!({"aud": "gate", "azp": "other"}), refused, refused),
            (json!({"aud": "gate", "azp": 1}), refused, refused),
            (json!({"aud": "other"}), refused, refused),
            (json!({"aud": ["project"], "azp": "gate"}), refused, refused),
            (json!({"aud": ["gate", 1], "azp": "gate"}), refused, refused),
            (json!({"aud": []}), refused, refused),
            (json!({}), refused, refused),
        ] {
            let mut claims = claims;
            claims["nonce"] = json!("n-1");
            assert_eq!(check(|_| {}, &claims), expected, "{claims}");
            let found = check(|expectation| expectation.other_audiences = &others, &claims);
            assert_eq!(found, with_others, "{claims}");
        }
    }

    #[test]
    fn nonce_is_the_flows() {
        for nonce in [
            json!(null),
            json!("n-2"),
            json!(""),
            json!(1),
            json!(["n-1"]),
        ] {
            let claims = json!({"aud": "gate", "nonce": nonce});
            let found = check(|_| {}, &claims);
            assert_eq!(found, Err(CredentialError::TokenNonceRefused), "{nonce}");
        }
        let found = check(|_| {}, &json!({"aud": "gate"}));
        assert_eq!(found, Err(CredentialError::TokenNonceRefused));
    }

    #[test]
    fn authentication_is_as_asked_for() {
        let refused = Err(CredentialError::TokenAuthenticationRefused);
        let values = ["gold".to_owned(), "silver".to_owned()];
        for (claim, value, expected) in [
            ("auth_time", json!(NOW - 360), Ok(())),
            ("auth_time", json!(NOW - 361), refused),
            ("auth_time", json!("soon"), refused),
            ("auth_time", json!(null), refused),
            ("acr", json!("silver"), Ok(())),
            ("acr", json!("bronze"), refused),
            ("acr", json!(["silver"]), refused),
            ("acr", json!(null), refused),
        ] {
            let mut claims = json!({"aud": "gate", "nonce": "n-1"});
            claims[claim] = value.clone();
            let found = check(
                |expectation| match claim {
                    "acr" => expectation.acr_values = &values,
                    _ => expectation.max_age = Some(Duration::from_secs(300)),
                },
                &claims,
            );
            assert_eq!(found, expected, "{claim} {value}");
            assert_eq!(check(|_| {}, &claims), Ok(()), "{claim} was not asked for");
        }
    }

    #[test]
    fn access_token_is_the_one_that_came_with_the_id_token() {
        // OpenID Connect Core, appendix A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let mut claims =
            json!({"aud": "gate", "nonce": "n-1", "at_hash": "77QmUPtjPfzWtF2AnpK9RQ"});
        let with_token = |claims: &Value, token| {
            check(|expectation| expectation.access_token = Some(token), claims)
        };
        assert_eq!(with_token(&claims, token), Ok(()));
        let refused = Err(CredentialError::TokenHashRefused);
        assert_eq!(with_token(&claims, "another"), refused);
        assert_eq!(check(|_| {}, &claims), Ok(()), "it is not used");
        claims["at_hash"] = json!(1);
        assert_eq!(with_token(&claims, token), refused);
        claims.as_object_mut().expect("an object").remove("at_hash");
        assert_eq!(with_token(&claims, token), Ok(()), "it is optional");
    }

    #[test]
    fn hash_goes_with_the_algorithm() {
        for (algorithm, length) in [
            (Algorithm::ES256, 22),
            (Algorithm::RS384, 32),
            (Algorithm::PS512, 43),
            (Algorithm::EdDSA, 43),
        ] {
            let hash = half_hash(algorithm, "token").expect("a known algorithm");
            assert_eq!(hash.len(), length, "{algorithm:?}");
        }
    }
}
