//! Adapter: the published keys of an issuer.
//!
//! In: the URL of a JSON Web Key Set, or of an OpenID provider's discovery document that names one, or
//! the address below which each key is found by its ID (`by_id`).
//! Out: a snapshot of the keys, which requests read without waiting.
//!
//! The snapshot is refreshed in the background. A token with an unknown `kid` triggers a refresh at
//! once, but no more often than the cooldown allows, because anybody can make up a `kid`. If keys are
//! found by their ID, only that one is read, and the cooldown holds for IDs that turn out made up. If the
//! server is down, the snapshot stays as it is, and the server is asked again after short, growing
//! pauses (`schedule`).

mod by_id;
mod error;
mod measures;
mod schedule;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use jsonwebtoken::Algorithm;
use reqwest::header::HeaderMap;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument as _;

use self::by_id::Missed;
pub use self::error::ReadError;
use self::measures::Measures;
pub use self::measures::Named;
use self::schedule::Attempt;
pub use self::schedule::Refresh;
use crate::deadline;
use crate::gate::entropy::Entropy;
use crate::gate::reason::Outage;
use crate::gate::verify::{KeySet, KeySource};
use crate::http_client::HttpClient;
use crate::settings::KeyLocation;
use crate::traces;

/// The keys of one issuer.
pub struct KeyServer {
    location: KeyLocation,
    allowed: Vec<Algorithm>,
    refresh: Refresh,
    http: HttpClient,
    entropy: Arc<dyn Entropy>,
    snapshot: ArcSwapOption<KeySet>,
    /// When the snapshot was read.
    read_at: ArcSwapOption<Instant>,
    measures: Measures,
    last: Mutex<Option<Attempt>>,
    missed: Mutex<Missed>,
    /// Held while the server is asked.
    turn: tokio::sync::Mutex<()>,
    /// Tells the background task that a token's attempt failed.
    failed: Arc<Notify>,
    this: Weak<Self>,
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
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            location,
            allowed,
            refresh,
            http,
            entropy,
            snapshot: ArcSwapOption::empty(),
            read_at: ArcSwapOption::empty(),
            measures: Measures::default(),
            last: Mutex::default(),
            missed: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            failed: Arc::default(),
            this: this.clone(),
        })
    }

    /// Takes over the keys that `previous` has read from the same place.
    pub fn take_over(&self, previous: &Self) {
        self.snapshot.store(previous.current());
        self.read_at.store(previous.read_at.load_full());
    }

    /// Refreshes the keys periodically until the server is dropped. Spawn it as a task.
    pub async fn keep_fresh(server: Weak<Self>) {
        loop {
            let Some(this) = server.upgrade() else {
                return;
            };
            let (failed, wait) = (this.failed.clone(), this.background_wait());
            drop(this);
            let is_due = tokio::select! {
                () = tokio::time::sleep(wait) => true,
                () = failed.notified() => false,
            };
            if is_due && let Some(this) = server.upgrade() {
                // The outcome is in the snapshot and in the log.
                let _ = this.refresh(None, Refresh::background_pause).await;
            }
        }
    }

    /// Consecutive failed attempts to read the keys. 0: the last one succeeded, or there was none.
    pub fn failures(&self) -> u32 {
        self.last_attempt().map_or(0, |attempt| attempt.failures)
    }

    /// The time until the background task asks the server again.
    fn background_wait(&self) -> Duration {
        let Some(attempt) = self.last_attempt() else {
            return Duration::ZERO;
        };
        let pause = self.refresh.background_pause(attempt);
        let due = attempt.at + self.entropy.with_jitter(pause);
        due.saturating_duration_since(Instant::now())
    }

    fn last_attempt(&self) -> Option<Attempt> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last attempt's result, if it is not older than `pause` says. A successful one by ID says
    /// nothing about other IDs.
    fn settled(
        &self,
        id: Option<&str>,
        pause: fn(&Refresh, Attempt) -> Duration,
    ) -> Option<Result<Arc<KeySet>, Outage>> {
        let attempt = self.last_attempt()?;
        let is_settled = match id {
            Some(id) if self.is_by_id() && !self.may_read(id) => true,
            Some(_) if self.is_by_id() && attempt.failures == 0 => false,
            _ => attempt.at.elapsed() < pause(&self.refresh, attempt),
        };
        let known = self.current().filter(|_| attempt.failures == 0);
        is_settled.then(|| known.ok_or(Outage::KeyServerUnavailable))
    }

    const fn is_by_id(&self) -> bool {
        matches!(self.location, KeyLocation::ById(_))
    }

    /// Reads the keys, with the one of this ID, unless the last attempt is not older than `pause`
    /// says. Concurrent callers share one attempt.
    async fn refresh(
        &self,
        id: Option<&str>,
        pause: fn(&Refresh, Attempt) -> Duration,
    ) -> Result<Arc<KeySet>, Outage> {
        let _turn = self.turn.lock().await;
        if let Some(settled) = self.settled(id, pause) {
            return settled;
        }
        let last = self.last_attempt();
        let begun = Instant::now();
        let read = self.read_with(id).await.map(Arc::new);
        self.measures.observe(read.is_ok(), begun.elapsed());
        // One key of many: the others are as old as they were.
        let is_part = id.is_some() && self.is_by_id() && read.is_ok();
        if let Ok(keys) = &read {
            self.snapshot.store(Some(keys.clone()));
            if !is_part || self.read_at.load().is_none() {
                self.read_at.store(Some(Arc::new(Instant::now())));
            }
        }
        let failures = self.report(&read, last.map_or(0, |attempt| attempt.failures));
        let at = last.map(|attempt| attempt.at).filter(|_| is_part);
        // After the snapshot, so that a caller who sees the attempt sees both.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Attempt {
            at: at.unwrap_or_else(Instant::now),
            failures,
        });
        read.map_err(|_| Outage::KeyServerUnavailable)
    }

    /// Logs an attempt after `failures` failed ones, and counts it. Failures are logged ever more
    /// rarely: the 1st, 2nd, 4th, 8th, …
    fn report(&self, read: &Result<Arc<KeySet>, ReadError>, failures: u32) -> u32 {
        let server = self.host();
        match read {
            Ok(keys) if failures > 0 => {
                tracing::info!(server, keys = keys.len(), "read the issuer's keys again");
                0
            }
            Ok(keys) => {
                tracing::debug!(server, keys = keys.len(), "read the keys");
                0
            }
            Err(error) => {
                let failures = failures.saturating_add(1);
                if failures.is_power_of_two() {
                    let cure = error.cure();
                    tracing::error!(server, %error, cure, failures, "could not read the issuer's keys");
                }
                failures
            }
        }
    }

    /// Reads the keys once, without the cooldown, and keeps nothing.
    pub async fn read(&self) -> Result<KeySet, ReadError> {
        self.read_with(None).await
    }

    async fn read_with(&self, id: Option<&str>) -> Result<KeySet, ReadError> {
        let set = match &self.location {
            KeyLocation::ById(place) => return self.read_by_id(place, id).await,
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
        let answer = self.http.get(url.clone(), HeaderMap::new()).await?;
        match answer.redirect_target(&url) {
            Some(target) => Err(ReadError::Redirect(target)),
            None if answer.status == StatusCode::OK => Ok(answer.body),
            None => Err(ReadError::Status(answer.status)),
        }
    }

    /// The server's host, for messages: the URL may hold a password.
    pub fn host(&self) -> &str {
        let (KeyLocation::Jwks(url)
        | KeyLocation::ById(url)
        | KeyLocation::Discovery { document: url, .. }) = &self.location;
        url.host_str().unwrap_or_default()
    }
}

#[async_trait]
impl KeySource for KeyServer {
    fn current(&self) -> Option<Arc<KeySet>> {
        self.snapshot.load_full()
    }

    /// The attempt is a task of its own, so that it goes on if the request that triggered it does not
    /// wait for it.
    async fn renew(&self, id: Option<&str>) -> Result<Arc<KeySet>, Outage> {
        if let Some(settled) = self.settled(id, Refresh::token_pause) {
            return settled;
        }
        let this = self.this.upgrade().ok_or(Outage::KeyServerUnavailable)?;
        let id = id.map(str::to_owned);
        let attempt = async move {
            let read = this.refresh(id.as_deref(), Refresh::token_pause).await;
            if read.is_err() {
                this.failed.notify_one();
            }
            read
        };
        let (outage, attempt) = (
            Outage::KeyServerUnavailable,
            tokio::spawn(traces::carried(attempt).in_current_span()),
        );
        let read = deadline::wait_for(outage, attempt).await?;
        read.map_err(|_| outage)?
    }
}
