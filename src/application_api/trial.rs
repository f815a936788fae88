//! Tries the API, for `doctor` and when the secret is in doubt: a made-up session, with the secret
//! and with another one.
//!
//! In: the API as the service asks it. Out: a [`Trial`]. Nothing is cached, and the circuit breaker
//! is left alone.

use reqwest::StatusCode;
use reqwest::header::HeaderValue;

use super::{Api, ApplicationApi, Verdict};
use crate::http_client::{Answer, NoAnswer};

/// A session that no application has.
const NO_SESSION: &str = "label-studio-gate-tries-a-made-up-session";

/// A secret that no application has.
const WRONG_SECRET: &str = "label-studio-gate-tries-a-wrong-secret";

/// What the API answers to a made-up session.
pub struct Trial {
    /// With the configured secret.
    pub verdict: Verdict,
    /// What the answers tell about the secret.
    pub secret: SecretTrial,
    status: StatusCode,
}

impl Trial {
    /// What the API answers if `client_session.verify_url` leads elsewhere; `None` if the API tells
    /// secrets apart, or its answer says nothing about that.
    pub fn misses(&self) -> Option<&'static str> {
        match self.status {
            _ if self.secret == SecretTrial::Right => None,
            StatusCode::NOT_FOUND => Some(
                "answers 404 to a right and a wrong secret: there is probably nothing at the path of \
                 client_session.verify_url",
            ),
            StatusCode::METHOD_NOT_ALLOWED => Some(
                "answers 405: what is at the path of client_session.verify_url does not accept GET",
            ),
            _ => None,
        }
    }
}

/// What the API's answers tell about the configured secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretTrial {
    /// A wrong one is answered differently, so the configured one is right.
    Right,
    /// A wrong one is answered in the same way, so the configured one may be wrong too.
    Unknown,
    /// With a wrong one the API names a user, so it doesn't check the secret.
    Unchecked,
    /// To a wrong one the API says that it cannot answer, as it would to too many requests.
    Unanswered,
}

impl ApplicationApi {
    /// Asks about a made-up session, with the configured secret and with a wrong one.
    pub async fn try_out(&self) -> Result<Trial, NoAnswer> {
        self.0.try_out().await
    }
}

impl Api {
    pub(super) async fn try_out(&self) -> Result<Trial, NoAnswer> {
        let own = self.ask_about_nobody(self.secret.clone()).await?;
        let again = self.ask_about_nobody(self.secret.clone()).await?;
        let wrong = HeaderValue::from_static(WRONG_SECRET);
        let wrong = self.ask_about_nobody(wrong).await?;
        // An answer may hold something that differs each time, such as a request ID.
        let is_stable = own.body == again.body;
        let is_alike = own.status == wrong.status && (!is_stable || own.body == wrong.body);
        let secret = match self.judge(&wrong) {
            Verdict::Somebody(_) => SecretTrial::Unchecked,
            Verdict::Failed(_) => SecretTrial::Unanswered,
            _ if is_alike => SecretTrial::Unknown,
            _ => SecretTrial::Right,
        };
        Ok(Trial {
            verdict: self.judge(&own),
            secret,
            status: own.status,
        })
    }

    async fn ask_about_nobody(&self, secret: HeaderValue) -> Result<Answer, NoAnswer> {
        let cookie = format!("{}={NO_SESSION}", self.cookie_name);
        let cookie = HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(NO_SESSION));
        self.request(cookie, secret).await
    }
}
