//! The application that embeds Label Studio (method 3). A cookie `of-7-…` is a session of user 7.

use std::time::Duration;

use serde_json::json;

use crate::support::stub::{Reply, Stub};
use crate::users::address;
use crate::wire::Wire;

pub const COOKIE: &str = "connect.sid";
const SECRET: &str = "the-secret-of-the-gate-and-the-application";

pub struct HostApplication {
    pub wire: Wire,
    stub: Stub,
}

impl HostApplication {
    pub fn start(runtime: &tokio::runtime::Runtime) -> Self {
        let stub = Stub::start(|head| answer(head, Duration::ZERO));
        Self {
            wire: Wire::to(runtime, stub.port),
            stub,
        }
    }

    /// The gate's settings for this application.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let url = format!("http://127.0.0.1:{}/verify-session", self.wire.port);
        vec![
            ("JWT_SSO_SESSION_VERIFY_URL", url),
            ("JWT_SSO_SESSION_VERIFY_SECRET", SECRET.to_owned()),
            ("JWT_SSO_SESSION_COOKIE_NAME", COOKIE.to_owned()),
            ("JWT_SSO_SESSION_AUTO_CREATE_USERS", "false".to_owned()),
        ]
    }

    /// How long it thinks about each answer from now on.
    pub fn think(&self, pause: Duration) {
        self.stub.now(move |head| answer(head, pause));
    }
}

fn answer(head: &str, pause: Duration) -> Reply {
    let find = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let session = find("cookie: ").and_then(|cookie| cookie.strip_prefix("connect.sid=of-"));
    let person = session.and_then(|session| session.split_once('-')?.0.parse().ok());
    let reply = match (find("x-verify-token: "), person) {
        (Some(SECRET), Some(person)) => Reply::json(&json!({"email": address(person)})),
        _ => Reply::of(401, "{}"),
    };
    reply.after(pause)
}
