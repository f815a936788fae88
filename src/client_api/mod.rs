//! Adapter: the API of the client's application, which says whose session a cookie names (method 3).
//!
//! However many requests of a page arrive at once, one question is asked for a session; its answer is remembered for a while. An API that
//! fails is left alone for some seconds, and everybody is told so at once.

mod breaker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use moka::Expiry;
use moka::future::Cache;
use reqwest::Url;
use reqwest::header::{ACCEPT, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use self::breaker::Breaker;
use crate::gate::reason::Outage;
use crate::gate::verify::{ClientSessions, Person};
use crate::outgoing::Outgoing;

/// By which the API knows that it is the gate who asks.
const X_VERIFY_TOKEN: HeaderName = HeaderName::from_static("x-verify-token");

/// How long "no such session" is remembered: somebody may sign in the next moment.
const REFUSAL_TTL: Duration = Duration::from_secs(5);

/// Questions at once. Whoever makes up cookies makes the gate ask; past this the answer is 503.
const MOST_QUESTIONS: usize = 64;

/// Sessions that are remembered.
const CAPACITY: u64 = 100_000;

/// What the API said: somebody, or nobody.
type Answer = Option<Person>;

/// The API.
pub struct ClientApi {
    url: Url,
    secret: HeaderValue,
    cookie_name: String,
    outgoing: Outgoing,
    answers: Cache<[u8; 32], Answer>,
    breaker: Breaker,
    places: Semaphore,
}

/// A session that is there is remembered longer than one that isn't.
struct Ttl {
    person: Duration,
    nobody: Duration,
}

impl Expiry<[u8; 32], Answer> for Ttl {
    fn expire_after_create(&self, _: &[u8; 32], person: &Answer, _: Instant) -> Option<Duration> {
        Some(match person {
            Some(_) => self.person,
            None => self.nobody,
        })
    }
}

impl ClientApi {
    /// Asks at `url` about the cookie `cookie_name`, and remembers answers for `ttl`; zero: not at all.
    pub fn new(
        url: Url,
        secret: &SecretString,
        cookie_name: String,
        ttl: Duration,
        outgoing: Outgoing,
    ) -> Result<Self, &'static str> {
        let secret = HeaderValue::from_str(secret.expose_secret());
        let mut secret = secret.map_err(|_| "is no value for a header")?;
        secret.set_sensitive(true);
        let ttl = Ttl {
            person: ttl,
            nobody: REFUSAL_TTL.min(ttl),
        };
        Ok(Self {
            url,
            secret,
            cookie_name,
            outgoing,
            answers: Cache::builder()
                .max_capacity(CAPACITY)
                .expire_after(ttl)
                .build(),
            breaker: Breaker::default(),
            places: Semaphore::new(MOST_QUESTIONS),
        })
    }

    async fn ask(&self, cookie: &str) -> Result<Answer, Outage> {
        let Ok(mut header) = HeaderValue::from_str(&format!("{}={cookie}", self.cookie_name))
        else {
            return Ok(None);
        };
        header.set_sensitive(true);
        let _place = self.places.try_acquire().map_err(|_| Outage::Overloaded)?;
        if !self.breaker.allows() {
            return Err(Outage::ClientApiUnavailable);
        }
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, header);
        headers.insert(X_VERIFY_TOKEN, self.secret.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.question(headers).await;
        self.breaker.note(answer.is_ok());
        answer.map_err(|why| {
            tracing::warn!(why, "the client's API does not say whose session it is");
            Outage::ClientApiUnavailable
        })
    }

    async fn question(&self, headers: HeaderMap) -> Result<Answer, String> {
        let answer = self.outgoing.get(self.url.clone(), headers).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status.as_u16() {
            200 => serde_json::from_slice(&answer.body)
                .map(|person| Some(Arc::new(person)))
                .map_err(|_| "the answer is no JSON object".to_owned()),
            401 | 403 => Ok(None),
            _ => Err(format!("the answer is {}", answer.status)),
        }
    }
}

#[async_trait]
impl ClientSessions for ClientApi {
    async fn person(&self, cookie: &str) -> Result<Answer, Outage> {
        let answer = self.answers.try_get_with(digest(cookie), self.ask(cookie));
        answer.await.map_err(|outage| *outage)
    }

    async fn forget(&self, cookie: &str) {
        self.answers.invalidate(&digest(cookie)).await;
    }
}

/// The cookie itself is a credential.
fn digest(cookie: &str) -> [u8; 32] {
    Sha256::digest(cookie.as_bytes()).into()
}
