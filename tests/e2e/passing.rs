//! Requests that do not concern the gate pass unchanged.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::login::fresh;
use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::raw::Connection;
use crate::stack::{Engine, GateProcess, nginx_proxies, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::native;
use crate::support::{free_port, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn label_studios_invitation_link_works() {
    for (stack, proxy, which) in nginx_proxies() {
        let invitation = stack.sql("SELECT token FROM organization ORDER BY id LIMIT 1");
        let path = format!("/user/signup/?token={invitation}");
        let through = Browser::new(&proxy.url).get(&path).await;
        let direct = Browser::new(&format!("http://127.0.0.1:{}", stack.label_studio.port))
            .get(&path)
            .await;
        assert_eq!(
            (through.status(), direct.status().as_u16()),
            (reqwest::StatusCode::OK, 200),
            "{which}"
        );
        let page = through.text().await.unwrap();
        assert!(
            page.contains("csrfmiddlewaretoken") && page.contains("name=\"password\""),
            "{which}: {page}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api_calls_pass_untouched_even_beside_a_token() {
    for (stack, proxy, which) in nginx_proxies() {
        let user = stack.user(&format!("beside{}@example.test", fresh()));
        let admin = seeded("GATE_DEMO_ADMIN_TOKEN");
        for (name, value) in [
            ("Authorization", format!("Token {admin}")),
            ("X-Api-Key", admin.to_owned()),
        ] {
            let browser = Browser::new(&proxy.url).with_token(&native(user));
            let call = browser
                .client
                .get(format!("{}/api/current-user/whoami", proxy.url))
                .header(name, value);
            let answer: Value = call.send().await.unwrap().json().await.unwrap();
            assert_eq!(
                answer["email"],
                seeded("GATE_DEMO_ADMIN_EMAIL"),
                "{which}: {name}"
            );
            assert!(
                browser.cookie("ls_auth_token").is_some(),
                "{which}: the token is left alone"
            );
        }
        let wrong = Browser::new(&proxy.url)
            .client
            .get(format!("{}/api/projects/", proxy.url));
        let status = wrong
            .header("Authorization", "Token wrong")
            .send()
            .await
            .unwrap()
            .status();
        assert_eq!(status, 401, "{which}: Label Studio judges its own tokens");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_uploads_and_large_cookies_pass() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("upload{}@example.test", fresh());
        let browser = Browser::new(&proxy.url).with_token(&native(stack.user(&email)));
        // Six kilobytes of an application's own cookies in the first request, the one that rewrites
        // the header.
        browser.set("app_one", &"a".repeat(3000));
        browser.set("app_two", &"b".repeat(3000));
        let project = json!({"title": "A project", "label_config": "<View><Text name=\"t\" value=\"$text\"/><Choices name=\"c\" toName=\"t\"><Choice value=\"x\"/></Choices></View>"});
        let created = browser
            .client
            .post(format!("{}/api/projects/", proxy.url))
            .json(&project)
            .send()
            .await
            .unwrap();
        let status = created.status();
        let answer: Value = created.json().await.unwrap();
        assert_eq!(
            status, 201,
            "{which}: a POST with the token itself: {answer}"
        );
        let id = answer["id"].as_i64().unwrap();
        assert_eq!(browser.whoami().await, Some(email), "{which}");

        let mut tasks = String::from("text\n");
        for n in 0..1000 {
            tasks.push_str(&format!(
                "{}number {n}\n",
                "a task of many words ".repeat(80)
            ));
        }
        assert!(tasks.len() > 1_500_000);
        let file = Part::text(tasks.replace(',', ";"))
            .file_name("tasks.csv")
            .mime_str("text/csv")
            .unwrap();
        let import = browser
            .client
            .post(format!("{}/api/projects/{id}/import", proxy.url))
            .multipart(Form::new().part("file", file));
        let import = import.send().await.unwrap();
        assert_eq!(import.status(), 201, "{which}: an upload of 1.5 MB");
        assert_eq!(
            import.json::<Value>().await.unwrap()["task_count"],
            1000,
            "{which}"
        );
        assert!(browser.cookie("app_two").is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn smuggled_headers_change_nothing() {
    for (stack, proxy, which) in nginx_proxies() {
        let user = stack.user(&format!("smuggled{}@example.test", fresh()));
        let by_link = format!("/?token={}", native(user));
        let smuggled = [
            ("X-Original-URI", by_link.as_str()),
            ("X-Original-URL", by_link.as_str()),
            ("X-Forwarded-Uri", by_link.as_str()),
            ("X-Gate-User-Id", "1"),
            ("X-Gate-Cookie", "sessionid=x"),
            ("X-Gate-Email", "admin@demo.test"),
        ];
        let browser = Browser::new(&proxy.url).with_token("rubbish");
        let mut request = browser
            .client
            .get(format!("{}/api/current-user/whoami", proxy.url));
        for (name, value) in smuggled {
            request = request.header(name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 401, "{which}");
        let inside = Browser::new(&proxy.url).get("/_gate/auth").await;
        assert_eq!(inside.status(), 404, "{which}: only nginx asks the check");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_asks_about_every_request_unless_the_short_cut_is_on() {
    // This test has gates of its own, because other tests use the stacks' gates at the same time.
    let stack = stacks()[0];
    let paths = [
        "/health",
        "/user/login/",
        "/static/css/main.css",
        "/api/version",
        "/?tab=1&tokens=2",
    ];
    for binary in binaries() {
        for (edits, unasked) in [(&[][..], 0), (&[SHORT_CUT], paths.len())] {
            let gate = GateProcess::start(Engine::SignedCookies, CLUSTER.port(), &stack.database);
            let ports = [gate.port];
            let proxy = Nginx::start_with(&binary, &ports, stack.label_studio.port, None, edits);
            let browser = Browser::new(&proxy.url);
            browser.set("csrftoken", "x");
            for path in paths {
                browser.get(path).await;
            }
            assert_eq!(checks(&gate).await, paths.len() - unasked);
            browser.get("/health?token=a.b.c").await;
            let asked = paths.len() - unasked + 1;
            assert_eq!(checks(&gate).await, asked, "one with a token");
        }
    }
}

/// Such a request leaves the location, and arrives as it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn the_short_cut_changes_nothing_in_a_request() {
    const TARGET: &str = "/api/projects/1%2F2//import?commit_to_project=false&x=%20";
    let studio = Stub::start(|_| Reply::of(418, "Label Studio's own"));
    let body = "x".repeat(300_000);
    let length = format!("Content-Length: {}\r\n", body.len());
    for binary in binaries() {
        // No gate is there.
        let nginx = Nginx::start_with(&binary, &[free_port()], studio.port, None, &[SHORT_CUT]);
        for (method, headers, body) in [
            ("GET", "", ""),
            ("DELETE", "", ""),
            ("PATCH", "Content-Length: 2\r\n", "{}"),
            ("POST", &length, &body),
            ("POST", &format!("{length}Expect: 100-continue\r\n"), &body),
        ] {
            let which = format!("{}: {method} {headers}", binary.display());
            let mut connection = Connection::to(&nginx.url).await;
            connection
                .send(format!(
                    "{method} {TARGET} HTTP/1.1\r\nHost: x:1\r\nX-Gate-User-Id: 1\r\nX-Request-ID: forged\r\n{headers}\r\n"
                ))
                .await;
            if headers.contains("Expect") {
                assert_eq!(connection.next().await.status, 100, "{which}");
            }
            connection.send(body).await;
            let answer = connection.next().await;
            assert_eq!(
                (answer.status, &*answer.body),
                (418, "Label Studio's own"),
                "{which}"
            );

            let asked = studio.heads().pop().unwrap();
            assert!(
                asked.starts_with(&format!("{method} {TARGET} HTTP/1.1\r\nHost: x:1\r\n")),
                "{which}: {asked}"
            );
            assert!(asked.ends_with(&format!("\r\n\r\n{body}")), "{which}");
            assert!(!asked.to_ascii_lowercase().contains("x-gate-"), "{which}");
            let id = asked
                .lines()
                .find_map(|line| line.strip_prefix("X-Request-ID: "));
            let id = id.expect(&which);
            assert_eq!(id.len(), 32, "{which}");
            let is_logged = || nginx.read("access.log").contains(&format!("id=\"{id}\""));
            wait_until(is_logged, || nginx.read("access.log"));
        }
    }
}

/// The number of checks a gate has answered.
async fn checks(gate: &GateProcess) -> usize {
    let metrics = crate::support::client()
        .get(format!("http://127.0.0.1:{}/metrics", gate.port))
        .send();
    let metrics = metrics.await.unwrap().text().await.unwrap();
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("label_studio_gate_checks_total"));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_of_the_files_says_which_sites_may_show_label_studio_in_a_frame() {
    const LINE: &str = "add_header Content-Security-Policy \"frame-ancestors 'self' https://app.example.com\" always;";
    for stack in stacks() {
        let (gate, studio) = (stack.gates[0].port, stack.label_studio.port);
        let commented = format!("# {LINE}");
        for (changes, expected) in [
            (vec![], None),
            (
                vec![("gate-check.conf", commented.as_str(), LINE)],
                Some("frame-ancestors 'self' https://app.example.com"),
            ),
        ] {
            let proxy = Nginx::start_changed(gate, studio, &[], &changes);
            for path in ["/user/login/", "/no-such-page"] {
                let answer = Browser::new(&proxy.url).get(path).await;
                let policy = answer.headers().get("Content-Security-Policy");
                let policy = policy.map(|value| value.to_str().unwrap());
                assert_eq!(policy, expected, "{path}");
                assert!(answer.headers().get("X-Frame-Options").is_none(), "{path}");
            }
        }
    }
}
