//! The gate as a client of one provider: the checks of the provider's answer.
//!
//! In: the parameters of the callback, and the flow that they belong to. Out: [`VerifiedClaims`].
//! Afterwards, the answer is from the provider that the browser was sent to, and the ID token was
//! issued for this flow.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::callback::{Callback, Outcome};
use super::flow::Flow;
use super::id_token::IdTokenExpectation;
use super::outcome::NoSignIn;
use super::provider::{Provider, Tokens, Userinfo};
use crate::gate::observer::{Observer, Steps};
use crate::gate::reason::CredentialError;
use crate::gate::verify::{Compact, Issuer, ProviderSession, RequiredClaim, VerifiedClaims};

/// The gate as a client of one provider.
pub struct RelyingParty {
    /// The provider's name in the settings and in the redirect URI.
    pub name: String,
    /// The name that users choose it by.
    pub label: String,
    /// The client's ID at the provider.
    pub client_id: String,
    /// Audiences that ID tokens may have beside the client.
    pub other_audiences: Vec<String>,
    /// The most time since the user authenticated at the provider, if limited (`max_age`).
    pub max_age: Option<Duration>,
    /// Accepted values of `acr`; any if empty.
    pub acr_values: Vec<String>,
    /// Claims that are read, beside the standard ones. If one is missing from the ID token, the
    /// userinfo endpoint is asked.
    pub wanted_claims: Vec<String>,
    /// Claims that must have certain values, wherever they come from.
    pub required: Vec<RequiredClaim>,
    /// Longest time from sign-in to the end of the session.
    pub session_age: Option<Duration>,
    /// Verifies the tokens of the provider.
    pub issuer: Issuer,
    /// The provider itself.
    pub provider: Arc<dyn Provider>,
}

/// What a provider stated about a user, as it came: enough to verify it again.
#[derive(Clone, Serialize, Deserialize)]
pub struct Statement {
    id_token: String,
    /// What the userinfo endpoint said, if it was asked.
    userinfo: Map<String, Value>,
}

/// Shows no token.
impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Statement({} bytes)", self.id_token.len())
    }
}

impl RelyingParty {
    /// The checks of the callback, in the order of their cost: what needs no request comes first,
    /// and the code is sent only to the provider that the answer comes from.
    pub(super) async fn verify_callback(
        &self,
        callback: &Callback,
        flow: &Flow,
        now: SystemTime,
        observer: &dyn Observer,
    ) -> Result<(VerifiedClaims, Statement), NoSignIn> {
        self.check_sender(callback).await?;
        let code = match &callback.outcome {
            Outcome::Code(code) => code,
            Outcome::Error { code, description } => {
                return Err(NoSignIn::Provider {
                    reason: meaning_of(code),
                    code: code.clone(),
                    description: description.clone(),
                });
            }
        };
        let steps = Steps::new(observer, "sign-in");
        let tokens = self.provider.redeem(code, flow).await?;
        let access_token = Some(tokens.access_token.expose_secret());
        let claims = self
            .verify_id_token(&tokens.id_token, access_token, &flow.nonce, now, steps)
            .await?;
        let userinfo = match self.needs_userinfo(&claims) {
            true => self.userinfo(&tokens, &claims, steps).await?,
            false => Map::new(),
        };
        let statement = Statement {
            id_token: tokens.id_token,
            userinfo,
        };
        let claims = self.complete(claims, &statement, &flow.nonce, steps)?;
        Ok((claims, statement))
    }

    /// Verifies what the provider stated once more: it has been in a browser.
    pub(super) async fn verify_again(
        &self,
        statement: &Statement,
        nonce: &str,
        now: SystemTime,
        observer: &dyn Observer,
    ) -> Result<VerifiedClaims, NoSignIn> {
        let steps = Steps::new(observer, "sign-in");
        let id_token = &statement.id_token;
        let claims = self
            .verify_id_token(id_token, None, nonce, now, steps)
            .await?;
        self.complete(claims, statement, nonce, steps)
    }

    /// `iss` (RFC 9207 §2.4): the provider that answers is the one that was asked. An error needs
    /// it too.
    async fn check_sender(&self, callback: &Callback) -> Result<(), NoSignIn> {
        let named = callback.issuer.as_deref();
        match (named, self.issuer.name()) {
            (Some(named), Some(expected)) if named == expected => Ok(()),
            (None, _) if !self.provider.names_itself().await? => Ok(()),
            _ => Err(CredentialError::TokenIssuerRefused.into()),
        }
    }

