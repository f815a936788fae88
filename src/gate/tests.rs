//! The whole decision, over a directory and a store that live in memory.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::identity::Identity;
use super::session::{Engine, LoginRecord, Recorded, SessionPolicy, StoredSession, TokenUse};
use super::user::{Created, NewUser, UserRow};
use super::verify::{ApiTokens, JwtOwner, Native, TokenOwner, Verifier};
use super::*;
use crate::django::{AuthHasher, SameSite, SessionCodec, SessionData};
use crate::gate::identity::Profile;
use crate::gate::issue::{ApiCredential, Entropy, IssueError, IssuePolicy, TokenIssuer};
use crate::gate::subrequest::CookieHeader;

const SECRET: &str = "unit-test-secret-key-of-fifty-characters-0123456789";
const NOW: u64 = 1_800_000_000;

#[derive(Clone, Default)]
struct Memory(Arc<World>);

#[derive(Default)]
struct World {
    /// What the directory says; a login compares with `stored`.
    cached: Mutex<HashMap<i32, UserRow>>,
    stored: Mutex<HashMap<i32, UserRow>>,
    rows: Mutex<HashMap<String, String>>,
    logins: AtomicUsize,
    used: Mutex<HashSet<[u8; 32]>>,
    down: Mutex<bool>,
}

impl Memory {
    fn outage(&self) -> Result<(), Outage> {
        match *self.0.down.lock().expect("lock") {
            true => Err(Outage::Database),
            false => Ok(()),
        }
    }

    fn keys(&self) -> Vec<String> {
        self.0.rows.lock().expect("lock").keys().cloned().collect()
    }
}

