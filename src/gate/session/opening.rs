//! Opens sessions, or keeps the one in the request.
//!
//! In: a user who may sign in, the request's session cookie, and the verified claims. Out: an
//! [`Opened`], unless the session is kept. Afterwards, the login is recorded and all requests with the
//! same credential share one session.

use std::time::{Duration, SystemTime};

use super::content;
use super::key::Place;
use super::row::Session;
use super::stamp::Stamp;
use super::store::{LoginRecord, NewSession, Recorded, SessionRow, TokenUse};
use super::{Engine, MAX_RETENTION, Opened, Sessions};
use crate::django::{SessionData, is_plausible_session_key};
use crate::gate::clock::{CLOCK_SKEW, MAX_LEEWAY, unix_seconds_f64};
use crate::gate::reason::{Granted, Outage};
use crate::gate::user::{ActiveUser, Freshness};
use crate::gate::verify::{Fingerprint, Method, VerifiedClaims};

/// What a login does about the session.
pub enum SessionAction<'a> {
    /// The request's session is valid, belongs to this user and stays.
    Keep,
    /// A new one is opened.
    Open {
        /// The request's session, which ends.
        replaces: Option<&'a str>,
        /// Whether that was another user's.
        reason: Granted,
    },
}

impl Sessions {
    /// Compares the `presented` session with the user, and for a proxy's token with the person that
    /// it was opened for.
    pub async fn examine<'a>(
        &self,
        user: &ActiveUser,
        presented: Option<&'a str>,
        claims: &VerifiedClaims,
        freshness: Freshness,
        now: SystemTime,
    ) -> Result<SessionAction<'a>, Outage> {
        let replaces = presented.filter(|value| !value.is_empty());
        let session = match replaces {
            Some(value) => self.read(value, now, freshness).await?,
            None => None,
        };
        let reason = match session {
            Some(session) if session.user_id().is_some_and(|id| id != user.id()) => {
                Granted::UserSwitched
            }
            // A sign-in gives a fresh session, which the provider can end.
            Some(session)
                if claims.provider_session().is_none()
                    && self.is_alive_for(&session, user, now)
                    && (claims.method() != Method::Proxy
                        || self.was_opened_with(&session, claims.fingerprint(), user, now)) =>
            {
                return Ok(SessionAction::Keep);
            }
            Some(_) | None => Granted::SessionOpened,
        };
        Ok(SessionAction::Open { replaces, reason })
    }

    /// Opens a session for `user`. `None` if the user's row changed since it was read.
    pub async fn open(
        &self,
        user: &ActiveUser,
        replaces: Option<&str>,
        claims: &VerifiedClaims,
        now: SystemTime,
    ) -> Result<Option<Opened>, Outage> {
        let place = self.place(claims, user, now);
        let (engine, uid) = (self.policy.engine, place.uid());
        let mut session = content::of_login(user, claims, engine, &uid, &self.auth_hash, now);
        let age = self.age(user, claims);
        let value = match self.policy.engine {
            Engine::Database => {
                let replaces = replaces.filter(|old| is_plausible_session_key(old));
                Stamp::new(user.revoked_at(), None).put(&mut session);
                self.open_row(user, &session, &place, replaces, now, age)
                    .await?
            }
            Engine::SignedCookies => self.open_cookie(user, session, replaces, now).await?,
        };
        Ok(value.map(|value| Opened {
            set_cookie: self.policy.cookie.set(&value, Some(age), now),
            value,
        }))
    }

    /// How long the session lasts.
    fn age(&self, user: &ActiveUser, claims: &VerifiedClaims) -> Duration {
        let age = self.policy.age.min(self.limit(user));
        let longest = claims.provider_session().and_then(|at| at.longest);
        longest.map_or(age, |longest| age.min(longest))
    }

    fn place(&self, claims: &VerifiedClaims, user: &ActiveUser, now: SystemTime) -> Place {
        if let Some(session) = claims.provider_session() {
            return self.places.at_provider(session, user);
        }
        let limit = self.limit(user);
        self.places
            .of(claims.fingerprint(), claims.expires(), user, limit, now)
    }

    /// Opens a row at this place, or adopts the one that another request has opened there. Returns
    /// the key, or `None` if the user's row has changed.
    async fn open_row(
        &self,
        user: &ActiveUser,
        session: &SessionData,
        place: &Place,
        replaces: Option<&str>,
        now: SystemTime,
        age: Duration,
    ) -> Result<Option<String>, Outage> {
        let data = self.codec.encode_row(session, now);
        // If Label Studio would reject the existing session, delete it and insert a new one.
        for _ in 0..2 {
            let key = place.key(&*self.entropy);
            let row = SessionRow {
                place: place.prefix(),
                key: &key,
                data: &data,
                expire_date: now + age,
            };
            match self
                .record(user, NewSession::Row(row), replaces, now)
                .await?
            {
                Recorded::UserChanged => return Ok(None),
                Recorded::Opened { .. } => return Ok(Some(key)),
                Recorded::Met(met) if self.is_valid_row(&met.data, user, now) => {
                    return Ok(Some(met.key));
                }
                Recorded::Met(met) => drop(self.stores.recent.end(&[met.key]).await?),
            }
        }
        Err(Outage::DatabaseUnavailable)
    }

    /// Opens a session that lives in the cookie, and ends the one that it `replaces`. Returns the
    /// cookie, or `None` if the user's row has changed.
    async fn open_cookie(
        &self,
        user: &ActiveUser,
        mut session: SessionData,
        replaces: Option<&str>,
        now: SystemTime,
    ) -> Result<Option<String>, Outage> {
        let mark = content::mark(&session);
        let ended_at = match self
            .record(user, NewSession::Cookie(&mark), None, now)
            .await?
        {
            Recorded::UserChanged => return Ok(None),
            Recorded::Opened { ended_at } => ended_at,
            Recorded::Met(_) => None,
        };
        // With the same mark, the end would count for the new session too.
        if let Some(old) = replaces
            && self
                .cookies
                .read(&self.codec, old, now)
                .is_ok_and(|old| old.mark != mark)
        {
            self.record_end(old, now).await?;
        }
        Stamp::new(user.revoked_at(), ended_at).put(&mut session);
        Ok(Some(self.codec.encode_cookie(&session, now)))
    }

    async fn record(
        &self,
        user: &ActiveUser,
        session: NewSession<'_>,
        replaces: Option<&str>,
        at: SystemTime,
    ) -> Result<Recorded, Outage> {
        let login = LoginRecord {
            user_id: user.id(),
            password: user.password(),
            revoked_at: user.revoked_at(),
            at,
            session,
            replaces,
        };
        self.stores.recent.record(&login).await
    }

    /// Records the use of a single-use token. Returns false if it has already opened a session.
    /// Always true for reusable tokens and for the host application's session.
    pub async fn use_token(
        &self,
        claims: &VerifiedClaims,
        peer: &[u8; 32],
        now: SystemTime,
    ) -> Result<bool, Outage> {
        let (Some(window), Some(expires)) = (self.policy.once, claims.expires()) else {
            return Ok(true);
        };
        let remaining = Duration::try_from_secs_f64(expires - unix_seconds_f64(now));
        let token = TokenUse {
            fingerprint: claims.fingerprint().as_bytes(),
            peer,
            window,
            // Keep the record as long as the token may be accepted, also by a gate whose clock is
            // behind.
            expires: now
                + remaining.unwrap_or_default().min(MAX_RETENTION)
                + MAX_LEEWAY
                + CLOCK_SKEW
                + window * 2,
        };
        self.stores.current.use_token(&token).await
    }

    /// Whether this session was opened for the person whom `evidence` identifies, by a credential
    /// that comes with every request.
    pub fn was_opened_with(
        &self,
        session: &Session,
        evidence: &Fingerprint,
        user: &ActiveUser,
        now: SystemTime,
    ) -> bool {
        let limit = self.limit(user);
        // A session lives at most as long as one period, so it began in this one or the last.
        [Some(now), now.checked_sub(limit)]
            .into_iter()
            .flatten()
            .map(|at| self.places.of(evidence, None, user, limit, at).uid())
            .any(|uid| content::mark_of(&uid) == session.mark)
    }

    fn is_valid_row(&self, data: &str, user: &ActiveUser, now: SystemTime) -> bool {
        let session = Session::of_row(&self.codec, data);
        session.is_ok_and(|session| self.is_alive_for(&session, user, now))
    }
}
