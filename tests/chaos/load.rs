//! The steady mix of requests, each of which knows the answer that is right.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use label_studio_gate::gate::jws;
use serde_json::json;

use crate::chance::Chance;
use crate::episode::Outcome;
use crate::host_application::COOKIE;
use crate::ledger::Session;
use crate::site::{Answer, Case, Site, Verdict, sessions};
use crate::support::token::{SECRET_KEY, native, now};
use crate::users::{ADMIN_KEY, address};

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NoToken,
    BadToken,
    /// A good token of method 1 for an address without an account.
    Stranger,
    /// A login with a token of method 1.
    External,
    /// A login with a token of method 2.
    Native,
    /// A login with a session of the host application, method 3.
    Application,
    /// A request with a session that was opened before.
    Live,
    /// A request with a session that somebody has ended.
    Ended,
    /// Signs out.
    Leave,
    /// An administrator asks for a token, with which somebody signs in later.
    Issue,
}

/// How the reason of an answer ends that does not say when to try again.
pub const NO_RETRY_AFTER: &str = " without Retry-After";

/// The mix, in percent.
const MIX: [(Kind, usize); 10] = [
    (Kind::NoToken, 12),
    (Kind::BadToken, 8),
    (Kind::Stranger, 2),
    (Kind::External, 12),
    (Kind::Native, 12),
    (Kind::Application, 10),
    (Kind::Live, 32),
    (Kind::Ended, 5),
    (Kind::Leave, 3),
    (Kind::Issue, 4),
];

/// Sends `rate` requests a second for as long as the program runs.
pub async fn run(site: Arc<Site>, rate: u32) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        let mut left = site.chance.lock().expect("not poisoned").below(100);
        let kind = MIX.iter().find(|(_, share)| {
            let found = left < *share;
            left = left.wrapping_sub(*share);
            found
        });
        let (kind, _) = kind.expect("the shares are 100 in all");
        tokio::spawn(ask(site.clone(), *kind));
    }
}

/// Sends one request and records the outcome. A request that nothing can be sent with yet, such as
/// one with an ended session, is left out.
pub async fn ask(site: Arc<Site>, kind: Kind) {
    ask_of(site, kind, None).await;
}

/// Sends one request to nginx, or the question about it to the gate on this port.
pub async fn ask_of(site: Arc<Site>, kind: Kind, gate: Option<u16>) {
    let Some(prepared) = prepare(&site, kind) else {
        return;
    };
    let (episode, sent) = site.begin();
    let answer = match (kind, gate) {
        (_, Some(gate)) => site.check(gate, &prepared.cookies).await,
        (Kind::Leave, None) => {
            let headers = [
                ("Cookie", prepared.cookies.as_str()),
                ("Sec-Fetch-Site", "same-origin"),
            ];
            site.post("/sso/logout", &headers, String::new()).await
        }
        (Kind::Issue, None) => {
            let authorization = format!("Token {ADMIN_KEY}");
            let body = json!({"email": address(prepared.session.user)}).to_string();
            let headers = [("Authorization", authorization.as_str())];
            site.post("/api/sso/token", &headers, body).await
        }
        (_, None) => site.get(&prepared.cookies).await,
    };
    let mut case = Case {
        took: episode.answered(sent),
        episode,
        sent,
        what: format!("{} {kind:?}", site.engine.name()),
        seen: String::new(),
        session: prepared.session,
        is_new: matches!(kind, Kind::External | Kind::Native | Kind::Application),
    };
    let verdict = match answer {
        Ok(answer) => judge(&site, kind, &answer, &mut case),
        Err(_) => Verdict::Known(Outcome::Unavailable("no answer".to_owned())),
    };
    site.close(case, verdict);
}

/// A request that can be sent.
struct Prepared {
    cookies: String,
    session: Session,
}

fn prepare(site: &Site, kind: Kind) -> Option<Prepared> {
    let mut chance = site.chance.lock().expect("not poisoned");
    let chance = &mut *chance;
    let mut session = Session {
        cookie: String::new(),
        user: site.somebody(chance),
        application: None,
    };
    let token = |token: String| format!("ls_auth_token={token}");
    let cookies = match kind {
        Kind::NoToken => "csrftoken=x".to_owned(),
        Kind::Issue => String::new(),
        Kind::BadToken => token(bad_token(site, session.user, chance)),
        Kind::Stranger => token(site.signer.token("nobody@chaos.test", chance.next())),
        Kind::External => token(site.signer.token(&address(session.user), chance.next())),
        Kind::Native => match site.issued.lock().expect("not poisoned").pop() {
            Some((user, issued)) => {
                session.user = user;
                token(issued)
            }
            None => token(native(site.users.id(session.user))),
        },
        Kind::Application => {
            let of = format!("of-{}-{:x}", session.user, chance.next());
            let cookie = format!("{COOKIE}={of}");
            session.application = Some(of);
            cookie
        }
        Kind::Live | Kind::Ended | Kind::Leave => {
            let mut ledger = site.ledger.lock().expect("not poisoned");
            session = match kind {
                Kind::Live => ledger.live(chance),
                Kind::Ended => ledger.ended(chance),
                _ => ledger.leave(chance),
            }?;
            match &session.application {
                Some(of) if kind == Kind::Live => {
                    format!("{COOKIE}={of}; sessionid={}", session.cookie)
                }
                _ => format!("sessionid={}", session.cookie),
            }
        }
    };
    Some(Prepared { cookies, session })
}