impl UserDirectory for Memory {
    async fn find(
        &self,
        identity: &Identity,
        freshness: Freshness,
    ) -> Result<Option<Arc<UserRow>>, Outage> {
        self.outage()?;
        let users = match freshness {
            Freshness::Cached => &self.0.cached,
            Freshness::Current => &self.0.stored,
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
        let mut users = self.0.stored.lock().expect("lock");
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

    async fn renew_unusable_password(&self, user_id: i32) -> Result<bool, Outage> {
        let mut users = self.0.stored.lock().expect("lock");
        let user = users
            .get_mut(&user_id)
            .filter(|user| user.password.starts_with('!'));
        let found = user.is_some();
        if let Some(user) = user {
            user.password.push('x');
        }
        Ok(found)
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
        let mut users = self.0.stored.lock().expect("lock");
        users.insert(row.id, row.clone());
        Ok(Arc::new(row))
    }
}

/// Nobody has an API token.
impl ApiTokens for Memory {
    async fn owner_of_key(&self, _key: &str) -> Result<Option<TokenOwner>, Outage> {
        Ok(None)
    }

    async fn owner_of_jwt(&self, _user: i32, _jti: &str) -> Result<Option<JwtOwner>, Outage> {
        Ok(None)
    }
}

impl SessionStore for Memory {
    async fn load(
        &self,
        key: &str,
        _now: SystemTime,
        _freshness: Freshness,
    ) -> Result<Option<Arc<str>>, Outage> {
        self.outage()?;
        let rows = self.0.rows.lock().expect("lock");
        Ok(rows.get(key).map(|data| Arc::from(data.as_str())))
    }

    fn belongs_to(&self, _key: &str, _user_id: i32) {}

    async fn page(&self, after: &str, _now: SystemTime) -> Result<Vec<StoredSession>, Outage> {
        let rows = self.0.rows.lock().expect("lock");
        let mut page: Vec<_> = rows
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
        let mut rows = self.0.rows.lock().expect("lock");
        rows.retain(|key, _| !keys.contains(key));
        Ok(())
    }

    async fn use_token(&self, token: &TokenUse<'_>) -> Result<bool, Outage> {
        let mut used = self.0.used.lock().expect("lock");
        Ok(used.insert(*token.fingerprint))
    }

    async fn record(&self, login: &LoginRecord<'_>) -> Result<Recorded, Outage> {
        self.outage()?;
        let users = self.0.stored.lock().expect("lock");
        let current = users.get(&login.user_id);
        if !current.is_some_and(|user| user.is_active && user.password == login.password) {
            return Ok(Recorded::UserChanged);
        }
        let mut rows = self.0.rows.lock().expect("lock");
        if let Some(row) = &login.row {
            rows.entry(row.key.to_owned())
                .or_insert_with(|| row.data.to_owned());
        }
        if let Some(old) = login.replaces {
            rows.remove(old);
        }
        self.0.logins.fetch_add(1, Ordering::Relaxed);
        Ok(Recorded::Done)
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
        first_name: String::new(),
        last_name: String::new(),
        is_active: true,
        active_organization_id: Some(1),
        removed_from_organization: false,
        max_session_age: None,
    }
}

struct House {
    memory: Memory,
    gate: Gate<Memory, Memory>,
}

impl House {
    fn new(engine: Engine) -> Self {
        Self::at(engine, Fixed.now(), Duration::from_secs(1_209_600))
    }

    /// One that stands at another moment, and where sessions last so long.
    fn at(engine: Engine, now: SystemTime, max_session_age: Duration) -> Self {
        Self::with(engine, now, max_session_age, |_, _| {})
    }

    /// With more methods than the native one, or with other places to look for credentials.
    fn with(
        engine: Engine,
        now: SystemTime,
        max_session_age: Duration,
        more: impl FnOnce(&mut Places, &mut Verifier<Memory>),
    ) -> Self {
        let memory = Memory::default();
        let secret = SecretString::from(SECRET);
        let native = Native::new(&secret, [], "user_id".to_owned(), Duration::ZERO, None);
        let mut verifier = Verifier {
            issuers: Vec::new(),
            native: Some(native),
            api_tokens: None,
            client_session: None,
            max_length: 16 * 1024,
        };
        let mut places = Places {
            token_cookie: Some(cookie("ls_auth_token")),
            parameter: "token".to_owned(),
            client_cookie: None,
        };
        more(&mut places, &mut verifier);
        let policy = SessionPolicy {
            engine,
            cookie: cookie("sessionid"),
            age: Duration::from_secs(1_209_600),
            max_session_age,
            once: None,
        };
        let world = Self {
            gate: Gate::new(
                places,
                Policy::default(),
                verifier,
                memory.clone(),
                Sessions::new(memory.clone(), policy, &secret),
                Arc::new(At(now)),
            ),
            memory,
        };
        world.put(user(7));
        world.put(user(8));
        world
    }

    fn put(&self, row: UserRow) {
        self.memory
            .0
            .cached
            .lock()
            .expect("lock")
            .insert(row.id, row.clone());
        self.store(row);
    }

    /// The row changes, and the cache does not know yet.
    fn store(&self, row: UserRow) {
        self.memory
            .0
            .stored
            .lock()
            .expect("lock")
            .insert(row.id, row);
    }

    async fn ask(&self, uri: &str, cookies: &str) -> Result<Grant, Rejection> {
        let cookies = CookieHeader::new(std::iter::once(cookies.as_bytes()));
        let subrequest = Subrequest::new(uri, cookies, false).expect("a readable request");
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
        self.memory
            .0
            .rows
            .lock()
            .expect("lock")
            .insert(key.to_owned(), data);
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
    let world = House::new(Engine::Database);
    *world.memory.0.down.lock().expect("lock") = true;
    let grant = world
        .ask("/", "sessionid=x; csrftoken=y")
        .await
        .expect("passes");
    assert_eq!(grant.reason(), Reason::NoToken);
    assert_eq!(*grant.cookies(), Cookies::default());
}

#[tokio::test]
async fn a_token_opens_a_session_and_leaves() {
    let world = House::new(Engine::Database);
    let cookies = format!("a=1; ls_auth_token={}", token(7));
    let grant = world.ask("/projects", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Reason::SessionOpened);
    assert_eq!(grant.login().map(|login| login.user_id), Some(7));
    let key = world.memory.keys().pop().expect("a row");
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
    let world = House::new(Engine::Database);
    world
        .ask(&format!("/?token={}", token(7)), "")
        .await
        .expect("granted");
    let data = world
        .memory
        .0
        .rows
        .lock()
        .expect("lock")
        .values()
        .next()
        .cloned();
    let codec = SessionCodec::new(&SecretString::from(SECRET));
    let session = codec.decode_row(&data.expect("a row")).expect("readable");
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
        let world = House::new(engine);
        let cookies = format!("ls_auth_token={}", token(7));
        let grants = join_all((0..50).map(|_| world.ask("/", &cookies))).await;
        let mut sessions: Vec<_> = grants
            .iter()
            .map(|grant| grant.as_ref().expect("granted").cookies().session.clone())
            .collect();
        sessions.dedup();
        assert_eq!(sessions.len(), 1);
        assert_eq!(
            world.memory.keys().len(),
            usize::from(engine == Engine::Database)
        );
    }
}

/// Django strips U+00A0 before a name, and reads the last of two equal names.
#[tokio::test]
async fn a_session_that_servers_read_differently_is_not_forwarded() {
    let world = House::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(8), &json!(NOW - 60)));
    for odd in [
        format!("\u{a0}sessionid={OLD}"),
        format!("sessionid=\"\\157{}\"", &OLD[1..]),
    ] {
        let cookies = format!("a=1; ls_auth_token={}; {odd}", token(7));
        let grant = world.ask("/", &cookies).await.expect("granted");
        assert_eq!(grant.reason(), Reason::SessionOpened, "{odd}");
        let forwarded = grant.cookies().request.clone().expect("a header");
        let forwarded = String::from_utf8(forwarded).expect("ASCII");
        assert!(forwarded.starts_with("a=1; sessionid="), "{forwarded}");
        assert!(!forwarded.contains(&OLD[1..]), "{forwarded}");
        // Nor where nobody logs in, so that nothing is decided about it.
        let grant = world.ask("/", &format!("a=1; {odd}")).await;
        let grant = grant.expect("granted");
        assert_eq!(grant.reason(), Reason::NoToken, "{odd}");
        assert_eq!(grant.cookies().request.as_deref(), Some(b"a=1".as_slice()));
    }
    assert!(world.memory.keys().contains(&OLD.to_owned()));
}

