//! What the API's answer means: somebody, nobody, or an outage.

use std::sync::Arc;

use crate::gate::verify::Person;

/// What an answer comes to.
///
/// A visitor chooses the cookie that is asked about. So what a cookie can bring about never counts as a failure of the API.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Somebody is signed in.
    Somebody(Person),
    /// The API knows no such session, or does not take the cookie: 4xx (RFC 9110 §15.5).
    Nobody,
    /// It has answered with something that was not agreed on: no JSON object, a redirect.
    Unusable(String),
    /// It says that it cannot answer: 408, 429, 5xx.
    Failed(String),
}

impl Verdict {
    /// Reads an answer.
    pub fn of(status: u16, body: &[u8]) -> Self {
        match status {
            200 => serde_json::from_slice(body).map_or_else(
                |_| Self::Unusable("the answer is no JSON object".to_owned()),
                |person| Self::Somebody(Arc::new(person)),
            ),
            408 | 429 | 500.. => Self::Failed(format!("the answer is {status}")),
            400..500 => Self::Nobody,
            _ => Self::Unusable(format!("the answer is {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_means_one_thing() {
        for status in 100..=999 {
            let verdict = Verdict::of(status, b"{}");
            let expected = match status {
                200 => matches!(verdict, Verdict::Somebody(_)),
                408 | 429 => matches!(verdict, Verdict::Failed(_)),
                400..=499 => verdict == Verdict::Nobody,
                500..=999 => matches!(verdict, Verdict::Failed(_)),
                _ => matches!(verdict, Verdict::Unusable(_)),
            };
            assert!(expected, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn only_an_object_is_somebody() {
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
