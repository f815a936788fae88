//! What the sign-in needs from an OpenID provider.

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use super::callback::Code;
use super::flow::Flow;
use super::outcome::NoSignIn;
use crate::gate::reason::Outage;

/// An OpenID provider, as far as its client needs it.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Where the browser is sent to sign in.
    async fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url, Outage>;

    /// Whether the provider names itself in every answer (RFC 9207 §3).
    async fn names_itself(&self) -> Result<bool, Outage>;

    /// Exchanges a code. Sends it once, whatever happens to the connection: a provider may revoke what
    /// it gave for a code that comes twice (RFC 6749 §4.1.2).
    async fn redeem(&self, code: &Code, flow: &Flow) -> Result<Tokens, NoSignIn>;

    /// The user's claims (OpenID Connect Core §5.3).
    async fn userinfo(&self, access_token: &SecretString) -> Result<Userinfo, Outage>;

    /// Where the browser is sent to sign out (OpenID Connect RP-Initiated Logout 1.0 §2); `None`
    /// if the provider has no such page.
    async fn end_session_url(&self, request: &EndSessionRequest<'_>) -> Option<Url>;
}

/// A request to sign a user in (OpenID Connect Core §3.1.2.1).
#[derive(Debug)]
pub struct AuthorizationRequest<'r> {
    /// The flow that it starts.
    pub flow: &'r Flow,
    /// Whether the user wants to choose an account (`prompt=select_account`).
    pub select_account: bool,
    /// Who wants to sign in, if the site that sent the user here knows it.
    pub login_hint: Option<&'r str>,
}

/// A request to end the session at the provider.
#[derive(Debug)]
pub struct EndSessionRequest<'r> {
    /// The ID token of the sign-in, which tells the provider whose session it is.
    pub id_token: Option<&'r str>,
    /// The user's address, for a provider that has no ID token to go by.
    pub logout_hint: Option<&'r str>,
}

/// The provider's answer to a code.
pub struct Tokens {
    /// The ID token, in compact form.
    pub id_token: String,
    /// The access token, for the userinfo endpoint.
    pub access_token: SecretString,
}

/// What the userinfo endpoint says.
pub enum Userinfo {
    /// The provider has no such endpoint.
    None,
    /// The claims, on the provider's word.
    Plain(Map<String, Value>),
    /// A signed token with the claims (OpenID Connect Core §5.3.2), not yet verified.
    Signed(String),
}

/// Shows no token.
impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} bytes)", self.id_token.len())
    }
}
