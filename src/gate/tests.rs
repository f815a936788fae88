//! The whole decision, over a directory and a store that live in memory.

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
    let claims = json!({
        "user_id": user_id, "iat": NOW, "exp": NOW + 600, "iss": "label-studio", "aud": "label-studio-sso",
    });
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("HMAC signs")
}

const OLD: &str = "oldoldoldoldoldoldoldoldoldoldol";

#[tokio::test]
async fn a_request_without_a_token_is_left_alone() {
    let world = World::new(Engine::Database);
    world.set_down(true);
    let grant = world
        .ask("/", "sessionid=x; csrftoken=y")
        .await
        .expect("passes");
    assert_eq!(grant.reason(), Granted::NoToken.into());
    assert_eq!(*grant.cookies(), Cookies::default());
}

#[tokio::test]
async fn a_token_opens_a_session_and_leaves() {
    let world = World::new(Engine::Database);
    let cookies = format!("a=1; ls_auth_token={}", token(7));
    let grant = world.ask("/projects", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Granted::SessionOpened.into());
    assert_eq!(grant.login().map(|login| login.user_id), Some(7));
    let key = world.keys().pop().expect("a row");
    let cookies = grant.cookies();
    assert_eq!(
        cookies.request.as_deref(),
        Some(format!("a=1; sessionid={key}").as_bytes())
    );
    let session = cookies.session.as_deref().expect("a session cookie");
    assert!(
        session.starts_with(&format!("sessionid={key}; ")),
        "{session}"
    );
    let deletion = cookies.token_deletion.as_deref().expect("a deletion");
    assert!(deletion.starts_with("ls_auth_token=\"\"; expires=Thu, 01 Jan 1970"));
}

#[tokio::test]
async fn the_session_holds_what_a_login_puts_in() {
    let world = World::new(Engine::Database);
    world
        .ask(&format!("/?token={}", token(7)), "")
        .await
        .expect("granted");
    let sessions = world.stored.sessions.lock().expect("lock").clone();
    let data = sessions.values().next();
    let codec = SessionCodec::new(&SecretString::from(SECRET));
    let session = codec.decode_row(data.expect("a row")).expect("readable");
    assert_eq!(session.user_id(), Some(7));
    assert_eq!(session.last_login(), Some(NOW as f64));
    for name in [
        "uid",
        "organization_pk",
        "_auth_user_hash",
        "jwt_auto_login",
        "sso_method",
    ] {
        assert!(session.get(name).is_some(), "{name} is missing");
    }
    let uid = session.get("uid").and_then(Value::as_str).expect("a uid");
    assert_eq!(
        uid.split('-').map(str::len).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12]
    );
}

#[tokio::test]
async fn fifty_requests_with_one_token_share_one_session() {
    for engine in [Engine::Database, Engine::SignedCookies] {
        let world = World::new(engine);
        let cookies = format!("ls_auth_token={}", token(7));
        let grants = join_all((0..50).map(|_| world.ask("/", &cookies))).await;
        let mut sessions: Vec<_> = grants
            .iter()
            .map(|grant| grant.as_ref().expect("granted").cookies().session.clone())
            .collect();
        sessions.dedup();
        assert_eq!(sessions.len(), 1);
        assert_eq!(world.keys().len(), usize::from(engine == Engine::Database));
    }
}

/// Django strips U+00A0 before a name, and reads the last of two equal names.
#[tokio::test]
async fn a_session_that_servers_read_differently_is_not_forwarded() {
    let world = World::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(8), &json!(NOW - 60)));
    for odd in [
        format!("\u{a0}sessionid={OLD}"),
        format!("sessionid=\"\\157{}\"", &OLD[1..]),
    ] {
        let cookies = format!("a=1; ls_auth_token={}; {odd}", token(7));
        let grant = world.ask("/", &cookies).await.expect("granted");
        assert_eq!(grant.reason(), Granted::SessionOpened.into(), "{odd}");
        let forwarded = grant.cookies().request.clone().expect("a header");
        let forwarded = String::from_utf8(forwarded).expect("ASCII");
        assert!(forwarded.starts_with("a=1; sessionid="), "{forwarded}");
        assert!(!forwarded.contains(&OLD[1..]), "{forwarded}");
        // Nor where nobody logs in, so that nothing is decided about it.
        let grant = world.ask("/", &format!("a=1; {odd}")).await;
        let grant = grant.expect("granted");
        assert_eq!(grant.reason(), Granted::NoToken.into(), "{odd}");
        assert_eq!(grant.cookies().request.as_deref(), Some(b"a=1".as_slice()));
    }
    assert!(world.keys().contains(&OLD.to_owned()));
}

