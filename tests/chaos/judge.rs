//! Asks the real Django whose session a cookie is. An answer of the gate is right only if Django
//! says so.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::gate::Engine;
use crate::postgres::{DATABASE, ask};
use crate::support::token::SECRET_KEY;

/// A Python process that answers while the run lasts. It exits when its standard input closes.
pub struct Judge {
    _python: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    /// The users' password columns, on which sessions depend, by ID.
    pub fn start(passwords: &BTreeMap<String, String>) -> Self {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.cache/python");
        let venv = std::env::var_os("GATE_TEST_PYTHON_VENV").map_or(default, Into::into);
        let mut python = Command::new(venv.join("bin/python"))
            .args(["-c", include_str!("judge.py"), SECRET_KEY])
            .arg(json!(passwords).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is installed (tests/run installs it)");
        Self {
            questions: python.stdin.take().expect("piped"),
            answers: BufReader::new(python.stdout.take().expect("piped")),
            _python: python,
        }
    }

    /// The user whose session each cookie is, as Django finds it now in the cookie or in its row.
    /// `None` if the server on this port does not answer.
    pub fn owners(
        &mut self,
        engine: Engine,
        cookies: &[String],
        postgres: u16,
    ) -> Option<Vec<Option<i32>>> {
        let mut owners = Vec::new();
        for cookies in cookies.chunks(500) {
            let cases = match engine {
                Engine::SignedCookies => {
                    let cases = cookies.iter().map(|cookie| json!({"cookie": cookie}));
                    cases.collect()
                }
                Engine::Database => {
                    let rows = rows(postgres, cookies)?;
                    let row = |key: &String| rows.get(key).map_or("", String::as_str);
                    let cases = cookies.iter().map(|key| json!({"row": row(key)}));
                    cases.collect()
                }
            };
            owners.extend(self.ask(&Value::Array(cases)));
        }
        assert_eq!(owners.len(), cookies.len());
        Some(owners)
    }

    fn ask(&mut self, question: &Value) -> Vec<Option<i32>> {
        writeln!(self.questions, "{question}").expect("Django listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("Django answers");
        let owners: Vec<Option<String>> = serde_json::from_str(&answer).expect("a list");
        let number = |owner: Option<String>| owner.and_then(|id| id.parse().ok());
        owners.into_iter().map(number).collect()
    }
}

/// The rows of these sessions that have not expired.
fn rows(postgres: u16, keys: &[String]) -> Option<BTreeMap<String, String>> {
    let plausible = keys
        .iter()
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let listed: Vec<String> = plausible.map(|key| format!("'{key}'")).collect();
    if listed.is_empty() {
        return Some(BTreeMap::new());
    }
    let question = format!(
        "SELECT session_key || ' ' || session_data FROM django_session WHERE expire_date > now() AND session_key IN ({})",
        listed.join(",")
    );
    let found = ask(postgres, DATABASE, &question)?;
    let pairs = found.lines().filter_map(|line| line.split_once(' '));
    let owned = pairs.map(|(key, data)| (key.to_owned(), data.to_owned()));
    Some(owned.collect())
}
