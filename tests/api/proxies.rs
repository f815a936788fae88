//! The check in the terms of each kind of proxy: where the original request is read from, and how the cookies are handed on.

use crate::app::{Answer, TestApp, world};
use crate::support::token::native;

/// How a proxy asks about a request for `uri`: the endpoint, and the headers that it sets.
fn question(proxy: &str, uri: &str) -> (String, Vec<(&'static str, String)>) {
    match proxy {
        "nginx" => (
            "/auth/nginx".to_owned(),
            vec![("X-Original-URI", uri.to_owned())],
        ),
        "ingress-nginx" => (
            "/auth/ingress-nginx".to_owned(),
            vec![("X-Original-URL", format!("https://ls.example.com{uri}"))],
        ),
        "envoy" => (format!("/auth/envoy{uri}"), Vec::new()),
        other => (
            format!("/auth/{other}"),
            vec![("X-Forwarded-Uri", uri.to_owned())],
        ),
    }
}

async fn ask(app: &TestApp, proxy: &str, uri: &str, cookie: &str) -> Answer {
    let (endpoint, set) = question(proxy, uri);
    let mut headers: Vec<(&str, &str)> = set.iter().map(|(n, v)| (*n, v.as_str())).collect();
    if !cookie.is_empty() {
        headers.push(("Cookie", cookie));
    }
    app.browse("GET", &endpoint, &headers, "").await
}

const PROXIES: [&str; 5] = ["nginx", "caddy", "ingress-nginx", "traefik", "envoy"];
const ALL: (&str, &str) = (
    "GATE_HTTP_PROXIES",
    "nginx, caddy, ingress-nginx, traefik, envoy",
);

#[tokio::test(flavor = "multi_thread")]
async fn each_proxy_is_told_in_its_own_terms() {
    let (_database, app, user) = world(&[ALL]).await;
    for proxy in PROXIES {
        let token = native(user);
        let answer = ask(
            &app,
            proxy,
            "/projects",
            &format!("a=b; ls_auth_token={token}"),
        )
        .await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_opened"),
            "{proxy}"
        );
        assert_eq!(answer.header("X-Gate-Email"), Some("worker@example.com"));
        let named = matches!(proxy, "nginx" | "caddy");
        let session = if named {
            answer.session().unwrap().to_owned()
        } else {
            answer.browser_session().unwrap()
        };
        let request = format!("a=b; sessionid={session}");
        let (with, without) = if named {
            ("X-Gate-Cookie", "Cookie")
        } else {
            ("Cookie", "X-Gate-Cookie")
        };
        assert_eq!(answer.header(with), Some(request.as_str()), "{proxy}");
        assert_eq!(answer.header(without), None, "{proxy}");
        let cookies = match proxy {
            "traefik" | "envoy" => 2,
            "ingress-nginx" => 1,
            _ => 0,
        };
        assert_eq!(answer.set_cookies().len(), cookies, "{proxy}");

        // The next request: ingress-nginx deletes the token's cookie now.
        let both = format!("{request}; ls_auth_token={token}");
        let answer = ask(&app, proxy, "/projects", &both).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "session_kept"),
            "{proxy}"
        );
        let deletions = if named {
            vec![answer.header("X-Gate-Set-Cookie-2").unwrap()]
        } else {
            answer.set_cookies()
        };
        assert_eq!(deletions.len(), 1, "{proxy}");
        assert!(
            deletions[0].starts_with("ls_auth_token=\"\"") && deletions[0].contains("Max-Age=0")
        );

        // Nothing to change: some proxies drop the request's own cookies unless they are told them.
        let answer = ask(&app, proxy, "/projects", "a=b").await;
        assert_eq!(
            (answer.status, answer.reason()),
            (200, "no_token"),
            "{proxy}"
        );
        assert_eq!(
            answer.header("Cookie"),
            (!named).then_some("a=b"),
            "{proxy}"
        );
        assert_eq!(answer.set_cookies().len(), 0);

        // A token in the address, and a user who may not come in.
        let answer = ask(&app, proxy, &format!("/projects?x=1&token={token}"), "").await;
        assert_eq!(answer.reason(), "session_opened", "{proxy}");
        let answer = ask(
            &app,
            proxy,
            "/",
            &format!("ls_auth_token={}", native(999_999)),
        )
        .await;
        assert_eq!(
            (answer.status, answer.reason()),
            (403, "user_unknown"),
            "{proxy}"
        );
        // Caddy hands this answer on as it is.
        let deletion = if proxy == "nginx" {
            answer.header("X-Gate-Set-Cookie-2")
        } else {
            answer.set_cookies().pop()
        };
        assert!(deletion.unwrap().contains("Max-Age=0"), "{proxy}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_of_another_kind_of_proxy_changes_nothing() {
    let (_database, app, _user) = world(&[
        ALL,
        ("GATE_POLICY_ANONYMOUS", "require"),
        ("GATE_POLICY_OPEN_PATHS", "/open"),
    ])
    .await;
    for proxy in PROXIES {
        assert_eq!(ask(&app, proxy, "/open", "").await.status, 200, "{proxy}");
        let (endpoint, set) = question(proxy, "/closed");
        let smuggled = [
            ("X-Original-URI", "/open"),
            ("X-Original-URL", "https://ls.example.com/open"),
            ("X-Forwarded-Uri", "/open"),
            ("X-Forwarded-Host", "evil.test"),
            ("X-Rewrite-URL", "/open"),
        ];
        let mut headers: Vec<(&str, &str)> = set.iter().map(|(n, v)| (*n, v.as_str())).collect();
        headers.extend(
            smuggled
                .iter()
                .filter(|(name, _)| set.iter().all(|(own, _)| own != name)),
        );
        let answer = app.browse("GET", &endpoint, &headers, "").await;
        assert_eq!(
            (answer.status, answer.reason()),
            (401, "sign_in_required"),
            "{proxy}"
        );
        // Its own header twice, or not at all.
        if proxy != "envoy" {
            headers.push((set[0].0, "/open"));
            let answer = app.browse("GET", &endpoint, &headers, "").await;
            assert_eq!(
                (answer.status, answer.reason()),
                (403, "request_malformed"),
                "{proxy}"
            );
            let answer = app.browse("GET", &endpoint, &[], "").await;
            assert_eq!(
                (answer.status, answer.reason()),
                (403, "request_malformed"),
                "{proxy}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_proxy_tells_method_and_host_in_its_own_way() {
    let (_database, app, user) = world(&[ALL, ("GATE_POLICY_CROSS_SITE", "refuse")]).await;
    let login = app
        .check("/", &format!("ls_auth_token={}", native(user)))
        .await;
    let cookie = format!("sessionid={}", login.session().unwrap());
    for proxy in PROXIES {
        for (method, origin, refused) in [
            ("GET", "https://evil.test", false),
            ("POST", "https://evil.test", true),
            ("POST", "https://ls.example.com", false),
        ] {
            let (endpoint, set) = question(proxy, "/api/projects");
            let mut headers: Vec<(&str, &str)> =
                set.iter().map(|(n, v)| (*n, v.as_str())).collect();
            headers.extend([("Cookie", cookie.as_str()), ("Origin", origin)]);
            let mut sent = "GET";
            match proxy {
                "envoy" => {
                    sent = method;
                    headers.push(("Host", "ls.example.com"));
                }
                "nginx" => {
                    headers.extend([("X-Original-Method", method), ("Host", "ls.example.com")])
                }
                "ingress-nginx" => headers.push(("X-Original-Method", method)),
                _ => headers.extend([
                    ("X-Forwarded-Method", method),
                    ("X-Forwarded-Host", "ls.example.com"),
                ]),
            }
            let answer = app.browse(sent, &endpoint, &headers, "").await;
            let expected = if refused {
                (403, "cross_site_request")
            } else {
                (200, "no_token")
            };
            assert_eq!(
                (answer.status, answer.reason()),
                expected,
                "{proxy} {method} {origin}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_proxy_shows_the_checks_own_answer_sees_a_page() {
    let (_database, app, _user) = world(&[
        ALL,
        ("GATE_POLICY_ANONYMOUS", "require"),
        (
            "GATE_POLICY_SIGN_IN_URL",
            "https://app.example.com/sign-in?a=1&b=2",
        ),
    ])
    .await;
    for proxy in PROXIES {
        let shown = matches!(proxy, "caddy" | "traefik" | "envoy");
        let (endpoint, set) = question(proxy, "/projects?x=1&y=%22%3E%3Cscript%3E");
        let mut headers: Vec<(&str, &str)> = set.iter().map(|(n, v)| (*n, v.as_str())).collect();
        headers.push(("X-Forwarded-Proto", "https"));
        let host = match proxy {
            "caddy" | "traefik" => "X-Forwarded-Host",
            _ => "Host",
        };
        headers.push((host, "ls.example.com"));
        let script = app.browse("GET", &endpoint, &headers, "").await;
        assert_eq!(
            (script.status, script.reason()),
            (401, "sign_in_required"),
            "{proxy}"
        );
        assert_eq!(
            script.header("WWW-Authenticate"),
            Some("Bearer realm=\"Label Studio\""),
            "{proxy}"
        );
        assert_eq!(script.body.contains("\"reason\""), shown, "{proxy}");

        headers.push(("Accept", "text/html,*/*"));
        let page = app.browse("GET", &endpoint, &headers, "").await;
        assert_eq!(page.status, 401, "{proxy}");
        let back =
            "https%3A%2F%2Fls.example.com%2Fprojects%3Fx%3D1%26y%3D%2522%253E%253Cscript%253E";
        let leads = format!(
            "content=\"0; url=https://app.example.com/sign-in?a=1&#38;b=2&#38;next={back}\""
        );
        assert_eq!(page.body.contains(&leads), shown, "{proxy}: {}", page.body);
        assert_eq!(page.body.is_empty(), !shown, "{proxy}");

        let token = format!("ls_auth_token={}", native(999_999));
        headers.push(("Cookie", &token));
        let refused = app.browse("GET", &endpoint, &headers, "").await;
        assert_eq!(
            (refused.status, refused.reason()),
            (403, "user_unknown"),
            "{proxy}"
        );
        assert_eq!(
            refused.body.contains("have access to this"),
            shown,
            "{proxy}"
        );
        assert!(!refused.body.contains("refresh"), "{proxy}");
    }
}
