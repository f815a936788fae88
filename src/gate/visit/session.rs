//! The session that a request already has.
//!
//! In: the cookie that belongs to Label Studio. Out: the session and its user, if Label Studio would
//! accept it. Nothing is changed.

use std::sync::Arc;

use super::Visit;
use crate::gate::identity::{Claimant, Identity};
use crate::gate::observer::Steps;
use crate::gate::reason::Outage;
use crate::gate::session::Session;
use crate::gate::user::{ActiveUser, Freshness, NotAdmitted};

impl Visit<'_> {
    /// The user whom Label Studio would recognize by the request's session cookie.
    pub(in crate::gate) async fn signed_in_user(&self) -> Result<Option<ActiveUser>, Outage> {
        let found = self.living_session().await?;
        Ok(found.map(|(_, user)| user))
    }

    /// The request's session and its user, if Label Studio would accept it.
    pub(super) async fn living_session(
        &self,
    ) -> Result<Option<(Arc<Session>, ActiveUser)>, Outage> {
        let (sessions, now) = (&self.gate.sessions, self.now);
        let steps = Steps::new(self.observer, "session");
        let Some(value) = self.cookies.label_studio else {
            steps.note(format_args!("no cookie {}", sessions.cookie_name()));
            return Ok(None);
        };
        let session = sessions.read(value, now, Freshness::Recent).await?;
        let owned = session.and_then(|session| session.user_id().map(|id| (session, id)));
        let Some((session, id)) = owned else {
            steps.note(format_args!(
                "of nobody, or of another Label Studio, or ended"
            ));
            return Ok(None);
        };
        let claimant = Claimant::of(Identity::Id(id));
        let users = &self.gate.users;
        let alive = match ActiveUser::find(users, &claimant, Freshness::Recent).await {
            Ok(user) => Some(user).filter(|user| sessions.is_alive_for(&session, user, now)),
            Err(NotAdmitted::Refused { .. }) => None,
            Err(NotAdmitted::Outage(outage)) => return Err(outage),
        };
        let state = match alive {
            Some(_) => "valid",
            None => "no longer valid",
        };
        steps.note(format_args!("of user {id}, {state}"));
        Ok(alive.map(|user| (session, user)))
    }

    /// Whose session the request carries, even if Label Studio would no longer accept it.
    pub(super) async fn owner_of_session(&self) -> Result<Option<i32>, Outage> {
        let Some(value) = self.cookies.label_studio else {
            return Ok(None);
        };
        let sessions = &self.gate.sessions;
        let session = sessions.read(value, self.now, Freshness::Recent).await?;
        Ok(session.and_then(|session| session.user_id()))
    }
}
