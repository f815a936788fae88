//! Tokens that identity-aware proxies send in a header with every request.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::actors::Browser;
use crate::app::{Answer, TestApp};
use crate::issuers::Signer;
use crate::support::stub::{Reply, Stub};
use crate::support::token::{now, with};
use crate::world::{ISSUER, NO_CACHE, REQUIRE, SIGNED_COOKIES, World};

const HEADER: (&str, &str) = ("GATE_TOKEN_HEADER", "X-Proxy-Token");
/// The name under which nginx's files hand it over.
const BY_NGINX: &str = "X-Gate-Identity";

/// The settings of an issuer, and the claims of its token for ann, as each proxy documents them.
fn proxies() -> Vec<(&'static str, Value, Value)> {
    let times = json!({"iat": now(), "exp": now() + 600});
    let ann = "ann@example.com";
    let claims = |claims: Value| with(times.clone(), &claims);
    vec![
        (
            "Cloudflare Access",
            json!({"issuer": "https://team.cloudflareaccess.com", "audience": "a1b2", "required_claims": ["type=app"]}),
            claims(json!({
                "iss": "https://team.cloudflareaccess.com", "aud": ["a1b2"], "email": ann, "type": "app", "nbf": now(),
                "identity_nonce": "n", "sub": "7335d417-61da-459d-899c-0a01c76a2f94", "country": "US",
            })),
        ),
        (
            "Google IAP",
            json!({"issuer": "https://cloud.google.com/iap", "audience": "/projects/1/global/backendServices/2", "leeway_seconds": 30}),
            claims(json!({
                "iss": "https://cloud.google.com/iap", "aud": "/projects/1/global/backendServices/2", "email": ann,
                "sub": "accounts.google.com:1234", "hd": "example.com", "google": {"access_levels": []},
            })),
        ),
        (
            "Pomerium",
            json!({"issuer": "ls.example.com", "audience": "ls.example.com", "first_name_claim": "", "last_name_claim": ""}),
            claims(json!({
                "iss": "ls.example.com", "aud": "ls.example.com", "jti": "j", "sid": "s", "sub": "u1", "user": "u1",
                "email": ann, "groups": ["g"], "name": "Ann",
            })),
        ),
        (
            "Teleport",
            json!({"issuer": "teleport.example.com", "audience": "http://127.0.0.1:8080", "email_claim": "username"}),
            claims(json!({
                "iss": "teleport.example.com", "aud": ["http://127.0.0.1:8080"], "nbf": now(), "iat": null, "sub": ann, "username": ann,
                "roles": ["access"], "traits": {"logins": ["ann"]},
            })),
        ),
        (
            "Azure Easy Auth",
            json!({"issuer": "https://login.microsoftonline.com/t/v2.0", "audience": "app-id"}),
            claims(json!({
                "iss": "https://login.microsoftonline.com/t/v2.0", "aud": "app-id", "nbf": now(), "email": ann, "name": "Ann",
                "oid": "o", "sub": "s", "tid": "t", "ver": "2.0",
            })),
        ),
        (
            "oauth2-proxy with Keycloak",
            json!({"issuer": "https://sso.example.com/realms/r", "audience": "label-studio"}),
            claims(json!({
                "iss": "https://sso.example.com/realms/r", "aud": "label-studio", "azp": "label-studio", "email": ann,
                "email_verified": true, "sub": "f:1", "sid": "s", "typ": "ID",
            })),
        ),
    ]
}

fn gate(world: &World, signer: &Signer, issuer: Value, more: &[(&str, &str)]) -> TestApp {
    let mut issuer = with(
        issuer,
        &json!({"name": "proxy", "public_key": signer.public()}),
    );
    issuer["max_lifetime_seconds"] = json!(3600);
    let issuers = json!([issuer]).to_string();
    let mut settings = vec![HEADER, ("GATE_EXTERNAL_ISSUERS", issuers.as_str())];
    settings.extend_from_slice(more);
    world.gate(&settings)
}

