//! Checks Postgres: the clock, the tables, the role's privileges and the `SECRET_KEY`.

mod addresses;
mod audit;
mod pooler;
mod privileges;

use std::time::{Duration, SystemTime};

use super::{Check, Report};
use crate::django::{SessionCodec, SessionError};
use crate::gate::identity::ClaimMapping;
use crate::gate::policy::Anonymous;
use crate::gate::session::Engine;
use crate::postgres::{
    DatabaseFault, MAY_CREATE_ACCOUNTS, MAY_SET_STAFF, MIGRATE, Postgres, Schema, SchemaError,
};
use crate::settings::Settings;

/// Maximum clock difference. With a larger one, fresh tokens look expired or not yet valid.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Runs the checks. Without a connection, or in a database that is not Label Studio's, the others
/// would only repeat the same failure.
pub(super) async fn check(
    report: &mut Report,
    settings: &Settings,
    backend: &Postgres,
    now: SystemTime,
) {
    if let Err(why) = backend.reach().await {
        report.fail(
            Check::DatabaseConnection,
            format!("Postgres does not answer: {why}"),
            why.cure.unwrap_or(
                "check database.url, or POSTGRE_HOST, _PORT, _NAME, _USER and _PASSWORD",
            ),
        );
        return;
    }
    report.ok(Check::DatabaseConnection, "Postgres answers");
    clock(report, backend, now).await;
    let schema = match backend.read_schema().await {
        Ok(schema) => schema,
        Err(error) => return unusable(report, backend, &error),
    };
    report.ok(Check::DatabaseTables, "Label Studio's tables exist");
    if !schema.has_jwt_tokens {
        report.note(
            Check::DatabaseTables,
            "Label Studio is older than 1.17: the token route accepts legacy API tokens only",
        );
    }
    secret_key(report, settings, backend, now).await;
    own_tables(report, settings, &schema);
    accounts(report, settings, &schema);
    staff(report, settings, &schema);
    pooler::check(report, settings, backend);
    if schema.locks_out() {
        // Most statements read the gate's own tables too, and would only repeat that failure.
        report.note(
            Check::DatabasePrivileges,
            "did not check what else the role may do: first let it use the gate's own tables",
        );
        return;
    }
    privileges::check(report, backend, settings.session.engine, now).await;
    privileges::revocation(report, settings, backend, &schema).await;
    audit::check(report, settings, backend).await;
    addresses::check(report, backend).await;
}

/// A failure with what Postgres said last, and what to do about that; `otherwise` if nothing better is
/// known.
fn fail(
    report: &mut Report,
    check: Check,
    what: &str,
    fault: Option<DatabaseFault>,
    otherwise: &str,
) {
    match fault {
        Some(fault) => report.fail(
            check,
            format!("{what}: {fault}"),
            fault.cure.unwrap_or(otherwise),
        ),
        None => report.fail(check, what, format!("see the log line above; {otherwise}")),
    }
}

async fn clock(report: &mut Report, backend: &Postgres, now: SystemTime) {
    let Ok(server) = backend.server_time().await else {
        let what = "Postgres does not tell the time";
        let otherwise = "check what is between the gate and Postgres";
        let fault = backend.take_fault();
        return fail(report, Check::DatabaseConnection, what, fault, otherwise);
    };
    let difference = server
        .duration_since(now)
        .unwrap_or_else(|ahead| ahead.duration());
    if difference > CLOCK_TOLERANCE {
        report.fail(
            Check::DatabaseClock,
            format!(
                "the clocks of this machine and Postgres differ by {} s",
                difference.as_secs()
            ),
            "synchronize both machines with NTP",
        );
    } else {
        report.ok(Check::DatabaseClock, "the clock agrees with Postgres");
    }
}

