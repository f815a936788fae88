//! Adapter: key servers. A set of keys is read from a URL (`jwks_uri`), or from the one that an OpenID provider's discovery document names.
//!
//! The keys are a snapshot that requests read without waiting. It is renewed in the background; a token that names an unknown key has it
//! renewed at once, but not more often than the cool-down allows, since anybody can make up a `kid`. A server that is down leaves the
//! snapshot as it is.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use reqwest::Url;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use tokio::time::Instant;

use crate::gate::reason::Outage;
use crate::gate::verify::{KeySet, KeySource};
use crate::http_client::HttpClient;
use crate::settings::KeyLocation;

/// When keys are read again.
#[derive(Debug, Clone, Copy)]
pub struct Refresh {
    /// In the background.
    pub every: Duration,
    /// Never sooner than this after the last time.
    pub cooldown: Duration,
}

/// The keys of one issuer.
pub struct KeyServer {
    location: KeyLocation,
    allowed: Vec<Algorithm>,
    refresh: Refresh,
    http: HttpClient,
    snapshot: RwLock<Option<Arc<KeySet>>>,
    last: tokio::sync::Mutex<Option<Attempt>>,
}

/// The last time that the server was asked.
#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    succeeded: bool,
}

#[derive(Deserialize)]
struct DiscoveryDocument {
    issuer: String,
    jwks_uri: String,
}

impl KeyServer {
    /// Reads nothing yet. Where some algorithms are `allowed`, only the keys for those count.
    pub fn new(
        location: KeyLocation,
        allowed: Vec<Algorithm>,
        refresh: Refresh,
        http: HttpClient,
    ) -> Arc<Self> {
        Arc::new(Self {
            location,
            allowed,
            refresh,
            http,
            snapshot: RwLock::new(None),
            last: tokio::sync::Mutex::new(None),
        })
    }

    /// Reads the keys now and then for as long as somebody holds them; to be spawned.
    pub async fn keep_fresh(server: std::sync::Weak<Self>) {
        loop {
            let Some(this) = server.upgrade() else {
                return;
            };
            let pause = match this.read_again().await {
                Ok(_) => this.refresh.every,
                Err(_) => this.refresh.cooldown,
            };
            drop(this);
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks the server, unless that was done a moment ago. Whoever comes meanwhile waits for the same answer.
    async fn read_again(&self) -> Result<Arc<KeySet>, Outage> {
        let mut last = self.last.lock().await;
        if let Some(attempt) = *last
            && attempt.at.elapsed() < self.refresh.cooldown
        {
            let known = self.current().filter(|_| attempt.succeeded);
            return known.ok_or(Outage::KeyServerUnavailable);
        }
        let read = self.read().await.map(Arc::new);
        match &read {
            Ok(keys) => {
                tracing::debug!(server = %self.host(), keys = keys.len(), "read the keys");
                *self
                    .snapshot
                    .write()
                    .unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
            }
            Err(why) => {
                tracing::error!(server = %self.host(), why, "the key server gives no keys");
            }
        }
        // Behind the snapshot: who waits for the lock finds both.
        *last = Some(Attempt {
            at: Instant::now(),
            succeeded: read.is_ok(),
        });
        read.map_err(|_| Outage::KeyServerUnavailable)
    }

    async fn read(&self) -> Result<KeySet, String> {
        let set = match &self.location {
            KeyLocation::Jwks(url) => url.clone(),
            KeyLocation::Discovery { document, issuer } => self.discover(document, issuer).await?,
        };
        let body = self.get(set).await?;
        let mut keys = KeySet::from_jwks(&body).map_err(|error| format!("the answer {error}"))?;
        if !self.allowed.is_empty() {
            keys.restrict(&self.allowed);
        }
        if keys.is_empty() {
            return Err("none of its keys is for an algorithm that is allowed".to_owned());
        }
        Ok(keys)
    }

    /// A document that speaks for another issuer is not followed: its keys would vouch for tokens that they have no right to.
    async fn discover(&self, document: &Url, issuer: &str) -> Result<Url, String> {
        let body = self.get(document.clone()).await?;
        let found: DiscoveryDocument = serde_json::from_slice(&body)
            .map_err(|_| "the answer is no discovery document".to_owned())?;
        if found.issuer != issuer {
            return Err(format!(
                "the discovery document is of the issuer {:?}, and {issuer:?} is expected",
                found.issuer
            ));
        }
        let unreadable = |_| format!("jwks_uri is no URL: {:?}", found.jwks_uri);
        found.jwks_uri.parse().map_err(unreadable)
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        let answer = self.http.get(url, HeaderMap::new()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status.as_u16() == 200 {
            Ok(answer.body)
        } else {
            Err(format!("the answer is {}", answer.status))
        }
    }

    fn host(&self) -> &str {
        let (KeyLocation::Jwks(url) | KeyLocation::Discovery { document: url, .. }) =
            &self.location;
        url.host_str().unwrap_or_default()
    }
}

#[async_trait]
impl KeySource for KeyServer {
    fn current(&self) -> Option<Arc<KeySet>> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn renew(&self) -> Result<Arc<KeySet>, Outage> {
        self.read_again().await
    }
}
