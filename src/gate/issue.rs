//! The other half of method 2: issuing tokens (`POST /api/sso/token`).
//!
//! In: the credential of an API client and an e-mail address. Out: a signed token for that user. Afterwards holds: the client has proven
//! to be an active administrator of Label Studio, and the token speaks of a user who may come in.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use super::clock::{Clock, unix_seconds};
use super::identity::{Claimant, Identity};
use super::reason::{Outage, Reason};
use super::user::{ActiveUser, Freshness, NotAdmitted, UserDirectory};
use super::verify::{
    AUDIENCE, ApiTokenVerifier, ApiTokens, Compact, ISSUER, TokenOwner, Unverified,
};

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    /// Sixteen bytes that nobody can guess.
    fn sixteen(&self) -> [u8; 16];

    /// The same in 32 hexadecimal digits.
    fn hex(&self) -> String {
        let bytes = self.sixteen();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What an API client shows.
#[derive(Clone, Copy)]
pub enum ApiCredential<'r> {
    /// `Authorization: Token …`: a key of `authtoken_token`.
    Key(&'r str),
    /// `Authorization: Bearer …`: an access token or a personal access token.
    Jwt(&'r str),
}

/// Why no token was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueError {
    /// No such API token, or it is expired, revoked or switched off, or its owner isn't active.
    InvalidCredential,
    /// The token is good, but the organization doesn't accept legacy tokens.
    LegacyTokensDisabled,
    /// The token is good, but the organization doesn't accept personal access tokens.
    JwtTokensDisabled,
    /// The owner is no administrator.
    NotAdmin,
    /// The user may not come in: unknown, inactive or removed.
    User(Reason),
    /// Cannot decide now.
    Outage(Outage),
}

impl From<Outage> for IssueError {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

/// An API client that has proven to be an active administrator.
#[derive(Debug)]
pub struct Admin {
    user_id: i32,
}

impl Admin {
    /// Primary key in `htx_user`.
    pub const fn user_id(&self) -> i32 {
        self.user_id
    }
}

/// A token, and how long it is good for.
pub struct Issued {
    /// The token in compact form.
    pub token: String,
    /// Seconds from now to `exp`.
    pub expires_in: u64,
    /// Whom it speaks of.
    pub user_id: i32,
}

/// Issues native tokens.
pub struct TokenIssuer<D, T> {
    users: D,
    api_tokens: T,
    signing_key: EncodingKey,
    verifier: ApiTokenVerifier,
    lifetime: Duration,
    user_id_claim: String,
    legacy_always: bool,
    create_users: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// How tokens are issued.
pub struct IssuePolicy {
    /// From issue to expiry (`SSO_TOKEN_EXPIRY`).
    pub lifetime: Duration,
    /// The claim that holds the user's primary key.
    pub user_id_claim: String,
    /// Whether legacy tokens count even where the organization has switched them off.
    pub legacy_always: bool,
    /// Whether a user who is not there is created (`SSO_AUTO_CREATE_USERS`).
    pub create_users: bool,
    /// `SECRET_KEY`s of before: API tokens that they signed still count.
    pub former_secret_keys: Vec<SecretString>,
}

impl<D: UserDirectory, T: ApiTokens> TokenIssuer<D, T> {
    /// Issues tokens signed with Label Studio's `SECRET_KEY`.
    pub fn new(
        users: D,
        api_tokens: T,
        secret_key: &SecretString,
        policy: IssuePolicy,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let secret = secret_key.expose_secret().as_bytes();
        Self {
            users,
            api_tokens,
            signing_key: EncodingKey::from_secret(secret),
            verifier: ApiTokenVerifier::new(secret_key, &policy.former_secret_keys),
            lifetime: policy.lifetime,
            user_id_claim: policy.user_id_claim,
            legacy_always: policy.legacy_always,
            create_users: policy.create_users,
            clock,
            entropy,
        }
    }

    /// Whether the client is an active administrator.
    pub async fn authenticate(&self, credential: ApiCredential<'_>) -> Result<Admin, IssueError> {
        let owner = match credential {
            ApiCredential::Key(key) => self.owner_of_key(key).await?,
            ApiCredential::Jwt(token) => self.owner_of_jwt(token).await?,
        };
        if owner.is_admin {
            Ok(Admin {
                user_id: owner.user_id,
            })
        } else {
            Err(IssueError::NotAdmin)
        }
    }

    async fn owner_of_key(&self, key: &str) -> Result<TokenOwner, IssueError> {
        let owner = self
            .api_tokens
            .owner_of_key(key)
            .await?
            .filter(|owner| owner.is_active)
            .ok_or(IssueError::InvalidCredential)?;
        if owner.legacy_tokens_enabled || self.legacy_always {
            Ok(owner)
        } else {
            Err(IssueError::LegacyTokensDisabled)
        }
    }

    async fn owner_of_jwt(&self, token: &str) -> Result<TokenOwner, IssueError> {
        let token = Compact::parse(token).map_err(|_| IssueError::InvalidCredential)?;
        let now = self.clock.now();
        match self.verifier.owner(&token, &self.api_tokens, now).await {
            Ok(owner) if owner.is_active => Ok(owner),
            Err(Unverified::Unacceptable(Reason::ApiTokensDisabled)) => {
                Err(IssueError::JwtTokensDisabled)
            }
            Err(Unverified::Outage(outage)) => Err(outage.into()),
            Ok(_) | Err(Unverified::Foreign(_) | Unverified::Unacceptable(_)) => {
                Err(IssueError::InvalidCredential)
            }
        }
    }

    /// A token for the user with that e-mail address.
    pub async fn issue(&self, _by: &Admin, email: &str) -> Result<Issued, IssueError> {
        self.issue_as_operator(email).await
    }

    /// The same for whoever runs the command line: they hold `SECRET_KEY`, and with it could sign whatever they like.
    pub async fn issue_as_operator(&self, email: &str) -> Result<Issued, IssueError> {
        let mut claimant = Claimant::of(Identity::Email(email.to_owned()));
        claimant.admission.create = self.create_users;
        let user = ActiveUser::resolve(&self.users, &claimant, Freshness::Cached)
            .await
            .map_err(|refused| match refused {
                NotAdmitted::Refused(reason) => IssueError::User(reason),
                NotAdmitted::Outage(outage) => IssueError::Outage(outage),
            })?;
        Ok(self.sign(&user, self.clock.now()))
    }

    /// The claims of the plugin, in its order, and a `jti`.
    fn sign(&self, user: &ActiveUser, now: SystemTime) -> Issued {
        let iat = unix_seconds(now);
        let jti = self.entropy.hex();
        let mut claims = serde_json::Map::new();
        claims.insert(self.user_id_claim.clone(), user.id().into());
        let rest = NativeClaims {
            email: user.email(),
            iat,
            exp: iat.saturating_add_unsigned(self.lifetime.as_secs()),
            iss: ISSUER,
            aud: AUDIENCE,
            jti: &jti,
        };
        if let Ok(Value::Object(rest)) = serde_json::to_value(rest) {
            claims.extend(rest);
        }
        let token =
            jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing_key)
                .expect("an HMAC over JSON cannot fail");
        Issued {
            token,
            expires_in: self.lifetime.as_secs(),
            user_id: user.id(),
        }
    }
}

#[derive(Serialize)]
struct NativeClaims<'a> {
    email: &'a str,
    iat: i64,
    exp: i64,
    iss: &'a str,
    aud: &'a str,
    jti: &'a str,
}
