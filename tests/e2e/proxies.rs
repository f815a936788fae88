//! Proxies other than nginx, with the shipped files, in front of the real Label Studio.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::login::fresh;
use crate::parallel::fifty_at_once;
use crate::programs::{in_chromium, screenshot};
use crate::proxy::{KINDS, Kind, Proxy};
use crate::stack::{Engine, GateProcess, Stack, database_stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;
use crate::support::token::native;
use crate::unavailable::assert_retry_after;

/// Each kind of proxy in front of each stack, with a name for messages.
fn each() -> impl Iterator<Item = (&'static Stack, Proxy, String)> {
    stacks().into_iter().flat_map(|stack| {
        KINDS.into_iter().map(move |kind| {
            let proxy = Proxy::start(kind, stack.gates[0].port, stack.label_studio.port);
            (stack, proxy, format!("{:?} behind {kind:?}", stack.engine))
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_is_answered_as_the_user_and_sets_both_cookies() {
    for (stack, proxy, which) in each() {
        let email = format!("proxy{}@example.test", fresh());
        let user = stack.user(&email);
        let browser = Browser::new(&proxy.url).with_token(&native(user));
        browser.set("app", "kept");
        let first = browser.whoami().await;
        assert_eq!(first, Some(email.clone()), "{which}: {}", proxy.logs());
        assert!(browser.cookie("sessionid").is_some(), "{which}");
        // ingress-nginx forwards one cookie: the session with this response, the deletion with the
        // next.
        let in_steps = matches!(proxy.kind, Kind::Ingress { .. });
        assert_eq!(
            browser.cookie("ls_auth_token").is_some(),
            in_steps,
            "{which}"
        );
        for _ in 0..3 {
            assert_eq!(browser.whoami().await, Some(email.clone()), "{which}");
            assert_eq!(browser.cookie("ls_auth_token"), None, "{which}");
        }
        assert_eq!(browser.get("/projects/").await.status(), 200, "{which}");
        assert_eq!(browser.cookie("app").as_deref(), Some("kept"), "{which}");

        // Another user logs in with the parameter; the body of that request passes through.
        let second = format!("proxy{}@example.test", fresh());
        let token = native(stack.user(&second));
        let project = json!({"title": "A project", "label_config": "<View></View>"});
        let url = browser.at(&format!("/api/projects/?token={token}"));
        let created = browser
            .client
            .post(url)
            .json(&project)
            .send()
            .await
            .unwrap();
        assert_eq!(created.status(), 201, "{which}");
        let body: Value = created.json().await.unwrap();
        assert_eq!(body["created_by"]["email"], second, "{which}");
        assert_eq!(browser.whoami().await, Some(second), "{which}");
        // The log of ingress-nginx is set up in the cluster: deploy/kubernetes/README.md.
        assert!(
            !proxy.logs().contains(&token) || in_steps,
            "{which}: a token in the log"
        );
    }
}

/// Label Studio sends its session cookie with each response, so the session arrives. The token's
/// cookie stays until it expires, and each request with it is one more check of the same session.
#[tokio::test(flavor = "multi_thread")]
async fn envoy_gateway_forwards_no_cookie_and_users_are_logged_in_anyway() {
    for stack in stacks() {
        let proxy = Proxy::start(
            Kind::EnvoyGateway,
            stack.gates[0].port,
            stack.label_studio.port,
        );
        let email = format!("proxy{}@example.test", fresh());
        let browser = Browser::new(&proxy.url).with_token(&native(stack.user(&email)));
        for _ in 0..3 {
            assert_eq!(
                browser.whoami().await,
                Some(email.clone()),
                "{:?}",
                stack.engine
            );
            assert!(browser.cookie("ls_auth_token").is_some());
        }
        // The token has expired.
        browser.set("ls_auth_token", "");
        assert_eq!(browser.whoami().await, Some(email), "{:?}", stack.engine);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studios_own_sign_in_sign_out_and_api_work() {
    for (stack, proxy, which) in each() {
        let admin = seeded("GATE_DEMO_ADMIN_EMAIL");
        let browser = Browser::new(&proxy.url);
        assert_eq!(browser.fill_in_the_form().await.status(), 302, "{which}");
        assert_eq!(browser.whoami().await.as_deref(), Some(admin), "{which}");
        browser.get("/logout").await;
        assert_eq!(browser.whoami().await, None, "{which}: signed out");

        let token = format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN"));
        let user = stack.user(&format!("proxy{}@example.test", fresh()));
        let beside = Browser::new(&proxy.url).with_token(&native(user));
        let call = beside.client.get(beside.at("/api/current-user/whoami"));
        let answer = call.header("Authorization", &token).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["email"], admin, "{which}");
        assert!(
            beside.cookie("ls_auth_token").is_some(),
            "{which}: left alone"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gates_own_routes_are_behind_every_proxy() {
    for (stack, proxy, which) in each() {
        let email = format!("proxy{}@example.test", fresh());
        stack.user(&email);
        let client = Browser::new(&proxy.url);
        let token = format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN"));
        let issue = client.client.post(client.at("/api/sso/token"));
        let issue = issue
            .header("Authorization", token)
            .json(&json!({"email": email}));
        let issued: Value = issue.send().await.unwrap().json().await.unwrap();
        let issued = issued["token"].as_str().unwrap();

        let browser = Browser::new(&proxy.url);
        let path = format!("/sso/login?token={issued}&next=/projects/%3Fpage=2");
        let answer = browser.get(&path).await;
        assert_eq!(answer.status(), 303, "{which}");
        assert_eq!(answer.headers()["Location"], "/projects/?page=2", "{which}");
        assert_eq!(browser.whoami().await, Some(email), "{which}");
        let sign_out = browser.client.get(browser.at("/sso/logout"));
        let own_page = format!("{}/projects/", proxy.url);
        let answer = sign_out.header("Referer", own_page).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{which}");
        assert_eq!(browser.cookie("sessionid"), None, "{which}");
        assert_eq!(browser.whoami().await, None, "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_once_end_in_one_session_behind_every_proxy() {
    let stack = database_stack();
    for kind in KINDS {
        let proxy = Proxy::start(kind, stack.gates[0].port, stack.label_studio.port);
        let email = format!("proxy{}@example.test", fresh());
        let user = stack.user(&email);
        let mut sessions = BTreeSet::new();
        for (answered, cookies) in fifty_at_once(&proxy.url, &native(user)).await {
            assert_eq!(answered, email, "{kind:?}");
            let mut values = cookies
                .iter()
                .filter_map(|cookie| cookie.strip_prefix("sessionid=")?.split(';').next());
            // A browser keeps the last one.
            sessions.insert(values.next_back().expect("a session").to_owned());
        }
        assert_eq!(sessions.len(), 1, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_does_not_pass_and_its_token_is_deleted() {
    for (stack, proxy, which) in each() {
        let inactive = stack.user(&format!("proxy{}@example.test", fresh()));
        stack.sql(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {inactive}"
        ));
        let browser = Browser::new(&proxy.url).with_token(&native(inactive));
        let answer = browser.get("/projects/").await;
        assert_eq!(answer.status(), 403, "{which}");
        // ngx.exit sends no cookies, so the visitor's token is refused again until it expires.
        if proxy.kind != (Kind::Ingress { keepalive: true }) {
            assert_eq!(browser.cookie("ls_auth_token"), None, "{which}");
        }
        let browser = Browser::new(&proxy.url).with_token("x.y.z");
        assert_eq!(browser.whoami().await, None, "{which}: not acceptable");
        assert_eq!(browser.cookie("ls_auth_token"), None, "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_another_kind_of_proxy_changes_nothing() {
    let stack = stacks()[0];
    let settings = [
        ("GATE_POLICY_ANONYMOUS", "require"),
        ("GATE_POLICY_OPEN_PATHS", "/health"),
    ];
    let gate = GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &settings);
    for kind in KINDS {
        let proxy = Proxy::start(kind, gate.port, stack.label_studio.port);
        let browser = Browser::new(&proxy.url);
        assert_eq!(browser.get("/health").await.status(), 200, "{kind:?}");
        let user = stack.user(&format!("proxy{}@example.test", fresh()));
        let by_link = format!("/health?token={}", native(user));
        for (name, value) in [
            ("X-Original-URI", by_link.as_str()),
            ("X-Original-URL", &format!("{}{by_link}", proxy.url)),
            ("X-Original-Method", "GET"),
            ("X-Forwarded-Uri", &by_link),
            ("X-Forwarded-Host", "evil.test"),
            ("X-Forwarded-Method", "GET"),
            ("X-Rewrite-URL", &by_link),
            ("X-Envoy-Original-Path", &by_link),
            ("X-Gate-Cookie", "sessionid=x"),
            ("X-Gate-User-Id", "1"),
        ] {
            for path in ["/api/projects/", "/api/current-user/whoami"] {
                let request = browser.client.get(browser.at(path)).header(name, value);
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 401, "{kind:?}: {name} for {path}");
            }
        }
        // Paths that implementations could read differently.
        for path in ["/health/../api/projects/", "/health/%2e%2e/api/projects/"] {
            let answer = raw(&proxy.url, path).await;
            assert!(!answer.contains(" 200 "), "{kind:?}: {path}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_to_a_long_address_fits_behind_every_proxy() {
    let next = format!("/projects/?filter={}", "a".repeat(6_000));
    for (stack, proxy, which) in each() {
        let user = stack.user(&format!("proxy{}@example.test", fresh()));
        let link = format!("/sso/login?token={}&next={next}", native(user));
        let answer = Browser::new(&proxy.url).get(&link).await;
        assert_eq!(answer.status(), 303, "{which}: {}", proxy.logs());
        assert_eq!(answer.headers()["Location"], next, "{which}");
    }
}

/// The status line for a path that no HTTP library would send.
async fn raw(url: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().next().unwrap_or_default().to_owned() + " "
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gate_no_request_passes() {
    let stack = stacks()[0];
    for kind in KINDS {
        let proxy = Proxy::start(kind, free_port(), stack.label_studio.port);
        // As in docs/proxies.md.
        let expected = match kind {
            Kind::Ingress { .. } | Kind::IngressWithSignIn | Kind::Traefik => 500,
            Kind::Caddy => 502,
            Kind::HaProxy | Kind::Envoy | Kind::EnvoyGateway => 503,
        };
        let unauthenticated = Browser::new(&proxy.url);
        let user = stack.user(&format!("proxy{}@example.test", fresh()));
        let known = Browser::new(&proxy.url).with_token(&native(user));
        for browser in [unauthenticated, known] {
            for path in ["/", "/health", "/api/version", "/user/login/"] {
                let answer = browser.get(path).await;
                let status = answer.status().as_u16();
                assert_eq!(status, expected, "{kind:?}: {path}");
                if expected == 503 && kind != Kind::EnvoyGateway {
                    assert!(answer.headers().contains_key("Retry-After"), "{kind:?}");
                    assert_retry_after(&answer);
                }
                let body = answer.text().await.unwrap();
                assert!(
                    !body.contains("csrf") && !body.contains("release"),
                    "{kind:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_logs_in_switches_users_and_signs_out_behind_every_proxy() {
    for (stack, proxy, which) in each() {
        let emails = [0; 2].map(|_| format!("proxy{}@example.test", fresh()));
        let tokens = emails.each_ref().map(|email| native(stack.user(email)));
        let shot = screenshot(&which.replace([' ', ':', '{', '}'], ""));
        let signed_cookies = stack.engine == Engine::SignedCookies;
        let task = json!({"url": proxy.url, "tokens": tokens, "shot": shot, "signedCookies": signed_cookies});
        let seen = tokio::task::block_in_place(|| in_chromium("proxy.mjs", &[&task.to_string()]));
        let expected = json!({"seen": [emails[0], emails[1], null], "kept": ["sessionid"]});
        assert_eq!(seen, expected, "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ingress_nginx_redirects_to_the_host_applications_sign_in() {
    let stack = stacks()[0];
    // As in components/sign-in-required.
    let settings = [
        ("GATE_POLICY_ANONYMOUS", "require"),
        ("GATE_POLICY_SIGN_IN_URL", "https://app.example.com/sign-in"),
        ("GATE_POLICY_OPEN_PATHS", "/health, /static/*"),
    ];
    let gate = GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &settings);
    let proxy = Proxy::start(Kind::IngressWithSignIn, gate.port, stack.label_studio.port);
    let browser = Browser::new(&proxy.url);
    let answer = browser.get("/projects/?page=2").await;
    assert_eq!(answer.status(), 302);
    let expected = format!(
        "https://app.example.com/sign-in?next={}/projects/?page=2",
        proxy.url
    );
    assert_eq!(answer.headers()["Location"], expected);
    assert_eq!(browser.get("/health").await.status(), 200);

    let email = format!("proxy{}@example.test", fresh());
    browser.set("ls_auth_token", &native(stack.user(&email)));
    assert_eq!(browser.whoami().await, Some(email));
    // An unacceptable token: the browser is sent back to the application, and the cookie is
    // deleted.
    let other = Browser::new(&proxy.url).with_token("x.y.z");
    assert_eq!(other.get("/projects/").await.status(), 302);
    assert_eq!(other.cookie("ls_auth_token"), None);
}
