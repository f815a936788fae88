//! The contents of a session, and whether Label Studio would accept it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Engine;
use super::row::Session;
use super::store::SessionMark;
use crate::django::{AuthHasher, SessionData, SessionEntries};
use crate::gate::clock::unix_seconds_f64;
use crate::gate::user::ActiveUser;
use crate::gate::verify::{Method, VerifiedClaims};

/// The provider at which the user signed in, and its ID token.
const PROVIDER: &str = "gate_provider";
const ID_TOKEN: &str = "gate_id_token";
/// The longest ID token that a session keeps. It is a hint only; each check reads the session, and
/// some servers reject longer URLs.
const LONGEST_HINT: usize = 2048;
/// When the gate ends the session, in seconds since the epoch.
pub(super) const ENDS: &str = "gate_ends";

/// The only entry of Label Studio's `AUTHENTICATION_BACKENDS` for which Django loads a user from a
/// session.
pub(super) const BACKEND: &str = "django.contrib.auth.backends.ModelBackend";

/// The contents of a new session: what a Label Studio login stores, plus what the plugin adds.
///
/// `last_login` must be a number: without it Label Studio ends the session at once, and a string
/// causes an error 500. Signed cookies have no room for an ID token.
pub(super) fn of_login(
    user: &ActiveUser,
    claims: &VerifiedClaims,
    engine: Engine,
    uid: &str,
    auth_hash: &AuthHasher,
    now: SystemTime,
) -> SessionData {
    let mut session = SessionData::new();
    session.insert("uid", json!(uid));
    if let Some(organization) = user.active_organization_id() {
        session.insert("organization_pk", json!(organization));
    }
    session.insert("last_login", json!(unix_seconds_f64(now)));
    session.insert("_auth_user_id", json!(user.id().to_string()));
    session.insert("_auth_user_backend", json!(BACKEND));
    session.insert("_auth_user_hash", json!(auth_hash.hash(user.password())));
    session.insert("jwt_auto_login", Value::Bool(true));
    // The plugin's values.
    let sso_method = match claims.method() {
        Method::External | Method::Native | Method::Proxy | Method::OpenId => "jwt",
        Method::Session => "session",
    };
    session.insert("sso_method", json!(sso_method));
    if let Some(provider) = claims.provider_session() {
        session.insert(PROVIDER, json!(provider.provider));
        if engine == Engine::Database && provider.id_token.len() <= LONGEST_HINT {
            session.insert(ID_TOKEN, json!(provider.id_token));
        }
        if let Some(longest) = provider.longest {
            session.insert(ENDS, json!(unix_seconds_f64(now + longest)));
        }
    }
    session
}

/// Whether Label Studio would accept this session as `user`.
///
/// Checks what Django's `get_user` (`django/contrib/auth/__init__.py`) and Label Studio's
/// `InactivitySessionTimeoutMiddleWare` check; `limit` is how long after login Label Studio ends a
/// session. A session from before a revocation is invalid even if Label Studio would accept it.
pub(super) fn is_alive(
    session: &Session,
    user: &ActiveUser,
    auth_hash: &AuthHasher,
    limit: Duration,
    now: SystemTime,
) -> bool {
    session.user_id() == Some(user.id())
        && session.has_backend
        && session.is_tied_to(user.password(), auth_hash)
        && session
            .last_login
            .is_some_and(|at| unix_seconds_f64(now) - at < limit.as_secs_f64())
        && !is_revoked(session, user)
        && session.ends.is_none_or(|ends| unix_seconds_f64(now) < ends)
}

/// Whether the user's sessions were revoked after the login of this one.
fn is_revoked(session: &Session, user: &ActiveUser) -> bool {
    match session.stamp {
        Some(stamp) => stamp.is_before_revocation(user.revoked_at()),
        None => user.may_have_revoked(session.last_login),
    }
}

/// The provider at which the user of this session signed in, and the ID token, if there is room for
/// one.
pub(super) fn provider_of(session: &SessionData) -> Option<(&str, Option<&str>)> {
    let text = |name| session.get(name).and_then(Value::as_str);
    Some((text(PROVIDER)?, text(ID_TOKEN)))
}

/// An identifier that stays the same for the life of a session. Label Studio re-signs the cookie
/// with each answer but never changes `uid`.
pub(super) fn mark(session: &impl SessionEntries) -> SessionMark {
    match session.get("uid").and_then(Value::as_str) {
        Some(uid) => mark_of(uid),
        None => {
            let mut hash = Sha256::new();
            let owner = session.user_id().unwrap_or_default();
            let login = session.last_login().unwrap_or_default();
            hash.update(owner.to_be_bytes());
            hash.update(login.to_be_bytes());
            hash.finalize().into()
        }
    }
}

/// The mark of a session with this `uid`.
pub(super) fn mark_of(uid: &str) -> SessionMark {
    Sha256::digest(uid.as_bytes()).into()
}
