//! The whole decision, over an in-memory database.

mod api_tokens;
mod decisions;
mod endings;
mod memory;
mod mismatches;
mod requiring;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::{Value, json};

use self::memory::{Memory, Stored};
use super::issue::{IssueError, IssuePolicy, TokenIssuer};
use super::observer::NoObserver;
use super::reason::{CredentialError, Denied, Granted};
use super::session::{Engine, SessionPolicy, SessionStores};
use super::subrequest::CookieHeader;
use super::user::UserRow;
use super::verdict::Cookies;
use super::verify::{Native, REVOCATION};
use super::*;
use crate::django::{AuthHasher, SameSite, SessionCodec, SessionData, SessionEntries as _};

const SECRET: &str = "unit-test-secret-key-of-fifty-characters-0123456789";
const NOW: u64 = 1_800_000_000;

/// A counter instead of randomness.
#[derive(Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn sixteen(&self) -> [u8; 16] {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        u128::from(n)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes()
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }
}

fn cookie(name: &str) -> CookieAttributes {
    CookieAttributes {
        name: name.to_owned(),
        domain: None,
        path: "/".to_owned(),
        same_site: SameSite::Lax,
        secure: false,
        http_only: true,
        partitioned: false,
    }
}

fn user(id: i32) -> UserRow {
    UserRow {
        id,
        email: format!("user{id}@example.com"),
        password: format!("!unusable-{id}"),
        is_privileged: false,
        is_superuser: false,
        first_name: String::new(),
        last_name: String::new(),
        is_active: true,
        active_organization_id: Some(1),
        removed_from_organization: false,
        max_session_age: None,
        revoked_at: None,
    }
}

/// A gate and its database.
struct World {
    stored: Arc<Stored>,
    gate: Gate,
}

impl World {
    fn new(engine: Engine) -> Self {
        Self::at(engine, Fixed.now(), Duration::from_secs(1_209_600))
    }

    /// A gate at another time, with another maximum session age.
    fn at(engine: Engine, now: SystemTime, max_session_age: Duration) -> Self {
        let world = Self::over(Arc::default(), engine, now, max_session_age);
        world.put(user(7));
        world.put(user(8));
        world
    }

    /// Another gate over the same database.
    fn over(
        stored: Arc<Stored>,
        engine: Engine,
        now: SystemTime,
        max_session_age: Duration,
    ) -> Self {
        let secret = SecretString::from(SECRET);
        let view = |freshness| {
            Arc::new(Memory {
                stored: stored.clone(),
                freshness,
            })
        };
        let (recent, current) = (view(Freshness::Recent), view(Freshness::Current));
        let policy = SessionPolicy {
            engine,
            cookie: cookie("sessionid"),
            age: Duration::from_secs(1_209_600),
            max_session_age,
            once: None,
            kept_cookies: 100,
        };
        let stores = SessionStores {
            recent: recent.clone(),
            current: current.clone(),
        };
        let entropy = Arc::new(Counting::default());
        let native = Native::new(&secret, [], "user_id".to_owned(), Duration::ZERO, None);
        let gate = Gate {
            sources: CredentialSources {
                cookie: Some("ls_auth_token".to_owned()),
                parameter: "token".to_owned(),
                application_cookie: None,
            },
            token_cookie: Some(cookie("ls_auth_token")),
            policy: Policy::default(),
            verifier: Verifier {
                issuers: Vec::new(),
                native: Some(native),
                api_tokens: None,
                application_session: None,
                unsigned: None,
                max_length: 16 * 1024,
            },
            api: ApiAuthenticator::new(&secret, [], recent.clone()),
            users: Users { recent, current },
            sessions: Sessions::new(stores, policy, &secret, entropy.clone(), stored.clone()),
            clock: Arc::new(At(now)),
            entropy,
        };
        Self { stored, gate }
    }

    fn put(&self, row: UserRow) {
        let mut users = self.stored.recent_users.lock().expect("lock");
        users.insert(row.id, row.clone());
        self.store(row);
    }

    /// Changes the stored row but not the cached one.
    fn store(&self, row: UserRow) {
        let mut users = self.stored.users.lock().expect("lock");
        users.insert(row.id, row);
    }

    fn keys(&self) -> Vec<String> {
        let sessions = self.stored.sessions.lock().expect("lock");
        sessions.keys().cloned().collect()
    }

    fn set_down(&self, down: bool) {
        *self.stored.down.lock().expect("lock") = down;
    }

    async fn ask(&self, uri: &str, cookies: &str) -> Result<Grant, Rejection> {
        let cookies = CookieHeader::new(std::iter::once(cookies.as_bytes()));
        let subrequest = Subrequest::new(uri, cookies, None).expect("a readable request");
        self.gate.decide(&subrequest, &NoObserver).await
    }

    /// A session row as Label Studio writes it.
    fn session_of(&self, row: &UserRow, last_login: &Value) -> String {
        let mut session = SessionData::new();
        let secret = SecretString::from(SECRET);
        session.insert("last_login", last_login.clone());
        session.insert("_auth_user_id", json!(row.id.to_string()));
        session.insert(
            "_auth_user_backend",
            json!("django.contrib.auth.backends.ModelBackend"),
        );
        let hash = AuthHasher::new(&secret).hash(&row.password);
        session.insert("_auth_user_hash", json!(hash));
        SessionCodec::new(&secret).encode_row(&session, Fixed.now())
    }

    fn put_session(&self, key: &str, data: String) {
        let mut sessions = self.stored.sessions.lock().expect("lock");
        sessions.insert(key.to_owned(), data);
    }
}

fn token(user_id: i32) -> String {
    token_issued(user_id, NOW)
}

fn token_issued(user_id: i32, iat: u64) -> String {
    token_knowing(user_id, iat, None)
}

/// A token that names the user's last revocation, as those of a gate do.
fn token_knowing(user_id: i32, iat: u64, revocation: Option<u64>) -> String {
    let mut claims = json!({
        "user_id": user_id, "iat": iat, "exp": NOW + 600, "iss": "label-studio", "aud": "label-studio-sso",
    });
    if let Some(revocation) = revocation {
        claims[REVOCATION] = json!(revocation);
    }
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jws::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("HMAC signs")
}

struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }
}
