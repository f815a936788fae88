//! The port of the user stage: looks users up and creates accounts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::gate::groups::Staff;
use crate::gate::identity::{Identity, Profile};
use crate::gate::reason::Outage;

/// Looks users up and creates accounts.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// The user with this identity, if there is exactly one.
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage>;

    /// Creates an account with everything that a sign-up creates, unless an account with this
    /// address exists. Two concurrent first requests create one user.
    async fn create(&self, user: &NewUser) -> Result<Created, Outage>;

    /// Updates the first and last name of the user who was found by `identity`, unless something was
    /// revoked since. Empty fields of `profile` leave the stored name unchanged.
    async fn rename(
        &self,
        user: &UserRow,
        identity: &Identity,
        profile: &Profile,
    ) -> Result<(), Outage>;

    /// Sets `is_staff`, unless something was revoked since the row was read. Never touches
    /// superusers, nor accounts with a password unless `staff` allows it.
    async fn set_staff(&self, user: &UserRow, staff: Staff) -> Result<StaffChange, Outage>;

    /// Replaces an unusable password with another unusable one. This ends all sessions of the user
    /// with either engine, because every session is tied to that column. Returns false and changes
    /// nothing if the user has a password of their own.
    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage>;

    /// Records that all sessions and tokens issued to the user so far are revoked. Its time is the
    /// database's, and later than that of the user's earlier revocations. `None` if the gate's own
    /// tables don't exist, so nothing was recorded.
    async fn revoke(&self, user_id: i32) -> Result<Option<SystemTime>, Outage>;
}

/// The user directory with and without a cache. Writes go through `recent`, so that its cache
/// learns of them.
#[derive(Clone)]
pub struct Users {
    /// Answers may be a few seconds old.
    pub recent: Arc<dyn UserDirectory>,
    /// Answers are current.
    pub current: Arc<dyn UserDirectory>,
}

impl Users {
    pub(super) async fn find(
        &self,
        identity: &Identity,
        freshness: Freshness,
    ) -> Result<Option<Arc<UserRow>>, Outage> {
        match freshness {
            Freshness::Recent => self.recent.find(identity).await,
            Freshness::Current => self.current.find(identity).await,
        }
    }
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A few seconds old.
    Recent,
    /// Current.
    Current,
}

/// An account to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The address with its ASCII letters in lower case. Label Studio's login form lowercases its
    /// input, and the look-up folds no other letters.
    pub email: String,
    /// The names, as far as they are known.
    pub profile: Profile,
    /// The organization to join (`organization.id`); `None`: the first.
    pub organization: Option<i32>,
}

/// The result of creating an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// This request created the account.
    Now {
        /// Primary key in `htx_user`.
        user_id: i32,
    },
    /// An account with this address exists already, perhaps by another request.
    Before,
    /// Label Studio's tables require something that the gate doesn't know, or no organization
    /// exists yet.
    NotPossible,
}

/// The result of setting `is_staff`, with the row as it is now.
#[derive(Clone)]
pub enum StaffChange {
    /// This request changed it.
    Now(Arc<UserRow>),
    /// It was so already.
    Before(Arc<UserRow>),
    /// The user's sessions and tokens were revoked since the row was read, or there is no such user
    /// any more.
    UserChanged,
    /// The gate may not change this user: for lack of a grant, or because the user has become a
    /// superuser or got a password.
    NotPossible,
}

/// A user: columns of `htx_user` and of the organization membership.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// `id`
    pub id: i32,
    /// `email`
    pub email: String,
    /// `password` as stored: a hash, or `!…` if unusable. Every session of the user depends on it.
    pub password: String,
    /// `is_active`, and not `is_deleted` where that column exists (Label Studio 1.9.1 to 1.10.0).
    pub is_active: bool,
    /// `is_staff` or `is_superuser`
    pub is_privileged: bool,
    /// `is_superuser`
    pub is_superuser: bool,
    /// `first_name`
    pub first_name: String,
    /// `last_name`
    pub last_name: String,
    /// `active_organization_id`
    pub active_organization_id: Option<i32>,
    /// Whether the membership in the active organization has a `deleted_at`; without an active
    /// organization, whether every membership has one.
    pub removed_from_organization: bool,
    /// How long after login Label Studio ends a session of the active organization
    /// (`session_policy_sessiontimeoutpolicy`, since 1.20); `None` if the organization has no such
    /// policy.
    pub max_session_age: Option<Duration>,
    /// When the user's sessions and tokens were last revoked, by the database's clock; `None` if
    /// they never were or the gate's own tables don't exist.
    pub revoked_at: Option<SystemTime>,
}

impl UserRow {
    /// The row of a user who is no superuser, as staff or not.
    pub fn as_staff(&self, is_staff: bool) -> Self {
        Self {
            is_privileged: is_staff,
            ..self.clone()
        }
    }

    /// Whether the user can log in with a password (`django/contrib/auth/hashers.py`,
    /// `is_password_usable`).
    pub fn has_password(&self) -> bool {
        !self.password.starts_with('!')
    }
}

/// Omits the email address, the names and the password hash.
impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow")
            .field("id", &self.id)
            .field("is_active", &self.is_active)
            .field("removed_from_organization", &self.removed_from_organization)
            .finish_non_exhaustive()
    }
}
