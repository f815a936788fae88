//! Nothing secret is written down, however talkative the log is.

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::login::fresh;
use crate::stack::doors;
use crate::support::token::{SECRET_KEY, native};

#[tokio::test(flavor = "multi_thread")]
async fn no_token_cookie_or_hash_stands_in_a_log() {
    for (stack, door, which) in doors() {
        let email = format!("secret{}@example.test", fresh());
        let user = stack.user(&email);
        let (by_cookie, by_parameter) = (native(user), native(user));
        let browser = Browser::new(&door.url).with_token(&by_cookie);
        browser.whoami().await;
        let session = browser.cookie("sessionid").unwrap();
        let path = format!("/api/current-user/whoami?a=b&token={by_parameter}");
        let with_referer = browser
            .client
            .get(format!("{}{path}", door.url))
            .header("Referer", format!("{}/?token={by_parameter}", door.url));
        with_referer.send().await.unwrap();
        browser.set("ls_auth_token", &format!("{by_cookie}x"));
        browser.whoami().await;
        let broken = stack.user(&format!("gone{}@example.test", fresh()));
        stack.sql(&format!(
            "UPDATE htx_user SET is_active = false WHERE id = {broken}"
        ));
        let refused = native(broken);
        Browser::new(&door.url).with_token(&refused).get("/").await;
        let admin = seeded("GATE_DEMO_ADMIN_TOKEN");
        let issue = crate::support::client()
            .post(format!("{}/api/sso/token", door.url))
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
        let access = door.read("access.log");
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
            // Parts count as well: a signature alone, or a payload.
            for part in secret.split(['.', ':']).filter(|part| {
                part.len() > 16 && !part.starts_with("eyJ0eXAi") && !part.starts_with("eyJhbGci")
            }) {
                assert!(
                    !gates.contains(part),
                    "{which}: {what} stands in the gate's log"
                );
                assert!(
                    !access.contains(part),
                    "{which}: {what} stands in nginx's access log"
                );
            }
        }
    }
}
