//! The whole decision, over a database that lives in memory.

mod api_tokens;
mod decisions;
mod endings;
mod requiring;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::identity::{Identity, Profile};
use super::issue::{IssueError, IssuePolicy, TokenIssuer};
use super::reason::{CredentialError, Denied};
use super::session::{
    Engine, LoginRecord, Recorded, SessionEnd, SessionMark, SessionPolicy, SessionStore,
    SessionStores, StoredSession, TokenUse,
};
use super::subrequest::CookieHeader;
use super::user::{Created, NewUser, UserDirectory, UserRow};
use super::verdict::Cookies;
use super::verify::{ApiCredential, ApiTokens, JwtOwner, Native, TokenOwner};
use super::*;
use crate::django::{AuthHasher, SameSite, SessionCodec, SessionData};

const SECRET: &str = "unit-test-secret-key-of-fifty-characters-0123456789";
const NOW: u64 = 1_800_000_000;

/// Label Studio's database, in memory.
#[derive(Default)]
struct Stored {
    /// What the directory said some seconds ago; a login compares with `users`.
    recent_users: Mutex<HashMap<i32, UserRow>>,
    users: Mutex<HashMap<i32, UserRow>>,
    sessions: Mutex<HashMap<String, String>>,
    ends: Mutex<HashMap<SessionMark, SystemTime>>,
    used: Mutex<HashSet<([u8; 32], [u8; 32])>>,
    logins: AtomicUsize,
    down: Mutex<bool>,
}

/// One view of it.
#[derive(Clone)]
struct Memory {
    stored: Arc<Stored>,
    freshness: Freshness,
}

