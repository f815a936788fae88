//! Method 1: tokens of external issuers that the operator configured.
//!
//! In: a parsed token. Out: claims that describe a user of another system. Afterwards, the token is
//! signed with one of the issuer's keys and meets the issuer's expectation.

mod asserted;

use std::sync::Arc;
use std::time::SystemTime;

use super::super::identity::ClaimMapping;
use super::super::reason::CredentialError;
use super::super::witness::{Cut, Steps};
use super::claims::Expectation;
use super::compact::Compact;
use super::keys::{Candidates, KeySet, KeySource};
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

/// An issuer and what it may assert.
pub struct Issuer {
    /// What the log calls it.
    label: String,
    keys: Keys,
    expectation: Expectation,
    rules: Arc<ClaimMapping>,
}

/// Where an issuer's keys are.
pub enum Keys {
    /// In the settings.
    Configured(KeySet),
    /// On a key server.
    Served(Arc<dyn KeySource>),
}

impl Issuer {
    /// An issuer with these keys. Its tokens must meet `expectation` and name users by the mapping
    /// `rules`.
    pub fn new(keys: Keys, expectation: Expectation, rules: ClaimMapping) -> Self {
        let label = match &expectation.issuer {
            Some(issuer) => format!("external: issuer {issuer}"),
            None => "external: issuer without iss".to_owned(),
        };
        Self {
            label,
            keys,
            expectation,
            rules: Arc::new(rules),
        }
    }

    /// Verifies signature and claims.
    ///
    /// A token that names another issuer is refused before any signature check or key server
    /// request.
    pub async fn verify(
        &self,
        token: &Compact<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let steps = steps.by(&self.label);
        if let (Some(expected), Some(claimed)) = (&self.expectation.issuer, token.claimed_issuer())
            && expected != claimed
        {
            let (expected, claimed) = (Cut(expected), Cut(claimed));
            steps.note(format_args!("iss {expected} expected, {claimed} found"));
            return Err(Unverified::Unrecognized(
                CredentialError::TokenIssuerRefused,
            ));
        }
        self.check_signature(token, steps).await?;
        let claims = token.claims();
        self.expectation.check(claims, now, steps)?;
        Ok(VerifiedClaims::new(
            claims.clone(),
            Subject::Person(self.rules.clone()),
            Method::External,
            Fingerprint::of("external", token.signed()),
        ))
    }

    /// Asks the key server only for an unknown key.
    async fn check_signature(
        &self,
        token: &Compact<'_>,
        steps: Steps<'_>,
    ) -> Result<(), Unverified> {
        let source = match &self.keys {
            Keys::Configured(keys) => return check(token, keys, steps),
            Keys::Served(source) => source,
        };
        if let Some(keys) = source.current()
            && let Candidates::Keys(keys) = keys.candidates(token.key_id())
        {
            return token.signed_by(keys, steps);
        }
        steps.note(format_args!("asked the key server for its current keys"));
        let keys = source.renew().await.map_err(Unverified::Outage)?;
        check(token, &keys, steps)
    }
}

fn check(token: &Compact<'_>, keys: &KeySet, steps: Steps<'_>) -> Result<(), Unverified> {
    match keys.candidates(token.key_id()) {
        Candidates::Keys(keys) => token.signed_by(keys, steps),
        Candidates::Unknown => {
            let (named, known) = (Cut(token.key_id().unwrap_or_default()), keys.labels());
            steps.note(format_args!("the token names key {named}; known: {known}"));
            Err(Unverified::Unrecognized(CredentialError::TokenKeyUnknown))
        }
    }
}
