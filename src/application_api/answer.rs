//! Interprets the API's response: a user, no user, or an outage.

use std::sync::Arc;

use crate::gate::verify::{SessionRefusal, UserClaims};

/// The meaning of an answer.
///
/// The visitor chooses the cookie, so nothing that a cookie can cause counts as a failure of the
/// API.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// A user is signed in; these are the claims.
    Somebody(UserClaims),
    /// The API does not know the session, or refuses the cookie or the gate: 4xx (RFC 9110 §15.5).
    Nobody(SessionRefusal),
    /// The answer violates the contract, such as a redirect or a body that is not a JSON object.
    Unusable(String),
    /// The API cannot answer: 408, 429, 5xx.
    Failed(String),
}

impl Verdict {
    /// Reads an answer.
    pub fn of(status: u16, body: &[u8]) -> Self {
        match status {
            200 => serde_json::from_slice(body).map_or_else(
                |_| Self::Unusable("the response is not a JSON object".to_owned()),
                |claims| Self::Somebody(Arc::new(claims)),
            ),
            408 | 429 | 500.. => Self::Failed(format!("the response status is {status}")),
            403 => Self::Nobody(SessionRefusal::Forbidden),
            400..500 => Self::Nobody(SessionRefusal::Unknown),
            _ => Self::Unusable(format!("the response status is {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_meaning() {
        for status in 100..=999 {
            let verdict = Verdict::of(status, b"{}");
            let expected = match status {
                200 => matches!(verdict, Verdict::Somebody(_)),
                408 | 429 => matches!(verdict, Verdict::Failed(_)),
                403 => verdict == Verdict::Nobody(SessionRefusal::Forbidden),
                400..=499 => verdict == Verdict::Nobody(SessionRefusal::Unknown),
                500..=999 => matches!(verdict, Verdict::Failed(_)),
                _ => matches!(verdict, Verdict::Unusable(_)),
            };
            assert!(expected, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn only_an_object_names_a_user() {
        for body in [
            "",
            "[]",
            "null",
            "\"ann@example.com\"",
            "{}{}",
            "<html>",
            "{",
            "\u{feff}{}",
        ] {
            let verdict = Verdict::of(200, body.as_bytes());
            assert!(
                matches!(verdict, Verdict::Unusable(_)),
                "{body}: {verdict:?}"
            );
        }
    }
}
