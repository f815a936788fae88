//! Stage 5: [`Claimant`] → [`ActiveUser`].
//!
//! In: the identity to look up, and what the issuer may do for the user. Out: a user who may sign
//! in. Afterwards, the user was active and a member of the organization when the row was read. The
//! statement that opens the session checks this again, so a cached row never admits a user who has
//! been deactivated since.
//!
//! Finding a user changes nothing. [`ActiveUser::create`] and [`ActiveUser::updated`] do, so they are
//! for claims that the gate accepts, not just verifies: a token that has been revoked or used must
//! not make anybody staff.

mod directory;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use self::directory::{
    Created, Freshness, NewUser, StaffChange, UserDirectory, UserRow, Users,
};
use super::clock::{CLOCK_SKEW, unix_microseconds, unix_seconds_f64};
use super::groups::Staff;
use super::identity::{Claimant, Identity, Profile};
use super::observer::{Change, Observer};
use super::reason::{Denied, Outage};
use super::verify::VerifiedClaims;

/// Why there is no [`ActiveUser`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The user may not sign in.
    Refused {
        /// Why not.
        reason: Denied,
        /// Primary key in `htx_user`, if such a user exists.
        user_id: Option<i32>,
    },
    /// The gate can't decide now.
    Outage(Outage),
}

impl From<Outage> for NotAdmitted {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

/// Why a row admits no user.
#[derive(Clone, Copy)]
enum Refusal {
    /// There is none.
    Unknown,
    /// The user with this primary key may not sign in.
    Known(Denied, i32),
}

impl From<Refusal> for NotAdmitted {
    fn from(refusal: Refusal) -> Self {
        let (reason, user_id) = match refusal {
            Refusal::Unknown => (Denied::UserUnknown, None),
            Refusal::Known(reason, id) => (reason, Some(id)),
        };
        Self::Refused { reason, user_id }
    }
}

/// Evidence that a user may sign in.
#[derive(Debug, Clone)]
pub struct ActiveUser(Arc<UserRow>);

impl ActiveUser {
    /// The user with this identity, if they may sign in.
    ///
    /// Never refuses on a cached row; re-reads it first.
    pub async fn find(
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
        Ok(user?)
    }

    /// The user with this identity, who had no account a moment ago. Creates it if the issuer may do
    /// that.
    pub async fn create(
        users: &Users,
        claimant: &Claimant,
        observer: &dyn Observer,
    ) -> Result<Self, NotAdmitted> {
        let Some(email) = claimant.creatable() else {
            return Err(Refusal::Unknown.into());
        };
        let new_user = NewUser {
            email: email.to_ascii_lowercase(),
            profile: claimant.profile.clone(),
            organization: claimant.membership.organization,
        };
        match users.recent.create(&new_user).await? {
            Created::NotPossible => {
                return Err(NotAdmitted::Refused {
                    reason: Denied::UserNotCreated,
                    user_id: None,
                });
            }
            Created::Now { user_id } => observer.changed(Change::AccountCreated { user_id }),
            Created::Before => {}
        }
        // Several users may have this address in different cases. Then none was created, and the
        // look-up finds none.
        let row = users.current.find(&claimant.identity).await?;
        Ok(Self::admit(row, claimant)?)
    }

    /// Whether the issuer's names or rights for the user differ from the stored ones.
    pub fn is_outdated(&self, claimant: &Claimant) -> bool {
        self.new_names(claimant).is_some() || self.new_rights(claimant).is_some()
    }

    /// The user as the issuer says: their names and rights. `None` if the row changed since it was
    /// read.
    pub async fn updated(
        self,
        users: &Users,
        claimant: &Claimant,
        observer: &dyn Observer,
    ) -> Result<Option<Self>, NotAdmitted> {
        if let Some(names) = self.new_names(claimant) {
            // A failure never blocks the sign-in.
            let _ = users
                .recent
                .rename(&self.0, &claimant.identity, names)
                .await;
        }
        match self.new_rights(claimant) {
            None => Ok(Some(self)),
            Some(staff) => self.with_rights(staff, users, claimant, observer).await,
        }
    }

