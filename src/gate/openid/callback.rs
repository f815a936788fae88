//! The provider's answer: the query of the redirect back to the gate.
//!
//! In: a query. Out: its parameters (RFC 6749 §4.1.2, RFC 9207 §2). Afterwards, each that the gate
//! reads came once; two readers of the same query cannot disagree.

use url::form_urlencoded;

/// Longest error text that is kept for the log.
const MAX_ERROR: usize = 200;

/// What the provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The user signed in: `code`.
    Code(Code),
    /// They didn't: `error`, and `error_description` for the log.
    Error {
        /// The code of the error.
        code: String,
        /// The provider's words.
        description: Option<String>,
    },
}

/// An authorization code. It is worth a token to whoever has the flow's secrets, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// The code.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Code({} bytes)", self.0.len())
    }
}

/// The parameters that the gate reads. It ignores others (RFC 6749 §4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// `state`
    pub state: String,
    /// `iss`
    pub issuer: Option<String>,
    /// `code` or `error`
    pub outcome: Outcome,
}

/// The query is not an answer to an authorization request: a parameter is missing or came twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query is not an answer to an authorization request")]
pub struct NoCallback;

impl Callback {
    /// Reads the query of the redirect.
    pub fn parse(query: &str) -> Result<Self, NoCallback> {
        let (mut state, mut issuer, mut code) = (None, None, None);
        let (mut error, mut description) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let parameter = match &*name {
                "state" => &mut state,
                "iss" => &mut issuer,
                "code" => &mut code,
                "error" => &mut error,
                "error_description" => &mut description,
                _ => continue,
            };
            if parameter.replace(value.into_owned()).is_some() {
                return Err(NoCallback);
            }
        }
        let outcome = match (code, error) {
            (Some(code), None) if !code.is_empty() => Outcome::Code(Code(code)),
            (None, Some(code)) if !code.is_empty() => Outcome::Error {
                code: shortened(code),
                description: description.map(shortened),
            },
            _ => return Err(NoCallback),
        };
        Ok(Self {
            state: state.filter(|state| !state.is_empty()).ok_or(NoCallback)?,
            issuer,
            outcome,
        })
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_ERROR) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let code = Callback::parse("code=a%2Bb&state=s&iss=https%3A%2F%2Fop.test&session_state=1");
        assert_eq!(
            code,
            Ok(Callback {
                state: "s".to_owned(),
                issuer: Some("https://op.test".to_owned()),
                outcome: Outcome::Code(Code("a+b".to_owned())),
            })
        );
        let error = Callback::parse("error=access_denied&error_description=no+way&state=s");
        assert_eq!(
            error.map(|callback| callback.outcome),
            Ok(Outcome::Error {
                code: "access_denied".to_owned(),
                description: Some("no way".to_owned()),
            })
        );
    }

    #[test]
    fn other_queries_are_no_answer() {
        for query in [
            "",
            "code=a",
            "state=s",
            "code=&state=s",
            "code=a&state=",
            "error=&state=s",
            "code=a&error=b&state=s",
            "code=a&code=a&state=s",
            "code=a&state=s&state=s",
            "code=a&state=s&st%61te=t",
            "code=a&state=s&iss=x&iss=x",
            "error=a&error=a&state=s",
            "error=a&error_description=b&error_description=b&state=s",
        ] {
            assert_eq!(Callback::parse(query), Err(NoCallback), "{query}");
        }
    }

    #[test]
    fn long_error_is_cut() {
        let query = format!("error={}&state=s", "%C3%A9".repeat(500));
        let callback = Callback::parse(&query).expect("an answer");
        let Outcome::Error { code, .. } = callback.outcome else {
            panic!("it is an error");
        };
        assert_eq!(code.chars().count(), MAX_ERROR);
    }
}
