//! Tells a request's cookies apart, and builds the cookies of the answer.
//!
//! In: the request's `Cookie` header. Out: the token, which session cookie belongs to Label Studio and
//! which to the host application, and the header to forward. Afterwards, the host application's API
//! never sees Label Studio's session, and Label Studio never sees the application's.

use std::time::SystemTime;

use super::Visit;
use crate::django::CookieAttributes;
use crate::gate::Gate;
use crate::gate::cookies::Found;
use crate::gate::reason::Outage;
use crate::gate::subrequest::Subrequest;
use crate::gate::user::Freshness;
use crate::gate::verdict::Cookies;

/// A browser sends one cookie per name, path and domain. Cap the number of look-ups a request can
/// cause.
const MAX_SESSION_COOKIES: usize = 4;

/// The request's cookies that the gate inspects, by owner.
///
/// Label Studio and the host application may both use Django's default name, `sessionid`. Browsers
/// store cookies by domain and path and send all of them, and the header doesn't say which is
/// which. Label Studio's own is the one that its store contains or its key has signed.
#[derive(Default)]
pub(super) struct OwnCookies<'v> {
    pub(super) token: Found<'v>,
    pub(super) label_studio: Option<&'v str>,
    /// The host application's session. With one name for both, each cookie that may be it, in the
    /// request's order: a row key of Label Studio whose session has ended looks like any other.
    pub(super) applications: Vec<&'v str>,
    /// Label Studio could read another cookie as its session: both owners use one name, or servers
    /// parse a cookie of that name differently. The forwarded header must then hold only its own.
    pub(super) ambiguous: bool,
}

impl<'v> OwnCookies<'v> {
    /// Reads the cookies of `subrequest`.
    pub(super) async fn of(
        subrequest: &'v Subrequest<'_>,
        gate: &'v Gate,
        now: SystemTime,
    ) -> Result<Self, Outage> {
        let (cookies, name) = (subrequest.cookies(), gate.sessions.cookie_name());
        let token = gate.sources.cookie.as_deref();
        let session = cookies.find(name);
        let mut own = Self {
            token: token.map_or_else(Found::default, |name| cookies.find(name)),
            ambiguous: session.is_ambiguous,
            ..Self::default()
        };
        let is_filled = |value: &&str| !value.is_empty();
        let application = gate.sources.application_cookie.as_deref();
        if application != Some(name) {
            own.label_studio = session.value;
            let application = application.and_then(|name| cookies.raw(name));
            own.applications.extend(application.filter(is_filled));
            return Ok(own);
        }
        let values = cookies.all(name).filter(is_filled);
        for value in values.take(MAX_SESSION_COOKIES) {
            own.ambiguous = true;
            match gate.sessions.read(value, now, Freshness::Recent).await? {
                Some(_) => own.label_studio = Some(value),
                // Also if its session has ended.
                None if gate.sessions.has_signed(value, now) => {}
                None => own.applications.push(value),
            }
        }
        Ok(own)
    }

    /// Whether the request carries a token, or a session cookie of either owner.
    pub(super) const fn has_any(&self) -> bool {
        self.token.occurs || self.label_studio.is_some() || !self.applications.is_empty()
    }
}

impl Visit<'_> {
    /// The cookies of an answer that keeps the session and removes the token.
    pub(super) fn cookies_without_token(&self) -> Cookies {
        // Of two cookies with one name, Django reads the last, which may be the application's.
        let ambiguous = self.cookies.ambiguous;
        let own = self.cookies.label_studio.filter(|_| ambiguous);
        self.rewrite(own, ambiguous, None)
    }

    /// The cookies of an answer that opens a session and removes the token.
    pub(super) fn cookies_with_session(&self, value: &str, set_cookie: String) -> Cookies {
        self.rewrite(Some(value), true, Some(set_cookie))
    }

    /// The cookies of an API call: Label Studio's session only if Label Studio would accept it, and no
    /// token. The browser keeps its token, because the gate has not judged it.
    pub(in crate::gate) async fn cookies_of_api_call(&self) -> Result<Cookies, Outage> {
        let valid = self.living_session().await?.is_some();
        let own = self.cookies.label_studio.filter(|_| valid);
        let replaces = self.cookies.ambiguous || own.is_none();
        let own = own.filter(|_| replaces);
        Ok(Cookies {
            token_deletion: None,
            ..self.rewrite(own, replaces, None)
        })
    }

    fn rewrite(
        &self,
        session: Option<&str>,
        replaces_session: bool,
        set_cookie: Option<String>,
    ) -> Cookies {
        let name = self.gate.sessions.cookie_name();
        let token = self.gate.sources.cookie.as_deref();
        let session_name = replaces_session.then_some(name);
        let without: Vec<&str> = match self.cookies.token.occurs || replaces_session {
            true => token.into_iter().chain(session_name).collect(),
            false => Vec::new(),
        };
        let with = session.map(|value| (name, value));
        Cookies {
            request: self.subrequest.cookies().rewritten(&without, with),
            session: set_cookie,
            token_deletion: self.token_deletion(),
        }
    }

    /// The `Set-Cookie` value that deletes the token's cookie, if the request carries one.
    pub(super) fn token_deletion(&self) -> Option<String> {
        let cookie = self.gate.token_cookie.as_ref();
        cookie
            .filter(|_| self.cookies.token.occurs)
            .map(CookieAttributes::delete)
    }
}
