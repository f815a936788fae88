//! The decision about one request.

use super::*;

const OLD: &str = "oldoldoldoldoldoldoldoldoldoldol";

#[tokio::test]
async fn request_without_token_passes_unchanged() {
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
async fn token_opens_a_session_and_is_removed() {
    let world = World::new(Engine::Database);
    let cookies = format!("a=1; ls_auth_token={}", token(7));
    let grant = world.ask("/projects", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Granted::SessionOpened.into());
    assert_eq!(grant.user().map(ActiveUser::id), Some(7));
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
async fn session_contains_what_a_login_stores() {
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
async fn an_attempt_with_a_cached_row_does_not_count_towards_the_two_retries() {
    for engine in [Engine::Database, Engine::SignedCookies] {
        for (changes, expected) in [
            (0, Granted::SessionOpened.into()),
            (1, Granted::SessionOpened.into()),
            (2, Outage::DatabaseUnavailable.into()),
        ] {
            let world = World::new(engine);
            if let Some(user) = world.stored.users.lock().expect("lock").get_mut(&7) {
                user.password.push('x');
            }
            world.stored.changes.store(changes, Ordering::Relaxed);
            let verdict = world.ask("/", &format!("ls_auth_token={}", token(7))).await;
            let reason = match verdict {
                Ok(grant) => grant.reason(),
                Err(rejection) => rejection.reason(),
            };
            assert_eq!(reason, expected, "{engine:?}, {changes} changes");
        }
    }
}

#[tokio::test]
async fn parallel_requests_with_one_token_share_one_session() {
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

/// Django strips U+00A0 before a name and reads the last of two equal names.
#[tokio::test]
async fn ambiguous_session_cookie_is_not_forwarded() {
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
        // The same without a login, where nothing is decided about the cookie.
        let grant = world.ask("/", &format!("a=1; {odd}")).await;
        let grant = grant.expect("granted");
        assert_eq!(grant.reason(), Granted::NoToken.into(), "{odd}");
        assert_eq!(grant.cookies().request.as_deref(), Some(b"a=1".as_slice()));
    }
    assert!(world.keys().contains(&OLD.to_owned()));
}

#[tokio::test]
async fn long_lived_token_opens_a_new_session_per_session_lifetime() {
    let key_after = async |seconds: u64| {
        let now = Fixed.now() + Duration::from_secs(seconds);
        let world = World::at(Engine::Database, now, Duration::from_secs(200));
        let cookies = format!("ls_auth_token={}", token(7));
        world.ask("/", &cookies).await.expect("granted");
        world.keys().pop().expect("a row")
    };
    // The token is valid for another 600 seconds: three periods of 200.
    assert_eq!(key_after(10).await, key_after(190).await);
    assert_ne!(key_after(10).await, key_after(210).await);
    assert_ne!(key_after(210).await, key_after(410).await);
}

#[tokio::test]
async fn valid_session_is_kept() {
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
async fn session_that_label_studio_would_reject_is_replaced() {
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
async fn session_of_another_user_is_ended() {
    let world = World::new(Engine::Database);
    world.put_session(OLD, world.session_of(&user(8), &json!(NOW)));
    let cookies = format!("sessionid={OLD}; ls_auth_token={}", token(7));
    let grant = world.ask("/", &cookies).await.expect("granted");
    assert_eq!(grant.reason(), Granted::UserSwitched.into());
    let keys = world.keys();
    assert!(keys.len() == 1 && keys[0] != OLD, "{keys:?}");
}

#[tokio::test]
async fn unacceptable_token_is_removed_and_nothing_else_changes() {
    let world = World::new(Engine::Database);
    world.set_down(true);
    let grant = world
        .ask("/", "sessionid=x; ls_auth_token=rubbish")
        .await
        .expect("passes");
    assert_eq!(grant.reason(), CredentialError::TokenMalformed.into());
    assert_eq!(grant.logged_in_by(), None);
    let cookies = grant.cookies();
    assert_eq!(cookies.request.as_deref(), Some(b"sessionid=x".as_slice()));
    assert_eq!(cookies.session, None);
    assert!(cookies.token_deletion.is_some());
}

#[tokio::test]
async fn unacceptable_cookie_does_not_hide_the_parameter() {
    let world = World::new(Engine::Database);
    let grant = world
        .ask(&format!("/?token={}", token(8)), "ls_auth_token=rubbish")
        .await
        .expect("granted");
    assert_eq!(grant.user().map(ActiveUser::id), Some(8));
}

#[tokio::test]
async fn inactive_removed_or_unknown_user_is_refused() {
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
            other => panic!("{expected:?} expected, got {other:?}"),
        }
    }
    assert_eq!(world.keys(), [""; 0]);
}

#[tokio::test]
async fn cached_row_is_re_read_before_a_login_or_a_refusal() {
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
async fn outage_is_not_a_denial() {
    let world = World::new(Engine::Database);
    world.set_down(true);
    let cookies = format!("ls_auth_token={}", token(7));
    match world.ask("/", &cookies).await {
        Err(Rejection::Outage(outage)) => assert_eq!(outage, Outage::DatabaseUnavailable),
        other => panic!("{other:?}"),
    }
    world.set_down(false);
    world
        .ask("/", &cookies)
        .await
        .expect("recovers after the outage");
}

#[tokio::test]
async fn signed_cookies_write_only_the_login() {
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