    /// Verifies the ID token and, if the access token will be used, that the two belong together.
    async fn verify_id_token(
        &self,
        id_token: &str,
        access_token: Option<&str>,
        nonce: &str,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, NoSignIn> {
        let token = Compact::parse(id_token)?;
        // An access token or a logout token of the same provider has other rules.
        let is_id_token = |typ: &str| typ.eq_ignore_ascii_case("jwt");
        if !token.typ().is_none_or(is_id_token) {
            return Err(CredentialError::TokenTypeRefused.into());
        }
        let claims = self.issuer.verify(&token, now, steps).await?;
        let expectation = IdTokenExpectation {
            client_id: &self.client_id,
            other_audiences: &self.other_audiences,
            nonce,
            max_age: self.max_age,
            acr_values: &self.acr_values,
            access_token: access_token.filter(|_| self.needs_userinfo(&claims)),
        };
        expectation.check(token.claims(), token.algorithm()?, now)?;
        Ok(claims)
    }

    /// Whether the ID token lacks something that the settings want.
    fn needs_userinfo(&self, claims: &VerifiedClaims) -> bool {
        let mut wanted = self.wanted_claims.iter();
        wanted.any(|name| claims.get(name).is_none())
    }

    /// The claims of the userinfo endpoint, if they are of the same user (Core §5.3.2).
    async fn userinfo(
        &self,
        tokens: &Tokens,
        claims: &VerifiedClaims,
        steps: Steps<'_>,
    ) -> Result<Map<String, Value>, NoSignIn> {
        let found = match self.provider.userinfo(&tokens.access_token).await? {
            Userinfo::None => return Ok(Map::new()),
            Userinfo::Plain(found) => found,
            Userinfo::Signed(text) => self.verify_userinfo(&text, steps).await?,
        };
        match (claims.get("sub"), found.get("sub")) {
            (Some(Value::String(expected)), Some(Value::String(subject)))
                if expected == subject =>
            {
                Ok(found)
            }
            _ => Err(CredentialError::TokenClaimInvalid.into()),
        }
    }

    /// A signed response needs neither `iss` nor `aud`, but they must match if present. Its times are
    /// not checked: the provider has just sent it.
    async fn verify_userinfo(
        &self,
        text: &str,
        steps: Steps<'_>,
    ) -> Result<Map<String, Value>, NoSignIn> {
        let token = Compact::parse(text)?;
        let found = self.issuer.check_origin(&token, steps).await?;
        if found.contains_key("aud") && !is_for(&found, &self.client_id) {
            return Err(CredentialError::TokenAudienceRefused.into());
        }
        Ok(found.into_owned())
    }

    /// The claims from both sources, and the session that they open.
    fn complete(
        &self,
        mut claims: VerifiedClaims,
        statement: &Statement,
        nonce: &str,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, NoSignIn> {
        claims.add(statement.userinfo.clone());
        claims.require(&self.required, steps)?;
        let session = self.provider_session(&claims, nonce, &statement.id_token)?;
        Ok(claims.of_provider_session(session))
    }

    /// Where a logout token will find the session. Without `sid`, only the user can be found: the
    /// nonce is unique to the flow.
    fn provider_session(
        &self,
        claims: &VerifiedClaims,
        nonce: &str,
        id_token: &str,
    ) -> Result<ProviderSession, CredentialError> {
        let text = |name| match claims.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(CredentialError::TokenClaimInvalid),
        };
        let missing = CredentialError::TokenClaimMissing;
        Ok(ProviderSession {
            provider: self.name.clone(),
            id_token: id_token.to_owned(),
            longest: self.session_age,
            issuer: text("iss")?.ok_or(missing)?,
            id: text("sid")?.unwrap_or_else(|| nonce.to_owned()),
            subject: text("sub")?.ok_or(missing)?,
        })
    }
}

/// Whether the client is among the audiences.
fn is_for(claims: &Map<String, Value>, client_id: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(audiences)) => audiences.iter().any(|audience| audience == client_id),
        _ => false,
    }
}

/// What an error of the provider means (RFC 6749 §4.1.2.1, Core §3.1.2.6).
fn meaning_of(code: &str) -> CredentialError {
    match code {
        "access_denied" => CredentialError::SignInDeclined,
        // The answers to `prompt=none`.
        "login_required"
        | "interaction_required"
        | "consent_required"
        | "account_selection_required" => CredentialError::SignInInteraction,
        "server_error" | "temporarily_unavailable" => CredentialError::SignInUnavailable,
        _ => CredentialError::SignInFailed,
    }
}
