//! Adapter: the published keys of an issuer.
//!
//! In: the URL of a JSON Web Key Set, or of an OpenID provider's discovery document that names one.
//! Out: a snapshot of the keys, which requests read without waiting.
//!
//! The snapshot is refreshed in the background. A token with an unknown `kid` triggers a refresh at
//! once, but no more often than the cooldown allows, because anybody can make up a `kid`. If the
//! server is down, the snapshot stays as it is.

mod error;
mod measures;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

pub use self::error::ReadError;
use self::measures::Measures;
pub use self::measures::Named;
use crate::gate::reason::Outage;
use crate::gate::verify::{KeySet, KeySource};
use crate::http_client::HttpClient;
use crate::settings::KeyLocation;

/// When keys are refreshed.
#[derive(Debug, Clone, Copy)]
pub struct Refresh {
    /// Interval of the background refresh.
    pub every: Duration,
    /// Minimum time between two attempts.
    pub cooldown: Duration,
}

/// The keys of one issuer.
pub struct KeyServer {
    location: KeyLocation,
    allowed: Vec<Algorithm>,
    refresh: Refresh,
    http: HttpClient,
    snapshot: ArcSwapOption<KeySet>,
    /// When the snapshot was read.
    read_at: ArcSwapOption<Instant>,
    measures: Measures,
    last: tokio::sync::Mutex<Option<Attempt>>,
}

/// The last request to the server.
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
    /// Reads nothing yet. If `allowed` names algorithms, keys for other algorithms are dropped.
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
            snapshot: ArcSwapOption::empty(),
            read_at: ArcSwapOption::empty(),
            measures: Measures::default(),
            last: tokio::sync::Mutex::new(None),
        })
    }

    /// Refreshes the keys periodically until the server is dropped. Spawn it as a task.
    pub async fn keep_fresh(server: std::sync::Weak<Self>) {
        loop {
            let Some(this) = server.upgrade() else {
                return;
            };
            let pause = match this.refresh().await {
                Ok(_) => this.refresh.every,
                Err(_) => this.refresh.cooldown,
            };
            drop(this);
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads the keys unless the cooldown is running. Concurrent callers share one request.
    async fn refresh(&self) -> Result<Arc<KeySet>, Outage> {
        let mut last = self.last.lock().await;
        if let Some(attempt) = *last
            && attempt.at.elapsed() < self.refresh.cooldown
        {
            let known = self.current().filter(|_| attempt.succeeded);
            return known.ok_or(Outage::KeyServerUnavailable);
        }
        let begun = Instant::now();
        let read = self.read().await.map(Arc::new);
        self.measures.observe(read.is_ok(), begun.elapsed());
        match &read {
            Ok(keys) => {
                tracing::debug!(server = %self.host(), keys = keys.len(), "read the keys");
                self.snapshot.store(Some(keys.clone()));
                self.read_at.store(Some(Arc::new(Instant::now())));
            }
            Err(error) => {
                tracing::error!(server = %self.host(), %error, "could not read the issuer's keys");
            }
        }
        // After the snapshot, so that a caller who gets the lock next sees both.
        *last = Some(Attempt {
            at: Instant::now(),
            succeeded: read.is_ok(),
        });
        read.map_err(|_| Outage::KeyServerUnavailable)
    }

    async fn read(&self) -> Result<KeySet, ReadError> {
        let set = match &self.location {
            KeyLocation::Jwks(url) => url.clone(),
            KeyLocation::Discovery { document, issuer } => self.discover(document, issuer).await?,
        };
        let body = self.get(set).await?;
        let mut keys = KeySet::from_jwks(&body)?;
        if !self.allowed.is_empty() {
            keys.restrict(&self.allowed);
        }
        if keys.is_empty() {
            return Err(ReadError::NoAllowedKey);
        }
        Ok(keys)
    }

    /// Rejects the document of another issuer: its keys must not verify this issuer's tokens.
    async fn discover(&self, document: &Url, issuer: &str) -> Result<Url, ReadError> {
        let body = self.get(document.clone()).await?;
        let found: DiscoveryDocument =
            serde_json::from_slice(&body).map_err(|_| ReadError::NotDiscovery)?;
        if found.issuer != issuer {
            return Err(ReadError::WrongIssuer {
                found: found.issuer,
                expected: issuer.to_owned(),
            });
        }
        Url::parse(&found.jwks_uri).map_err(|_| ReadError::NotUrl(found.jwks_uri))
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, ReadError> {
        let answer = self.http.get(url, HeaderMap::new()).await?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(ReadError::Status(answer.status))
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
        self.snapshot.load_full()
    }

    async fn renew(&self) -> Result<Arc<KeySet>, Outage> {
        self.refresh().await
    }
}
