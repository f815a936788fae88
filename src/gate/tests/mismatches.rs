//! Session cookies of a Label Studio that runs with other settings.

use super::*;
use crate::django::{SessionCodec, SessionData};
use crate::gate::session::Mismatch;

/// The cookie or row of a session that was signed with this key.
fn signed(engine: Engine, key: &str, now: SystemTime) -> String {
    let codec = SessionCodec::new(&SecretString::from(key));
    let mut session = SessionData::new();
    session.insert("uid", serde_json::json!("1"));
    match engine {
        Engine::SignedCookies => codec.encode_cookie(&session, now),
        Engine::Database => codec.encode_row(&session, now),
    }
}

#[tokio::test]
async fn cookies_of_another_engine_or_key_are_suspected() {
    const OTHER: &str = "another-secret-key-of-more-than-fifty-characters-0123456789";
    let row_key = "abcdefghijklmnopqrstuvwxyz012345";
    for (engine, value, row, expected) in [
        (
            Engine::Database,
            signed(Engine::SignedCookies, SECRET, Fixed.now()),
            None,
            Some(Mismatch::SignedCookies),
        ),
        (Engine::Database, row_key.to_owned(), None, None),
        (
            Engine::Database,
            row_key.to_owned(),
            Some(signed(Engine::Database, SECRET, Fixed.now())),
            None,
        ),
        (
            Engine::Database,
            row_key.to_owned(),
            Some(signed(Engine::Database, OTHER, Fixed.now())),
            Some(Mismatch::SecretKey),
        ),
        (Engine::Database, "rubbish".to_owned(), None, None),
        (
            Engine::SignedCookies,
            row_key.to_owned(),
            None,
            Some(Mismatch::Rows),
        ),
        (
            Engine::SignedCookies,
            signed(Engine::SignedCookies, SECRET, Fixed.now()),
            None,
            None,
        ),
        (
            Engine::SignedCookies,
            signed(Engine::SignedCookies, OTHER, Fixed.now()),
            None,
            Some(Mismatch::SecretKey),
        ),
        (Engine::SignedCookies, "rubbish".to_owned(), None, None),
    ] {
        let world = World::new(engine);
        if let Some(data) = row {
            world
                .stored
                .sessions
                .lock()
                .expect("lock")
                .insert(value.clone(), data);
        }
        let read = world
            .gate
            .sessions
            .read(&value, Fixed.now(), Freshness::Current)
            .await;
        read.expect("no outage");
        let found = world.stored.mismatches.lock().expect("lock").clone();
        assert_eq!(
            found,
            expected.into_iter().collect::<Vec<_>>(),
            "{engine:?} {value}"
        );
    }
}
