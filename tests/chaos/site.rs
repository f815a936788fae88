//! A Label Studio with one session engine behind nginx, and the requests that are sent to it.

use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};

use crate::chance::Chance;
use crate::episode::{Episode, Outcome};
use crate::gate::Engine;
use crate::key_server::Signer;
use crate::label_studio::SEEN;
use crate::ledger::{Ledger, Session};
use crate::users::Users;

/// An answer that Django has to judge before it counts as right.
pub struct Case {
    pub episode: Arc<Episode>,
    pub sent: Instant,
    pub took: Duration,
    pub what: String,
    /// The session cookie that Label Studio received.
    pub seen: String,
    /// The session is this user's.
    pub session: Session,
    /// Whether the gate has just handed the session out.
    pub is_new: bool,
}

/// What came back from nginx, or from a gate.
pub struct Answer {
    pub status: u16,
    pub reason: String,
    /// Whether it says when to try again.
    pub has_retry_after: bool,
    /// The `Cookie` header with which the request reached Label Studio.
    pub seen: Option<String>,
    /// The session cookie that the browser was given.
    pub handed: Option<String>,
    pub location: Option<String>,
    pub body: String,
}

/// One of the two sites.
pub struct Site {
    pub engine: Engine,
    pub users: Arc<Users>,
    pub signer: Signer,
    pub ledger: Mutex<Ledger>,
    pub docket: Mutex<Vec<Case>>,
    /// Tokens that the gate has issued and nobody has used yet, and for whom.
    pub issued: Mutex<Vec<(usize, String)>>,
    pub chance: Mutex<Chance>,
    episode: RwLock<Arc<Episode>>,
    url: RwLock<String>,
    client: reqwest::Client,
}

impl Site {
    pub fn new(
        engine: Engine,
        users: Arc<Users>,
        signer: Signer,
        url: String,
        seed: u64,
        episode: Arc<Episode>,
    ) -> Self {
        // Longer than every limit of the gate and of nginx.
        let client = crate::support::client_builder().timeout(Duration::from_secs(30));
        let client = client.redirect(reqwest::redirect::Policy::none());
        Self {
            engine,
            users,
            signer,
            ledger: Mutex::default(),
            docket: Mutex::default(),
            issued: Mutex::default(),
            chance: Mutex::new(Chance::of(seed)),
            episode: RwLock::new(episode),
            url: RwLock::new(url),
            client: client.build().expect("a client"),
        }
    }

    /// Counts requests for this episode from now on.
    pub fn enter(&self, episode: &Arc<Episode>) {
        *self.episode.write().expect("not poisoned") = episode.clone();
    }

    pub fn episode(&self) -> Arc<Episode> {
        self.episode.read().expect("not poisoned").clone()
    }

    /// Counts a request that is sent now. Once [`Self::enter`] has returned, no further request counts
    /// for the previous episode.
    pub fn begin(&self) -> (Arc<Episode>, Instant) {
        let episode = self.episode.read().expect("not poisoned");
        (episode.clone(), episode.send())
    }

    /// Sends requests to this address from now on, and returns the one before.
    pub fn redirect(&self, url: String) -> String {
        std::mem::replace(&mut *self.url.write().expect("not poisoned"), url)
    }

    /// The user numbers of this site.
    pub fn somebody(&self, chance: &mut Chance) -> usize {
        let parity = usize::from(self.engine == Engine::Database);
        2 * chance.below(crate::users::USERS / 2) + parity
    }

    /// A GET for a page with these cookies.
    pub async fn get(&self, cookies: &str) -> Result<Answer, reqwest::Error> {
        Self::send(|| {
            let request = self.client.get(self.url("/projects"));
            request.header("Cookie", cookies)
        })
        .await
    }

    /// The question about that page, asked of the gate on this port as nginx asks it.
    pub async fn check(&self, gate: u16, cookies: &str) -> Result<Answer, reqwest::Error> {
        let url = format!("http://127.0.0.1:{gate}/auth/nginx");
        let request = self.client.get(url).header("X-Original-URI", "/projects");
        let answer = request.header("Cookie", cookies).send().await?;
        let header = |name| text(answer.headers(), name);
        let given = header("x-gate-set-cookie-1");
        Ok(Answer {
            seen: header("x-gate-cookie"),
            handed: given.as_deref().and_then(session_in),
            ..Answer::of(&answer)
        })
    }

    /// A POST to one of the gate's own routes.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, reqwest::Error> {
        Self::send(|| {
            let request = self.client.post(self.url(path)).body(body.clone());
            let add = |request: RequestBuilder, (name, value): &(&str, &str)| {
                request.header(*name, *value)
            };
            headers.iter().fold(request, add)
        })
        .await
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url.read().expect("not poisoned"))
    }

    /// nginx closes a connection that it kept open when it reloads, perhaps just as a request comes on it.
    /// Browsers then send the request again, and so may any client whose request does the same the second
    /// time (RFC 9110, §9.2.2): those of this mix do.
    async fn send(request: impl Fn() -> RequestBuilder) -> Result<Answer, reqwest::Error> {
        let answer = match request().send().await {
            Err(error) if error.is_request() && !error.is_timeout() && !error.is_connect() => {
                request().send().await?
            }
            answer => answer?,
        };
        let set = answer.headers().get_all(SET_COOKIE).iter();
        let mut set = set.filter_map(|value| value.to_str().ok());
        Ok(Answer {
            seen: text(answer.headers(), SEEN),
            handed: set.find_map(session_in),
            ..Answer::of(&answer)
        }
        .with_body(answer.text().await?))
    }

    /// Records what came of a request, or leaves it to Django.
    pub fn close(&self, case: Case, verdict: Verdict) {
        match verdict {
            Verdict::Known(outcome) => case.episode.record(case.sent, case.took, outcome),
            Verdict::ForDjango => self.docket.lock().expect("not poisoned").push(case),
        }
    }
}

impl Answer {
    /// What every answer says in its head.
    fn of(answer: &reqwest::Response) -> Self {
        let header = |name| text(answer.headers(), name);
        Self {
            status: answer.status().as_u16(),
            reason: header("x-gate-reason").unwrap_or_default(),
            has_retry_after: header("retry-after").is_some(),
            seen: None,
            handed: None,
            location: header(LOCATION.as_str()),
            body: String::new(),
        }
    }

    fn with_body(self, body: String) -> Self {
        Self { body, ..self }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The session that a `Set-Cookie` gives to the browser.
fn session_in(set_cookie: &str) -> Option<String> {
    let cookie = set_cookie.strip_prefix("sessionid=")?.split(';').next()?;
    (!cookie.is_empty() && cookie != "\"\"").then(|| cookie.to_owned())
}

/// What an answer says by itself.
pub enum Verdict {
    Known(Outcome),
    /// Right if Django finds the session of the right user in it.
    ForDjango,
}

/// The session cookies in a `Cookie` header.
pub fn sessions(cookies: &str) -> Vec<&str> {
    let pairs = cookies.split("; ");
    pairs
        .filter_map(|pair| pair.strip_prefix("sessionid="))
        .collect()
}