impl Memory {
    fn outage(&self) -> Result<(), Outage> {
        match *self.stored.down.lock().expect("lock") {
            true => Err(Outage::DatabaseUnavailable),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl UserDirectory for Memory {
    async fn find(&self, identity: &Identity) -> Result<Option<Arc<UserRow>>, Outage> {
        self.outage()?;
        let users = match self.freshness {
            Freshness::Recent => &self.stored.recent_users,
            Freshness::Current => &self.stored.users,
        };
        let users = users.lock().expect("lock");
        let found = match identity {
            Identity::Id(id) => users.get(id),
            Identity::Email(email) => users.values().find(|user| user.email == *email),
            Identity::Username(name) => users
                .values()
                .find(|user| *name == format!("name-of-{}", user.id)),
        };
        Ok(found.cloned().map(Arc::new))
    }

    async fn create(&self, person: &NewUser) -> Result<Created, Outage> {
        self.outage()?;
        let mut users = self.stored.users.lock().expect("lock");
        if users.values().all(|user| user.email != person.email) {
            let id = 100 + i32::try_from(users.len()).expect("a few users");
            let row = UserRow {
                email: person.email.clone(),
                first_name: person.profile.first_name.clone(),
                last_name: person.profile.last_name.clone(),
                ..user(id)
            };
            users.insert(id, row);
        }
        Ok(Created::Yes)
    }

    async fn rename(
        &self,
        user: &UserRow,
        _identity: &Identity,
        profile: &Profile,
    ) -> Result<Arc<UserRow>, Outage> {
        let mut row = user.clone();
        for (new, name) in [
            (&profile.first_name, &mut row.first_name),
            (&profile.last_name, &mut row.last_name),
        ] {
            if !new.is_empty() {
                name.clone_from(new);
            }
        }
        let mut users = self.stored.users.lock().expect("lock");
        users.insert(row.id, row.clone());
        Ok(Arc::new(row))
    }

    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage> {
        let mut users = self.stored.users.lock().expect("lock");
        let user = users
            .get_mut(&user_id)
            .filter(|user| user.password.starts_with('!'));
        let found = user.is_some();
        if let Some(user) = user {
            user.password.push('x');
        }
        Ok(found)
    }

    async fn revoke(&self, user_id: i32, at: SystemTime) -> Result<bool, Outage> {
        for users in [&self.stored.users, &self.stored.recent_users] {
            if let Some(user) = users.lock().expect("lock").get_mut(&user_id) {
                user.revoked_at = Some(at);
            }
        }
        Ok(true)
    }
}

/// Everybody has one legacy token, `key-7`, and access tokens.
#[async_trait]
impl ApiTokens for Memory {
    async fn owner_of_key(&self, key: &str) -> Result<Option<TokenOwner>, Outage> {
        self.outage()?;
        let id = key.strip_prefix("key-").and_then(|id| id.parse().ok());
        Ok(id.map(owner))
    }

    async fn owner_of_jwt(&self, user: i32, _jti: &str) -> Result<Option<JwtOwner>, Outage> {
        self.outage()?;
        Ok(Some(JwtOwner {
            owner: owner(user),
            revoked: false,
        }))
    }
}

fn owner(user_id: i32) -> TokenOwner {
    TokenOwner {
        user_id,
        is_active: true,
        is_admin: true,
        is_superuser: false,
        legacy_tokens_enabled: true,
        jwt_tokens_enabled: true,
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn load(&self, key: &str, _now: SystemTime) -> Result<Option<Arc<str>>, Outage> {
        self.outage()?;
        let sessions = self.stored.sessions.lock().expect("lock");
        Ok(sessions.get(key).map(|data| Arc::from(data.as_str())))
    }

    async fn page(&self, after: &str, _now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        let sessions = self.stored.sessions.lock().expect("lock");
        let mut page: Vec<_> = sessions
            .iter()
            .filter(|(key, _)| key.as_str() > after)
            .map(|(key, data)| StoredSession {
                key: key.clone(),
                data: data.clone(),
            })
            .collect();
        page.sort_by(|a, b| a.key.cmp(&b.key));
        page.truncate(2);
        Ok(page)
    }

    async fn end(&self, keys: &[String]) -> Result<(), Outage> {
        let mut sessions = self.stored.sessions.lock().expect("lock");
        sessions.retain(|key, _| !keys.contains(key));
        Ok(())
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        let mut used = self.stored.used.lock().expect("lock");
        let first = used.iter().all(|(token_, _)| token_ != token.fingerprint);
        Ok(first && used.insert((*token.fingerprint, *token.peer))
            || used.contains(&(*token.fingerprint, *token.peer)))
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        self.outage()?;
        let users = self.stored.users.lock().expect("lock");
        let unchanged = users.get(&login.user_id).is_some_and(|user| {
            user.is_active && user.password == login.password && user.revoked_at == login.revoked_at
        });
        if !unchanged {
            return Ok(Recorded::UserChanged);
        }
        let mut sessions = self.stored.sessions.lock().expect("lock");
        if let Some(old) = login.replaces {
            sessions.remove(old);
        }
        if let Some(row) = &login.row {
            let met = sessions.iter().find(|(key, _)| key.starts_with(row.place));
            if let Some((key, data)) = met {
                return Ok(Recorded::Met(StoredSession {
                    key: key.clone(),
                    data: data.clone(),
                }));
            }
            sessions.insert(row.key.to_owned(), row.data.to_owned());
        }
        self.stored.logins.fetch_add(1, Ordering::Relaxed);
        Ok(Recorded::Opened)
    }

    async fn note_end(&self, end: &SessionEnd) -> Result<(), Outage> {
        let mut ends = self.stored.ends.lock().expect("lock");
        ends.insert(end.mark, end.at);
        Ok(())
    }

    async fn ended_at(&self, mark: &SessionMark) -> Result<Option<SystemTime>, Outage> {
        Ok(self.stored.ends.lock().expect("lock").get(mark).copied())
    }
}

/// Counts: as good as random where nobody guesses.
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

/// A gate, and the database behind it.
struct World {
    stored: Arc<Stored>,
    gate: Gate,
}

impl World {
    fn new(engine: Engine) -> Self {
        Self::at(engine, Fixed.now(), Duration::from_secs(1_209_600))
    }

    /// One that is at another moment, and where sessions last so long.
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
                client_session: None,
                max_length: 16 * 1024,
            },
            api: ApiAuthenticator::new(&secret, [], recent.clone()),
            users: Users { recent, current },
            sessions: Sessions::new(stores, policy, &secret, entropy.clone()),
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

    /// The row changes, and who remembers the former one does not know yet.
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
        self.gate.decide(&subrequest).await
    }

    /// A session row as Label Studio would have written it.
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
    let claims = json!({
        "user_id": user_id, "iat": iat, "exp": NOW + 600, "iss": "label-studio", "aud": "label-studio-sso",
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("HMAC signs")
}

struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }
}
