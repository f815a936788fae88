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
use actix_web::http::StatusCode;
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

/// Time limit for everything that a provider is asked while a browser waits. Before or after that, the
/// session may take a decision's time (`http.decision_timeout_ms`, 3 seconds). nginx waits 10 seconds for
/// both, and then sends the request to another gate, where a code would be used already.
pub(super) const PROVIDER_LIMIT: Duration = Duration::from_secs(6);

/// Sign-in at OpenID providers, and what it is set up for.
pub struct OpenId {
    /// The flows.
    pub sign_in: SignIn,
    /// Whether providers may end sessions.
    pub backchannel_logout: bool,
    /// Whether signing out ends the session at the provider too.
    pub provider_logout: bool,
}

/// There is no such sign-in here: 404, with a page for browsers.
fn not_offered(context: &RequestContext<'_>) -> HttpResponse {
    let mut response = Notice::new(context).because(Denied::RequestMalformed);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

async fn has_session(context: &RequestContext<'_>, subrequest: &Subrequest<'_>) -> bool {
    let state = context.state;
    let living = state.gate.has_living_session(subrequest, context);
    matches!(state.decided(living).await, Ok(true))
}

/// Too many sign-ins came from this network: 429 (RFC 6585 §4).
fn too_many(context: &RequestContext<'_>, notice: &Notice<'_>, seconds: u64) -> HttpResponse {
    let reason = Denied::TooManySignIns;
    context.record(&Entry::new(Event::Refused).because(reason.code()));
    let mut response = notice.because(reason);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
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

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = include_str!("../../../../config/default.toml");
    const NGINX: &str = include_str!("../../../../nginx/gate-browser.conf");

    /// The number after `name`.
    fn number(text: &str, name: &str) -> u64 {
        let rest = text.lines().find_map(|line| line.strip_prefix(name));
        let digits = rest
            .expect("a line with this name")
            .trim_start_matches([' ', '=']);
        let end = digits.find(|c: char| !c.is_ascii_digit());
        digits[..end.unwrap_or(digits.len())]
            .parse()
            .expect("a number")
    }

    /// Otherwise nginx would send `/sso/callback` to another gate, which finds the code used.
    #[test]
    fn a_sign_in_is_answered_before_nginx_asks_another_gate() {
        let decision = Duration::from_millis(number(DEFAULTS, "decision_timeout_ms"));
        let nginx = Duration::from_secs(number(NGINX, "proxy_read_timeout"));
        let margin = Duration::from_millis(500);
        assert!(PROVIDER_LIMIT + decision + margin <= nginx);
    }
}
