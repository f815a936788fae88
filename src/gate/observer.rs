//! Observes how a verdict is reached.
//!
//! In: the steps of the stages, and what they change. Out: nothing; an observer can't influence a
//! decision. The HTTP adapter writes steps to the log and changes to the audit trail; `inspect`
//! prints the steps.
//!
//! A step never contains a token, a cookie or a secret. It may contain claims, which are personal
//! data and chosen by whoever made the token: [`Shown`] and [`Cut`] escape and shorten them.

use std::fmt::{self, Write as _};

use serde_json::Value;

/// The most characters of a text from outside that a log line shows.
const MAX_SHOWN: usize = 100;

/// Observes what happens while the gate decides about one request.
pub trait Observer {
    /// Whether [`step`](Self::step) does something. Nothing is formatted otherwise.
    fn wants_steps(&self) -> bool;

    /// A stage has looked for something, or compared something.
    fn step(&self, step: fmt::Arguments<'_>);

    /// Something has changed, whatever the verdict will be.
    fn changed(&self, change: Change);
}

/// What a request changes besides opening a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// An account was created.
    AccountCreated {
        /// Primary key in `htx_user`.
        user_id: i32,
    },
    /// The user became staff, because their groups say so.
    StaffGranted {
        /// Primary key in `htx_user`.
        user_id: i32,
    },
    /// The user is no longer staff, because their groups say so.
    StaffWithdrawn {
        /// Primary key in `htx_user`.
        user_id: i32,
    },
    /// The user's session has ended because they signed out.
    SignedOut {
        /// Primary key in `htx_user`.
        user_id: i32,
    },
}

/// An observer that ignores everything.
pub struct NoObserver;

impl Observer for NoObserver {
    fn wants_steps(&self) -> bool {
        false
    }

    fn step(&self, _: fmt::Arguments<'_>) {}

    fn changed(&self, _: Change) {}
}

/// An observer, labeled with the stage or method (`by`) that reports to it.
#[derive(Clone, Copy)]
pub struct Steps<'o> {
    observer: &'o dyn Observer,
    by: &'o str,
}

impl<'o> Steps<'o> {
    /// Steps of `by`.
    pub const fn new(observer: &'o dyn Observer, by: &'o str) -> Self {
        Self { observer, by }
    }

    /// Steps that nobody listens to.
    pub const fn unheard() -> Self {
        Self::new(&NoObserver, "")
    }

    /// The steps of something that this stage uses.
    pub const fn by(self, by: &'o str) -> Self {
        Self { by, ..self }
    }

    /// Whether anybody listens.
    pub fn are_wanted(self) -> bool {
        self.observer.wants_steps()
    }

    /// Reports a step.
    pub fn note(self, step: fmt::Arguments<'_>) {
        if self.observer.wants_steps() {
            let by = self.by;
            self.observer.step(format_args!("{by}: {step}"));
        }
    }
}

/// Text from outside in quotes, escaped and shortened.
pub struct Cut<'t>(pub &'t str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        write_cut(self.0, "", f)?;
        f.write_char('"')
    }
}

/// A claim as JSON, escaped and shortened; `nothing` if it is missing.
pub struct Shown<'v>(pub Option<&'v Value>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("nothing"),
            Some(Value::String(text)) => Cut(text).fmt(f),
            // JSON's own quotes need no escaping.
            Some(value) => write_cut(&value.to_string(), "\"", f),
        }
    }
}

/// Text from outside for a field of the log, escaped and shortened.
pub fn plain(text: &str) -> String {
    Plain(text).to_string()
}

struct Plain<'t>(&'t str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cut(self.0, "\"\\", f)
    }
}

/// Writes text without its control and invisible characters. The characters in `harmless` and
/// single quotes stay as they are.
fn write_cut(text: &str, harmless: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for c in text.chars().take(MAX_SHOWN) {
        match c {
            c if c == '\'' || harmless.contains(c) => f.write_char(c)?,
            c => write!(f, "{}", c.escape_debug())?,
        }
    }
    let is_cut = text.chars().nth(MAX_SHOWN).is_some();
    f.write_str(if is_cut { "…" } else { "" })
}

/// Several claims' values.
pub struct OneOf<'v>(pub &'v [Value]);

impl fmt::Display for OneOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, value) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { " or " };
            write!(f, "{separator}{}", Shown(Some(value)))?;
        }
        Ok(())
    }
}

/// Several texts, each in quotes.
pub struct Each<I>(pub I);

impl<I> fmt::Display for Each<I>
where
    I: IntoIterator + Clone,
    I::Item: AsRef<str>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for text in self.0.clone() {
            write!(f, "{separator}{}", Cut(text.as_ref()))?;
            separator = ", ";
        }
        match separator {
            "" => f.write_str("nothing"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_from_outside_is_escaped_and_cut() {
        for (value, expected) in [
            (json!("plain"), r#""plain""#.to_owned()),
            (
                json!("a\n\"b\"\u{1b}[31m"),
                r#""a\n\"b\"\u{1b}[31m""#.to_owned(),
            ),
            (json!("\u{202e}evil"), r#""\u{202e}evil""#.to_owned()),
            (json!("x".repeat(101)), format!("\"{}…\"", "x".repeat(100))),
            (json!(["a", 7]), r#"["a",7]"#.to_owned()),
            (json!(["\u{202e}"]), r#"["\u{202e}"]"#.to_owned()),
            (json!(7), "7".to_owned()),
        ] {
            assert_eq!(Shown(Some(&value)).to_string(), expected, "{value}");
        }
        let long = json!(vec!["abc"; 50]);
        assert_eq!(Shown(Some(&long)).to_string().chars().count(), 101);
        assert_eq!(Shown(None).to_string(), "nothing");
        assert_eq!(plain("o'hara\\@x\n\u{202e}"), "o'hara\\@x\\n\\u{202e}");
        assert_eq!(Each(&["a", "b"]).to_string(), r#""a", "b""#);
        assert_eq!(Each::<[&str; 0]>([]).to_string(), "nothing");
    }
}