#[tokio::test]
async fn a_token_that_outlives_sessions_opens_another_when_the_first_is_too_old() {
    let key_after = async |seconds: u64| {
        let now = Fixed.now() + Duration::from_secs(seconds);
        let house = House::at(Engine::Database, now, Duration::from_secs(200));
        let cookies = format!("ls_auth_token={}", token(7));
        house.ask("/", &cookies).await.expect("granted");
        house.memory.keys().pop().expect("a row")
    };
    // 600 seconds are left of the token at first, three stretches of 200.
    assert_eq!(key_after(10).await, key_after(190).await);
    assert_ne!(key_after(10).await, key_after(210).await);
    assert_ne!(key_after(210).await, key_after(410).await);
}

#[tokio::test]
async fn a_session_that_is_alive_is_kept() {
    let world = House::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(7), &json!(NOW - 60)));
    let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Reason::SessionKept);
    assert_eq!(grant.cookies().session, None);
    assert_eq!(
        grant.cookies().request.as_deref(),
        Some(format!("sessionid={OLD}").as_bytes())
    );
    assert!(grant.cookies().token_deletion.is_some());
    assert_eq!(world.memory.keys(), [OLD]);
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
        let world = House::new(Engine::Database);
        world.put_session(OLD, world.session_of(row, &last_login));
        let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
        let grant = world.ask("/", &cookies).await.expect("granted");
        assert_eq!(grant.reason(), Reason::SessionOpened, "{what}");
        let keys = world.memory.keys();
        assert!(keys.len() == 1 && keys[0] != OLD, "{what}: {keys:?}");
    }
}

#[tokio::test]
async fn another_users_session_is_ended() {
    let world = House::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(8), &json!(NOW)));
    let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Reason::UserSwitched);
    let keys = world.memory.keys();
    assert!(keys.len() == 1 && keys[0] != OLD, "{keys:?}");
}

#[tokio::test]
async fn a_token_that_is_not_acceptable_is_taken_away_and_nothing_else() {
    let world = House::new(Engine::Database);
    *world.memory.0.down.lock().expect("lock") = true;
    let grant = world
        .ask("/", "sessionid=x; ls_auth_token=rubbish")
        .await
        .expect("passes");
    assert_eq!(grant.reason(), Reason::TokenMalformed);
    assert_eq!(grant.login(), None);
    let cookies = grant.cookies();
    assert_eq!(cookies.request.as_deref(), Some(b"sessionid=x".as_slice()));
    assert_eq!(cookies.session, None);
    assert!(cookies.token_deletion.is_some());
}