/// The first proxy of the table, for tests that need one.
fn cloudflare() -> (Value, Value) {
    let (_, issuer, claims) = proxies().swap_remove(0);
    (issuer, claims)
}

async fn get(browser: Browser<'_>, token: &str) -> Answer {
    browser.with_header(BY_NGINX, token).get("/").await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_proxys_token_signs_in_and_its_defects_do_not() {
    let world = World::new(&[]).await;
    let (signer, other) = (Signer::new("1"), Signer::new("1"));
    for (name, issuer, claims) in proxies() {
        let app = gate(&world, &signer, issuer, &[]);
        let answer = get(Browser::of(&app), &signer.sign(&claims)).await;
        answer
            .expect(200, "session_opened")
            .expect_user(&world.ann)
            .expect_header("X-Gate-Method", Some("proxy"));
        for (changes, reason) in [
            (json!({"aud": "another"}), "token_audience_refused"),
            (json!({"aud": null}), "token_claim_missing"),
            (
                json!({"iss": "https://another.test"}),
                "token_issuer_refused",
            ),
            (json!({"iss": null}), "token_claim_missing"),
            (json!({"exp": now() - 31}), "token_expired"),
            (json!({"exp": null}), "token_claim_missing"),
            (json!({"exp": now() + 7200}), "token_lifetime_too_long"),
            (json!({"iat": now() + 600}), "token_not_yet_valid"),
            // The service tokens of Cloudflare Access.
            (json!({"sub": ""}), "token_claim_missing"),
            (json!({"sub": null}), "token_claim_missing"),
            (json!({"sub": 7}), "token_claim_missing"),
            (
                json!({"email": null, "username": null}),
                "token_claim_missing",
            ),
            (json!({"email_verified": false}), "token_email_unverified"),
        ] {
            let token = signer.sign(&with(claims.clone(), &changes));
            let answer = get(Browser::of(&app), &token).await;
            assert_eq!(answer.reason(), reason, "{name} {changes}");
            answer.expect_status(200).expect_no_session();
        }
        for (token, reason) in [
            (other.sign(&claims), "token_signature_invalid"),
            (world.ann.token(), "token_issuer_refused"),
            ("rubbish".to_owned(), "token_malformed"),
        ] {
            let answer = get(Browser::of(&app), &token).await;
            assert_eq!(answer.reason(), reason, "{name}");
            answer.expect_status(200).expect_no_session();
        }
    }
    let (issuer, claims) = cloudflare();
    let app = gate(&world, &signer, issuer, &[]);
    for kind in ["org", "service"] {
        let token = signer.sign(&with(claims.clone(), &json!({"type": kind})));
        get(Browser::of(&app), &token)
            .await
            .expect_reason("token_claim_refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_tokens_of_one_person_share_a_session_and_another_person_gets_another() {
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let (issuer, claims) = cloudflare();
    for engine in [None, Some(SIGNED_COOKIES)] {
        let more: Vec<_> = engine.into_iter().collect();
        let app = gate(&world, &signer, issuer.clone(), &more);
        let second = gate(&world, &signer, issuer.clone(), &more);
        let token = |changes: Value| signer.sign(&with(claims.clone(), &changes));
        let before = world.sessions().await;
        // A page's first requests, each with a token of its own.
        let parallel = (0..20).map(async |n| {
            let app = if n % 2 == 0 { &app } else { &second };
            get(Browser::of(app), &token(json!({"jti": n}))).await
        });
        let answers = join_all(parallel).await;
        if engine.is_none() {
            assert_eq!(world.sessions().await, before + 1, "they met");
        }
        for answer in &answers {
            answer.expect(200, "session_opened").expect_user(&world.ann);
        }
        // The session that they share is random: another person's place says nothing about it.
        let session = answers[0].session().unwrap().to_owned();
        let browser = || Browser::of(&app).with_cookie("sessionid", &session);
        let again = get(browser(), &token(json!({"jti": "again"}))).await;
        again
            .expect(200, "session_kept")
            .expect_user(&world.ann)
            .expect_header("X-Gate-Method", Some("proxy"))
            .expect_no_session();
        // Whoever has the session has it without a token, too, so a token that only repeats its
        // person is not verified.
        let mut unsigned = token(json!({"jti": "unsigned"}));
        unsigned.truncate(unsigned.rfind('.').unwrap() + 1);
        get(browser(), &unsigned)
            .await
            .expect(200, "session_kept")
            .expect_user(&world.ann);
        // What an unsigned token says otherwise counts for nothing.
        let bob = json!({"email": "bob@example.com", "sub": "bob"});
        let mut unsigned = token(bob.clone());
        unsigned.truncate(unsigned.rfind('.').unwrap() + 1);
        let answer = get(browser(), &unsigned).await;
        answer
            .expect_reason("token_signature_invalid")
            .expect_no_user();
        let answer = get(browser(), &token(bob)).await;
        answer.expect(200, "user_switched").expect_user(&world.bob);
        // Another subject with the same address is another person: a new session.
        let ann = get(Browser::of(&app), &token(json!({}))).await;
        let session = ann.session().unwrap().to_owned();
        let browser = Browser::of(&app).with_cookie("sessionid", &session);
        let answer = get(browser, &token(json!({"sub": "another"}))).await;
        answer.expect(200, "session_opened").expect_user(&world.ann);
    }
}

/// The statements that the gate has sent, by name.
async fn statements(app: &TestApp) -> Vec<String> {
    let metrics = app.get("/metrics").await.body;
    let counts = metrics.lines().filter(|line| {
        line.starts_with("label_studio_gate_statement_duration_seconds_count")
            && !line.ends_with(" 0")
    });
    counts.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_session_costs_the_same_statements_with_and_without_a_token() {
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let (issuer, claims) = cloudflare();
    let mut counts = Vec::new();
    for with_token in [false, true] {
        let app = gate(&world, &signer, issuer.clone(), &[NO_CACHE, REQUIRE]);
        let opened = get(Browser::of(&app), &signer.sign(&claims)).await;
        let session = opened
            .expect(200, "session_opened")
            .session()
            .unwrap()
            .to_owned();
        let before = statements(&app).await;
        for n in 0..5 {
            let browser = Browser::of(&app).with_cookie("sessionid", &session);
            let token = signer.sign(&with(claims.clone(), &json!({"jti": n})));
            let answer = match with_token {
                true => get(browser, &token).await,
                false => browser.get("/").await,
            };
            let reason = ["session_valid", "session_kept"][usize::from(with_token)];
            answer.expect(200, reason);
        }
        let after = statements(&app).await;
        assert!(
            before.iter().any(|line| line.contains("record_login")),
            "{before:?}"
        );
        counts.push(after);
    }
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_header_counts_once_and_only_where_it_is_configured() {
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let (issuer, claims) = cloudflare();
    let app = gate(
        &world,
        &signer,
        issuer,
        &[("GATE_HTTP_PROXIES", "nginx,caddy")],
    );
    let token = signer.sign(&claims);

    let twice = Browser::of(&app)
        .with_header(BY_NGINX, &token)
        .with_header(BY_NGINX, &token);
    twice
        .get("/")
        .await
        .expect(403, "identity_ambiguous")
        .expect_no_session();
    let joined = format!("{token}, {token}");
    get(Browser::of(&app), &joined)
        .await
        .expect(403, "identity_ambiguous");

    // nginx's files hand it over under another name; the others pass the header on.
    let by_name = Browser::of(&app).with_header("X-Proxy-Token", &token);
    by_name.get("/").await.expect(200, "no_token");
    let caddy = |name: &'static str| {
        let headers = [
            ("X-Forwarded-Uri", "/"),
            ("X-Forwarded-Method", "GET"),
            ("X-Forwarded-Host", "ls.example.com"),
            (name, token.as_str()),
        ];
        let app = app.clone();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        async move {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            app.send("GET", "/auth/caddy", &headers, "").await
        }
    };
    caddy("X-Proxy-Token").await.expect(200, "session_opened");
    caddy(BY_NGINX).await.expect(200, "no_token");
    caddy("X_Proxy_Token").await.expect(200, "no_token");

    // Without the setting, nobody reads it.
    let off = world.gate(&[ISSUER]);
    get(Browser::of(&off), &token).await.expect(200, "no_token");

    // Label Studio's own API credentials have precedence, as before.
    let authorization = world.bob.authorization();
    let browser = Browser::of(&app).with_header("Authorization", &authorization);
    get(browser, &token)
        .await
        .expect(200, "api_credential")
        .expect_no_session();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_another_site_acts_with_the_proxys_header() {
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let (issuer, claims) = cloudflare();
    let app = gate(&world, &signer, issuer, &[]);
    let token = signer.sign(&claims);
    for (site, origin, refused) in [
        ("cross-site", "https://evil.test", true),
        ("cross-site", "null", true),
        ("same-origin", "https://ls.example.com", false),
    ] {
        let browser = Browser::of(&app)
            .with_header("Sec-Fetch-Site", site)
            .with_header("Origin", origin)
            .with_header(BY_NGINX, &token);
        for method in ["POST", "DELETE"] {
            let answer = browser.send(method, "/api/projects").await;
            assert_eq!(
                answer.reason() == "cross_site_request",
                refused,
                "{site} {method}"
            );
            if refused {
                answer.expect_status(403).expect_no_session();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_proxys_token_take_effect_when_they_change() {
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let (issuer, claims) = cloudflare();
    let groups = json!({"groups_claim": "groups", "allowed_groups": ["annotators"]});
    let app = gate(&world, &signer, with(issuer, &groups), &[]);
    let token = |groups: Value| signer.sign(&with(claims.clone(), &json!({"groups": groups})));
    let opened = get(Browser::of(&app), &token(json!(["annotators"]))).await;
    let session = opened
        .expect(200, "session_opened")
        .session()
        .unwrap()
        .to_owned();
    let browser = || Browser::of(&app).with_cookie("sessionid", &session);
    get(browser(), &token(json!(["annotators"])))
        .await
        .expect(200, "session_kept");
    get(browser(), &token(json!(["others"])))
        .await
        .expect(403, "group_not_allowed");
    get(browser(), &token(json!([])))
        .await
        .expect(403, "group_not_allowed");
    let missing = signer.sign(&claims);
    get(browser(), &missing).await.expect(403, "groups_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_the_same_in_any_order() {
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let (issuer, claims) = cloudflare();
    let groups = json!({"groups_claim": "groups", "allowed_groups": ["annotators"]});
    let app = gate(&world, &signer, with(issuer, &groups), &[]);
    let token = |groups: Value| signer.sign(&with(claims.clone(), &json!({"groups": groups})));
    let opened = get(Browser::of(&app), &token(json!(["a", "annotators", "b"]))).await;
    let session = opened.session().unwrap().to_owned();
    for (groups, reason) in [
        (json!(["b", "a", "annotators"]), "session_kept"),
        (json!(["b", "annotators"]), "session_opened"),
    ] {
        let browser = Browser::of(&app).with_cookie("sessionid", &session);
        get(browser, &token(groups)).await.expect(200, reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_is_not_kept_for_the_proxys_token() {
    for engine in [
        &[REQUIRE, NO_CACHE][..],
        &[REQUIRE, NO_CACHE, SIGNED_COOKIES],
    ] {
        let world = World::with_own_tables(engine).await;
        let signer = Signer::new("1");
        let (issuer, claims) = cloudflare();
        let app = gate(&world, &signer, issuer, engine);
        let token = signer.sign(&claims);
        for (method, path) in [("POST", "/sso/logout"), ("GET", "/logout/")] {
            let browser = Browser::of(&app).with_header(BY_NGINX, &token);
            browser.get("/").await.expect(200, "session_opened");
            let stolen = browser.stolen_session();
            stolen.get("/").await.expect(200, "session_valid");
            match path {
                "/logout/" => {
                    browser.get(path).await.expect(200, "session_kept");
                    // Label Studio deletes its row itself.
                    world.database.run("DELETE FROM django_session").await;
                }
                _ => {
                    browser.visit(method, path, "").await.expect_status(303);
                }
            }
            stolen.get("/").await.expect(401, "sign_in_required");
            // The proxy still says who is there, so its next request begins another session.
            let both = stolen.before(&app).with_header(BY_NGINX, &token);
            both.get("/").await.expect(200, "session_opened");
            assert_ne!(both.session(), stolen.session());
            both.get("/").await.expect(200, "session_kept");
            stolen.get("/").await.expect(401, "sign_in_required");
        }

        let browser = Browser::of(&app).with_header(BY_NGINX, &token);
        browser.get("/").await.expect_user(&world.ann);
        world.superuser.revoke(&world.ann).await.expect_status(200);
        browser.get("/").await.expect(401, "token_revoked");
        let earlier = "UPDATE label_studio_gate.revocation SET revoked_at = revoked_at - interval '5 minutes'";
        world.database.run(earlier).await;
        for before in [
            json!({"iat": now() - 300}),
            json!({"iat": null, "nbf": now() - 300}),
            json!({"iat": null, "nbf": null}),
        ] {
            let token = signer.sign(&with(claims.clone(), &before));
            let old = browser.before(&app).with_header(BY_NGINX, &token);
            old.get("/").await.expect(401, "token_revoked");
        }
        let token = signer.sign(&with(claims.clone(), &json!({"iat": null})));
        let new = browser.before(&app).with_header(BY_NGINX, &token);
        new.get("/").await.expect(200, "session_opened");
        new.get("/").await.expect(200, "session_kept");
    }
}

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/ls/50dc6c495c0c9188";
const KEY: &str = "8bdc6d55-2f4b-4f3a-9d3a-0123456789ab";

/// A gate that gets the tokens of the load balancer, and its keys from `server`.
fn behind_load_balancer(world: &World, server: &Stub) -> TestApp {
    let issuers = json!([{
        "name": "alb", "issuer": "https://sso.example.com", "audience": "client-1", "load_balancer": ARN,
        "jwks_url": server.url("/keys"), "allow_http": true, "max_lifetime_seconds": 300,
    }]);
    world.gate(&[HEADER, ("GATE_EXTERNAL_ISSUERS", &issuers.to_string())])
}

/// The header of a token that is signed with this key.
fn header_of(key: &str) -> Value {
    json!({
        "typ": "JWT", "kid": key, "alg": "ES256", "iss": "https://sso.example.com", "client": "client-1",
        "signer": ARN, "exp": now() + 120,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancers_tokens_sign_in_and_those_of_others_do_not() {
    let world = World::new(&[]).await;
    let (signer, other) = (Signer::new("1"), Signer::new("1"));
    let pem = signer.public();
    let server = Stub::start(
        move |head| match head.starts_with(&format!("GET /keys/{KEY} ")) {
            true => Reply::of(200, pem.clone()),
            false => Reply::of(404, "NoSuchKey"),
        },
    );
    let app = behind_load_balancer(&world, &server);
    let header = header_of(KEY);
    // What the payload says about issuer, audience and end counts for nothing.
    let claims = json!({
        "sub": "5f3c", "email": "ann@example.com", "iss": "x", "aud": "x", "exp": 1,
    });
    let good = signer.sign_padded(&header, &claims);
    assert!(good.contains("=."), "a padded payload: {good}");
    let browser = Browser::of(&app).with_header(BY_NGINX, &good);
    let answer = browser.get("/").await;
    answer.expect(200, "session_opened").expect_user(&world.ann);
    browser.get("/").await.expect(200, "session_kept");
    for (changes, reason) in [
        (json!({"signer": format!("{ARN}x")}), "token_issuer_refused"),
        (json!({"signer": null}), "token_claim_missing"),
        (json!({"client": "client-2"}), "token_audience_refused"),
        (json!({"client": null}), "token_claim_missing"),
        (
            json!({"iss": "https://other.example.com"}),
            "token_issuer_refused",
        ),
        (json!({"iss": null}), "token_claim_missing"),
        (json!({"exp": now() - 1}), "token_expired"),
        (json!({"exp": null}), "token_claim_missing"),
        (json!({"exp": now() + 600}), "token_lifetime_too_long"),
        (json!({"alg": "HS256"}), "token_algorithm_refused"),
        (json!({"kid": "../keys"}), "token_key_unknown"),
        (
            json!({"kid": "00000000-2f4b-4f3a-9d3a-0123456789ab"}),
            "token_key_unknown",
        ),
    ] {
        let token = signer.sign_padded(&with(header.clone(), &changes), &claims);
        let answer = get(Browser::of(&app), &token).await;
        assert_eq!(answer.reason(), reason, "{changes}");
        answer.expect_status(200).expect_no_session();
    }
    let forged = other.sign_padded(&header, &claims);
    get(Browser::of(&app), &forged)
        .await
        .expect(200, "token_signature_invalid");
    for head in server.heads() {
        assert!(
            head.starts_with("GET /keys/") && !head.contains(".."),
            "{head}"
        );
    }

    // Padding is for load balancers alone, and their tokens for the header alone.
    let in_cookie = Browser::of(&app).with_token(&good);
    in_cookie.get("/").await.expect(200, "token_malformed");
    // One that happens to need no padding, but for the signature, which does not sign its own.
    let unpadded = (0..9)
        .map(|n| {
            let (in_header, in_claims) = ("x".repeat(n % 3), "x".repeat(n / 3));
            let header = with(header.clone(), &json!({"x": in_header}));
            signer.sign_padded(&header, &with(claims.clone(), &json!({"x": in_claims})))
        })
        .find(|token| !token.contains("=."))
        .expect("one of nine");
    let in_cookie = Browser::of(&app).with_token(unpadded.trim_end_matches('='));
    in_cookie.get("/").await.expect_no_session();
    let (issuer, claims) = cloudflare();
    let app = gate(&world, &signer, issuer, &[]);
    let padded = signer.sign_padded(&json!({"alg": "ES256"}), &with(claims, &json!({"x": "1"})));
    get(Browser::of(&app), &padded)
        .await
        .expect(200, "token_malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_key_ids_keep_no_key_of_a_load_balancer_out_and_drop_none() {
    /// The key server's limit on unknown IDs, and that on keys.
    const LIMIT: usize = 64;
    let world = World::new(&[]).await;
    let signer = Signer::new("1");
    let pem = signer.public();
    let server = Stub::start(move |head| match head.starts_with("GET /keys/8bdc6d55-") {
        true => Reply::of(200, pem.clone()),
        false => Reply::of(404, "NoSuchKey"),
    });
    let app = behind_load_balancer(&world, &server);
    let claims = json!({"sub": "5f3c", "email": "ann@example.com"});
    let expect = async |key: &str, reason: &str| {
        let token = signer.sign_padded(&header_of(key), &claims);
        get(Browser::of(&app), &token).await.expect(200, reason);
    };
    let real = |n: usize| format!("8bdc6d55-2f4b-4f3a-9d3a-{n:012}");
    let made_up = |n: usize| format!("00000000-2f4b-4f3a-9d3a-{n:012}");
    // As many keys as are kept, and IDs that nobody has in between.
    for n in 0..LIMIT {
        if n % 8 == 0 {
            expect(&made_up(n), "token_key_unknown").await;
        }
        expect(&real(n), "session_opened").await;
    }
    let asked = server.asked();
    expect(&made_up(0), "token_key_unknown").await;
    assert_eq!(server.asked(), asked, "the server was asked about it");
    expect(&made_up(LIMIT), "token_key_unknown").await;
    expect("no-uuid", "token_key_unknown").await;
    expect(&real(0), "session_opened").await;
    assert_eq!(server.asked(), asked + 1, "all keys are still known");

    for n in 0..2 * LIMIT {
        expect(&made_up(1000 + n), "token_key_unknown").await;
    }
    assert_eq!(server.asked(), 2 * LIMIT, "of them as many as are allowed");
    expect(&real(0), "session_opened").await;
}