/// Tokens that must not let anybody in.
fn bad_token(site: &Site, user: usize, chance: &mut Chance) -> String {
    use crate::support::token::{claims, now, sign, with};
    use jsonwebtoken::Algorithm::HS256;
    let id = site.users.id(user);
    match chance.below(4) {
        0 => sign(HS256, "another-key-than-that-of-label-studio", &claims(id)),
        1 => {
            let old = json!({"iat": now() - 90_000, "exp": now() - 86_000});
            sign(HS256, SECRET_KEY, &with(claims(id), &old))
        }
        2 => {
            let good = native(id);
            let (signed, _) = good.rsplit_once('.').expect("three parts");
            let (_, other) = native(site.users.id((user + 2) % crate::users::USERS))
                .rsplit_once('.')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .expect("three parts");
            format!("{signed}.{other}")
        }
        _ => "a.b.c".to_owned(),
    }
}

/// Whether an answer is the right one for this kind of request.
fn judge(site: &Site, kind: Kind, answer: &Answer, case: &mut Case) -> Verdict {
    let known = Verdict::Known;
    let wrong = |what: &str, case: &Case| {
        let Answer { status, reason, .. } = answer;
        known(Outcome::Wrong(format!(
            "{}: {what}: {status} {reason}, user {}, in: {}",
            case.what, case.session.user, case.episode.name
        )))
    };
    // 408: a worker was busy for so long that the server took its peer for a slow one.
    if answer.status >= 500 || answer.status == 408 {
        let mut reason = match answer.reason.as_str() {
            // nginx's own answer, because the gate gave none.
            "" => format!("{} from nginx ({})", answer.status, case.what),
            reason => format!("{} {reason}", answer.status),
        };
        if !answer.has_retry_after {
            reason.push_str(NO_RETRY_AFTER);
        }
        return known(Outcome::Unavailable(reason));
    }
    let refused = matches!(answer.status, 401 | 403);
    match kind {
        Kind::NoToken | Kind::BadToken | Kind::Stranger | Kind::Ended => match refused {
            true => known(Outcome::Refused),
            false => wrong("this had to be refused", case),
        },
        _ if refused && case.episode.refuses => known(Outcome::Refused),
        Kind::Leave => match (answer.status, &answer.location) {
            (303, Some(_)) => {
                let mut ledger = site.ledger.lock().expect("not poisoned");
                ledger.end(case.session.clone());
                known(Outcome::Right)
            }
            _ => wrong("signing out", case),
        },
        Kind::Issue => match issued_for(site, answer, case) {
            // A token by a wrong clock is of no use later.
            Some(_) if case.episode.refuses => known(Outcome::Right),
            Some(token) => {
                let mut issued = site.issued.lock().expect("not poisoned");
                issued.truncate(100);
                issued.push((case.session.user, token));
                known(Outcome::Right)
            }
            None => wrong("a token was asked for", case),
        },
        Kind::Live if refused && !is_live(site, &case.session) => known(Outcome::Refused),
        Kind::External | Kind::Native | Kind::Application | Kind::Live => {
            let Some(cookies) = &answer.seen else {
                return wrong("a good credential was refused", case);
            };
            let [seen] = sessions(cookies)[..] else {
                return wrong("Label Studio received no session, or several", case);
            };
            if answer.handed.as_ref().is_some_and(|handed| handed != seen) {
                return wrong("Label Studio and the browser got different sessions", case);
            }
            seen.clone_into(&mut case.seen);
            Verdict::ForDjango
        }
    }
}

fn is_live(site: &Site, session: &Session) -> bool {
    let ledger = site.ledger.lock().expect("not poisoned");
    ledger.is_live(&session.cookie)
}

/// The token in the answer, if it is signed with Label Studio's key and names this user.
fn issued_for(site: &Site, answer: &Answer, case: &Case) -> Option<String> {
    use jsonwebtoken::{Algorithm, DecodingKey};
    let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    let token = body["token"].as_str()?;
    let (message, signature) = token.rsplit_once('.')?;
    let key = DecodingKey::from_secret(SECRET_KEY.as_bytes());
    if !jws::is_signed(message.as_bytes(), signature, &key, Algorithm::HS256) {
        return None;
    }
    let claims = BASE64_URL_SAFE_NO_PAD.decode(message.split_once('.')?.1);
    let claims: serde_json::Value = serde_json::from_slice(&claims.ok()?).ok()?;
    let expires = claims["exp"].as_i64()?;
    let is_alive = case.episode.refuses || expires > now();
    let is_theirs = claims["user_id"] == site.users.id(case.session.user);
    (is_alive && is_theirs).then(|| token.to_owned())
}
