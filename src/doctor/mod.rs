//! What stands between this configuration and a working login: `label-studio-gate doctor`.

mod public;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::django::{SessionCodec, SessionError};
use crate::gate::identity::Identity;
use crate::gate::reason::Outage;
use crate::gate::session::{Engine, LoginRecord, SessionRow, SessionStore as _};
use crate::gate::user::UserDirectory as _;
use crate::gate::verify::{ApiTokens as _, ClientSessions as _, KeySource as _};
use crate::postgres::Postgres;
use crate::settings::{IssuerKeys, Settings};
use crate::startup;

/// A clock that is further off makes fresh tokens look old, or not yet valid.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// No user has this primary key, so the statements run and find nothing.
const NOBODY: i32 = -1;

/// A report, line by line.
#[derive(Default)]
struct Report {
    text: String,
    failed: usize,
}

impl Report {
    fn good(&mut self, what: &str) {
        let _ = writeln!(self.text, "ok    {what}");
    }

    fn note(&mut self, what: &str) {
        let _ = writeln!(self.text, "note  {what}");
    }

    fn warn(&mut self, what: &str, advice: &str) {
        let _ = writeln!(self.text, "WARN  {what}\n      {advice}");
    }

    fn bad(&mut self, what: &str, advice: &str) {
        self.failed += 1;
        let _ = writeln!(self.text, "FAIL  {what}\n      {advice}");
    }
}

/// Looks at everything that a login needs; an error holds the same report.
pub async fn examine(
    settings: &Settings,
    backend: &Postgres,
    now: SystemTime,
) -> Result<String, String> {
    let mut report = Report::default();
    report.good("settings");
    if clock(&mut report, backend, now).await.is_ok() {
        schema(&mut report, backend).await;
        grants(&mut report, backend, settings.session.engine, now).await;
        secret_key(&mut report, settings, backend, now).await;
        accounts(&mut report, settings, backend).await;
    }
    key_servers(&mut report, settings).await?;
    client_api(&mut report, settings).await?;
    public::examine(&mut report, settings).await?;
    match report.failed {
        0 => Ok(report.text),
        failed => Err(format!("{failed} of the checks failed\n{}", report.text)),
    }
}

async fn clock(report: &mut Report, backend: &Postgres, now: SystemTime) -> Result<(), Outage> {
    match backend.server_time().await {
        Ok(there) => {
            report.good("Postgres answers");
            let off = there
                .duration_since(now)
                .unwrap_or_else(|ahead| ahead.duration());
            if off > CLOCK_TOLERANCE {
                let what = format!(
                    "the clock is {} s away from that of Postgres",
                    off.as_secs()
                );
                report.bad(&what, "let both machines take their time from NTP");
            } else {
                report.good("the clock agrees with that of Postgres");
            }
            Ok(())
        }
        Err(outage) => {
            let advice = "see the log line above; database.url or POSTGRE_HOST, _PORT, _NAME, _USER, _PASSWORD";
            report.bad("Postgres does not answer", advice);
            Err(outage)
        }
    }
}

async fn schema(report: &mut Report, backend: &Postgres) {
    match backend.schema().await {
        Ok(schema) => {
            report.good("Label Studio's tables are there");
            if !schema.has_jwt_tokens {
                report.note(
                    "Label Studio before 1.17: the token route takes legacy API tokens alone",
                );
            }
        }
        Err(_) => report.bad(
            "Label Studio's tables are not there, or may not be read",
            "name Label Studio's database; let Label Studio migrate; run sql/role.sql as its owner",
        ),
    }
}

/// Sends each statement so that it finds nobody. Postgres looks at the rights before it looks for rows.
async fn grants(report: &mut Report, backend: &Postgres, engine: Engine, now: SystemTime) {
    let nowhere = "label-studio-gate-doctor";
    let row = (engine == Engine::Database).then_some(SessionRow {
        place: nowhere,
        key: nowhere,
        data: "",
        expire_date: now,
    });
    let login = LoginRecord {
        user_id: NOBODY,
        password: "",
        revoked_at: None,
        at: now,
        row,
        replaces: None,
    };
    let user = backend.find(&Identity::Id(NOBODY));
    let email = Identity::Email(String::new());
    let name = Identity::Username(nowhere.to_owned());
    for (what, outcome) in [
        ("look a user up", user.await.map(|_| ())),
        (
            "look an e-mail address up",
            backend.find(&email).await.map(|_| ()),
        ),
        (
            "read a session",
            backend.load(nowhere, now).await.map(|_| ()),
        ),
        ("read a session and its user", {
            let both = backend.load_with_owner(nowhere, now, NOBODY).await;
            both.map(|_| ())
        }),
        (
            "read all sessions",
            backend.page(nowhere, now).await.map(|_| ()),
        ),
        ("end a session", backend.end(&[nowhere.to_owned()]).await),
        ("look a user name up", backend.find(&name).await.map(|_| ())),
        ("record a login", backend.record(&login).await.map(|_| ())),
        (
            "look an API token up",
            backend.owner_of_key(nowhere).await.map(|_| ()),
        ),
        (
            "look a personal access token up",
            backend.owner_of_jwt(NOBODY, nowhere).await.map(|_| ()),
        ),
    ] {
        match outcome {
            Ok(()) => report.good(&format!("the role may {what}")),
            Err(_) => report.bad(
                &format!("the role cannot {what}"),
                "see the log line above; run sql/role.sql as the owner of Label Studio's tables",
            ),
        }
    }
}

