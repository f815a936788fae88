//! Adapter: the host application's API, which tells whose session a cookie names (method 3).
//!
//! In: the value of the host application's session cookie. Out: the claims of the signed-in user,
//! nothing if nobody is signed in, or an outage.
//!
//! - Parallel requests with the same cookie share one request to the API; its answer is cached.
//! - A request to the API is a task of its own: if nobody waits for it any more, its answer is
//!   cached and counted all the same.
//! - After repeated failures the circuit breaker opens, and requests fail immediately.
//! - Made-up cookies neither count as failures of the API nor evict the sessions of real users.
//! - If the API names nobody for a while, the log says whether it may refuse the secret.

mod answer;
mod breaker;
mod measures;
mod secret_monitor;
mod trial;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::{ACCEPT, COOKIE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

pub use self::answer::Verdict;
use self::breaker::{Breaker, Permit};
use self::measures::Measures;
use self::secret_monitor::SecretMonitor;
pub use self::trial::{SecretTrial, Trial};
use crate::cache::{Cache, Generation};
use crate::deadline;
use crate::gate::reason::Outage;
use crate::gate::verify::{ApplicationSessions, SessionRefusal, UserClaims};
use crate::http_client::{Answer, HttpClient, NoAnswer};
use crate::metrics::family::CLIENT_API_BREAKER;
use crate::metrics::{Page, Source};
use crate::single_flight::SingleFlight;
use crate::traces;

/// Header with the secret that proves to the API that the gate is asking.
const X_VERIFY_TOKEN: HeaderName = HeaderName::from_static("x-verify-token");

/// How long "no such session" is cached. Short, because the user may sign in at any moment.
const REFUSAL_TTL: Duration = Duration::from_secs(5);

/// Maximum number of parallel requests to the API. Made-up cookies cause requests too; beyond the
/// limit the answer is 503.
const MAX_REQUESTS: usize = 64;

/// Maximum number of cached sessions.
const MAX_USERS: usize = 100_000;

/// Maximum number of cached refusals. They have a cache of their own because anybody can make up
/// cookies.
const MAX_REFUSALS: usize = 20_000;

/// Maximum size of a cookie in a browser, name and value together (RFC 6265 §6.1). A longer one is
/// made up.
const MAX_COOKIE: usize = 4096;

/// SHA-256 of a cookie. The cookie itself is a credential and is not kept.
type Key = [u8; 32];

/// A client for the host application's API.
pub struct ApplicationApi(Arc<Api>);

struct Api {
    url: Url,
    secret: HeaderValue,
    cookie_name: String,
    http: HttpClient,
    users: Cache<Key, UserClaims>,
    refusals: Cache<Key, SessionRefusal>,
    under_way: SingleFlight<Key, Result<UserClaims, NoUser>>,
    breaker: Breaker,
    secret_monitor: SecretMonitor,
    permits: Semaphore,
    measures: Measures,
}

/// The secret contains a character that an HTTP header cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("is not a valid header value: use printable ASCII")]
pub struct InvalidSecret(#[from] InvalidHeaderValue);

/// Why there is no user.
#[derive(Clone, Copy)]
enum NoUser {
    Refused(SessionRefusal),
    Outage(Outage),
}

impl ApplicationApi {
    /// Asks `url` about the cookie `cookie_name` and caches answers for `ttl`; zero disables the
    /// cache.
    pub fn new(
        url: Url,
        secret: &SecretString,
        cookie_name: String,
        ttl: Duration,
        http: HttpClient,
    ) -> Result<Self, InvalidSecret> {
        let mut secret = HeaderValue::from_str(secret.expose_secret())?;
        secret.set_sensitive(true);
        Ok(Self(Arc::new(Api {
            url,
            secret,
            cookie_name,
            http,
            users: Cache::new("application_sessions", MAX_USERS, ttl),
            refusals: Cache::new("application_refusals", MAX_REFUSALS, REFUSAL_TTL.min(ttl)),
            under_way: SingleFlight::default(),
            breaker: Breaker::default(),
            secret_monitor: SecretMonitor::default(),
            permits: Semaphore::new(MAX_REQUESTS),
            measures: Measures::default(),
        })))
    }
}

impl Api {
    /// The user with this cookie, from the API or from an answer that came meanwhile.
    async fn user_claims(self: &Arc<Self>, key: Key, cookie: &str) -> Result<UserClaims, NoUser> {
        let ask = async {
            match self.users.peek(&key) {
                Some(claims) => Ok(claims),
                None => self.ask(key, cookie).await,
            }
        };
        self.under_way.run(key, ask).await
    }

    async fn ask(self: &Arc<Self>, key: Key, cookie: &str) -> Result<UserClaims, NoUser> {
        let Some(header) = self.cookie_header(cookie) else {
            return Err(NoUser::Refused(SessionRefusal::Unknown));
        };
        let permit = self.permits.try_acquire();
        let _permit = permit.map_err(|_| {
            self.measures.shed.increment();
            NoUser::Outage(Outage::Overloaded)
        })?;
        let Some(request) = self.breaker.permit() else {
            return Err(NoUser::Outage(Outage::ApplicationApiUnavailable));
        };
        let (begun, before) = (Instant::now(), self.users.before_reading());
        let verdict = match self.request(header, self.secret.clone()).await {
            Ok(answer) => self.judge(&answer),
            Err(why @ NoAnswer::Failed(_)) => Verdict::Failed(why.to_string()),
            Err(why @ (NoAnswer::Redirected(_) | NoAnswer::TooLong(_))) => {
                Verdict::Unusable(why.to_string())
            }
        };
        self.measures.observe(&verdict, begun.elapsed());
        self.conclude(key, request, verdict, before)
    }

    fn cookie_header(&self, cookie: &str) -> Option<HeaderValue> {
        let header = HeaderValue::from_str(&format!("{}={cookie}", self.cookie_name));
        let mut header = header.ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    async fn request(&self, cookie: HeaderValue, secret: HeaderValue) -> Result<Answer, NoAnswer> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, cookie);
        headers.insert(X_VERIFY_TOKEN, secret);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.http.get(self.url.clone(), headers).await
    }

    fn judge(&self, answer: &Answer) -> Verdict {
        match answer.redirect_target(&self.url) {
            Some(target) => Verdict::Unusable(format!(
                "it redirects to {target}: set client_session.verify_url to the URL that answers"
            )),
            None => Verdict::of(answer.status.as_u16(), &answer.body),
        }
    }

    /// Updates the circuit breaker and the caches.
    fn conclude(
        self: &Arc<Self>,
        key: Key,
        request: Permit<'_>,
        verdict: Verdict,
        before: Generation,
    ) -> Result<UserClaims, NoUser> {
        let why = match verdict {
            Verdict::Somebody(claims) => {
                request.succeeded();
                self.secret_monitor.user_was_named();
                self.users.insert(key, claims.clone(), before);
                return Ok(claims);
            }
            Verdict::Nobody(why) => {
                request.succeeded();
                let before = self.refusals.before_reading();
                self.refusals.insert(key, why, before);
                secret_monitor::check_secret(self);
                return Err(NoUser::Refused(why));
            }
            Verdict::Unusable(why) => {
                request.succeeded();
                why
            }
            Verdict::Failed(why) => {
                request.failed();
                why
            }
        };
        tracing::warn!(why, "the host application's API gave no usable answer");
        Err(NoUser::Outage(Outage::ApplicationApiUnavailable))
    }
}

#[async_trait]
impl ApplicationSessions for ApplicationApi {
    async fn user_claims(
        &self,
        cookie: &str,
    ) -> Result<Result<UserClaims, SessionRefusal>, Outage> {
        let api = &self.0;
        if api.cookie_name.len() + cookie.len() > MAX_COOKIE {
            return Ok(Err(SessionRefusal::Unknown));
        }
        let key = digest(cookie);
        if let Some(why) = api.refusals.get(&key) {
            return Ok(Err(why));
        }
        if let Some(claims) = api.users.get(&key) {
            return Ok(Ok(claims));
        }
        let (api, cookie) = (api.clone(), cookie.to_owned());
        let asked = async move { api.user_claims(key, &cookie).await };
        let asked = tokio::spawn(traces::carried(asked).in_current_span());
        let outage = Outage::ApplicationApiUnavailable;
        // Without an answer in time, the caller can fall back to the session in Label Studio.
        match deadline::wait_with_alternative(outage, asked).await? {
            Ok(Ok(claims)) => Ok(Ok(claims)),
            Ok(Err(NoUser::Refused(why))) => Ok(Err(why)),
            Ok(Err(NoUser::Outage(outage))) => Err(outage),
            Err(_) => Err(outage),
        }
    }

