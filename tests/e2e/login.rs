//! Logging in, switching users, and tokens that log nobody in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::stack::{Engine, nginx_proxies};
use crate::support::token::{SECRET_KEY, claims, native, now, sign, with};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_with_the_cookie_is_answered_as_the_user() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("cookie{}@example.test", fresh());
        let user = stack.user(&email);
        let browser = Browser::new(&proxy.url).with_token(&native(user));
        assert_eq!(
            browser.whoami().await,
            Some(email.clone()),
            "{which}: the first request"
        );
        assert_eq!(
            browser.cookie("ls_auth_token"),
            None,
            "{which}: the token's cookie is gone"
        );
        assert!(browser.cookie("sessionid").is_some(), "{which}");
        for _ in 0..3 {
            assert_eq!(
                browser.whoami().await,
                Some(email.clone()),
                "{which}: by the session only"
            );
        }
        assert_eq!(browser.get("/projects/").await.status(), 200, "{which}");
        let logged = stack.sql(&format!(
            "SELECT last_login > now() - interval '1 minute' FROM htx_user WHERE id = {user}"
        ));
        assert_eq!(logged, "t", "{which}: last_login");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_requests_of_a_page_keep_its_session() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("page{}@example.test", fresh());
        let browser = Browser::new(&proxy.url).with_token(&native(stack.user(&email)));
        let page = browser.get("/projects/").await.text().await.unwrap();
        let files: Vec<&str> = page
            .split(['"', '\''])
            .filter(|word| word.starts_with("/static/") || word.starts_with("/react-app/"))
            .collect();
        assert!(files.len() >= 5, "{which}: {files:?}");
        for file in files
            .into_iter()
            .chain(["/sw.js", "/favicon.ico", "/health", "/api/version"])
        {
            browser.get(file).await;
            assert_eq!(
                browser.whoami().await.as_ref(),
                Some(&email),
                "{which}: after {file}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_with_the_parameter_is_answered_as_the_user() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("parameter{}@example.test", fresh());
        let token = native(stack.user(&email));
        let browser = Browser::new(&proxy.url);
        let path = format!("/api/current-user/whoami?x=1&token={token}");
        assert_eq!(
            browser.whoami_at(&path).await,
            Some(email.clone()),
            "{which}"
        );
        assert_eq!(browser.whoami().await, Some(email), "{which}");
    }
}

