//! New settings, secrets and keys for a running service: by SIGHUP, and when a file changes.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::app::TestApp;
use crate::issuers::{Signer, keys};
use crate::process::{Reload, Service};
use crate::support::cluster::{CLUSTER, GATE_ROLE};
use crate::support::stub::{Reply, Stub};
use crate::support::token::{SECRET_KEY, SHARED_SECRET, claims, now, sign};
use crate::world::World;

const OTHER_KEY: &str = "another-secret-key-of-more-than-fifty-characters-9876543210";

/// A settings file for this database, with further sections.
fn file(world: &World, more: &str) -> String {
    format!(
        "[database]\nurl = \"{}\"\n{more}",
        world.database.gate_url()
    )
}

fn signed_with(secret: &str, user: i32) -> String {
    sign(jsonwebtoken::Algorithm::HS256, secret, &claims(user))
}

/// A token of the issuer that shares `secret` with the gate.
fn issued_with(secret: &str) -> String {
    let claims = json!({"email": "ann@example.com", "exp": now() + 600});
    sign(jsonwebtoken::Algorithm::HS256, secret, &claims)
}

/// Sends checks without a pause until it is told to stop. Counts the answers, and fails at the first
/// one that belongs to neither configuration.
async fn keep_asking(app: TestApp, tokens: Vec<String>, stop: Arc<AtomicBool>) -> [usize; 2] {
    let mut seen = [0; 2];
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return seen;
        }
        let token = format!("ls_auth_token={}", tokens[n % tokens.len()]);
        let signed_in = app.check("/", &token).await;
        // The session of the token, whatever the configuration.
        signed_in
            .expect(200, "session_opened")
            .expect_header("X-Gate-Method", Some("native"));
        let anonymous = app.check("/projects/", "").await;
        match (anonymous.status, anonymous.reason()) {
            (200, "no_token") => seen[0] += 1,
            (401, "sign_in_required") => seen[1] += 1,
            other => panic!("{other:?}: {anonymous:?}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_lose_no_request_and_take_effect_at_once() {
    let world = World::new(&[]).await;
    let pass = file(&world, "");
    // Another pool, so that the old one is given up under load.
    let require = file(&world, "pool_size = 7\n[policy]\nanonymous = \"require\"\n");
    let service = Service::start(&pass, &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let tokens: Vec<String> = (0..20).map(|_| world.ann.token()).collect();
    let load: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(keep_asking(
                service.app.clone(),
                tokens.clone(),
                stop.clone(),
            ))
        })
        .collect();
    for _ in 0..10 {
        for (settings, status) in [(&require, 401), (&pass, 200)] {
            assert_eq!(service.reload(settings).await, Reload::Applied);
            service.app.check("/", "").await.expect_status(status);
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut seen = [0; 2];
    for answers in join_all(load).await {
        let answers = answers.unwrap();
        seen = [seen[0] + answers[0], seen[1] + answers[1]];
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
    assert_eq!(service.reloads("signal").await, (20.0, 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_settings_change_nothing_and_every_error_is_logged() {
    const SUCCESSFUL: &str =
        "label_studio_gate_settings_last_reload_successful{trigger=\"signal\"}";
    const TIME: &str =
        "label_studio_gate_settings_last_reload_success_timestamp_seconds{trigger=\"signal\"}";
    let world = World::new(&[]).await;
    let right = file(&world, "");
    let service = Service::start(&right, &[]);
    assert_eq!(service.metric(SUCCESSFUL).await, 1.0);
    let started = service.metric(TIME).await;
    assert!(started > 1e9, "{started}");
    for (wrong, errors) in [
        (
            file(
                &world,
                "[policy]\nanonymous = \"requier\"\n[tokn]\ncookie = \"x\"\n",
            ),
            &["policy.anonymous: must be", "tokn.cookie: is not a setting"][..],
        ),
        ("not TOML".to_owned(), &["is not TOML: see line 1"]),
        (
            file(
                &world,
                "[key_server]\nca_file = \"nowhere.pem\"\n[external]\njwks_url = \"https://id.test/\"\naudience = \"x\"\n",
            ),
            &["key_server.ca_file: cannot read"],
        ),
    ] {
        let before = service.log().len();
        assert_eq!(service.reload(&wrong).await, Reload::Rejected);
        let log = service.log()[before..].to_owned();
        for error in errors {
            assert!(log.contains(error), "{error}: {log}");
        }
        assert!(log.contains("the previous settings stay in force"), "{log}");
        assert_eq!(service.metric(SUCCESSFUL).await, 0.0);
        assert_eq!(service.metric(TIME).await, started);
        service.app.check("/", "").await.expect(200, "no_token");
        let answer = service.login(&world.ann.token()).await;
        answer.expect(200, "session_opened");
    }
    std::fs::remove_file(service.path("gate.toml")).unwrap();
    service.hang_up();
    let log = || service.log();
    crate::support::wait_until(|| log().contains("gate.toml: cannot be read"), log);
    assert_eq!(service.reload(&right).await, Reload::Applied);
    assert_eq!(service.metric(SUCCESSFUL).await, 1.0);
    assert!(service.metric(TIME).await >= started);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_the_rest_takes_effect() {
    let world = World::new(&[]).await;
    let service = Service::start(&file(&world, ""), &[("GATE_LOG_LEVEL", "info")]);
    let changed = file(
        &world,
        "[http]\nproxies = [\"nginx\", \"caddy\"]\nworkers = 3\n[log]\nformat = \"json\"\n\
         [policy]\nanonymous = \"require\"\n",
    );
    for _ in 0..2 {
        let before = service.log().len();
        // The variable GATE_HTTP_WORKERS takes precedence over the file.
        assert_eq!(service.reload(&changed).await, Reload::Applied);
        let log = service.logged_since(before).await;
        for setting in ["http.proxies", "log.format"] {
            let line = log.lines().find(|line| {
                line.contains("takes effect when the service is restarted")
                    && line.contains(setting)
            });
            assert!(line.is_some(), "{setting}: {log}");
        }
        assert!(!log.contains("setting=\"http.workers\""), "{log}");
        assert!(!log.contains("setting=\"policy.anonymous\""), "{log}");
        service.app.check("/", "").await.expect_status(401);
        service.app.get("/auth/caddy").await.expect_status(404);
    }
    let before = service.log().len();
    assert_eq!(service.reload(&file(&world, "")).await, Reload::Applied);
    let log = service.logged_since(before).await;
    assert!(!log.contains("restarted"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_the_log_changes() {
    let world = World::new(&[]).await;
    let quiet = file(&world, "");
    let service = Service::start(&quiet, &[]);
    // At `debug`, a refreshed key server or a passed request is told; at `info` it is not.
    let detailed = file(&world, "[log]\nlevel = \"info,label_studio_gate=trace\"\n");
    let lines = async || {
        let before = service.log().len();
        service
            .app
            .check("/of-this-test", "")
            .await
            .expect_status(200);
        let log = service.logged_since(before).await;
        log.matches("/of-this-test").count()
    };
    assert_eq!(lines().await, 0);
    assert_eq!(service.reload(&detailed).await, Reload::Applied);
    assert!(lines().await > 0, "{}", service.log());
    assert_eq!(service.reload(&quiet).await, Reload::Applied);
    assert_eq!(lines().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_read_again_when_its_file_changes() {
    let world = World::new(&[]).await;
    // As Kubernetes mounts a Secret: `secrets/issuer` is a link into `..data`, which is a link to a
    // directory and is replaced as a whole.
    let mount = tempfile::tempdir().unwrap();
    let publish = |version: &str, secret: &str| {
        std::fs::create_dir(mount.path().join(version)).unwrap();
        std::fs::write(mount.path().join(version).join("issuer"), secret).unwrap();
        std::os::unix::fs::symlink(version, mount.path().join("..tmp")).unwrap();
        std::fs::rename(mount.path().join("..tmp"), mount.path().join("..data")).unwrap();
    };
    publish("v1", SHARED_SECRET);
    std::os::unix::fs::symlink("..data/issuer", mount.path().join("issuer")).unwrap();
    let secret_file = mount.path().join("issuer");
    let service = Service::start(
        &file(&world, ""),
        &[("JWT_SSO_SECRET_FILE", secret_file.to_str().unwrap())],
    );
    let (old, new) = (issued_with(SHARED_SECRET), issued_with(OTHER_KEY));
    service.login(&old).await.expect(200, "session_opened");
    let answer = service.login(&new).await;
    answer
        .expect_reason("token_signature_invalid")
        .expect_no_session();

    // What an operator is writing into the settings file waits for a signal.
    service.write("gate.toml", "[policy]\nanonymous = \"require\"\nhalf a li");
    let noticed = service.notices(|_| publish("v2", OTHER_KEY)).await;
    assert_eq!(noticed, Reload::Applied);
    service.login(&new).await.expect(200, "session_opened");
    let answer = service.login(&issued_with(SHARED_SECRET)).await;
    answer.expect_reason("token_signature_invalid");
    service.app.check("/", "").await.expect(200, "no_token");
    let log = service.logged_since(0).await;
    assert!(
        log.contains("a file that the settings name has changed"),
        "{log}"
    );
    for secret in [SHARED_SECRET, OTHER_KEY] {
        assert!(!log.contains(secret), "{log}");
    }

    // A secret that is too short is no secret, and without one the method would be off.
    for (version, secret) in [("v3", "short"), ("v4", ""), ("v5", "\n")] {
        let noticed = service.notices(|_| publish(version, secret)).await;
        assert_eq!(noticed, Reload::Rejected, "{secret:?}");
        let answer = service.login(&issued_with(OTHER_KEY)).await;
        answer.expect(200, "session_opened");
    }
    let noticed = service.notices(|_| publish("v6", SHARED_SECRET)).await;
    assert_eq!(noticed, Reload::Applied);
    let answer = service.login(&issued_with(SHARED_SECRET)).await;
    answer.expect(200, "session_opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_key_is_taken_over_with_the_old_one_as_fallback() {
    let world = World::new(&[]).await;
    let fallback = |keys: &str| {
        file(
            &world,
            &format!("[label_studio]\nsecret_key_fallbacks = [{keys}]\n"),
        )
    };
    let service = Service::start(&fallback(""), &[]);
    let ann = world.ann.id;
    let (old, new) = (
        || signed_with(SECRET_KEY, ann),
        || signed_with(OTHER_KEY, ann),
    );
    service.login(&old()).await.expect(200, "session_opened");
    let refused = service.login(&new()).await;
    refused.expect_reason("token_signature_invalid");

    service.write("secret_key", &format!("{OTHER_KEY}\n"));
    let rotated = service
        .reload(&fallback(&format!("\"{SECRET_KEY}\"")))
        .await;
    assert_eq!(rotated, Reload::Applied);
    for token in [old(), new()] {
        let answer = service.login(&token).await;
        answer.expect(200, "session_opened").expect_user(&world.ann);
    }
    assert_eq!(service.reload(&fallback("")).await, Reload::Applied);
    let refused = service.login(&old()).await;
    refused
        .expect_reason("token_signature_invalid")
        .expect_no_session();
    service.login(&new()).await.expect(200, "session_opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_database_is_used_if_it_answers_and_the_old_connections_are_closed() {
    let (here, there) = tokio::join!(World::new(&[]), World::new(&[]));
    let only_there = there.user("only-there@example.com").await;
    let service = Service::start(&file(&here, ""), &[]);
    service
        .login(&here.ann.token())
        .await
        .expect(200, "session_opened");
    let unknown = service.login(&only_there.token()).await;
    unknown.expect(403, "user_unknown");

    for wrong in [
        CLUSTER.url(GATE_ROLE, "no_such_database"),
        CLUSTER.url("no_such_role", &here.database.name),
        format!("postgres://{GATE_ROLE}@127.0.0.1:1/x"),
    ] {
        let before = service.log().len();
        let wrong = format!("[database]\nurl = \"{wrong}\"\nconnect_timeout_ms = 500\n");
        assert_eq!(service.reload(&wrong).await, Reload::Rejected);
        let log = service.log()[before..].to_owned();
        assert!(
            log.contains("the new database settings do not work"),
            "{log}"
        );
        let answer = service.login(&here.ann.token()).await;
        answer.expect(200, "session_opened");
    }

    let connections = || CLUSTER.gate_connections(&here.database.name, "true");
    assert!(connections() > 0);
    assert_eq!(service.reload(&file(&there, "")).await, Reload::Applied);
    let answer = service.login(&only_there.token()).await;
    answer
        .expect(200, "session_opened")
        .expect_user(&only_there);
    // The worlds' own gates have not connected, so every connection is the service's.
    for _ in 0..100 {
        if connections() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} connections", connections());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_replaced_without_a_refused_token() {
    let world = World::new(&[]).await;
    let (one, two) = (Signer::new("one"), Signer::new("two"));
    let (keys_of_one, keys_of_two) = (keys(&[&one]), keys(&[&two]));
    let (first, second) = (
        Stub::start(move |_| keys_of_one.clone()),
        Stub::start(move |_| keys_of_two.clone()),
    );
    let published_at = |url: &str, more: &str| {
        let external =
            format!("jwks_url = \"{url}\"\nallow_http = true\naudience = \"label-studio\"\n");
        let key_server = "timeout_ms = 10000\ncooldown_seconds = 1\n";
        file(
            &world,
            &format!("[external]\n{external}[key_server]\n{key_server}{more}"),
        )
    };
    let one_issuer = published_at(&first.url("/keys"), "");
    let service = Service::start(&one_issuer, &[]);
    service
        .login(&one.token("x"))
        .await
        .expect(200, "session_opened");

    // The key server is down, but its keys are known: a reload for another reason keeps them.
    first.now(|_| Reply::of(503, ""));
    let required = published_at(&first.url("/keys"), "[policy]\nanonymous = \"require\"\n");
    assert_eq!(service.reload(&required).await, Reload::Applied);
    service
        .login(&one.token("x"))
        .await
        .expect(200, "session_opened");

    // A new issuer whose keys cannot be read does not replace one that works.
    let before = service.log().len();
    let nowhere = published_at("http://127.0.0.1:1/keys", "");
    assert_eq!(service.reload(&nowhere).await, Reload::Rejected);
    let log = service.log()[before..].to_owned();
    assert!(
        log.contains("the keys of a new issuer at 127.0.0.1 cannot be read"),
        "{log}"
    );
    service
        .login(&one.token("x"))
        .await
        .expect(200, "session_opened");

    // Its keys are there before the first token is.
    let asked = second.asked();
    let other_issuer = published_at(&second.url("/keys"), "");
    assert_eq!(service.reload(&other_issuer).await, Reload::Applied);
    assert!(second.asked() > asked);
    service
        .login(&two.token("x"))
        .await
        .expect(200, "session_opened");
    let refused = service.login(&one.token("x")).await;
    refused.expect_no_session();
}

#[tokio::test(flavor = "multi_thread")]
async fn reloads_leave_no_task_behind() {
    let world = World::new(&[]).await;
    // A server that is down is asked again after each cooldown.
    let server = Stub::start(|_| Reply::of(503, ""));
    let issuer = format!(
        "jwks_url = \"{}\"\nallow_http = true\n",
        server.url("/keys")
    );
    let settings = file(
        &world,
        &format!("[external]\n{issuer}audience = \"x\"\n[key_server]\ncooldown_seconds = 1\n"),
    );
    let service = Service::start(&settings, &[]);
    for _ in 0..30 {
        assert_eq!(service.reload(&settings).await, Reload::Applied);
    }
    let (before, began) = (server.asked(), Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let more = server.asked() - before;
    // About once per second. With the tasks of 31 configurations it would be 150.
    let most = 3 * usize::try_from(began.elapsed().as_secs()).unwrap() + 5;
    assert!((1..=most).contains(&more), "{more} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_is_told_when_the_service_is_ready_and_when_it_reloads() {
    let world = World::new(&[]).await;
    let home = tempfile::tempdir().unwrap();
    let address = home.path().join("notify");
    let socket = UnixDatagram::bind(&address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let told = || {
        let mut message = [0; 256];
        let length = socket.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let settings = file(&world, "");
    let variable = ("NOTIFY_SOCKET", address.to_str().unwrap());
    let service = Service::start(&settings, &[variable]);
    assert_eq!(told(), "READY=1\n");
    // Whatever becomes of it, a reload ends: systemd would wait forever.
    for (settings, outcome) in [(&*settings, Reload::Applied), ("wrong", Reload::Rejected)] {
        assert_eq!(service.reload(settings).await, outcome);
        let begins = told();
        let time = begins.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(time.unwrap().trim().parse::<u64>().unwrap() > 0, "{begins}");
        assert_eq!(told(), "READY=1\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_forgives_no_wrong_api_token() {
    let world = World::new(&[]).await;
    let limited = |n: u32| {
        file(
            &world,
            &format!("[token_issue]\nfailures_per_minute = {n}\n"),
        )
    };
    let service = Service::start(&limited(3), &[]);
    let attempt = async || {
        let headers = [("Authorization", "Token wrong")];
        let path = "/api/sso/token";
        service.app.send("POST", path, &headers, "{}").await.status
    };
    for _ in 0..3 {
        assert_eq!(attempt().await, 401);
    }
    assert_eq!(attempt().await, 429);
    assert_eq!(service.reload(&limited(3)).await, Reload::Applied);
    assert_eq!(attempt().await, 429);
    assert_eq!(service.reload(&limited(50)).await, Reload::Applied);
    assert_eq!(attempt().await, 401);
}
