//! Tries the API, for `doctor`: a made-up session, with the secret and with another one.
//!
//! In: the API as the service asks it. Out: a [`Trial`]. Nothing is cached, and the circuit breaker
//! is left alone.

use reqwest::header::HeaderValue;

use super::{Api, ApplicationApi, Verdict};
use crate::http_client::{Answer, NoAnswer};

/// A session that no application has.
const NO_SESSION: &str = "label-studio-gate-doctor";

/// A secret that no application has.
const WRONG_SECRET: &str = "label-studio-gate-doctor-tries-a-wrong-secret";

/// What the API answers to a made-up session.
pub struct Trial {
    /// With the configured secret.
    pub verdict: Verdict,
    /// What the answers tell about the secret.
    pub secret: SecretTrial,
}

/// What the API's answers tell about the configured secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretTrial {
    /// A wrong one is answered differently, so the configured one is right.
    Right,
    /// A wrong one is answered in the same way, so the configured one may be wrong too.
    Unknown,
}

impl ApplicationApi {
    /// Asks about a made-up session, with the configured secret and with a wrong one.
    pub async fn try_out(&self) -> Result<Trial, NoAnswer> {
        let api = &self.0;
        let own = api.ask_about_nobody(api.secret.clone()).await?;
        let again = api.ask_about_nobody(api.secret.clone()).await?;
        let wrong = api
            .ask_about_nobody(HeaderValue::from_static(WRONG_SECRET))
            .await?;
        // An answer may hold something that differs each time, such as a request ID.
        let is_stable = own.body == again.body;
        let is_alike = own.status == wrong.status && (!is_stable || own.body == wrong.body);
        Ok(Trial {
            verdict: api.judge(&own),
            secret: match is_alike {
                true => SecretTrial::Unknown,
                false => SecretTrial::Right,
            },
        })
    }
}

impl Api {
    async fn ask_about_nobody(&self, secret: HeaderValue) -> Result<Answer, NoAnswer> {
        let cookie = format!("{}={NO_SESSION}", self.cookie_name);
        let cookie = HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(NO_SESSION));
        self.request(cookie, secret).await
    }
}