/// Django strips U+00A0 around a cookie's name, resolves octal escapes in quotes, and reads the
/// last of several cookies with one name.
#[tokio::test(flavor = "multi_thread")]
async fn disguised_session_cookies_are_not_read() {
    for (stack, proxy, which) in nginx_proxies() {
        let (other, own) = (
            format!("other{}@example.test", fresh()),
            format!("own{}@example.test", fresh()),
        );
        let token = native(stack.user(&own));
        let session_by = async |token: &str| {
            let browser = Browser::new(&proxy.url).with_token(token);
            assert!(browser.whoami().await.is_some(), "{which}");
            browser.cookie("sessionid").unwrap()
        };
        let others = session_by(&native(stack.user(&other))).await;
        let session = session_by(&token).await;
        let (first, rest) = others.split_at(1);
        let octal = format!("\\{:03o}{rest}", first.as_bytes()[0]);
        for disguise in [
            format!("\u{a0}sessionid={others}"),
            format!("sessionid\u{2003}={others}"),
            format!("sessionid=\"{octal}\""),
        ] {
            let cookies = format!("ls_auth_token={token}; sessionid={session}; {disguise}");
            let browser = Browser::new(&proxy.url);
            let request = browser.client.get(browser.at("/api/current-user/whoami"));
            let header = reqwest::header::HeaderValue::from_bytes(cookies.as_bytes()).unwrap();
            let answer = request.header("Cookie", header).send().await.unwrap();
            let whoami: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(whoami["email"], own, "{which}: {disguise}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_user_switches() {
    for (stack, proxy, which) in nginx_proxies() {
        let (first, second) = (
            format!("first{}@example.test", fresh()),
            format!("second{}@example.test", fresh()),
        );
        let (one, two) = (stack.user(&first), stack.user(&second));
        let browser = Browser::new(&proxy.url).with_token(&native(one));
        assert_eq!(browser.whoami().await, Some(first.clone()), "{which}");
        let before = browser.cookie("sessionid").unwrap();
        browser.set("ls_auth_token", &native(two));
        assert_eq!(browser.whoami().await, Some(second.clone()), "{which}");
        assert_eq!(browser.whoami().await, Some(second), "{which}: and stays");
        assert_ne!(browser.cookie("sessionid").unwrap(), before, "{which}");
        if stack.engine == Engine::Database {
            let left = stack.sql(&format!(
                "SELECT count(*) FROM django_session WHERE session_key = '{before}'"
            ));
            assert_eq!(left, "0", "{which}: the old session's row is deleted");
        }
        let path = format!("/api/current-user/whoami?token={}", native(one));
        assert_eq!(
            browser.whoami_at(&path).await,
            Some(first),
            "{which}: and back by a link"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unacceptable_token_logs_nobody_in_and_ends_no_session() {
    for (stack, proxy, which) in nginx_proxies() {
        let (email, other) = (
            format!("target{}@example.test", fresh()),
            format!("mine{}@example.test", fresh()),
        );
        let (target, mine) = (stack.user(&email), stack.user(&other));
        let changed = |changes| {
            sign(
                Algorithm::HS256,
                SECRET_KEY,
                &with(claims(target), &changes),
            )
        };
        let good = native(target);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let payload = signed.split('.').nth(1).unwrap();
        let admin =
            URL_SAFE_NO_PAD.encode(with(claims(target), &json!({"user_id": 1})).to_string());
        let header = signed.split('.').next().unwrap();
        let rs256 = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
        for (what, token) in [
            ("expired", changed(json!({"exp": now() - 1}))),
            ("tampered", format!("{header}.{admin}.{signature}")),
            (
                "wrong key",
                sign(Algorithm::HS256, "wrong", &claims(target)),
            ),
            ("alg none", format!("{none}.{payload}.")),
            (
                "alg none with a signature",
                format!("{none}.{payload}.{signature}"),
            ),
            (
                "HS512 with the right key",
                sign(Algorithm::HS512, SECRET_KEY, &claims(target)),
            ),
            (
                "RS256 in the header",
                format!("{rs256}.{payload}.{signature}"),
            ),
            ("no exp", changed(json!({"exp": null}))),
            ("no aud", changed(json!({"aud": null}))),
            ("no iss", changed(json!({"iss": null}))),
            ("wrong aud", changed(json!({"aud": "somewhere"}))),
            ("user_id true", changed(json!({"user_id": true}))),
            ("user_id 1.0", changed(json!({"user_id": 1.0}))),
            ("8 kB of rubbish", "x".repeat(8 * 1024)),
        ] {
            let visitor = Browser::new(&proxy.url).with_token(&token);
            assert_eq!(visitor.whoami().await, None, "{which}: {what}");
            assert_eq!(
                visitor.cookie("ls_auth_token"),
                None,
                "{which}: {what}: the cookie is deleted"
            );
            let path = format!("/api/current-user/whoami?token={token}");
            let by_parameter = Browser::new(&proxy.url).whoami_at(&path).await;
            assert_eq!(by_parameter, None, "{which}: {what} as a parameter");
        }
        let browser = Browser::new(&proxy.url).with_token(&native(mine));
        assert_eq!(browser.whoami().await, Some(other.clone()));
        browser.set("ls_auth_token", &changed(json!({"exp": now() - 1})));
        assert_eq!(
            browser.whoami().await,
            Some(other),
            "{which}: a session that is there goes on"
        );
        assert_eq!(browser.cookie("ls_auth_token"), None, "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_access_is_refused_and_the_token_deleted() {
    for (stack, proxy, which) in nginx_proxies() {
        let inactive = stack.user(&format!("inactive{}@example.test", fresh()));
        stack.sql(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {inactive}"
        ));
        for (user, reason) in [(inactive, "user_inactive"), (999_999, "user_unknown")] {
            let browser = Browser::new(&proxy.url).with_token(&native(user));
            let response = browser.get("/projects/").await;
            assert_eq!(response.status(), 403, "{which}: {reason}");
            assert_eq!(response.headers()["X-Gate-Reason"], reason, "{which}");
            assert_eq!(browser.cookie("ls_auth_token"), None, "{which}: {reason}");
            assert_eq!(browser.whoami().await, None, "{which}: {reason}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_label_studios_own_form_is_kept() {
    for (stack, proxy, which) in nginx_proxies() {
        let admin = seeded("GATE_DEMO_ADMIN_EMAIL");
        let browser = Browser::new(&proxy.url);
        assert_eq!(browser.fill_in_the_form().await.status(), 302, "{which}");
        assert_eq!(browser.whoami().await.as_deref(), Some(admin), "{which}");

        let before = browser.cookie("sessionid").unwrap();
        let id: i32 = stack
            .sql(&format!("SELECT id FROM htx_user WHERE email = '{admin}'"))
            .parse()
            .unwrap();
        browser.set("ls_auth_token", &native(id));
        assert_eq!(browser.whoami().await.as_deref(), Some(admin), "{which}");
        assert_eq!(browser.cookie("ls_auth_token"), None, "{which}");
        if stack.engine == Engine::Database {
            assert_eq!(
                browser.cookie("sessionid").unwrap(),
                before,
                "{which}: a token of the same user opens no new one"
            );
        }
        let logout = browser.get("/logout").await;
        assert!(
            logout.status().is_redirection() || logout.status().is_success(),
            "{which}"
        );
        assert_eq!(
            browser.whoami().await,
            None,
            "{which}: and Label Studio's own logout ends it"
        );
    }
}

/// A number that no other test gets.
pub fn fresh() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
