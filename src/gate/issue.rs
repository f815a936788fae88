//! Issues tokens for method 2 (`POST /api/sso/token`).
//!
//! In: an [`Admin`] and an email address. Out: a signed token for that user. Afterwards, the token
//! names a user who may sign in.

mod admin;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};

pub use self::admin::Admin;
use super::clock::{Clock, unix_microseconds, unix_seconds};
use super::entropy::Entropy;
use super::identity::{Claimant, Identity};
use super::jws;
use super::observer::Observer;
use super::reason::{Denied, Outage};
use super::user::{ActiveUser, Freshness, NotAdmitted, Users};
use super::verify::{AUDIENCE, ApiAuthenticator, ISSUER, REVOCATION};

/// Why no token was issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueError {
    /// The API token is unknown, expired, revoked or disabled, or its owner is inactive.
    InvalidCredential,
    /// The API token is valid, but the organization doesn't accept legacy tokens.
    LegacyTokensDisabled {
        /// The API token's owner: primary key in `htx_user`.
        caller_id: i32,
    },
    /// The API token is valid, but the organization doesn't accept personal access tokens.
    JwtTokensDisabled,
    /// The API token's owner is not an administrator.
    NotAdmin {
        /// The API token's owner: primary key in `htx_user`.
        caller_id: i32,
    },
    /// The user is a superuser, and the administrator is not.
    NotSuperuser {
        /// The user: primary key in `htx_user`.
        user_id: i32,
    },
    /// The user may not sign in: unknown, inactive or removed.
    User {
        /// Why not.
        reason: Denied,
        /// Primary key in `htx_user`, if such a user exists.
        user_id: Option<i32>,
    },
    /// The gate can't decide now.
    Outage(Outage),
}

impl From<Outage> for IssueError {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl From<NotAdmitted> for IssueError {
    fn from(why: NotAdmitted) -> Self {
        match why {
            NotAdmitted::Refused { reason, user_id } => Self::User { reason, user_id },
            NotAdmitted::Outage(outage) => Self::Outage(outage),
        }
    }
}

/// A token and its lifetime.
pub struct Issued {
    /// The token in compact form.
    pub token: String,
    /// Seconds from now to `exp`.
    pub expires_in: u64,
    /// The user that the token names: primary key in `htx_user`.
    pub user_id: i32,
}

/// Lifetime of the tokens with which `doctor` tries a login.
const TRIAL_LIFETIME: Duration = Duration::from_secs(60);

/// The largest primary key, which no user has: Postgres counts up from 1.
pub const NO_USER: i32 = i32::MAX;

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
    /// Time from issue to expiry (`SSO_TOKEN_EXPIRY`).
    pub lifetime: Duration,
    /// The claim that holds the user's primary key.
    pub user_id_claim: String,
    /// Whether legacy tokens are accepted even if the organization has disabled them.
    pub legacy_always: bool,
    /// Whether a missing user is created (`SSO_AUTO_CREATE_USERS`).
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

    /// Issues a token for the user with this email address.
    pub async fn issue(
        &self,
        by: &Admin,
        email: &str,
        observer: &dyn Observer,
    ) -> Result<Issued, IssueError> {
        let user = self.user(email, observer).await?;
        if !by.may_act_on(user.is_superuser()) {
            return Err(IssueError::NotSuperuser { user_id: user.id() });
        }
        Ok(self.sign(&user, self.clock.now()))
    }

    /// Issues a token from the command line, without an [`Admin`]: an operator holds `SECRET_KEY`
    /// and could sign any token anyway.
    pub async fn issue_as_operator(
        &self,
        email: &str,
        observer: &dyn Observer,
    ) -> Result<Issued, IssueError> {
        let user = self.user(email, observer).await?;
        Ok(self.sign(&user, self.clock.now()))
    }

    /// Issues a token for an existing user that is valid for a minute, to try a login from the
    /// command line.
    pub async fn issue_for_trial(&self, email: &str) -> Result<Issued, IssueError> {
        let claimant = Claimant::of(Identity::Email(email.to_owned()));
        let user = self.find(&claimant).await?;
        let token = self.encode((&user).into(), TRIAL_LIFETIME, self.clock.now());
        Ok(Issued {
            token,
            expires_in: TRIAL_LIFETIME.as_secs(),
            user_id: user.id(),
        })
    }

    /// A token that names [`NO_USER`]: a gate that reads it answers `user_unknown`.
    pub fn issue_for_nobody(&self) -> String {
        let nobody = Bearer {
            user_id: NO_USER,
            email: "",
            revocation: 0,
        };
        self.encode(nobody, TRIAL_LIFETIME, self.clock.now())
    }

    async fn user(&self, email: &str, observer: &dyn Observer) -> Result<ActiveUser, IssueError> {
        let mut claimant = Claimant::of(Identity::Email(email.to_owned()));
        claimant.admission.create = self.policy.create_users;
        match self.find(&claimant).await {
            Err(NotAdmitted::Refused {
                reason: Denied::UserUnknown,
                ..
            }) => Ok(Box::pin(ActiveUser::create(&self.users, &claimant, observer)).await?),
            found => Ok(found?),
        }
    }

    /// The token names the user's last revocation, and with an older one it would be revoked.
    async fn find(&self, claimant: &Claimant) -> Result<ActiveUser, NotAdmitted> {
        ActiveUser::find(&self.users, claimant, Freshness::Current).await
    }

    fn sign(&self, user: &ActiveUser, now: SystemTime) -> Issued {
        let lifetime = self.policy.lifetime;
        Issued {
            token: self.encode(user.into(), lifetime, now),
            expires_in: lifetime.as_secs(),
            user_id: user.id(),
        }
    }

    /// Signs the plugin's claims, in its order, plus a `jti` and the last revocation.
    fn encode(&self, bearer: Bearer<'_>, lifetime: Duration, now: SystemTime) -> String {
        let iat = unix_seconds(now);
        let claims = NativeClaims {
            user_id: UserId {
                claim: &self.policy.user_id_claim,
                id: bearer.user_id,
            },
            email: bearer.email,
            iat,
            exp: iat.saturating_add_unsigned(lifetime.as_secs()),
            iss: ISSUER,
            aud: AUDIENCE,
            jti: &self.entropy.hex(),
            gate_revocation: bearer.revocation,
        };
        jws::encode(&Header::new(Algorithm::HS256), &claims, &self.signing_key)
            .expect("an HMAC over JSON cannot fail")
    }
}

/// Whom a token names.
struct Bearer<'u> {
    user_id: i32,
    email: &'u str,
    /// The user's last revocation in microseconds since the epoch; 0 for none.
    revocation: u64,
}

impl<'u> From<&'u ActiveUser> for Bearer<'u> {
    fn from(user: &'u ActiveUser) -> Self {
        Self {
            user_id: user.id(),
            email: user.email(),
            revocation: unix_microseconds(user.revoked_at()),
        }
    }
}

/// The names of the claims besides the primary key, which must have another one.
pub const OTHER_CLAIMS: [&str; 7] = ["email", "iat", "exp", "iss", "aud", "jti", REVOCATION];

#[derive(Serialize)]
struct NativeClaims<'a> {
    #[serde(flatten)]
    user_id: UserId<'a>,
    email: &'a str,
    iat: i64,
    exp: i64,
    iss: &'a str,
    aud: &'a str,
    jti: &'a str,
    /// [`REVOCATION`]
    gate_revocation: u64,
}

/// The primary key, in a claim that has a name of the operator's choice.
struct UserId<'a> {
    claim: &'a str,
    id: i32,
}

impl Serialize for UserId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.claim, self.id)])
    }
}
