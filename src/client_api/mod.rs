//! Adapter: the API of the client's application, which says whose session a cookie names (method 3).
//!
//! However many requests of a page arrive at once, one question is asked for a session; its answer is remembered for a while. An API that
//! fails is left alone for some seconds, and everybody is told so at once. Whoever makes up cookies neither makes it fail in the eyes of the
//! gate nor pushes out what is known of others.

mod answer;
mod breaker;

use std::time::Duration;

use async_trait::async_trait;
use moka::future::Cache;
use reqwest::Url;
use reqwest::header::{ACCEPT, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

pub use self::answer::Verdict;
use self::breaker::Breaker;
use crate::gate::reason::Outage;
use crate::gate::verify::{ClientSessions, Person};
use crate::outgoing::{NoAnswer, Outgoing};

/// By which the API knows that it is the gate who asks.
const X_VERIFY_TOKEN: HeaderName = HeaderName::from_static("x-verify-token");

/// How long "no such session" is remembered: somebody may sign in the next moment.
const REFUSAL_TTL: Duration = Duration::from_secs(5);

/// Questions at once. Whoever makes up cookies makes the gate ask; past this the answer is 503.
const MOST_QUESTIONS: usize = 64;

/// Sessions that are remembered.
const MOST_PEOPLE: u64 = 100_000;

/// Cookies that are remembered to name no session. Anybody can make up more.
const MOST_REFUSALS: u64 = 20_000;

/// What a browser keeps of a cookie, name and value together (RFC 6265 §6.1). A longer one was made up.
const LONGEST_COOKIE: usize = 4096;

/// SHA-256 of a cookie: the cookie itself is a credential.
type Key = [u8; 32];

/// The API.
pub struct ClientApi {
    url: Url,
    secret: HeaderValue,
    cookie_name: String,
    outgoing: Outgoing,
    people: Cache<Key, Person>,
    refusals: Cache<Key, ()>,
    breaker: Breaker,
    places: Semaphore,
}

/// Why there is no person.
#[derive(Clone, Copy)]
enum NoPerson {
    Nobody,
    Outage(Outage),
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
        Ok(Self {
            url,
            secret,
            cookie_name,
            outgoing,
            people: cache(MOST_PEOPLE, ttl),
            refusals: cache(MOST_REFUSALS, REFUSAL_TTL.min(ttl)),
            breaker: Breaker::default(),
            places: Semaphore::new(MOST_QUESTIONS),
        })
    }

    async fn ask(&self, key: Key, cookie: &str) -> Result<Person, NoPerson> {
        let header = HeaderValue::from_str(&format!("{}={cookie}", self.cookie_name));
        let Ok(mut header) = header else {
            return Err(NoPerson::Nobody);
        };
        header.set_sensitive(true);
        let place = self.places.try_acquire();
        let _place = place.map_err(|_| NoPerson::Outage(Outage::Overloaded))?;
        if !self.breaker.allows() {
            return Err(NoPerson::Outage(Outage::ClientApiUnavailable));
        }
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, header);
        headers.insert(X_VERIFY_TOKEN, self.secret.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let verdict = match self.outgoing.get(self.url.clone(), headers).await {
            Ok(answer) => Verdict::of(answer.status.as_u16(), &answer.body),
            Err(why @ NoAnswer::Failed(_)) => Verdict::Failed(why.to_string()),
            Err(why @ (NoAnswer::Redirected(_) | NoAnswer::TooLong(_))) => {
                Verdict::Unusable(why.to_string())
            }
        };
        self.conclude(key, verdict).await
    }

    /// Tells the breaker, and remembers that there is nobody. People are remembered by the cache through which they are asked for.
    async fn conclude(&self, key: Key, verdict: Verdict) -> Result<Person, NoPerson> {
        let why = match verdict {
            Verdict::Somebody(person) => {
                self.breaker.succeeded();
                return Ok(person);
            }
            Verdict::Nobody => {
                self.breaker.succeeded();
                self.refusals.insert(key, ()).await;
                return Err(NoPerson::Nobody);
            }
            Verdict::Unusable(why) => {
                self.breaker.succeeded();
                why
            }
            Verdict::Failed(why) => {
                self.breaker.failed();
                why
            }
        };
        tracing::warn!(why, "the client's API does not say whose session it is");
        Err(NoPerson::Outage(Outage::ClientApiUnavailable))
    }
}

fn cache<V: Clone + Send + Sync + 'static>(most: u64, ttl: Duration) -> Cache<Key, V> {
    let cache = Cache::builder().max_capacity(most).time_to_live(ttl);
    cache.build()
}

#[async_trait]
impl ClientSessions for ClientApi {
    async fn person(&self, cookie: &str) -> Result<Option<Person>, Outage> {
        if self.cookie_name.len() + cookie.len() > LONGEST_COOKIE {
            return Ok(None);
        }
        let key = digest(cookie);
        if self.refusals.get(&key).await.is_some() {
            return Ok(None);
        }
        let person = self.people.try_get_with(key, self.ask(key, cookie)).await;
        match person.map_err(|why| *why) {
            Ok(person) => Ok(Some(person)),
            Err(NoPerson::Nobody) => Ok(None),
            Err(NoPerson::Outage(outage)) => Err(outage),
        }
    }

    async fn forget(&self, cookie: &str) {
        let key = digest(cookie);
        self.people.invalidate(&key).await;
        self.refusals.invalidate(&key).await;
    }
}

fn digest(cookie: &str) -> Key {
    Sha256::digest(cookie.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::Limits;

    fn api() -> ClientApi {
        crate::startup::install_crypto();
        let limits = Limits {
            timeout: Duration::from_millis(100),
            max_bytes: 1024,
            redirects: 0,
            allow_http: true,
            ca_file: None,
        };
        let outgoing = Outgoing::new(&limits).expect("the system's certificates");
        // Nobody listens there: whatever is answered was remembered.
        let url = Url::parse("http://127.0.0.1:1/").expect("a URL");
        let (secret, name) = (SecretString::from("x"), "sid".to_owned());
        ClientApi::new(url, &secret, name, Duration::from_secs(60), outgoing).expect("a secret")
    }

    #[tokio::test]
    async fn made_up_cookies_do_not_push_out_what_is_known_of_others() {
        let api = api();
        api.people.insert(digest("of-ann"), Person::default()).await;
        for n in 0..3 * MOST_REFUSALS {
            api.refusals.insert(digest(&n.to_string()), ()).await;
        }
        api.refusals.run_pending_tasks().await;
        assert!(api.refusals.entry_count() <= MOST_REFUSALS);
        assert_eq!(api.person("of-ann").await, Ok(Some(Person::default())));
        assert_eq!(
            api.person("of-bob").await,
            Err(Outage::ClientApiUnavailable)
        );
        api.forget("of-ann").await;
        assert_eq!(
            api.person("of-ann").await,
            Err(Outage::ClientApiUnavailable)
        );
    }

    #[tokio::test]
    async fn a_cookie_longer_than_a_browser_keeps_is_nobodys() {
        let api = api();
        let longest = "x".repeat(LONGEST_COOKIE - "sid".len());
        assert_eq!(
            api.person(&longest).await,
            Err(Outage::ClientApiUnavailable)
        );
        assert_eq!(api.person(&format!("{longest}x")).await, Ok(None));
        assert_eq!(api.person("line\nfeed").await, Ok(None));
    }
}
