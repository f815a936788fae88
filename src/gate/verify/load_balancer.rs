//! Tokens of an AWS Application Load Balancer, which differ from others.
//!
//! In: a parsed token. Out: the claims that it would have as a token like any other. Afterwards, the
//! token names the configured load balancer: all AWS accounts share the keys (ALBeast), so
//! only `signer` tells whose token it is.
//!
//! Who made the token, for whom and until when is in its header, which is signed as well: `signer`,
//! `client`, `iss` and `exp` (Elastic Load Balancing, "Authenticate users using an Application Load
//! Balancer"). It has no `aud` and no `iat`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::observer::{Cut, Shown, Steps};
use super::super::reason::CredentialError;
use super::claims::numeric_date;
use super::compact::Compact;

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    /// Its Amazon Resource Name.
    pub arn: String,
}

impl LoadBalancer {
    /// The token's claims, with what its header says about issuer, audience and end.
    pub(super) fn claims(&self, token: &Compact<'_>) -> Map<String, Value> {
        let mut claims = token.claims().clone();
        for (claim, field) in [("iss", "iss"), ("exp", "exp"), ("aud", "client")] {
            match token.header().get(field) {
                Some(value) => claims.insert(claim.to_owned(), value.clone()),
                None => claims.remove(claim),
            };
        }
        claims
    }

    /// Refuses tokens of other load balancers.
    pub(super) fn check(
        &self,
        token: &Compact<'_>,
        steps: Steps<'_>,
    ) -> Result<(), CredentialError> {
        let found = token.header().get("signer");
        if found.and_then(Value::as_str) == Some(self.arn.as_str()) {
            return Ok(());
        }
        let (expected, shown) = (Cut(&self.arn), Shown(found));
        steps.note(format_args!("signer {expected} expected, {shown} found"));
        Err(match found {
            None => CredentialError::TokenClaimMissing,
            Some(_) => CredentialError::TokenIssuerRefused,
        })
    }
}

/// Adds the earliest `iat` that a token with a lifetime of at most `limit` can have, so that a
/// revocation ends tokens from before it.
pub(super) fn date(claims: &mut Map<String, Value>, limit: Option<Duration>) {
    if let (Ok(Some(exp)), Some(limit)) = (numeric_date(claims, "exp"), limit) {
        claims.insert("iat".to_owned(), json!(exp - limit.as_secs_f64()));
    }
}
