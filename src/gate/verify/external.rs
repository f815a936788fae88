//! Method 1: tokens of external issuers that the operator configured.
//!
//! In: a parsed token. Out: claims that describe a user of another system. Afterwards, the token is
//! signed with one of the issuer's keys and meets the issuer's expectation.

mod asserted;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::super::identity::ClaimMapping;
use super::super::observer::{Cut, Steps};
use super::super::reason::CredentialError;
use super::claims::{Expectation, numeric_date};
use super::compact::Compact;
use super::keys::{Candidates, KeySet, KeySource};
use super::load_balancer::{self, LoadBalancer};
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

/// An issuer and what it may assert.
pub struct Issuer {
    /// What the log calls it.
    label: String,
    keys: Keys,
    expectation: Expectation,
    rules: Arc<ClaimMapping>,
    load_balancer: Option<LoadBalancer>,
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
            load_balancer: None,
        }
    }

    /// The same issuer, whose tokens are made by this load balancer of AWS.
    pub fn behind(mut self, load_balancer: Option<LoadBalancer>) -> Self {
        self.load_balancer = load_balancer;
        self
    }

    /// Whether its tokens are made by a load balancer, which sends them in a header alone.
    pub const fn is_load_balancer(&self) -> bool {
        self.load_balancer.is_some()
    }

    /// The required `iss`, if one is.
    pub fn name(&self) -> Option<&str> {
        self.expectation.issuer.as_deref()
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
        let mut claims = self.check_origin(token, steps).await?;
        self.expectation.check(&claims, now, steps)?;
        if self.load_balancer.is_some() {
            load_balancer::date(claims.to_mut(), self.expectation.max_lifetime);
        }
        Ok(VerifiedClaims::new(
            claims.into_owned(),
            Subject::Person(self.rules.clone()),
            Method::External,
            Fingerprint::of("external", token.signed()),
        ))
    }

    /// Verifies a token of a kind that may lack `exp`: it is then valid for `lifetime` from `iat`. It
    /// describes nobody who signs in.
    pub async fn verify_with_lifetime(
        &self,
        token: &Compact<'_>,
        lifetime: Duration,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<(), Unverified> {
        let steps = steps.by(&self.label);
        let mut claims = self.check_origin(token, steps).await?.into_owned();
        if !claims.contains_key("exp")
            && let Some(issued) = numeric_date(&claims, "iat")?
        {
            claims.insert("exp".to_owned(), (issued + lifetime.as_secs_f64()).into());
        }
        Ok(self.expectation.check(&claims, now, steps)?)
    }

    /// The claims of a token that is signed with one of the issuer's keys and names no other issuer.
    /// What else they say is not checked.
    pub async fn check_origin<'c>(
        &self,
        token: &'c Compact<'_>,
        steps: Steps<'_>,
    ) -> Result<Cow<'c, Map<String, Value>>, Unverified> {
        if token.is_padded() && self.load_balancer.is_none() {
            steps.note(format_args!("a padded token"));
            return Err(Unverified::Unrecognized(CredentialError::TokenMalformed));
        }
        let claims = self.claims_of(token);
        if let (Some(expected), Some(claimed)) = (&self.expectation.issuer, text(&claims, "iss"))
            && expected != claimed
        {
            let (expected, claimed) = (Cut(expected), Cut(claimed));
            steps.note(format_args!("iss {expected} expected, {claimed} found"));
            return Err(Unverified::Unrecognized(
                CredentialError::TokenIssuerRefused,
            ));
        }
        if let Some(load_balancer) = &self.load_balancer {
            // Before the keys are asked for: every AWS account's tokens have a key there.
            let checked = load_balancer.check(token, steps);
            checked.map_err(Unverified::Unrecognized)?;
        }
        self.check_signature(token, steps).await?;
        Ok(claims)
    }

    /// The claims, not yet verified.
    fn claims_of<'c>(&self, token: &'c Compact<'_>) -> Cow<'c, Map<String, Value>> {
        match &self.load_balancer {
            Some(load_balancer) => Cow::Owned(load_balancer.claims(token)),
            None => Cow::Borrowed(token.claims()),
        }
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
        let id = token.key_id();
        let keys = source.renew(id).await.map_err(Unverified::Outage)?;
        check(token, &keys, steps)
    }
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name).and_then(Value::as_str)
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