#[tokio::test]
async fn a_token_that_outlives_sessions_opens_another_when_the_first_is_too_old() {
    let key_after = async |seconds: u64| {
        let now = Fixed.now() + Duration::from_secs(seconds);
        let world = World::at(Engine::Database, now, Duration::from_secs(200));
        let cookies = format!("ls_auth_token={}", token(7));
        world.ask("/", &cookies).await.expect("granted");
        world.keys().pop().expect("a row")
    };
    // 600 seconds are left of the token at first, three stretches of 200.
    assert_eq!(key_after(10).await, key_after(190).await);
    assert_ne!(key_after(10).await, key_after(210).await);
    assert_ne!(key_after(210).await, key_after(410).await);
}

#[tokio::test]
async fn a_session_that_is_alive_is_kept() {
    let world = World::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(7), &json!(NOW - 60)));
    let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Granted::SessionKept.into());
    assert_eq!(grant.cookies().session, None);
    assert_eq!(
        grant.cookies().request.as_deref(),
        Some(format!("sessionid={OLD}").as_bytes())
    );
    assert!(grant.cookies().token_deletion.is_some());
    assert_eq!(world.keys(), [OLD]);
}

#[tokio::test]
async fn a_session_that_label_studio_would_end_is_not_kept() {
    let stale = user(7);
    let other_password = UserRow {
        password: "!other".to_owned(),
        ..user(7)
    };
    for (what, row, last_login) in [
        ("no login time", &stale, json!(null)),
        ("a login time that is no number", &stale, json!("2026")),
        ("logged in too long ago", &stale, json!(NOW - 1_209_600)),
        ("made for another password", &other_password, json!(NOW)),
    ] {
        let world = World::new(Engine::Database);
        world.put_session(OLD, world.session_of(row, &last_login));
        let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
        let grant = world.ask("/", &cookies).await.expect("granted");
        assert_eq!(grant.reason(), Granted::SessionOpened.into(), "{what}");
        let keys = world.keys();
        assert!(keys.len() == 1 && keys[0] != OLD, "{what}: {keys:?}");
    }
}

#[tokio::test]
async fn another_users_session_is_ended() {
    let world = World::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(8), &json!(NOW)));
    let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Granted::UserSwitched.into());
    let keys = world.keys();
    assert!(keys.len() == 1 && keys[0] != OLD, "{keys:?}");
}

#[tokio::test]
async fn a_token_that_is_not_acceptable_is_taken_away_and_nothing_else() {
    let world = World::new(Engine::Database);
    world.set_down(true);
    let grant = world
        .ask("/", "sessionid=x; ls_auth_token=rubbish")
        .await
        .expect("passes");
    assert_eq!(grant.reason(), CredentialError::TokenMalformed.into());
    assert_eq!(grant.login(), None);
    let cookies = grant.cookies();
    assert_eq!(cookies.request.as_deref(), Some(b"sessionid=x".as_slice()));
    assert_eq!(cookies.session, None);
    assert!(cookies.token_deletion.is_some());
}

#[tokio::test]
async fn a_stale_cookie_does_not_hide_the_parameter() {
    let world = World::new(Engine::Database);
    let grant = world
        .ask(&format!("/?token={}", token(8)), "ls_auth_token=rubbish")
        .await
        .expect("granted");
    assert_eq!(grant.login().map(|login| login.user_id), Some(8));
}

#[tokio::test]
async fn a_user_who_may_not_come_in_is_refused() {
    let world = World::new(Engine::Database);
    let inactive = UserRow {
        is_active: false,
        ..user(9)
    };
    let removed = UserRow {
        removed_from_organization: true,
        ..user(10)
    };
    world.put(inactive);
    world.put(removed);
    for (id, expected) in [
        (9, Denied::UserInactive),
        (10, Denied::UserRemoved),
        (11, Denied::UserUnknown),
    ] {
        match world
            .ask("/", &format!("ls_auth_token={}", token(id)))
            .await
        {
            Err(Rejection::Denial(denial)) => {
                assert_eq!(denial.reason(), expected);
                assert!(Rejection::Denial(denial).token_deletion().is_some());
            }
            other => panic!("{expected:?} came back as {other:?}"),
        }
    }
    assert_eq!(world.keys(), [""; 0]);
}

