//! Whole decisions, with users and sessions in memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use label_studio_gate::django::SessionCodec;
use label_studio_gate::gate::Gate;
use label_studio_gate::gate::credential::CredentialSources;
use label_studio_gate::gate::observer::NoObserver;
use label_studio_gate::gate::policy::{Anonymous, Policy};
use label_studio_gate::gate::session::{Engine, SessionPolicy, SessionStores, Sessions};
use label_studio_gate::gate::subrequest::{CookieHeader, Subrequest};
use label_studio_gate::gate::user::Users;
use label_studio_gate::gate::verify::{ApiAuthenticator, Native, Verifier};

use crate::memory::{Counter, Memory};
use crate::{
    FORTNIGHT, Run, at_once, cookie, header, native_token, no_methods, now, secret, session,
};

const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

pub(crate) fn no_token() -> Run {
    let cookies = header("other", "value");
    decide(Engine::Database, Anonymous::Pass, cookies, "no_token")
}

/// The row has been read before: its data is in the cache.
pub(crate) fn live_row() -> Run {
    let cookies = header("sessionid", KEY);
    decide(
        Engine::Database,
        Anonymous::Require,
        cookies,
        "session_valid",
    )
}

pub(crate) fn live_cookie() -> Run {
    let value = SessionCodec::new(&secret()).encode_cookie(&session(), now());
    let cookies = header("sessionid", &value);
    let engine = Engine::SignedCookies;
    decide(engine, Anonymous::Require, cookies, "session_valid")
}

pub(crate) fn login_row() -> Run {
    let cookies = header("ls_auth_token", &native_token());
    decide(Engine::Database, Anonymous::Pass, cookies, "session_opened")
}

pub(crate) fn login_cookie() -> Run {
    let cookies = header("ls_auth_token", &native_token());
    let engine = Engine::SignedCookies;
    decide(engine, Anonymous::Pass, cookies, "session_opened")
}

fn decide(engine: Engine, anonymous: Anonymous, cookies: String, reason: &'static str) -> Run {
    let gate = gate(engine, anonymous);
    Box::new(move || {
        let header = CookieHeader::new(std::iter::once(black_box(cookies.as_bytes())));
        let uri = black_box("/projects/12/data?tab=3&task=456");
        let subrequest = Subrequest::new(uri, header, None).expect("a path");
        let grant = at_once(gate.decide(&subrequest, &NoObserver)).expect("granted");
        assert_eq!(grant.reason().code(), reason);
        drop(black_box(grant));
    })
}

fn gate(engine: Engine, anonymous: Anonymous) -> Gate {
    let secret = secret();
    let data = SessionCodec::new(&secret).encode_row(&session(), now());
    let memory = Arc::new(Memory::new(&data));
    let entropy = Arc::new(Counter::default());
    let policy = SessionPolicy {
        engine,
        cookie: cookie("sessionid"),
        age: FORTNIGHT,
        max_session_age: FORTNIGHT,
        once: None,
        kept_cookies: 100,
    };
    let stores = SessionStores {
        recent: memory.clone(),
        current: memory.clone(),
    };
    let native = Native::new(&secret, [], "user_id".to_owned(), Duration::ZERO, None);
    Gate {
        sources: CredentialSources {
            cookie: Some("ls_auth_token".to_owned()),
            parameter: "token".to_owned(),
            application_cookie: None,
        },
        token_cookie: Some(cookie("ls_auth_token")),
        policy: Policy {
            anonymous,
            ..Policy::default()
        },
        verifier: Verifier {
            native: Some(native),
            ..no_methods()
        },
        api: ApiAuthenticator::new(&secret, [], memory.clone()),
        users: Users {
            recent: memory.clone(),
            current: memory.clone(),
        },
        sessions: Sessions::new(stores, policy, &secret, entropy.clone(), memory.clone()),
        clock: memory,
        entropy,
    }
}