/// Whether accounts can be created, where they are to be.
async fn accounts(report: &mut Report, settings: &Settings, backend: &Postgres) {
    let mut external = settings.external.issuers.iter();
    let client = settings.client_session.as_ref();
    let wanted = external.any(|issuer| issuer.rules.admission.create)
        || client.is_some_and(|client| client.settings.create_users)
        || settings.token_issue.create_users;
    let Ok(schema) = backend.schema().await else {
        return;
    };
    if settings.token.once().is_some() {
        match schema.has_own_tables {
            true => report.good("the gate's own tables are there"),
            false => report.bad(
                "token.use is \"once\", and the gate's own tables are not there",
                "run label-studio-gate migrate --role ROLE as a role that may create a schema",
            ),
        }
    }
    match &schema.accounts {
        _ if !wanted => {}
        Ok(_) => report.good("accounts can be created"),
        Err(why) => report.bad(
            &format!("accounts cannot be created: {why}"),
            "run sql/role.sql with -v create_users=on; if the tables are newer than this release knows, upgrade it",
        ),
    }
}

/// Whether the key servers answer with keys.
async fn key_servers(report: &mut Report, settings: &Settings) -> Result<(), String> {
    for issuer in &settings.external.issuers {
        let IssuerKeys::Served(place) = &issuer.keys else {
            report.good(&format!("{}: its keys are configured", issuer.name));
            continue;
        };
        match startup::key_server(settings, place)?.renew().await {
            Ok(keys) => report.good(&format!("{}: {} keys were read", issuer.name, keys.len())),
            Err(_) => report.bad(
                &format!("{}: its key server gives no keys", issuer.name),
                "see the log line above",
            ),
        }
    }
    Ok(())
}

/// Whether the client's API knows that a made-up session is none.
async fn client_api(report: &mut Report, settings: &Settings) -> Result<(), String> {
    let Some(client) = &settings.client_session else {
        return Ok(());
    };
    let api = startup::client_api(client)?;
    match api.person("label-studio-gate-doctor").await {
        Ok(None) => report.good(
            "the client's API answers, and knows no session that was made up (nor would it, if it did not know the secret)",
        ),
        Ok(Some(_)) => report.bad(
            "the client's API says that somebody is signed in with a session that was made up",
            "client_session.verify_url must look at the cookie",
        ),
        Err(_) => report.bad(
            "the client's API does not answer as agreed",
            "see the log line above; 200 with a JSON object, 401 or 403",
        ),
    }
    Ok(())
}

/// Whether Label Studio signs with the same key, as far as its sessions tell.
async fn secret_key(report: &mut Report, settings: &Settings, backend: &Postgres, now: SystemTime) {
    if settings.session.engine == Engine::SignedCookies {
        report.note(
            "signed cookies: whether Label Studio has the same SECRET_KEY shows only at a login",
        );
        return;
    }
    let codec = SessionCodec::new(&settings.label_studio.secret_key);
    let sessions = backend.recent_sessions(now).await.unwrap_or_default();
    let foreign = sessions
        .iter()
        .filter(|data| codec.decode_row(data) == Err(SessionError::BadSignature))
        .count();
    match (sessions.len(), foreign) {
        (0, _) => report.note(
            "no session in django_session: does Label Studio run with SESSION_ENGINE = db? As shipped it runs with signed_cookies",
        ),
        (_, 0) => report.good("Label Studio's sessions are signed with the same SECRET_KEY"),
        (all, foreign) => report.bad(
            &format!("{foreign} of {all} recent sessions are signed with another SECRET_KEY"),
            "give both services the same SECRET_KEY",
        ),
    }
}
