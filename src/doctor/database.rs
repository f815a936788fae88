//! Checks Postgres: the clock, the tables, the role's privileges and the `SECRET_KEY`.

use std::time::{Duration, SystemTime};

use super::Report;
use crate::django::{SessionCodec, SessionError};
use crate::gate::identity::Identity;
use crate::gate::reason::Outage;
use crate::gate::session::{Engine, LoginRecord, SessionRow, SessionStore as _};
use crate::gate::user::UserDirectory as _;
use crate::gate::verify::ApiTokens as _;
use crate::postgres::Postgres;
use crate::settings::Settings;

/// Maximum clock difference. With a larger one, fresh tokens look expired or not yet valid.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// A primary key that no user has, so the statements run and find nothing.
const NO_USER: i32 = -1;

/// A session key and username that does not exist.
const NO_NAME: &str = "label-studio-gate-doctor";

/// An action, and whether the role may perform it.
type Outcome = (&'static str, Result<(), Outage>);

/// Runs the checks; without a connection, only the first.
pub(super) async fn check(
    report: &mut Report,
    settings: &Settings,
    backend: &Postgres,
    now: SystemTime,
) {
    if clock(report, backend, now).await.is_err() {
        return;
    }
    schema(report, backend).await;
    privileges(report, backend, settings.session.engine, now).await;
    secret_key(report, settings, backend, now).await;
    own_tables(report, settings, backend).await;
    accounts(report, settings, backend).await;
}

async fn clock(report: &mut Report, backend: &Postgres, now: SystemTime) -> Result<(), Outage> {
    let server = match backend.server_time().await {
        Ok(server) => server,
        Err(outage) => {
            report.fail(
                "Postgres does not answer",
                "see the log line above; check database.url, or POSTGRE_HOST, _PORT, _NAME, _USER \
                 and _PASSWORD",
            );
            return Err(outage);
        }
    };
    report.ok("Postgres answers");
    let difference = server
        .duration_since(now)
        .unwrap_or_else(|ahead| ahead.duration());
    if difference > CLOCK_TOLERANCE {
        report.fail(
            format!(
                "the clocks of this machine and Postgres differ by {} s",
                difference.as_secs()
            ),
            "synchronize both machines with NTP",
        );
    } else {
        report.ok("the clock agrees with Postgres");
    }
    Ok(())
}

async fn schema(report: &mut Report, backend: &Postgres) {
    match backend.schema().await {
        Ok(schema) => {
            report.ok("Label Studio's tables exist");
            if !schema.has_jwt_tokens {
                report.note(
                    "Label Studio is older than 1.17: the token route accepts legacy API tokens only",
                );
            }
        }
        Err(_) => report.fail(
            "Label Studio's tables do not exist or cannot be read",
            "check the name of Label Studio's database; let Label Studio migrate it; run \
             sql/role.sql as the owner of its tables",
        ),
    }
}

/// Runs each statement so that it finds no rows. Postgres checks privileges before it looks for
/// rows.
async fn privileges(report: &mut Report, backend: &Postgres, engine: Engine, now: SystemTime) {
    let mut outcomes = user_statements(backend).await;
    outcomes.extend(session_statements(backend, now).await);
    outcomes.push(("record a login", record_login(backend, engine, now).await));
    outcomes.extend(token_statements(backend).await);
    for (action, outcome) in outcomes {
        match outcome {
            Ok(()) => report.ok(format!("the role may {action}")),
            Err(_) => report.fail(
                format!("the role cannot {action}"),
                "see the log line above; run sql/role.sql as the owner of Label Studio's tables",
            ),
        }
    }
}

async fn user_statements(backend: &Postgres) -> Vec<Outcome> {
    let find = async |identity| backend.find(&identity).await.map(drop);
    vec![
        ("look up a user", find(Identity::Id(NO_USER)).await),
        (
            "look up an email address",
            find(Identity::Email(String::new())).await,
        ),
        (
            "look up a username",
            find(Identity::Username(NO_NAME.to_owned())).await,
        ),
    ]
}

async fn session_statements(backend: &Postgres, now: SystemTime) -> Vec<Outcome> {
    let with_owner = backend.load_with_owner(NO_NAME, now, NO_USER);
    vec![
        ("read a session", backend.load(NO_NAME, now).await.map(drop)),
        ("read a session and its user", with_owner.await.map(drop)),
        (
            "read all sessions",
            backend.page(NO_NAME, now).await.map(drop),
        ),
        ("end a session", backend.end(&[NO_NAME.to_owned()]).await),
    ]
}

async fn record_login(backend: &Postgres, engine: Engine, now: SystemTime) -> Result<(), Outage> {
    let row = (engine == Engine::Database).then_some(SessionRow {
        place: NO_NAME,
        key: NO_NAME,
        data: "",
        expire_date: now,
    });
    let login = LoginRecord {
        user_id: NO_USER,
        password: "",
        revoked_at: None,
        at: now,
        row,
        replaces: None,
    };
    backend.record(&login).await.map(drop)
}

async fn token_statements(backend: &Postgres) -> Vec<Outcome> {
    vec![
        (
            "look up an API token",
            backend.owner_of_key(NO_NAME).await.map(drop),
        ),
        (
            "look up a personal access token",
            backend.owner_of_jwt(NO_USER, NO_NAME).await.map(drop),
        ),
    ]
}

/// Whether Label Studio signs its sessions with the same `SECRET_KEY`.
async fn secret_key(report: &mut Report, settings: &Settings, backend: &Postgres, now: SystemTime) {
    if settings.session.engine == Engine::SignedCookies {
        report.note(
            "sessions are signed cookies: only a login shows whether Label Studio has the same \
             SECRET_KEY",
        );
        return;
    }
    let codec = SessionCodec::new(&settings.label_studio.secret_key);
    let sessions = backend.recent_sessions(now).await.unwrap_or_default();
    let mismatches = sessions
        .iter()
        .filter(|data| codec.decode_row(data) == Err(SessionError::BadSignature))
        .count();
    match (sessions.len(), mismatches) {
        (0, _) => report.note(
            "django_session has no live session: check that Label Studio runs with SESSION_ENGINE \
             = db; its default is signed_cookies",
        ),
        (_, 0) => report.ok("Label Studio's sessions are signed with the same SECRET_KEY"),
        (all, mismatches) => report.fail(
            format!("{mismatches} of {all} recent sessions are signed with another SECRET_KEY"),
            "give both services the same SECRET_KEY",
        ),
    }
}

/// Whether the gate's own tables exist, if the settings need them.
async fn own_tables(report: &mut Report, settings: &Settings, backend: &Postgres) {
    let Ok(schema) = backend.schema().await else {
        return;
    };
    match (settings.token.once(), schema.has_own_tables) {
        (None, _) => {}
        (Some(_), true) => report.ok("the gate's own tables exist"),
        (Some(_), false) => report.fail(
            "token.use is \"once\", but the gate's own tables do not exist",
            "run label-studio-gate migrate --role ROLE as a role that may create a schema",
        ),
    }
}

/// Whether accounts can be created, if the settings ask for it.
async fn accounts(report: &mut Report, settings: &Settings, backend: &Postgres) {
    let mut issuers = settings.external.issuers.iter();
    let application = settings.client_session.as_ref();
    let is_wanted = issuers.any(|issuer| issuer.mapping.admission.create)
        || application.is_some_and(|session| session.settings.create_users)
        || settings.token_issue.create_users;
    let Ok(schema) = backend.schema().await else {
        return;
    };
    match &schema.accounts {
        _ if !is_wanted => {}
        Ok(_) => report.ok("accounts can be created"),
        Err(error) => report.fail(
            format!("accounts cannot be created: {error}"),
            "run sql/role.sql with -v create_users=on; if Label Studio is newer than this release \
             supports, upgrade the gate",
        ),
    }
}
