//! The other direction of the vectors: the real Django reads what the gate writes.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use label_studio_gate::django::{AuthHasher, SessionCodec, SessionData};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::label_studio::venv;
use crate::support::token::SECRET_KEY;

/// Reads a list of sessions and says what Django makes of each.
const SCRIPT: &str = r#"
import json, sys
from django.conf import settings
cases = json.load(sys.stdin)
settings.configure(SECRET_KEY=cases["secret_key"], SESSION_COOKIE_AGE=1209600,
                   INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"])
import django
django.setup()
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.sessions.backends.db import SessionStore as Rows
from django.contrib.sessions.backends.signed_cookies import SessionStore as Cookies
class Person(AbstractBaseUser):
    class Meta:
        app_label = "auth"
answers = []
for case in cases["cases"]:
    answers.append({
        "row": Rows().decode(case["row"]),
        "cookie": dict(Cookies(case["cookie"]).items()),
        "hash": Person(password=case["password"]).get_session_auth_hash(),
    })
json.dump(answers, sys.stdout)
"#;

#[test]
fn django_reads_the_sessions_of_the_gate() {
    let secret = SecretString::from(SECRET_KEY);
    let (codec, hasher) = (SessionCodec::new(&secret), AuthHasher::new(&secret));
    let now = SystemTime::now();
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/sessions_encode.json")).unwrap();
    let mut sessions: Vec<Value> = vectors["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|case| serde_json::from_str(case["json"].as_str()?).ok())
        .collect();
    sessions.push(json!({"last_login": 1_800_000_000.123_456, "name": "한국어 \u{1f600} \u{7f} \" \\ \n", "long": "x".repeat(5000)}));
    assert!(sessions.len() > 20);
    let cases: Vec<Value> = sessions
        .iter()
        .enumerate()
        .map(|(n, content)| {
            let mut session = SessionData::new();
            for (name, value) in content.as_object().unwrap() {
                session.insert(name, value.clone());
            }
            let age = Duration::from_secs(1000 * u64::try_from(n).unwrap());
            json!({
                "row": codec.encode_row(&session, now - age),
                "cookie": codec.encode_cookie(&session, now - age),
                "password": format!("!password {n}"),
            })
        })
        .collect();
    let mut python = Command::new(venv().join("bin/python"))
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!({"secret_key": SECRET_KEY, "cases": cases}).to_string();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), sessions.len());
    for (n, (answer, session)) in answers.iter().zip(&sessions).enumerate() {
        assert_eq!(answer["row"], *session);
        assert_eq!(answer["cookie"], *session);
        assert_eq!(answer["hash"], hasher.hash(&format!("!password {n}")));
    }
}
