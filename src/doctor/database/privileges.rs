//! Runs each statement so that it finds no rows. Postgres checks privileges before it looks for
//! rows.

use std::time::SystemTime;

use super::super::{Check, Report};
use super::{fail, own_tables_suffice};
use crate::gate::identity::Identity;
use crate::gate::reason::Outage;
use crate::gate::session::{Engine, LoginRecord, NewSession, SessionRow, SessionStore as _};
use crate::gate::user::UserDirectory as _;
use crate::gate::verify::ApiTokens as _;
use crate::postgres::{DatabaseFault, MIGRATE, Postgres, Schema};
use crate::settings::Settings;

/// A primary key that no user and no organization has, so the statements run and find nothing.
const NOBODY: i32 = -1;

/// A session key and username that does not exist.
const NO_NAME: &str = "label-studio-gate-doctor";

/// An action, and whether the role may perform it, or what Postgres says.
type Outcome = (&'static str, Result<(), Option<DatabaseFault>>);

/// Checks every statement of a login and of the token route.
pub(super) async fn check(
    report: &mut Report,
    backend: &Postgres,
    engine: Engine,
    now: SystemTime,
) {
    let mut outcomes = user_statements(backend).await;
    outcomes.extend(session_statements(backend, now).await);
    let recorded = record_login(backend, engine, now).await;
    outcomes.push(tried(backend, "record a login", recorded));
    outcomes.extend(token_statements(backend).await);
    for (action, outcome) in outcomes {
        match outcome {
            Ok(()) => report.ok(Check::DatabasePrivileges, format!("the role may {action}")),
            Err(fault) => {
                let what = format!("the role cannot {action}");
                let otherwise = "run sql/role.sql as the owner of Label Studio's tables";
                fail(report, Check::DatabasePrivileges, &what, fault, otherwise);
            }
        }
    }
}

fn tried<T>(backend: &Postgres, action: &'static str, result: Result<T, Outage>) -> Outcome {
    let outcome = result.map(drop).map_err(|_| backend.take_fault());
    (action, outcome)
}

async fn user_statements(backend: &Postgres) -> Vec<Outcome> {
    let find = async |action, identity| tried(backend, action, backend.find(&identity).await);
    vec![
        find("look up a user", Identity::Id(NOBODY)).await,
        find("look up an email address", Identity::Email(String::new())).await,
        find("look up a username", Identity::Username(NO_NAME.to_owned())).await,
        tried(
            backend,
            "look up a session policy",
            backend.max_session_age(NOBODY).await,
        ),
    ]
}

async fn session_statements(backend: &Postgres, now: SystemTime) -> Vec<Outcome> {
    let with_owner = backend.load_with_owner(NO_NAME, now, Some(NOBODY));
    vec![
        tried(backend, "read a session", backend.load(NO_NAME, now).await),
        tried(backend, "read a session and its user", with_owner.await),
        tried(
            backend,
            "read all sessions",
            backend.page(NO_NAME, now).await,
        ),
        tried(
            backend,
            "end a session",
            backend.end(&[NO_NAME.to_owned()]).await,
        ),
    ]
}

async fn record_login(backend: &Postgres, engine: Engine, now: SystemTime) -> Result<(), Outage> {
    let session = match engine {
        Engine::Database => NewSession::Row(SessionRow {
            place: NO_NAME,
            key: NO_NAME,
            data: "",
            expire_date: now,
        }),
        Engine::SignedCookies => NewSession::Cookie(&[0; 32]),
    };
    let login = LoginRecord {
        user_id: NOBODY,
        password: "",
        revoked_at: None,
        at: now,
        session,
        replaces: None,
    };
    backend.record(&login).await?;
    // A login that replaces a session, or waits for a lock, has a statement of its own.
    match &login.session {
        NewSession::Row(_) => {
            let replaces = Some(NO_NAME);
            backend.record(&LoginRecord { replaces, ..login }).await
        }
        NewSession::Cookie(mark) => backend.record_cookie_login_alone(&login, mark).await,
    }
    .map(drop)
}

async fn token_statements(backend: &Postgres) -> Vec<Outcome> {
    vec![
        tried(
            backend,
            "look up an API token",
            backend.owner_of_key(NO_NAME).await,
        ),
        tried(
            backend,
            "look up a personal access token",
            backend.owner_of_jwt(NOBODY, NO_NAME).await,
        ),
    ]
}

/// Whether `POST /api/sso/revoke` works. Logins do not need it, so it is only advice.
pub(super) async fn revocation(
    report: &mut Report,
    settings: &Settings,
    backend: &Postgres,
    schema: &Schema,
) {
    let check = Check::DatabaseRevocation;
    let may_end_sessions = match settings.session.engine {
        Engine::Database => true,
        Engine::SignedCookies if own_tables_suffice(settings, schema) => true,
        Engine::SignedCookies => backend.renew_unusable_password(NOBODY).await.is_ok(),
    };
    match (may_end_sessions, schema.has_own_tables) {
        (false, _) => report.advise(
            check,
            "the role cannot end a user's sessions: POST /api/sso/revoke answers 503",
            "if you use that route: run sql/role.sql with -v revoke=on as the owner of Label \
             Studio's tables",
        ),
        (true, false) => report.advise(
            check,
            "POST /api/sso/revoke ends sessions, but issued tokens stay valid until they expire",
            format!("if you use that route: {MIGRATE}"),
        ),
        (true, true) => report.ok(check, "sessions and tokens can be revoked"),
    }
}