fn unusable(report: &mut Report, backend: &Postgres, error: &SchemaError) {
    let (check, cure) = (Check::DatabaseTables, error.cure());
    match error {
        SchemaError::Outage(_) => {
            let what = "Label Studio's tables cannot be read";
            fail(report, check, what, backend.take_fault(), &cure);
        }
        error => report.fail(check, error.to_string(), cure),
    }
}

/// Whether Label Studio signs its sessions with the same `SECRET_KEY`, as far as rows tell.
async fn secret_key(report: &mut Report, settings: &Settings, backend: &Postgres, now: SystemTime) {
    let check = Check::DatabaseSecretKey;
    if settings.session.engine == Engine::SignedCookies {
        report.note(
            check,
            "sessions are signed cookies: only a request to label_studio.url shows whether Label \
             Studio has the same SECRET_KEY",
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
            check,
            "django_session has no live session: check that Label Studio runs with SESSION_ENGINE \
             = db; its default is signed_cookies",
        ),
        (_, 0) => report.ok(
            check,
            "Label Studio's sessions are signed with the same SECRET_KEY",
        ),
        (all, mismatches) => report.fail(
            check,
            format!("{mismatches} of {all} recent sessions are signed with another SECRET_KEY"),
            "give both services the same SECRET_KEY",
        ),
    }
}

/// Whether the gate's own tables exist, if the settings need them, and can be used.
fn own_tables(report: &mut Report, settings: &Settings, schema: &Schema) {
    let check = Check::DatabaseOwnTables;
    match (settings.token.once(), schema) {
        (_, schema) if schema.locks_out() => report.fail(
            check,
            "the gate's own tables exist, and the role may not use them: every login fails",
            MIGRATE,
        ),
        (_, schema) if schema.has_own_tables => report.ok(check, "the gate's own tables exist"),
        (None, _) => {}
        (Some(_), _) => report.fail(
            check,
            "token.use is \"once\", but the gate's own tables do not exist",
            MIGRATE,
        ),
    }
}

/// What the tokens of each issuer and OpenID provider permit.
fn mappings(settings: &Settings) -> impl Iterator<Item = &ClaimMapping> {
    let issuers = settings.external.issuers.iter();
    let providers = settings.sign_in.iter().flat_map(|it| &it.providers);
    let issuers = issuers.map(|issuer| &issuer.mapping);
    issuers.chain(providers.map(|provider| &provider.mapping))
}

/// Whether accounts can be created, if the settings ask for it.
fn accounts(report: &mut Report, settings: &Settings, schema: &Schema) {
    let application = settings.client_session.as_ref();
    let proxy = settings.proxy_headers.as_ref();
    let is_wanted = mappings(settings).any(|mapping| mapping.admission.create)
        || application.is_some_and(|session| session.settings.create_users)
        || proxy.is_some_and(|headers| headers.rules.create_users)
        || settings.token_issue.create_users;
    match &schema.accounts {
        _ if !is_wanted => {}
        Ok(_) => report.ok(Check::DatabaseAccounts, "accounts can be created"),
        Err(error) => report.fail(
            Check::DatabaseAccounts,
            format!("accounts cannot be created: {error}"),
            MAY_CREATE_ACCOUNTS,
        ),
    }
}

/// Whether groups can decide who is staff, if the settings ask for it.
fn staff(report: &mut Report, settings: &Settings, schema: &Schema) {
    let mut groups = mappings(settings).filter_map(|mapping| mapping.groups.as_ref());
    if !groups.any(|groups| groups.staff.is_some()) {
        return;
    }
    match schema.may_set_staff {
        true => report.ok(Check::DatabaseStaff, "groups can decide who is staff"),
        false => report.fail(
            Check::DatabaseStaff,
            "groups cannot decide who is staff: the role may not write htx_user.is_staff",
            MAY_SET_STAFF,
        ),
    }
}

/// Whether a revocation ends a user's signed cookies by the gate's own tables alone.
fn own_tables_suffice(settings: &Settings, schema: &Schema) -> bool {
    schema.has_own_tables && settings.policy.gate.anonymous == Anonymous::Require
}