    /// The issuer's names, if it may update them and has others.
    fn new_names<'c>(&self, claimant: &'c Claimant) -> Option<&'c Profile> {
        let (row, profile) = (&self.0, &claimant.profile);
        let differs = |claimed: &str, stored: &str| !claimed.is_empty() && claimed != stored;
        let renamed = differs(&profile.first_name, &row.first_name)
            || differs(&profile.last_name, &row.last_name);
        (renamed && claimant.admission.update_names).then_some(profile)
    }

    /// Whether the user is staff, if their groups decide that and it is stored otherwise.
    ///
    /// Never for superusers, accounts with a password unless the operator allows it, and users who
    /// were found by username, which never admits staff.
    fn new_rights(&self, claimant: &Claimant) -> Option<Staff> {
        let (row, by_email) = (&self.0, matches!(claimant.identity, Identity::Email(_)));
        let staff = claimant.membership.staff?;
        let decides = by_email && !row.is_superuser && (staff.with_password || !row.has_password());
        // Of a user who is no superuser, `is_privileged` is `is_staff`.
        (decides && row.is_privileged != staff.is_staff).then_some(staff)
    }

    /// The user as staff or not. `None` if the row changed since it was read.
    ///
    /// If the right can't be withdrawn, the user may not sign in; if it can't be granted, they sign
    /// in without it.
    async fn with_rights(
        self,
        staff: Staff,
        users: &Users,
        claimant: &Claimant,
        observer: &dyn Observer,
    ) -> Result<Option<Self>, NotAdmitted> {
        let user_id = self.0.id;
        let row = match users.recent.set_staff(&self.0, staff).await? {
            StaffChange::Now(row) => {
                observer.changed(match staff.is_staff {
                    true => Change::StaffGranted { user_id },
                    false => Change::StaffWithdrawn { user_id },
                });
                row
            }
            StaffChange::Before(row) => row,
            StaffChange::UserChanged => return Ok(None),
            StaffChange::NotPossible if staff.is_staff => return Ok(Some(self)),
            StaffChange::NotPossible => {
                return Err(Refusal::Known(Denied::StaffNotRemoved, user_id).into());
            }
        };
        Ok(Some(Self::admit(Some(row), claimant)?))
    }

    /// The only constructor: the row exists, is active, wasn't removed from the organization, and
    /// the issuer may sign in such users.
    ///
    /// A username never admits staff or superusers: unlike an address it is not unique, and many
    /// issuers let users choose theirs.
    fn admit(row: Option<Arc<UserRow>>, claimant: &Claimant) -> Result<Self, Refusal> {
        let by_username = matches!(claimant.identity, Identity::Username(_));
        let may_be_privileged = claimant.admission.privileged && !by_username;
        let Some(row) = row else {
            return Err(Refusal::Unknown);
        };
        let reason = if !row.is_active {
            Denied::UserInactive
        } else if row.removed_from_organization {
            Denied::UserRemoved
        } else if row.is_privileged && !may_be_privileged {
            Denied::UserPrivileged
        } else {
            return Ok(Self(row));
        };
        Err(Refusal::Known(reason, row.id))
    }

    /// Primary key.
    pub fn id(&self) -> i32 {
        self.0.id
    }

    /// Email address as stored.
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

    /// When the user's sessions and tokens were last revoked.
    pub fn revoked_at(&self) -> Option<SystemTime> {
        self.0.revoked_at
    }

    /// Whether these claims come from a token that was issued before the last revocation.
    ///
    /// A token of a gate names the last revocation before it, so no clocks are compared. The host
    /// application's session can't be revoked here: the application confirms it on every request.
    pub fn has_revoked(&self, claims: &VerifiedClaims) -> bool {
        claims.is_revocable()
            && match claims.known_revocation() {
                Some(known) => known < unix_microseconds(self.0.revoked_at),
                None => self.may_have_revoked(claims.issued_at()),
            }
    }

    /// Whether something that another clock dated `at`, in seconds since the epoch, may be from
    /// before the last revocation. That clock may be ahead by [`CLOCK_SKEW`]. An unknown time counts
    /// as before.
    pub fn may_have_revoked(&self, at: Option<f64>) -> bool {
        self.0.revoked_at.is_some_and(|revoked| {
            let doubtful = unix_seconds_f64(revoked + CLOCK_SKEW);
            at.is_none_or(|at| at <= doubtful)
        })
    }
}
