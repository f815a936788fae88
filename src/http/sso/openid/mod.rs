//! Sign-in at an OpenID provider: the way there (`/sso/start`), back (`/sso/callback`), and from a popup
//! into the frame that opened it.
//!
//! In: a browser that has to sign in, or the same browser with the provider's answer. Out: a redirect
//! with cookies, or a page that says why there is none.

mod callback;
mod popup;
mod start;

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};

pub(in crate::http) use self::callback::{callback, named_callback};
pub(super) use self::popup::take_over;
pub(in crate::http) use self::start::{start, start_by_form};
use super::show::Notice;
use crate::deadline::decide_within;
use crate::gate::AtProvider;
use crate::gate::openid::{NoSignIn, SignIn};
use crate::gate::reason::Denied;
use crate::gate::subrequest::Subrequest;
use crate::http::context::RequestContext;
use crate::http::event::Event;
use crate::http::journal::Entry;

/// Time limit for everything that a provider is asked while a browser waits. nginx waits 10 seconds.
pub(super) const PROVIDER_LIMIT: Duration = Duration::from_secs(9);

/// Sign-in at OpenID providers, and what it is set up for.
pub struct OpenId {
    /// The flows.
    pub sign_in: SignIn,
    /// Whether providers may end sessions.
    pub backchannel_logout: bool,
    /// Whether signing out ends the session at the provider too.
    pub provider_logout: bool,
}

async fn has_session(context: &RequestContext<'_>, subrequest: &Subrequest<'_>) -> bool {
    let state = context.state;
    let living = state.gate.has_living_session(subrequest, context);
    matches!(state.decided(living).await, Ok(true))
}

/// Too many sign-ins came from this network: 429 (RFC 6585 §4).
fn too_many(context: &RequestContext<'_>, notice: &Notice<'_>, wait: Duration) -> HttpResponse {
    let reason = Denied::TooManySignIns;
    context.record(&Entry::new(Event::Refused).because(reason.code()));
    let mut response = notice.because(reason);
    let seconds = HeaderValue::from(wait.as_secs() + 1);
    response.headers_mut().insert(RETRY_AFTER, seconds);
    response
}

/// Where signing out leads: to the provider's own page, if its user may still be signed in there.
pub(super) async fn after_sign_out(openid: &OpenId, at: &AtProvider) -> Option<String> {
    if !openid.provider_logout {
        return None;
    }
    let url = openid.sign_in.sign_out_url(at);
    let url = decide_within(PROVIDER_LIMIT, async { Ok::<_, NoSignIn>(url.await) }).await;
    url.ok().flatten().map(String::from)
}