#[tokio::test]
async fn what_the_cache_says_is_checked_before_anybody_is_let_in_or_refused() {
    let world = World::new(Engine::Database);
    let ask = async || world.ask("/", &format!("ls_auth_token={}", token(7))).await;
    world.store(UserRow {
        is_active: false,
        ..user(7)
    });
    let rejection = ask().await.expect_err("inactive by now");
    assert_eq!(rejection.reason(), Denied::UserInactive.into());

    world.store(UserRow {
        password: "!changed".to_owned(),
        ..user(7)
    });
    let grant = ask().await.expect("granted with the password as it is now");
    assert_eq!(grant.reason(), Granted::SessionOpened.into());

    world.put(UserRow {
        is_active: false,
        ..user(7)
    });
    world.store(user(7));
    ask().await.expect("active again");
}

#[tokio::test]
async fn an_outage_is_not_a_refusal() {
    let world = World::new(Engine::Database);
    world.set_down(true);
    let cookies = format!("ls_auth_token={}", token(7));
    match world.ask("/", &cookies).await {
        Err(Rejection::Outage(outage)) => assert_eq!(outage, Outage::DatabaseUnavailable),
        other => panic!("{other:?}"),
    }
    world.set_down(false);
    world.ask("/", &cookies).await.expect("and it recovers");
}

#[tokio::test]
async fn with_signed_cookies_nothing_but_the_login_is_written() {
    let world = World::new(Engine::SignedCookies);
    let cookies = format!("ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(world.keys(), [""; 0]);
    assert_eq!(world.stored.logins.load(Ordering::Relaxed), 1);

    let request = grant.cookies().request.clone().expect("a cookie header");
    let request = String::from_utf8(request).expect("ASCII");
    let again = format!("{request}; {cookies}");
    let grant = world.ask("/", &again).await.expect("granted");
    assert_eq!(grant.reason(), Granted::SessionKept.into());
    let other = format!("{request}; ls_auth_token={}", token(8));
    let grant = world.ask("/", &other).await.expect("granted");
    assert_eq!(grant.reason(), Granted::UserSwitched.into());
}

struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }
}

/// Where the gate judges otherwise than the class of simplejwt that a vector names, and why.
const OTHERWISE: &[(&str, &str)] = &[
    ("access_as_refresh", "the route takes both kinds"),
    ("refresh_as_access", "the route takes both kinds"),
    ("ls_full_as_access", "the route takes both kinds"),
    (
        "sub_int",
        "PyJWT's own rule for sub, which says nothing here",
    ),
    (
        "blacklisted_full",
        "the blacklist is a table: tests/api/tokens.rs",
    ),
    (
        "ls_truncated_with_TruncatedLSAPIToken",
        "without its signature it proves nothing",
    ),
];

#[tokio::test]
async fn label_studios_own_tokens_are_judged_as_simplejwt_judges_them() {
    let vectors: Value = serde_json::from_str(include_str!("../../tests/vectors/jwt.json"))
        .expect("the vectors are JSON");
    let secret = SecretString::from(vectors["secret_key"].as_str().expect("text"));
    let mut judged = 0;
    for case in vectors["verify"].as_array().expect("a list") {
        let name = case["name"].as_str().expect("text");
        let at = moment(case["at"].as_str().expect("text"));
        let policy = IssuePolicy {
            lifetime: Duration::from_secs(600),
            user_id_claim: "user_id".to_owned(),
            legacy_always: false,
            create_users: false,
            staff_for_superusers: false,
        };
        let world = World::new(Engine::Database);
        let everybody = Arc::new(Memory {
            stored: world.stored.clone(),
            freshness: Freshness::Current,
        });
        let issuer = TokenIssuer::new(
            world.gate.users.clone(),
            ApiAuthenticator::new(&secret, [], everybody),
            &secret,
            policy,
            Arc::new(At(at)),
            Arc::new(Counting::default()),
        );
        let token = case["jwt"].as_str().expect("text");
        let outcome = issuer.authenticate(ApiCredential::Jwt(token)).await;
        let simplejwt = case["result"]["ok"] == true;
        let expected = simplejwt != OTHERWISE.iter().any(|(other, _)| *other == name);
        assert_eq!(outcome.is_ok(), expected, "{name}: {outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error, IssueError::InvalidCredential, "{name}");
        }
        judged += 1;
    }
    assert_eq!(judged, 29);
}

/// A moment as the vectors write it: `2023-11-14T22:13:20+00:00`.
fn moment(text: &str) -> SystemTime {
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("digits");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    // Days from the civil calendar: the year begins in March, so that the leap day is its last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400 + seconds)
}
