//! The log contains no secrets, however verbose it is.

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::login::fresh;
use crate::stack::nginx_proxies;
use crate::support::token::{SECRET_KEY, native};

#[tokio::test(flavor = "multi_thread")]
async fn no_log_contains_a_token_a_cookie_or_a_hash() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("secret{}@example.test", fresh());
        let user = stack.user(&email);
        let (by_cookie, by_parameter) = (native(user), native(user));
        let browser = Browser::new(&proxy.url).with_token(&by_cookie);
        browser.whoami().await;
        let session = browser.cookie("sessionid").unwrap();
        let path = format!("/api/current-user/whoami?a=b&token={by_parameter}");
        let with_referer = browser
            .client
            .get(format!("{}{path}", proxy.url))
            .header("Referer", format!("{}/?token={by_parameter}", proxy.url));
        with_referer.send().await.unwrap();
        browser.set("ls_auth_token", &format!("{by_cookie}x"));
        browser.whoami().await;
        let broken = stack.user(&format!("gone{}@example.test", fresh()));
        stack.sql(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {broken}"
        ));
        let refused = native(broken);
        Browser::new(&proxy.url).with_token(&refused).get("/").await;
        let admin = seeded("GATE_DEMO_ADMIN_TOKEN");
        let issue = crate::support::client()
            .post(format!("{}/api/sso/token", proxy.url))
            .header("Authorization", format!("Token {admin}"));
        let issued = issue
            .body(format!("{{\"email\": \"{email}\"}}"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let issued = issued.split('"').nth(3).unwrap().to_owned();

        let password = stack.sql(&format!("SELECT password FROM htx_user WHERE id = {user}"));
        let gates: String = stack.gates.iter().map(|gate| gate.log()).collect();
        assert!(
            gates.contains("\"reason\":\"session_opened\""),
            "{which}: the log says what happened"
        );
        let access = proxy.read("access.log");
        assert!(
            access.contains("/api/current-user/whoami?[token]"),
            "{which}: {access}"
        );
        for (what, secret) in [
            ("a token from the cookie", &by_cookie),
            ("a token from the URL", &by_parameter),
            ("a refused token", &refused),
            ("an issued token", &issued),
            ("a session", &session),
            ("an API token", &admin.to_owned()),
            ("a password column", &password),
            ("the key", &SECRET_KEY.to_owned()),
        ] {
            // Parts of a token count as well: a signature alone, or a payload.
            for part in secret.split(['.', ':']).filter(|part| {
                part.len() > 16 && !part.starts_with("eyJ0eXAi") && !part.starts_with("eyJhbGci")
            }) {
                assert!(
                    !gates.contains(part),
                    "{which}: {what} is in the gate's log"
                );
                assert!(
                    !access.contains(part),
                    "{which}: {what} is in nginx's access log"
                );
            }
        }
    }
}
