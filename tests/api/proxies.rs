//! The check for each kind of proxy: where the gate reads the original request, and how it hands
//! the cookies over.

use crate::app::Answer;
use crate::support::token::native;
use crate::world::{NO_SUCH_USER, REQUIRE, World};

/// A subrequest of one kind of proxy.
struct Subrequest<'a> {
    world: &'a World,
    method: &'a str,
    endpoint: String,
    headers: Vec<(&'a str, String)>,
}

impl<'a> Subrequest<'a> {
    /// What this kind of proxy asks about a request for `uri`.
    fn of(world: &'a World, proxy: &str, uri: &str) -> Self {
        let (endpoint, headers) = match proxy {
            "envoy" => (format!("/auth/envoy{uri}"), Vec::new()),
            other => {
                let header = match other {
                    "nginx" => ("X-Original-URI", uri.to_owned()),
                    "ingress-nginx" => ("X-Original-URL", format!("https://ls.example.com{uri}")),
                    _ => ("X-Forwarded-Uri", uri.to_owned()),
                };
                (format!("/auth/{other}"), vec![header])
            }
        };
        Self {
            world,
            method: "GET",
            endpoint,
            headers,
        }
    }

    fn with(mut self, headers: &[(&'a str, &str)]) -> Self {
        let headers = headers.iter().map(|(n, v)| (*n, (*v).to_owned()));
        self.headers.extend(headers);
        self
    }

    fn with_cookies(self, cookies: &str) -> Self {
        self.with(&[("Cookie", cookies)])
    }

    async fn send(&self) -> Answer {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (*n, &**v)).collect();
        let app = &self.world.app;
        app.send(self.method, &self.endpoint, &headers, "").await
    }
}

const PROXIES: [&str; 5] = ["nginx", "caddy", "ingress-nginx", "traefik", "envoy"];
const ALL: (&str, &str) = (
    "GATE_HTTP_PROXIES",
    "nginx, caddy, ingress-nginx, traefik, envoy",
);

/// Whether this proxy copies the gate's own headers (`X-Gate-Cookie`) instead of the standard ones.
fn copies_named_headers(proxy: &str) -> bool {
    matches!(proxy, "nginx" | "caddy")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_proxy_is_answered_in_its_own_terms() {
    let world = World::new(&[ALL]).await;
    for proxy in PROXIES {
        let ask = |uri: &str| Subrequest::of(&world, proxy, uri);
        let token = world.ann.token();
        let cookies = format!("a=b; ls_auth_token={token}");
        let answer = ask("/projects").with_cookies(&cookies).send().await;
        let named = copies_named_headers(proxy);
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
        answer
            .expect(200, "session_opened")
            .expect_header("X-Gate-Email", Some("ann@example.com"))
            .expect_header(with, Some(&request))
            .expect_header(without, None);
        let cookies = match proxy {
            "traefik" | "envoy" => 2,
            "ingress-nginx" => 1,
            _ => 0,
        };
        assert_eq!(answer.set_cookies().len(), cookies, "{proxy}");

        // The next request: ingress-nginx deletes the token's cookie now.
        let both = format!("{request}; ls_auth_token={token}");
        let answer = ask("/projects").with_cookies(&both).send().await;
        answer.expect(200, "session_kept");
        let deletions = if named {
            vec![answer.header("X-Gate-Set-Cookie-2").unwrap()]
        } else {
            answer.set_cookies()
        };
        assert_eq!(deletions.len(), 1, "{proxy}");
        assert!(
            deletions[0].starts_with("ls_auth_token=\"\"") && deletions[0].contains("Max-Age=0")
        );

        // Nothing to change: some proxies drop the request's own cookies unless the answer has
        // them.
        let answer = ask("/projects").with_cookies("a=b").send().await;
        answer
            .expect(200, "no_token")
            .expect_header("Cookie", (!named).then_some("a=b"));
        assert_eq!(answer.set_cookies().len(), 0);

        // A token in the address, and a user without access.
        let uri = format!("/projects?x=1&token={token}");
        ask(&uri).send().await.expect_reason("session_opened");
        let unknown = format!("ls_auth_token={}", native(NO_SUCH_USER));
        let answer = ask("/").with_cookies(&unknown).send().await;
        answer.expect(403, "user_unknown");
        // Caddy passes this response through to the browser.
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
    let world = World::new(&[ALL, REQUIRE, ("GATE_POLICY_OPEN_PATHS", "/open")]).await;
    let smuggled = [
        ("X-Original-URI", "/open"),
        ("X-Original-URL", "https://ls.example.com/open"),
        ("X-Forwarded-Uri", "/open"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Rewrite-URL", "/open"),
    ];
    for proxy in PROXIES {
        let open = Subrequest::of(&world, proxy, "/open").send().await;
        open.expect_status(200);
        let mut closed = Subrequest::of(&world, proxy, "/closed");
        let own = closed.headers.first().map(|(name, _)| *name);
        for header in smuggled {
            if Some(header.0) != own {
                closed = closed.with(&[header]);
            }
        }
        closed.send().await.expect(401, "sign_in_required");
        // Its own header twice, or not at all.
        if let Some(own) = own {
            let mut closed = closed.with(&[(own, "/open")]);
            closed.send().await.expect(403, "request_malformed");
            closed.headers.clear();
            closed.send().await.expect(403, "request_malformed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_proxy_tells_method_and_host_in_its_own_way() {
    let world = World::new(&[ALL, ("GATE_POLICY_CROSS_SITE", "refuse")]).await;
    let browser = world.signed_in(&world.ann).await;
    let cookie = format!("sessionid={}", browser.session().unwrap());
    for proxy in PROXIES {
        for (method, origin, status, reason) in [
            ("GET", "https://evil.test", 200, "no_token"),
            ("POST", "https://evil.test", 403, "cross_site_request"),
            ("POST", "https://ls.example.com", 200, "no_token"),
        ] {
            let mut request = Subrequest::of(&world, proxy, "/api/projects")
                .with(&[("Cookie", &cookie), ("Origin", origin)]);
            let host = "ls.example.com";
            request = match proxy {
                "envoy" => {
                    request.method = method;
                    request.with(&[("Host", host)])
                }
                "nginx" => request.with(&[("X-Original-Method", method), ("Host", host)]),
                "ingress-nginx" => request.with(&[("X-Original-Method", method)]),
                _ => request.with(&[("X-Forwarded-Method", method), ("X-Forwarded-Host", host)]),
            };
            request.send().await.expect(status, reason);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_passes_the_auth_response_through_shows_a_page() {
    let sign_in = (
        "GATE_POLICY_SIGN_IN_URL",
        "https://app.example.com/sign-in?a=1&b=2",
    );
    let world = World::new(&[ALL, REQUIRE, sign_in]).await;
    for proxy in PROXIES {
        let shown = matches!(proxy, "caddy" | "traefik" | "envoy");
        let host = match proxy {
            "caddy" | "traefik" => "X-Forwarded-Host",
            _ => "Host",
        };
        let script = Subrequest::of(&world, proxy, "/projects?x=1&y=%22%3E%3Cscript%3E")
            .with(&[("X-Forwarded-Proto", "https"), (host, "ls.example.com")]);
        let answer = script.send().await;
        answer
            .expect(401, "sign_in_required")
            .expect_header("WWW-Authenticate", Some("Bearer realm=\"Label Studio\""));
        assert_eq!(answer.body.contains("\"reason\""), shown, "{proxy}");

        let page = script.with(&[("Accept", "text/html,*/*")]);
        let answer = page.send().await;
        answer.expect_status(401);
        let back =
            "https%3A%2F%2Fls.example.com%2Fprojects%3Fx%3D1%26y%3D%2522%253E%253Cscript%253E";
        let refresh = format!(
            "content=\"0; url=https://app.example.com/sign-in?a=1&#38;b=2&#38;next={back}\""
        );
        assert_eq!(answer.body.contains(&refresh), shown, "{answer:?}");
        assert_eq!(answer.body.is_empty(), !shown, "{proxy}");

        let token = format!("ls_auth_token={}", native(NO_SUCH_USER));
        let refused = page.with_cookies(&token).send().await;
        refused.expect(403, "user_unknown");
        let text = "have access to this Label Studio";
        assert_eq!(refused.body.contains(text), shown, "{refused:?}");
        assert!(!refused.body.contains("refresh"), "{proxy}");
    }
}
