//! Stage 5: [`Claimant`] → [`ActiveUser`].
//!
//! In: the name under which a user is to be looked up, and what may be done for them. Out: a user who may come in, and who was created where
//! that is allowed. Afterwards holds: an `ActiveUser` was active and a
//! member when the row was read; the statement that opens the session asks again, so a row from a cache lets nobody in who was shut
//! out meanwhile.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::clock::unix_seconds_f64;
use super::identity::{Claimant, Identity, Profile, is_email_address};
use super::reason::{Denied, Outage};

/// Where users are looked up and accounts are made.
#[async_trait]
pub trait UserDirectory: Send + Sync {
    /// The user of that name, if there is exactly one.
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage>;

    /// Makes an account with all that a sign-up makes, unless there is one of that address already: two first requests make one user.
    async fn create(&self, person: &NewUser) -> Result<Created, Outage>;

    /// Brings first and last name up to date. What `profile` says nothing about stays.
    async fn rename(
        &self,
        user: &UserRow,
        identity: &Identity,
        profile: &Profile,
    ) -> Result<Arc<UserRow>, Outage>;

    /// Gives a user without a usable password another unusable one, which ends every session of theirs whatever the engine: each is tied to
    /// that column. False: the user has a password of their own, which is not touched.
    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage>;

    /// Notes that what was issued to the user up to `at`, sessions and tokens, is revoked. False: the gate's own tables are not there, so
    /// that it cannot be noted.
    async fn revoke(&self, user_id: i32, at: SystemTime) -> Result<bool, Outage>;
}

/// The directory, as it was some seconds ago and as it is now. Writes go through `recent`, which then knows of them.
#[derive(Clone)]
pub struct Users {
    /// Its answers may be some seconds old.
    pub recent: Arc<dyn UserDirectory>,
    /// Its answers are current.
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
    /// A few seconds are fine.
    Recent,
    /// As it is now.
    Current,
}

/// Somebody who gets an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// With its ASCII letters in lower case: Label Studio's login form lowers what is typed, and the look-up folds no other letter.
    pub email: String,
    /// Names, as far as they are known.
    pub profile: Profile,
}

/// What became of an account to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is there now, whoever made it.
    Yes,
    /// Label Studio's tables ask for something that the gate doesn't know, or there is no organization yet.
    NotPossible,
}

/// What the gate knows of a user: columns of `htx_user` and of the membership.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// `id`
    pub id: i32,
    /// `email`
    pub email: String,
    /// `password` as stored: a hash, or `!…` for an unusable one. Every session of the user depends on it.
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
    /// Whether the membership in the active organization (or, without one, every membership there is) carries a `deleted_at`.
    pub removed_from_organization: bool,
    /// How long after its login Label Studio ends a session of the active organization (`session_policy_sessiontimeoutpolicy`, since 1.20);
    /// `None` where the organization has no such policy.
    pub max_session_age: Option<Duration>,
    /// Up to when what was issued to the user is revoked; `None`: never, or the gate's own tables are not there.
    pub revoked_at: Option<SystemTime>,
}

/// Without the e-mail address, the names and the password hash.
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
    /// The user may not come in.
    Refused(Denied),
    /// It cannot be said now.
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

/// A user who may come in.
#[derive(Debug, Clone)]
pub struct ActiveUser(Arc<UserRow>);

impl ActiveUser {
    /// The user of that name, if they may come in.
    ///
    /// Never refuses on an old answer, but reads the row anew first.
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
            Ok(user) => Ok(user.up_to_date(users, claimant).await),
            Err(Denied::UserUnknown) => Self::create(users, claimant).await,
            Err(reason) => Err(reason.into()),
        }
    }

    /// An account for somebody who has none, where that is allowed.
    async fn create(users: &Users, claimant: &Claimant) -> Result<Self, NotAdmitted> {
        let email = match &claimant.identity {
            Identity::Email(email) if claimant.admission.create && is_email_address(email) => email,
            _ => return Err(Denied::UserUnknown.into()),
        };
        let person = NewUser {
            email: email.to_ascii_lowercase(),
            profile: claimant.profile.clone(),
        };
        match users.recent.create(&person).await? {
            Created::NotPossible => Err(Denied::UserNotCreated.into()),
            Created::Yes => {
                // Where several users have this address in different cases, none was created, and none is meant.
                let row = users.current.find(&claimant.identity).await?;
                Ok(Self::admit(row, claimant)?)
            }
        }
    }

    /// The user with the names that the issuer knows. Nobody stays outside because a name could not be written.
    async fn up_to_date(self, users: &Users, claimant: &Claimant) -> Self {
        let (row, said) = (&self.0, &claimant.profile);
        let differs = |said: &str, stored: &str| !said.is_empty() && said != stored;
        let renamed =
            differs(&said.first_name, &row.first_name) || differs(&said.last_name, &row.last_name);
        if !renamed || !claimant.admission.update_names {
            return self;
        }
        match users.recent.rename(row, &claimant.identity, said).await {
            Ok(row) => Self(row),
            Err(_) => self,
        }
    }

    /// The only way to one: the row exists, is active, was not removed from the organization, and whoever vouches may let such users in.
    ///
    /// A username never admits staff or superusers: unlike an address it is not unique, and many issuers let people choose theirs.
    fn admit(row: Option<Arc<UserRow>>, claimant: &Claimant) -> Result<Self, Denied> {
        let by_username = matches!(claimant.identity, Identity::Username(_));
        let privileged = claimant.admission.privileged && !by_username;
        match row {
            None => Err(Denied::UserUnknown),
            Some(row) if !row.is_active => Err(Denied::UserInactive),
            Some(row) if row.removed_from_organization => Err(Denied::UserRemoved),
            Some(row) if row.is_privileged && !privileged => Err(Denied::UserPrivileged),
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

    /// How long after its login Label Studio ends a session of that organization, where it has a policy of its own.
    pub fn max_session_age(&self) -> Option<Duration> {
        self.0.max_session_age
    }

    /// `is_superuser`
    pub fn is_superuser(&self) -> bool {
        self.0.is_superuser
    }

    /// Up to when what was issued to the user is revoked.
    pub fn revoked_at(&self) -> Option<SystemTime> {
        self.0.revoked_at
    }

    /// Whether something that was issued at `at`, in seconds since the epoch, is revoked. What doesn't say when it was issued is, too.
    pub fn has_revoked(&self, at: Option<f64>) -> bool {
        self.0
            .revoked_at
            .is_some_and(|revoked| at.is_none_or(|at| at <= unix_seconds_f64(revoked)))
    }
}