    async fn forget(&self, cookie: &str) {
        let key = digest(cookie);
        self.0.users.invalidate(&key);
        self.0.refusals.invalidate(&key);
        self.0.under_way.forget(&key);
    }
}

impl Source for ApplicationApi {
    fn report(&self, page: &mut Page) {
        let api = &self.0;
        api.measures.report(page);
        api.users.report(page);
        api.refusals.report(page);
        page.state(&CLIENT_API_BREAKER, &Breaker::STATES, api.breaker.state());
    }
}

fn digest(cookie: &str) -> Key {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http_client::Limits;

    fn api() -> ApplicationApi {
        crate::startup::install_crypto();
        let limits = Limits {
            timeout: Duration::from_millis(100),
            max_bytes: 1024,
            redirects: 0,
            allow_http: true,
            ca_file: None,
        };
        let http = HttpClient::new(&limits).expect("the system's certificates");
        // Nothing listens on this port, so every answer comes from the cache.
        let url = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let (secret, name) = (SecretString::from("x"), "sid".to_owned());
        ApplicationApi::new(url, &secret, name, Duration::from_secs(60), http).expect("a secret")
    }

    #[tokio::test]
    async fn made_up_cookies_do_not_evict_cached_users() {
        let api = api();
        let before = api.0.users.before_reading();
        api.0
            .users
            .insert(digest("of-ann"), UserClaims::default(), before);
        for n in 0..3 * MAX_REFUSALS {
            let key = digest(&n.to_string());
            let before = api.0.refusals.before_reading();
            api.0.refusals.insert(key, SessionRefusal::Unknown, before);
        }
        assert!(api.0.refusals.len() <= MAX_REFUSALS);
        assert_eq!(
            api.user_claims("of-ann").await,
            Ok(Ok(UserClaims::default()))
        );
        assert_eq!(
            api.user_claims("of-bob").await,
            Err(Outage::ApplicationApiUnavailable)
        );
        api.forget("of-ann").await;
        assert_eq!(
            api.user_claims("of-ann").await,
            Err(Outage::ApplicationApiUnavailable)
        );
    }

    #[tokio::test]
    async fn cookies_too_long_for_a_browser_name_nobody() {
        const NOBODY: Result<Result<UserClaims, SessionRefusal>, Outage> =
            Ok(Err(SessionRefusal::Unknown));
        let api = api();
        let longest = "x".repeat(MAX_COOKIE - "sid".len());
        assert_eq!(
            api.user_claims(&longest).await,
            Err(Outage::ApplicationApiUnavailable)
        );
        assert_eq!(api.user_claims(&format!("{longest}x")).await, NOBODY);
        assert_eq!(api.user_claims("line\nfeed").await, NOBODY);
    }
}
