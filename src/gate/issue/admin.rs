//! Who may have tokens issued and sessions ended: administrators, by their API credential.
//!
//! In: the credential of an API caller. Out: an [`Admin`]. Afterwards, the caller has proven to be an
//! active administrator of Label Studio.

use super::{IssueError, TokenIssuer};
use crate::gate::observer::{Observer, Steps};
use crate::gate::reason::CredentialError;
use crate::gate::subrequest::ApiCredential;
use crate::gate::verify::{TokenOwner, Unverified};

/// Evidence that an API caller is an active administrator.
#[derive(Debug)]
pub struct Admin {
    user_id: i32,
    may_act_on_superusers: bool,
}

impl Admin {
    /// The only constructor. `None` if the owner of the API token is not an administrator.
    fn of(owner: &TokenOwner, staff_for_superusers: bool) -> Option<Self> {
        owner.is_admin.then_some(Self {
            user_id: owner.user_id,
            may_act_on_superusers: owner.is_superuser || staff_for_superusers,
        })
    }

    /// Skips the check, for tests.
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

    /// Whether the administrator may act on a user. Staff may not act on superusers: they could
    /// otherwise make themselves superusers.
    pub const fn may_act_on(&self, is_superuser: bool) -> bool {
        self.may_act_on_superusers || !is_superuser
    }
}

impl TokenIssuer {
    /// Verifies that the caller is an active administrator.
    pub async fn authenticate(
        &self,
        credential: ApiCredential<'_>,
        observer: &dyn Observer,
    ) -> Result<Admin, IssueError> {
        let steps = Steps::new(observer, "API token");
        let owner = match credential {
            ApiCredential::Key(key) => self.owner_of_key(key).await?,
            ApiCredential::Jwt(token) => self.owner_of_jwt(token, steps).await?,
            ApiCredential::Unreadable => return Err(IssueError::InvalidCredential),
        };
        Admin::of(&owner, self.policy.staff_for_superusers).ok_or(IssueError::NotAdmin {
            caller_id: owner.user_id,
        })
    }

    async fn owner_of_key(&self, key: &str) -> Result<TokenOwner, IssueError> {
        let owner = self.api.owner_of_key(key).await?;
        let owner = owner
            .filter(|owner| owner.is_active)
            .ok_or(IssueError::InvalidCredential)?;
        if owner.legacy_tokens_enabled || self.policy.legacy_always {
            Ok(owner)
        } else {
            Err(IssueError::LegacyTokensDisabled {
                caller_id: owner.user_id,
            })
        }
    }

    async fn owner_of_jwt(&self, token: &str, steps: Steps<'_>) -> Result<TokenOwner, IssueError> {
        let now = self.clock.now();
        match self.api.owner_of_any_jwt(token, now, steps).await {
            Ok(Some(owner)) if owner.is_active => Ok(owner),
            Err(Unverified::Refused(CredentialError::ApiTokensDisabled)) => {
                Err(IssueError::JwtTokensDisabled)
            }
            Err(Unverified::Outage(outage)) => Err(outage.into()),
            Ok(_) => {
                steps.note(format_args!("its owner is unknown or inactive"));
                Err(IssueError::InvalidCredential)
            }
            Err(Unverified::Unrecognized(why) | Unverified::Refused(why)) => {
                steps.note(format_args!("{}", why.code()));
                Err(IssueError::InvalidCredential)
            }
        }
    }
}
