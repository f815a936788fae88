//! The token route, with Label Studio's own API tokens.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::seeded;
use crate::login::fresh;
use crate::stack::nginx_proxies;

async fn issue(url: &str, authorization: &str, email: &str) -> (u16, Value) {
    let request = crate::support::client()
        .post(format!("{url}/api/sso/token"))
        .header("Authorization", authorization)
        .json(&json!({"email": email}));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_api_token_gets_a_token_that_logs_in() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("issued{}@example.test", fresh());
        stack.user(&email);
        let personal = seeded("GATE_DEMO_ADMIN_PAT");
        let refreshed: Value = crate::support::client()
            .post(format!("{}/api/token/refresh/", proxy.url))
            .json(&json!({"refresh": personal}))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let access = refreshed["access"]
            .as_str()
            .unwrap_or_else(|| panic!("{which}: {refreshed}"));
        for credential in [
            format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
            format!("Bearer {personal}"),
            format!("Bearer {access}"),
        ] {
            let (status, answer) = issue(&proxy.url, &credential, &email).await;
            assert_eq!(
                (status, &answer["expires_in"]),
                (200, &json!(600)),
                "{which}: {answer}"
            );
            let browser = Browser::new(&proxy.url).with_token(answer["token"].as_str().unwrap());
            assert_eq!(browser.whoami().await, Some(email.clone()), "{which}");
        }
        let key = stack.sql(&format!("SELECT key FROM authtoken_token t JOIN htx_user u ON u.id = t.user_id WHERE email = '{email}'"));
        let (status, answer) = issue(&proxy.url, &format!("Token {key}"), &email).await;
        assert_eq!(
            (status, answer),
            (403, json!({"error": "Admin privileges required"})),
            "{which}"
        );
        let (status, answer) = issue(
            &proxy.url,
            &format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
            "nobody@example.test",
        )
        .await;
        let expected = json!({"success": false, "error": "User not found: nobody@example.test", "error_code": "USER_NOT_FOUND", "email": "nobody@example.test"});
        assert_eq!((status, answer), (422, expected), "{which}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_access_token_revoked_in_label_studio_is_refused() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("pat{}@example.test", fresh());
        stack.user(&email);
        stack.sql(&format!(
            "UPDATE htx_user SET is_staff = true WHERE email = '{email}'"
        ));
        let (_, answer) = issue(
            &proxy.url,
            &format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
            &email,
        )
        .await;
        let browser = Browser::new(&proxy.url).with_token(answer["token"].as_str().unwrap());
        let made = browser
            .client
            .post(format!("{}/api/token/", proxy.url))
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), 201, "{which}");
        let personal = made.json::<Value>().await.unwrap()["token"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            issue(&proxy.url, &format!("Bearer {personal}"), &email)
                .await
                .0,
            200,
            "{which}"
        );
        let revoke = browser
            .client
            .post(format!("{}/api/token/blacklist/", proxy.url))
            .json(&json!({"refresh": personal}));
        assert!(
            revoke.send().await.unwrap().status().is_success(),
            "{which}"
        );
        assert_eq!(
            issue(&proxy.url, &format!("Bearer {personal}"), &email)
                .await
                .0,
            401,
            "{which}"
        );
    }
}
