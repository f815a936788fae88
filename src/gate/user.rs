//! Stage 5: [`Claimant`] → [`ActiveUser`].
//!
//! In: the identity to look up, and what the issuer may do for the user. Out: a user who may sign
//! in, created if the issuer may do that. Afterwards, the user was active and a member of the
//! organization when the row was read. The statement that opens the session checks this again, so a
//! cached row never admits a user who has been deactivated since.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::clock::unix_seconds_f64;
use super::identity::{Claimant, Identity, Profile, is_email_address};
use super::reason::{Denied, Outage};

/// Looks users up and creates accounts.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// The user with this identity, if there is exactly one.
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage>;

    /// Creates an account with everything that a sign-up creates, unless an account with this
    /// address exists. Two concurrent first requests create one user.
    async fn create(&self, user: &NewUser) -> Result<Created, Outage>;

    /// Updates the first and last name. Empty fields of `profile` leave the stored name unchanged.
    async fn rename(
        &self,
        user: &UserRow,
        identity: &Identity,
        profile: &Profile,
    ) -> Result<Arc<UserRow>, Outage>;

    /// Replaces an unusable password with another unusable one. This ends all sessions of the user
    /// with either engine, because every session is tied to that column. Returns false and changes
    /// nothing if the user has a password of their own.
    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage>;

    /// Records that all sessions and tokens issued to the user up to `at` are revoked. Returns
    /// false if the gate's own tables don't exist, so nothing was recorded.
    async fn revoke(&self, user_id: i32, at: SystemTime) -> Result<bool, Outage>;
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
    async fn find(
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
}

/// The result of creating an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The account exists now, created by this request or another.
    Yes,
    /// Label Studio's tables require something that the gate doesn't know, or no organization
    /// exists yet.
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
    /// Sessions and tokens issued up to this time are revoked; `None` if there was no revocation or
    /// the gate's own tables don't exist.
    pub revoked_at: Option<SystemTime>,
}

/// Omits the e-mail address, the names and the password hash.
impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow")
            .field("id", &self.id)
            .field("is_active", &self.is_active)
            .field("removed_from_organization", &self.removed_from_organization)
            .finish_non_exhaustive()
    }
}

/// Why there is no [`ActiveUser`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The user may not sign in.
    Refused(Denied),
    /// The gate can't decide now.
    Outage(Outage),
}

impl From<Denied> for NotAdmitted {
    fn from(reason: Denied) -> Self {
        Self::Refused(reason)
    }
}

impl From<Outage> for NotAdmitted {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

/// Evidence that a user may sign in.
#[derive(Debug, Clone)]
pub struct ActiveUser(Arc<UserRow>);

impl ActiveUser {
    /// The user with this identity, if they may sign in.
    ///
    /// Never refuses on a cached row; re-reads it first.
    pub async fn resolve(
        users: &Users,
        claimant: &Claimant,
        freshness: Freshness,
    ) -> Result<Self, NotAdmitted> {
        let identity = &claimant.identity;
        let row = users.find(identity, freshness).await?;
        let user = match (Self::admit(row, claimant), freshness) {
            (Err(_), Freshness::Recent) => {
                let row = users.current.find(identity).await?;
                Self::admit(row, claimant)
            }
            (admitted, _) => admitted,
        };
        match user {
            Ok(user) => Ok(user.with_current_names(users, claimant).await),
            Err(Denied::UserUnknown) => Self::create(users, claimant).await,
            Err(reason) => Err(reason.into()),
        }
    }

    /// Creates an account if the issuer may do that.
    async fn create(users: &Users, claimant: &Claimant) -> Result<Self, NotAdmitted> {
        let email = match &claimant.identity {
            Identity::Email(email) if claimant.admission.create && is_email_address(email) => email,
            _ => return Err(Denied::UserUnknown.into()),
        };
        let new_user = NewUser {
            email: email.to_ascii_lowercase(),
            profile: claimant.profile.clone(),
        };
        match users.recent.create(&new_user).await? {
            Created::NotPossible => Err(Denied::UserNotCreated.into()),
            Created::Yes => {
                // Several users may have this address in different cases. Then none was created,
                // and the look-up finds none.
                let row = users.current.find(&claimant.identity).await?;
                Ok(Self::admit(row, claimant)?)
            }
        }
    }

    /// The user with the issuer's names. A failure to update the names never blocks the sign-in.
    async fn with_current_names(self, users: &Users, claimant: &Claimant) -> Self {
        let (row, profile) = (&self.0, &claimant.profile);
        let differs = |claimed: &str, stored: &str| !claimed.is_empty() && claimed != stored;
        let renamed = differs(&profile.first_name, &row.first_name)
            || differs(&profile.last_name, &row.last_name);
        if !renamed || !claimant.admission.update_names {
            return self;
        }
        match users.recent.rename(row, &claimant.identity, profile).await {
            Ok(row) => Self::admit(Some(row), claimant).unwrap_or(self),
            Err(_) => self,
        }
    }

    /// The only constructor: the row exists, is active, wasn't removed from the organization, and
    /// the issuer may sign in such users.
    ///
    /// A username never admits staff or superusers: unlike an address it is not unique, and many
    /// issuers let users choose theirs.
    fn admit(row: Option<Arc<UserRow>>, claimant: &Claimant) -> Result<Self, Denied> {
        let by_username = matches!(claimant.identity, Identity::Username(_));
        let may_be_privileged = claimant.admission.privileged && !by_username;
        match row {
            None => Err(Denied::UserUnknown),
            Some(row) if !row.is_active => Err(Denied::UserInactive),
            Some(row) if row.removed_from_organization => Err(Denied::UserRemoved),
            Some(row) if row.is_privileged && !may_be_privileged => Err(Denied::UserPrivileged),
            Some(row) => Ok(Self(row)),
        }
    }

    /// Primary key.
    pub fn id(&self) -> i32 {
        self.0.id
    }

    /// E-mail address as stored.
    pub fn email(&self) -> &str {
        &self.0.email
    }

    /// The password column.
    pub fn password(&self) -> &str {
        &self.0.password
    }

    /// The organization whose pages the user sees.
    pub fn active_organization_id(&self) -> Option<i32> {
        self.0.active_organization_id
    }

    /// How long after login Label Studio ends a session, if the organization has its own policy.
    pub fn max_session_age(&self) -> Option<Duration> {
        self.0.max_session_age
    }

    /// `is_superuser`
    pub fn is_superuser(&self) -> bool {
        self.0.is_superuser
    }

    /// Sessions and tokens issued up to this time are revoked.
    pub fn revoked_at(&self) -> Option<SystemTime> {
        self.0.revoked_at
    }

    /// Whether something issued at `at`, in seconds since the epoch, is revoked. An unknown issue
    /// time counts as revoked.
    pub fn has_revoked(&self, at: Option<f64>) -> bool {
        self.0
            .revoked_at
            .is_some_and(|revoked| at.is_none_or(|at| at <= unix_seconds_f64(revoked)))
    }
}
