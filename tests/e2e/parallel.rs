//! A page loads with dozens of parallel requests, each with the token.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::Value;

use crate::login::fresh;
use crate::stack::{Engine, nginx_proxies};
use crate::support::token::native;

/// Sends fifty requests with this token in the cookie. Returns the user and the cookies of each
/// response.
pub async fn fifty_at_once(url: &str, token: &str) -> Vec<(String, Vec<String>)> {
    let client = crate::support::client();
    let ask = || async {
        let request = client
            .get(format!("{url}/api/current-user/whoami"))
            .header("Cookie", format!("ls_auth_token={token}"));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        let cookies: Vec<String> = response
            .headers()
            .get_all("Set-Cookie")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        let body: Value = response.json().await.unwrap();
        (body["email"].as_str().unwrap().to_owned(), cookies)
    };
    join_all((0..50).map(|_| ask())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_with_one_token_over_two_gates_end_in_one_session() {
    for (stack, proxy, which) in nginx_proxies() {
        let email = format!("parallel{}@example.test", fresh());
        let token = native(stack.user(&email));
        let answers = fifty_at_once(&proxy.url, &token).await;
        let mut sessions = BTreeSet::new();
        for (answered, cookies) in answers {
            assert_eq!(
                answered, email,
                "{which}: every one is answered as that user"
            );
            let session = cookies
                .iter()
                .find_map(|cookie| cookie.strip_prefix("sessionid="));
            let session = session.unwrap_or_else(|| panic!("{which}: no session in {cookies:?}"));
            sessions.insert(session.split(';').next().unwrap().to_owned());
            assert!(
                cookies
                    .iter()
                    .any(|cookie| cookie.starts_with("ls_auth_token=\"\"")),
                "{which}"
            );
        }
        if stack.engine == Engine::Database {
            assert_eq!(sessions.len(), 1, "{which}: they end in one session");
            let key = sessions.first().unwrap();
            let rows = stack.sql(&format!(
                "SELECT count(*) FROM django_session WHERE session_key = '{key}'"
            ));
            assert_eq!(rows, "1", "{which}");
        }
        let asked: Vec<usize> = stack
            .gates
            .iter()
            .map(|gate| gate.log().matches("logged in").count())
            .collect();
        assert!(
            asked.iter().all(|asked| *asked > 0),
            "{which}: both gates were asked: {asked:?}"
        );
    }
}
