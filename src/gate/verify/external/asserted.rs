//! Tokens of method 1 that a proxy in front asserts with every request.
//!
//! In: the text of a token from a header. Out: its claims, or what they would identify a person by if
//! the token were genuine. Afterwards, the fingerprint identifies the person, because such a token
//! changes from request to request.

use std::borrow::Cow;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::super::claims::claim;
use super::super::compact::Compact;
use super::super::{Fingerprint, Unverified, VerifiedClaims, Verifier};
use super::{Issuer, text};
use crate::gate::credential::Credential;
use crate::gate::observer::Steps;
use crate::gate::reason::CredentialError;

impl Issuer {
    /// Verifies a token that a proxy in front asserts with every request.
    ///
    /// Such a token changes from request to request, so the claims that decide identify it
    /// ([`Self::evidence`]), not its text. It must have a `sub`: service tokens of Cloudflare
    /// Access have an empty one, and are nobody's.
    async fn verify_asserted(
        &self,
        token: &Compact<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let verified = self.verify(token, now, steps).await?;
        let Some(evidence) = self.evidence(&self.claims_of(token)) else {
            steps
                .by(&self.label)
                .note(format_args!("sub expected, none or an empty one found"));
            return Err(CredentialError::TokenClaimMissing.into());
        };
        Ok(verified.of_proxy(evidence))
    }

    /// The fingerprint that the claims of an unverified token would have. `None` if they are
    /// not this issuer's.
    fn claimed_evidence(&self, token: &Compact<'_>) -> Option<Fingerprint> {
        let claims = self.claims_of(token);
        let expected = self.expectation.issuer.as_deref();
        if expected.is_some() && expected != text(&claims, "iss") {
            return None;
        }
        self.evidence(&claims)
    }

    /// Identifies a person by issuer and subject, and by every claim that decides who they are in
    /// Label Studio and what they may do there. `None` without a subject.
    fn evidence(&self, claims: &Map<String, Value>) -> Option<Fingerprint> {
        let subject = claims.get("sub").and_then(Value::as_str)?;
        if subject.is_empty() {
            return None;
        }
        let rules = &self.rules;
        let groups = rules.groups.as_ref().map(|groups| groups.claim.as_str());
        let username = rules.username_claim.as_deref();
        let required = self.expectation.required.iter();
        let names = ["iss", "sub", "email_verified", rules.email_claim.as_str()]
            .into_iter()
            .chain(username)
            .chain(groups)
            .chain(required.map(|claim| claim.name.as_str()));
        let deciding: Vec<_> = names
            .map(|name| claim(claims, name).map(unordered))
            .collect();
        let deciding = serde_json::to_string(&deciding).ok()?;
        Some(Fingerprint::of("proxy", &deciding))
    }
}

impl Verifier {
    /// Verifies a token that a proxy in front asserts. Only configured issuers make such tokens.
    pub(in crate::gate::verify) async fn verify_asserted(
        &self,
        token: &str,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let token = self.parse(token, Compact::parse_padded, steps)?;
        let mut why: Option<Unverified> = None;
        for issuer in &self.issuers {
            match issuer.verify_asserted(&token, now, steps).await {
                Ok(claims) => return Ok(claims),
                Err(next) => why = Some(why.map_or(next, |first| first.more_specific(next))),
            }
        }
        Err(why.unwrap_or(Unverified::Unrecognized(CredentialError::NoMethod)))
    }

    /// What a session would be derived from if what a proxy asserts were genuine. Proves nothing by
    /// itself: it only tells whether a session that is there was opened for the same person.
    pub fn claimed_evidence(&self, credential: &Credential<'_>) -> Vec<Fingerprint> {
        let token = match credential {
            Credential::Asserted(token) => token,
            Credential::Unsigned(headers) => {
                let proxy = self.unsigned.iter();
                return proxy.map(|it| it.claimed_evidence(headers)).collect();
            }
            Credential::Token(_) | Credential::ApplicationSession(_) => return Vec::new(),
        };
        let Ok(token) = self.parse(token, Compact::parse_padded, Steps::unheard()) else {
            return Vec::new();
        };
        let issuers = self.issuers.iter();
        issuers
            .filter_map(|issuer| issuer.claimed_evidence(&token))
            .collect()
    }

    /// Whether a Bearer credential names one of the issuers, and so is no credential of Label
    /// Studio's API: those tokens have no `iss`.
    pub fn names_issuer(&self, token: &str) -> bool {
        let token = self.parse(token, Compact::parse, Steps::unheard());
        let token = token.as_ref();
        token.is_ok_and(|token| {
            let claimed = token.claimed_issuer();
            let mut expected = self
                .issuers
                .iter()
                .map(|it| it.expectation.issuer.as_deref());
            claimed.is_some() && expected.any(|issuer| issuer == claimed)
        })
    }
}

/// A claim without the order of its list: issuers don't keep that of groups and roles.
fn unordered(claim: &Value) -> Cow<'_, Value> {
    let Value::Array(list) = claim else {
        return Cow::Borrowed(claim);
    };
    let mut list = list.clone();
    list.sort_by_cached_key(Value::to_string);
    Cow::Owned(Value::Array(list))
}