#[tokio::test]
async fn a_stale_cookie_does_not_hide_the_parameter() {
    let world = House::new(Engine::Database);
    let grant = world
        .ask(&format!("/?token={}", token(8)), "ls_auth_token=rubbish")
        .await
        .expect("granted");
    assert_eq!(grant.login().map(|login| login.user_id), Some(8));
}

#[tokio::test]
async fn a_user_who_may_not_come_in_is_refused() {
    let world = House::new(Engine::Database);
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
        (9, Reason::UserInactive),
        (10, Reason::UserRemoved),
        (11, Reason::UserUnknown),
    ] {
        match world
            .ask("/", &format!("ls_auth_token={}", token(id)))
            .await
        {
            Err(Rejection::Denial(denial)) => {
                assert_eq!(denial.reason, expected);
                assert!(denial.token_deletion.is_some());
            }
            other => panic!("{expected:?} came back as {other:?}"),
        }
    }
    assert_eq!(world.memory.keys(), [""; 0]);
}

#[tokio::test]
async fn what_the_cache_says_is_checked_before_anybody_is_let_in_or_refused() {
    let world = House::new(Engine::Database);
    let ask = async || world.ask("/", &format!("ls_auth_token={}", token(7))).await;
    world.store(UserRow {
        is_active: false,
        ..user(7)
    });
    let rejection = ask().await.expect_err("inactive by now");
    assert_eq!(rejection.reason(), Reason::UserInactive);

    world.store(UserRow {
        password: "!changed".to_owned(),
        ..user(7)
    });
    let grant = ask().await.expect("granted with the password as it is now");
    assert_eq!(grant.reason(), Reason::SessionOpened);

    world.put(UserRow {
        is_active: false,
        ..user(7)
    });
    world.store(user(7));
    ask().await.expect("active again");
}

#[tokio::test]
async fn an_outage_is_not_a_refusal() {
    let world = House::new(Engine::Database);
    *world.memory.0.down.lock().expect("lock") = true;
    let cookies = format!("ls_auth_token={}", token(7));
    match world.ask("/", &cookies).await {
        Err(Rejection::Outage(outage)) => assert_eq!(outage, Outage::Database),
        other => panic!("{other:?}"),
    }
    *world.memory.0.down.lock().expect("lock") = false;
    world.ask("/", &cookies).await.expect("and it recovers");
}

#[tokio::test]
async fn with_signed_cookies_nothing_but_the_login_is_written() {
    let world = House::new(Engine::SignedCookies);
    let cookies = format!("ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(world.memory.keys(), [""; 0]);
    assert_eq!(world.memory.0.logins.load(Ordering::Relaxed), 1);

    let request = grant.cookies().request.clone().expect("a cookie header");
    let request = String::from_utf8(request).expect("ASCII");
    let again = format!("{request}; {cookies}");
    let grant = world.ask("/", &again).await.expect("granted");
    assert_eq!(grant.reason(), Reason::SessionKept);
    let other = format!("{request}; ls_auth_token={}", token(8));
    let grant = world.ask("/", &other).await.expect("granted");
    assert_eq!(grant.reason(), Reason::UserSwitched);
}

/// Everybody with a token is an administrator.
struct Everybody;

impl ApiTokens for Everybody {
    async fn owner_of_key(&self, _key: &str) -> Result<Option<TokenOwner>, Outage> {
        Ok(None)
    }

    async fn owner_of_jwt(&self, user_id: i32, _jti: &str) -> Result<Option<JwtOwner>, Outage> {
        let owner = TokenOwner {
            user_id,
            is_active: true,
            is_admin: true,
            legacy_tokens_enabled: true,
            jwt_tokens_enabled: true,
        };
        Ok(Some(JwtOwner {
            owner,
            revoked: false,
        }))
    }
}

struct At(SystemTime);

impl Clock for At {
    fn now(&self) -> SystemTime {
        self.0
    }
}

struct Sixteen;

impl Entropy for Sixteen {
    fn sixteen(&self) -> [u8; 16] {
        [7; 16]
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
        let issuer = TokenIssuer::new(
            Memory::default(),
            Everybody,
            &secret,
            IssuePolicy {
                lifetime: Duration::from_secs(600),
                user_id_claim: "user_id".to_owned(),
                legacy_always: false,
                create_users: false,
                former_secret_keys: Vec::new(),
            },
            Arc::new(At(at)),
            Arc::new(Sixteen),
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
