//! Differential tests: generated inputs, read by the gate, by the real Django 3.2 and 5.2, and by
//! the real nginx.
//!
//! proptest keeps inputs on which they once differed (`tests/proptest-regressions`).
//! `PROPTEST_CASES=5000` searches longer.

mod cookies;
mod paths;
mod sessions;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::programs::installed;
use crate::support::token::SECRET_KEY;

/// Django 3.2 and 5.2.
static DJANGO: LazyLock<[Mutex<Django>; 2]> = LazyLock::new(|| {
    let old = installed("GATE_TEST_OLD_LABEL_STUDIO_VENV", "label-studio-1.13.1");
    [old, crate::label_studio::venv()].map(|venv| Mutex::new(Django::start(venv)))
});

/// A Python process that answers while the tests run. It exits when its standard input closes.
struct Django {
    _child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Django {
    fn start(venv: PathBuf) -> Self {
        let mut child = Command::new(venv.join("bin/python"))
            .args(["-c", include_str!("django.py"), SECRET_KEY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            questions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            _child: child,
        }
    }

    fn ask(&mut self, question: &Value) -> Vec<Value> {
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

/// Each version's answer to each case.
fn ask(kind: &str, cases: &[Value]) -> Vec<Vec<Value>> {
    let question = json!({"kind": kind, "cases": cases});
    let versions = DJANGO.iter();
    versions
        .map(|django| {
            let answers = django
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .ask(&question);
            assert_eq!(answers.len(), cases.len());
            answers
        })
        .collect()
}
