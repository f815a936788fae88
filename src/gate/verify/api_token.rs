//! Label Studio's own API tokens (since 1.17): access tokens and personal access tokens.
//!
//! The token route takes them as credentials of administrators; as logins they count only where that is switched on.

use std::time::SystemTime;

use secrecy::SecretString;
use serde_json::Value;

use super::super::clock::unix_seconds_f64;
use super::super::identity::user_id;
use super::super::reason::{Outage, Reason};
use super::claims::numeric_date;
use super::compact::Compact;
use super::keys::VerificationKey;
use super::native::{self, hs256_keys};
use super::{Fingerprint, Subject, Unverified, VerifiedClaims};

/// simplejwt's claim with the primary key (`USER_ID_CLAIM`), which Label Studio doesn't change.
const USER_ID: &str = "user_id";

/// Where Label Studio's own API credentials are looked up.
pub trait ApiTokens: Send + Sync {
    /// The owner of a legacy token (`authtoken_token`), compared in constant time.
    fn owner_of_key(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<Option<TokenOwner>, Outage>> + Send;

    /// The user behind an access token or a personal access token, and whether the token was revoked (`token_blacklist_*`).
    fn owner_of_jwt(
        &self,
        user_id: i32,
        jti: &str,
    ) -> impl Future<Output = Result<Option<JwtOwner>, Outage>> + Send;
}

/// The user whose API token was presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// `htx_user.id`
    pub user_id: i32,
    /// `is_active`
    pub is_active: bool,
    /// `is_staff` or `is_superuser`
    pub is_admin: bool,
    /// Whether the active organization accepts legacy tokens; true for a user without one, and before Label Studio 1.17.
    pub legacy_tokens_enabled: bool,
    /// Whether the active organization accepts JWT API tokens; false before Label Studio 1.17.
    pub jwt_tokens_enabled: bool,
}

/// [`TokenOwner`], and what became of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOwner {
    /// The user.
    pub owner: TokenOwner,
    /// Whether the token stands in the blacklist.
    pub revoked: bool,
}

/// Verifies Label Studio's JWT API tokens.
pub struct ApiTokenVerifier(Vec<VerificationKey>);

impl ApiTokenVerifier {
    /// Verifies with Label Studio's `SECRET_KEY`, and with those before it.
    pub fn new<'s>(
        secret_key: &'s SecretString,
        former: impl IntoIterator<Item = &'s SecretString>,
    ) -> Self {
        Self(hs256_keys(secret_key, former))
    }

    /// Whose token it is, as simplejwt and Label Studio judge it: signed with HS256 under `SECRET_KEY`, `exp` and `jti` there, `token_type`
    /// one of the two, not in the blacklist, and switched on in the organization. They carry neither `iss` nor `aud`.
    pub async fn owner(
        &self,
        token: &Compact<'_>,
        tokens: &impl ApiTokens,
        now: SystemTime,
    ) -> Result<TokenOwner, Unverified> {
        token.signed_by(&self.0)?;
        let claims = token.claims();
        let text = |name| claims.get(name).and_then(Value::as_str);
        if !matches!(text("token_type"), Some("access" | "refresh")) {
            return Err(Unverified::Foreign(Reason::TokenClaimMissing));
        }
        let now = unix_seconds_f64(now);
        let later = |name| numeric_date(claims, name).map(|at| at.is_some_and(|at| at > now));
        if numeric_date(claims, "exp")?.ok_or(Reason::TokenClaimMissing)? <= now {
            return Err(Reason::TokenExpired.into());
        }
        if later("nbf")? || later("iat")? {
            return Err(Reason::TokenNotYetValid.into());
        }
        let jti = text("jti").ok_or(Reason::TokenClaimMissing)?;
        let user_id = claims.get(USER_ID).ok_or(Reason::TokenClaimMissing)?;
        let user_id = self::user_id(user_id).ok_or(Reason::TokenClaimInvalid)?;
        let found = tokens.owner_of_jwt(user_id, jti).await;
        match found.map_err(Unverified::Outage)? {
            None => Err(Reason::UserUnknown.into()),
            Some(JwtOwner { revoked: true, .. }) => Err(Reason::TokenRevoked.into()),
            Some(JwtOwner { owner, .. }) if !owner.jwt_tokens_enabled => {
                Err(Reason::ApiTokensDisabled.into())
            }
            Some(JwtOwner { owner, .. }) => Ok(owner),
        }
    }

    /// The same for a login.
    pub(super) async fn verify(
        &self,
        token: &Compact<'_>,
        tokens: &impl ApiTokens,
        now: SystemTime,
    ) -> Result<VerifiedClaims, Unverified> {
        self.owner(token, tokens, now).await?;
        let subject = Subject::UserId(USER_ID.to_owned());
        let fingerprint = Fingerprint::of("api", token.signed());
        let claims = token.claims().clone();
        Ok(VerifiedClaims::new(
            claims,
            subject,
            native::METHOD,
            fingerprint,
        ))
    }
}
