//! Which session cookies a request brought: Label Studio's, and the client's where its application vouches for users (method 3).
//!
//! Both may have one name, Django's `sessionid`: browsers keep cookies apart by domain and path and send all of them, and nothing in the
//! header tells whose is whose. Label Studio's own is the one that its store or its signature knows; it is never shown to the
//! client's API, nor the client's to Label Studio.

use std::time::SystemTime;

use super::Gate;
use super::reason::Outage;
use super::session::SessionStore;
use super::subrequest::Subrequest;
use super::user::Freshness;

/// The session cookies of a request.
pub(super) struct Brought<'r> {
    /// Label Studio's.
    pub(super) session: Option<&'r str>,
    /// The client's.
    pub(super) client: Option<&'r str>,
    /// Whether another could be taken for Label Studio's, so that it must be shown its own alone: both stand under one name, or one of
    /// that name is written so that servers read it differently.
    pub(super) mixed: bool,
}

impl<D, S: SessionStore> Gate<D, S> {
    /// Tells them apart.
    pub(super) async fn brought<'r>(
        &'r self,
        subrequest: &'r Subrequest<'_>,
        now: SystemTime,
    ) -> Result<Brought<'r>, Outage> {
        let (cookies, name) = (subrequest.cookies(), self.sessions.cookie_name());
        let filled = |value: &&str| !value.is_empty();
        let client_name = self.sources.client_cookie.as_deref();
        if client_name != Some(name) {
            return Ok(Brought {
                session: cookies.get(name),
                client: client_name
                    .and_then(|name| cookies.raw(name))
                    .filter(filled),
                mixed: cookies.is_ambiguous(name),
            });
        }
        let mut brought = Brought {
            session: None,
            client: None,
            mixed: cookies.is_ambiguous(name),
        };
        for value in cookies.all(name).filter(filled).take(MOST_COOKIES) {
            brought.mixed = true;
            let known = self.sessions.read(value, now, Freshness::Cached).await?;
            match known {
                Some(_) => brought.session = Some(value),
                None => brought.client = brought.client.or(Some(value)),
            }
        }
        Ok(brought)
    }
}

/// Of one name a browser sends one for each path and domain. More is an attempt to make work.
const MOST_COOKIES: usize = 4;
