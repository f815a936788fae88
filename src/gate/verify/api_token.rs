//! Credentials of Label Studio's own API: legacy tokens and, since 1.17, access tokens and personal
//! access tokens.
//!
//! The token route accepts them from administrators. If the policy requires a signed-in user, the
//! gate also verifies them on API calls. JWTs among them sign a user in only with
//! `native.api_tokens`.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use super::super::clock::unix_seconds_f64;
use super::super::identity::user_id;
use super::super::observer::{Shown, Steps};
use super::super::reason::{CredentialError, Outage};
use super::super::subrequest::ApiCredential;
use super::claims::numeric_date;
use super::compact::Compact;
use super::keys::VerificationKey;
use super::native::hs256_keys;
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

/// simplejwt's claim with the primary key (`USER_ID_CLAIM`). Label Studio keeps the default.
const USER_ID: &str = "user_id";

/// Looks up Label Studio's own API credentials.
#[async_trait]
pub trait ApiTokens: Send + Sync {
    /// The owner of a legacy token (`authtoken_token`), compared in constant time.
    async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage>;

    /// The user of an access token or a personal access token, and whether the token was revoked
    /// (`token_blacklist_*`).
    async fn owner_of_jwt(&self, user_id: i32, jti: &str) -> Result<Option<JwtOwner>, Outage>;
}

/// The owner of an API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOwner {
    /// `htx_user.id`
    pub user_id: i32,
    /// `is_active`
    pub is_active: bool,
    /// `is_staff` or `is_superuser`
    pub is_admin: bool,
    /// `is_superuser`
    pub is_superuser: bool,
    /// Whether the active organization accepts legacy tokens. True for a user without an
    /// organization, and before Label Studio 1.17.
    pub legacy_tokens_enabled: bool,
    /// Whether the active organization accepts JWT API tokens. False before Label Studio 1.17.
    pub jwt_tokens_enabled: bool,
}

/// A [`TokenOwner`] and the token's revocation state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtOwner {
    /// The owner.
    pub owner: TokenOwner,
    /// Whether the token is on the blacklist.
    pub revoked: bool,
}

/// simplejwt's `token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JwtKind {
    /// Valid for five minutes of API calls.
    Access,
    /// A personal access token. It is exchanged for access tokens and doesn't authenticate API
    /// calls itself.
    Refresh,
}

/// Verifies credentials of Label Studio's own API.
#[derive(Clone)]
pub struct ApiAuthenticator {
    keys: Vec<VerificationKey>,
    tokens: Arc<dyn ApiTokens>,
}

impl ApiAuthenticator {
    /// Verifies with Label Studio's current `SECRET_KEY` and `former` ones, and looks owners up in
    /// `tokens`.
    pub fn new<'s>(
        secret_key: &'s SecretString,
        former: impl IntoIterator<Item = &'s SecretString>,
        tokens: Arc<dyn ApiTokens>,
    ) -> Self {
        Self {
            keys: hs256_keys(secret_key, former),
            tokens,
        }
    }

    /// The primary key of the user whom Label Studio's API would authenticate; `None` if it would
    /// reject the credential.
    ///
    /// The API accepts only access tokens as Bearer credentials. A personal access token must be
    /// exchanged first (`POST /api/token/refresh/`).
    pub async fn api_user(
        &self,
        credential: ApiCredential<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<Option<i32>, Outage> {
        let owner = match credential {
            ApiCredential::Key(key) => self
                .owner_of_key(key)
                .await?
                .filter(|owner| owner.legacy_tokens_enabled),
            ApiCredential::Jwt(token) => match self.owner_of_jwt(token, now, steps).await {
                Ok((owner, JwtKind::Access)) => owner,
                Err(Unverified::Outage(outage)) => return Err(outage),
                Ok((_, JwtKind::Refresh))
                | Err(Unverified::Unrecognized(_) | Unverified::Refused(_)) => None,
            },
            ApiCredential::Unreadable => None,
        };
        let active = owner.filter(|owner| owner.is_active);
        Ok(active.map(|owner| owner.user_id))
    }

    /// The owner of a legacy token, even if the organization doesn't accept such tokens.
    pub async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage> {
        self.tokens.owner_of_key(key).await
    }

    /// The owner of a personal access token or an access token; `None` if the token is valid but
    /// its user no longer exists.
    pub async fn owner_of_any_jwt(
        &self,
        token: &str,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<Option<TokenOwner>, Unverified> {
        let owner = self.owner_of_jwt(token, now, steps).await;
        owner.map(|(owner, _)| owner)
    }

    async fn owner_of_jwt(
        &self,
        token: &str,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<(Option<TokenOwner>, JwtKind), Unverified> {
        let token = Compact::parse(token).map_err(Unverified::Unrecognized)?;
        self.owner(&token, now, steps).await
    }

    /// The token's owner, by the rules of simplejwt and Label Studio: signed with HS256 under
    /// `SECRET_KEY`, has `exp` and `jti`, `token_type` is one of the two kinds, not on the
    /// blacklist, and enabled in the organization. These tokens carry neither `iss` nor `aud`.
    async fn owner(
        &self,
        token: &Compact<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<(Option<TokenOwner>, JwtKind), Unverified> {
        use CredentialError::{
            ApiTokensDisabled, TokenClaimInvalid, TokenClaimMissing, TokenExpired,
            TokenNotYetValid, TokenRevoked,
        };
        token.signed_by(&self.keys, steps)?;
        let claims = token.claims();
        let text = |name| claims.get(name).and_then(Value::as_str);
        let kind = match text("token_type") {
            Some("access") => JwtKind::Access,
            Some("refresh") => JwtKind::Refresh,
            _ => {
                let found = Shown(claims.get("token_type"));
                let expected = "\"access\" or \"refresh\"";
                steps.note(format_args!(
                    "token_type {expected} expected, {found} found"
                ));
                return Err(Unverified::Unrecognized(TokenClaimMissing));
            }
        };
        let now = unix_seconds_f64(now);
        let later = |name| numeric_date(claims, name).map(|at| at.is_some_and(|at| at > now));
        if numeric_date(claims, "exp")?.ok_or(TokenClaimMissing)? <= now {
            return Err(TokenExpired.into());
        }
        if later("nbf")? || later("iat")? {
            return Err(TokenNotYetValid.into());
        }
        let jti = text("jti").ok_or(TokenClaimMissing)?;
        let user_id = claims.get(USER_ID).ok_or(TokenClaimMissing)?;
        let user_id = self::user_id(user_id).ok_or(TokenClaimInvalid)?;
        let found = self.tokens.owner_of_jwt(user_id, jti).await;
        match found.map_err(Unverified::Outage)? {
            Some(JwtOwner { revoked: true, .. }) => Err(TokenRevoked.into()),
            Some(found) if !found.owner.jwt_tokens_enabled => Err(ApiTokensDisabled.into()),
            found => Ok((found.map(|found| found.owner), kind)),
        }
    }

    /// Verifies a token that signs its user in.
    pub(super) async fn verify(
        &self,
        token: &Compact<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let steps = steps.by("native: Label Studio's API tokens");
        self.owner(token, now, steps).await?;
        Ok(VerifiedClaims::new(
            token.claims().clone(),
            Subject::UserId(USER_ID.to_owned()),
            Method::Native,
            Fingerprint::of("api", token.signed()),
        ))
    }
}
