//! The stages of a check, each as a function that runs it once.
//!
//! They run on what real requests have: a browser's `Cookie` header, tokens of each algorithm,
//! sessions as Label Studio stores them. Users and sessions are in memory, so whole decisions cost
//! what the gate adds to the database's work.

mod decisions;
mod memory;

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use label_studio_gate::django::{
    AuthHasher, CookieAttributes, SameSite, SessionCodec, SessionData,
};
use label_studio_gate::gate::credential::{Credential, CredentialSources};
use label_studio_gate::gate::identity::ClaimMapping;
use label_studio_gate::gate::jws;
use label_studio_gate::gate::observer::NoObserver;
use label_studio_gate::gate::session::StoredData;
use label_studio_gate::gate::subrequest::{CookieHeader, Subrequest};
use label_studio_gate::gate::verify::{Expectation, Issuer, KeySet, Keys, Native, Verifier};
use secrecy::SecretString;
use serde_json::json;

/// Runs a stage once.
pub type Run = Box<dyn FnMut()>;

/// The name of a stage, and what prepares it.
pub type Stage = (&'static str, fn() -> Run);

/// The stages.
pub const STAGES: &[Stage] = &[
    ("read-cookies", read_cookies),
    ("read-uri", read_uri),
    ("verify-hs256", verify_hs256),
    ("verify-rs256", || verify(RS256)),
    ("verify-es256", || verify(ES256)),
    ("verify-eddsa", || verify(EDDSA)),
    ("encode-row", encode_row),
    ("encode-cookie", encode_cookie),
    ("decode-row", decode_row),
    ("answer-cookie", answer_cookie),
    ("decide-no-token", decisions::no_token),
    ("decide-live-row", decisions::live_row),
    ("decide-live-cookie", decisions::live_cookie),
    ("decide-login-row", decisions::login_row),
    ("decide-login-cookie", decisions::login_cookie),
];

const RS256: [&str; 2] = [
    include_str!("../tokens/rs256.pem"),
    include_str!("../tokens/rs256.jwt"),
];
const ES256: [&str; 2] = [
    include_str!("../tokens/es256.pem"),
    include_str!("../tokens/es256.jwt"),
];
const EDDSA: [&str; 2] = [
    include_str!("../tokens/eddsa.pem"),
    include_str!("../tokens/eddsa.jwt"),
];

pub(crate) const SECRET: &str = "benchmark-secret-key-of-fifty-characters-0123456789";
/// The time of every stage, in seconds since the epoch.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const FORTNIGHT: Duration = Duration::from_secs(1_209_600);
/// A password column: pbkdf2_sha256 as Django writes it.
pub(crate) const PASSWORD: &str =
    "pbkdf2_sha256$870000$0123456789abcdefABCDEF$0123456789abcdef0123456789abcdef0123456789a=";
/// What a browser sends besides the cookie in question.
const OTHERS: &str = "csrftoken=0123456789abcdefghijklmnopqrstuv; _ga=GA1.1.1234567890.1700000000; \
     _ga_ABCDEFGHIJ=GS1.1.1700000000.12.1.1700000100.0.0.0; ajs_anonymous_id=%22a3f1c2d4-0000-4000-8000-000000000000%22";

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn secret() -> SecretString {
    SecretString::from(SECRET)
}

/// The `Cookie` header of a browser with this cookie.
pub(crate) fn header(name: &str, value: &str) -> String {
    format!("{OTHERS}; {name}={value}")
}

/// A token as `POST /api/sso/token` issues it.
pub(crate) fn native_token() -> String {
    let claims = json!({
        "user_id": 7, "iat": NOW - 5, "exp": NOW + 600, "iss": "label-studio", "aud": "label-studio-sso",
        "jti": "0123456789abcdef", "gate_revocation": 0,
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jws::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("HMAC signs")
}

/// A session as the gate opens it, for the user 7.
pub(crate) fn session() -> SessionData {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let login = (NOW - 60) as f64 + 0.123_456;
    let mut session = SessionData::new();
    session.insert("uid", json!("00000000-0000-4000-8000-000000000007"));
    session.insert("organization_pk", json!(1));
    session.insert("last_login", json!(login));
    session.insert("_auth_user_id", json!("7"));
    session.insert(
        "_auth_user_backend",
        json!("django.contrib.auth.backends.ModelBackend"),
    );
    let hash = AuthHasher::new(&secret()).hash(PASSWORD);
    session.insert("_auth_user_hash", json!(hash));
    session.insert("jwt_auto_login", json!(true));
    session.insert("sso_method", json!("jwt"));
    session.insert("gate_login", json!([login, 0, 0]));
    session
}

pub(crate) fn cookie(name: &str) -> CookieAttributes {
    CookieAttributes {
        name: name.to_owned(),
        domain: None,
        path: "/".to_owned(),
        same_site: SameSite::Lax,
        secure: true,
        http_only: true,
        partitioned: false,
    }
}

/// The result of a future that waits for nothing.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("everything is in memory"),
    }
}

fn read_cookies() -> Run {
    let header = header("sessionid", "0123456789abcdefghijklmnopqrstuv");
    Box::new(move || {
        let cookies = CookieHeader::new(std::iter::once(black_box(header.as_bytes())));
        black_box((cookies.find("sessionid"), cookies.find("ls_auth_token")));
    })
}

fn read_uri() -> Run {
    let uri = format!("/projects/12/data?tab=3&task=456&token={}", native_token());
    let sources = CredentialSources {
        cookie: Some("ls_auth_token".to_owned()),
        parameter: "token".to_owned(),
        application_cookie: None,
    };
    Box::new(move || {
        let cookies = CookieHeader::new(std::iter::empty());
        let subrequest = Subrequest::new(black_box(&uri), cookies, None).expect("a path");
        black_box(Credential::find(&subrequest, &sources, None, None).count());
    })
}

fn verify_with(verifier: Verifier, token: String) -> Run {
    Box::new(move || {
        let credential = Credential::Token(black_box(token.as_str()).into());
        let verified = at_once(verifier.verify(&credential, now(), &NoObserver));
        black_box(verified.expect("a good token"));
    })
}

fn verify_hs256() -> Run {
    let native = Native::new(&secret(), [], "user_id".to_owned(), Duration::ZERO, None);
    let verifier = Verifier {
        native: Some(native),
        ..no_methods()
    };
    verify_with(verifier, native_token())
}

fn verify([key, token]: [&'static str; 2]) -> Run {
    let expectation = Expectation {
        issuer: Some("https://issuer.test/".to_owned()),
        audiences: vec!["label-studio".to_owned()],
        ..Expectation::default()
    };
    let keys = Keys::Configured(KeySet::from_pem(key).expect("a key"));
    let verifier = Verifier {
        issuers: vec![Issuer::new(keys, expectation, ClaimMapping::default())],
        ..no_methods()
    };
    verify_with(verifier, token.trim_end().to_owned())
}

pub(crate) const fn no_methods() -> Verifier {
    Verifier {
        issuers: Vec::new(),
        native: None,
        api_tokens: None,
        application_session: None,
        unsigned: None,
        max_length: 16 * 1024,
    }
}

fn encode_row() -> Run {
    let (codec, session) = (SessionCodec::new(&secret()), session());
    Box::new(move || drop(black_box(codec.encode_row(black_box(&session), now()))))
}

fn encode_cookie() -> Run {
    let (codec, session) = (SessionCodec::new(&secret()), session());
    Box::new(move || drop(black_box(codec.encode_cookie(black_box(&session), now()))))
}

fn decode_row() -> Run {
    let codec = SessionCodec::new(&secret());
    let data = codec.encode_row(&session(), now());
    Box::new(move || {
        let stored = StoredData::new(black_box(&data));
        drop(black_box(
            stored.session(&codec).expect("a session").clone(),
        ));
    })
}

fn answer_cookie() -> Run {
    let cookie = cookie("sessionid");
    Box::new(move || {
        let value = black_box("0123456789abcdefghijklmnopqrstuv");
        drop(black_box(cookie.set(value, Some(FORTNIGHT), now())));
    })
}
