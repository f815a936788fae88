//! Tells which user a token would log in (`label-studio-gate inspect`).
//!
//! In: a token. Out: an [`Inspected`]. Afterwards, nothing has changed: no user was created or
//! renamed, and no session was opened.

use super::Gate;
use super::credential::Credential;
use super::identity::Claimant;
use super::observer::{Cut, Observer, Steps};
use super::reason::{CredentialError, Denied, Outage, Reason};
use super::user::{ActiveUser, Freshness, NotAdmitted};
use super::verify::{Method, Unverified};

/// What a token would do.
#[derive(Debug)]
pub enum Inspected {
    /// It would log in an existing user.
    Known {
        /// The user.
        user: ActiveUser,
        /// The method that accepts the token.
        method: Method,
    },
    /// It would create an account for its user.
    New {
        /// The method that accepts the token.
        method: Method,
    },
    /// It would be refused.
    Refused(Reason),
}

impl Gate {
    /// Tells what a token would do, and `observer` how that is found out: which methods and keys are
    /// tried, what they expect and what the token holds.
    pub async fn inspect(
        &self,
        token: &Credential<'_>,
        observer: &dyn Observer,
    ) -> Result<Inspected, Outage> {
        let now = self.clock.now();
        let claims = match self.verifier.verify(token, now, observer).await {
            Ok(claims) => claims,
            Err(Unverified::Unrecognized(why) | Unverified::Refused(why)) => {
                return Ok(Inspected::Refused(why.into()));
            }
            Err(Unverified::Outage(outage)) => return Err(outage),
        };
        let (method, steps) = (claims.method(), Steps::new(observer, "user"));
        let claimant = match Claimant::from_claims(&claims) {
            Ok(claimant) => claimant,
            Err(nobody) => {
                nobody.note(steps);
                return Ok(Inspected::Refused(nobody.reason()));
            }
        };
        let identity = claimant.identity.to_string();
        steps.note(format_args!("the claims name {}", Cut(&identity)));
        Ok(
            match ActiveUser::find(&self.users, &claimant, Freshness::Current).await {
                Ok(user) if user.has_revoked(&claims) => {
                    Inspected::Refused(CredentialError::TokenRevoked.into())
                }
                Ok(user) => Inspected::Known { user, method },
                Err(NotAdmitted::Refused {
                    reason: Denied::UserUnknown,
                    ..
                }) if claimant.creatable().is_some() => Inspected::New { method },
                Err(NotAdmitted::Refused { reason, .. }) => Inspected::Refused(reason.into()),
                Err(NotAdmitted::Outage(outage)) => return Err(outage),
            },
        )
    }
}
