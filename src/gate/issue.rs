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
use super::entropy::Entropy;
use super::identity::{Claimant, Identity};
use super::reason::{CredentialError, Denied, Outage};
use super::user::{ActiveUser, Freshness, NotAdmitted, Users};
use super::verify::{AUDIENCE, ApiAuthenticator, ApiCredential, ISSUER, TokenOwner, Unverified};

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
    /// The user is a superuser, and the administrator is not.
    NotSuperuser,
    /// The user may not come in: unknown, inactive or removed.
    User(Denied),
    /// Cannot decide now.
    Outage(Outage),
}

impl From<Outage> for IssueError {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

/// An API caller who has proven to be an active administrator.
#[derive(Debug)]
pub struct Admin {
    user_id: i32,
    may_act_on_superusers: bool,
}

impl Admin {
    /// One who has proven nothing.
    #[cfg(test)]
    pub(crate) const fn for_tests() -> Self {
        Self {
            user_id: 1,
            may_act_on_superusers: true,
        }
    }

    /// Primary key in `htx_user`.
    pub const fn user_id(&self) -> i32 {
        self.user_id
    }

    /// Whether they may act for a user, who is a superuser or not: staff would otherwise make themselves superusers.
    pub const fn may_act_on(&self, is_superuser: bool) -> bool {
        self.may_act_on_superusers || !is_superuser
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
pub struct TokenIssuer {
    users: Users,
    api: ApiAuthenticator,
    signing_key: EncodingKey,
    policy: IssuePolicy,
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
    /// Whether staff who are not superusers may act for superusers.
    pub staff_for_superusers: bool,
}

impl TokenIssuer {
    /// Issues tokens signed with Label Studio's `SECRET_KEY`.
    pub fn new(
        users: Users,
        api: ApiAuthenticator,
        secret_key: &SecretString,
        policy: IssuePolicy,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            users,
            api,
            signing_key: EncodingKey::from_secret(secret_key.expose_secret().as_bytes()),
            policy,
            clock,
            entropy,
        }
    }

    /// Whether the caller is an active administrator.
    pub async fn authenticate(&self, credential: ApiCredential<'_>) -> Result<Admin, IssueError> {
        let owner = match credential {
            ApiCredential::Key(key) => self.owner_of_key(key).await?,
            ApiCredential::Jwt(token) => self.owner_of_jwt(token).await?,
            ApiCredential::Unreadable => return Err(IssueError::InvalidCredential),
        };
        if owner.is_admin {
            Ok(Admin {
                user_id: owner.user_id,
                may_act_on_superusers: owner.is_superuser || self.policy.staff_for_superusers,
            })
        } else {
            Err(IssueError::NotAdmin)
        }
    }

    async fn owner_of_key(&self, key: &str) -> Result<TokenOwner, IssueError> {
        let owner = self.api.owner_of_key(key).await?;
        let owner = owner
            .filter(|owner| owner.is_active)
            .ok_or(IssueError::InvalidCredential)?;
        if owner.legacy_tokens_enabled || self.policy.legacy_always {
            Ok(owner)
        } else {
            Err(IssueError::LegacyTokensDisabled)
        }
    }

    async fn owner_of_jwt(&self, token: &str) -> Result<TokenOwner, IssueError> {
        match self.api.owner_of_any_jwt(token, self.clock.now()).await {
            Ok(Some(owner)) if owner.is_active => Ok(owner),
            Err(Unverified::Refused(CredentialError::ApiTokensDisabled)) => {
                Err(IssueError::JwtTokensDisabled)
            }
            Err(Unverified::Outage(outage)) => Err(outage.into()),
            Ok(_) | Err(Unverified::Unrecognized(_) | Unverified::Refused(_)) => {
                Err(IssueError::InvalidCredential)
            }
        }
    }

    /// A token for the user with that e-mail address.
    pub async fn issue(&self, by: &Admin, email: &str) -> Result<Issued, IssueError> {
        let user = self.user(email).await?;
        if !by.may_act_on(user.is_superuser()) {
            return Err(IssueError::NotSuperuser);
        }
        Ok(self.sign(&user, self.clock.now()))
    }

    /// The same for whoever runs the command line: they hold `SECRET_KEY`, and with it could sign whatever they like.
    pub async fn issue_as_operator(&self, email: &str) -> Result<Issued, IssueError> {
        let user = self.user(email).await?;
        Ok(self.sign(&user, self.clock.now()))
    }

    async fn user(&self, email: &str) -> Result<ActiveUser, IssueError> {
        let mut claimant = Claimant::of(Identity::Email(email.to_owned()));
        claimant.admission.create = self.policy.create_users;
        ActiveUser::resolve(&self.users, &claimant, Freshness::Recent)
            .await
            .map_err(|refused| match refused {
                NotAdmitted::Refused(reason) => IssueError::User(reason),
                NotAdmitted::Outage(outage) => IssueError::Outage(outage),
            })
    }

    /// The claims of the plugin, in its order, and a `jti`.
    fn sign(&self, user: &ActiveUser, now: SystemTime) -> Issued {
        let iat = unix_seconds(now);
        let jti = self.entropy.hex();
        let mut claims = serde_json::Map::new();
        claims.insert(self.policy.user_id_claim.clone(), user.id().into());
        let rest = NativeClaims {
            email: user.email(),
            iat,
            exp: iat.saturating_add_unsigned(self.policy.lifetime.as_secs()),
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
            expires_in: self.policy.lifetime.as_secs(),
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
