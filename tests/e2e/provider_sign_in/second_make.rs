//! Another implementation of a provider, Authlib's.

use serde_json::json;

use super::{browser, open, settings, whoami};
use crate::nginx::{Nginx, binaries};
use crate::openid::Files;
use crate::programs::second_provider;
use crate::stack::{Engine, GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::free_port;

#[tokio::test(flavor = "multi_thread")]
async fn users_sign_in_at_a_provider_of_another_make() {
    let stack = database_stack();
    let port = free_port();
    let nginx = Nginx::start(&binaries()[0], &[port], stack.label_studio.port);
    let provider = second_provider(&json!({
        "sub": "vera-at-op", "email": "vera@example.com", "email_verified": true,
        "given_name": "Vera", "family_name": "Other",
    }));
    let issuer = format!("http://127.0.0.1:{}", provider.port);
    let files = Files::new();
    let mut settings = settings(&files, &nginx.url, &issuer, "any");
    settings.push(("GATE_SIGN_IN_ALLOW_HTTP", "true"));
    let (engine, postgres) = (Engine::Database, CLUSTER.port());
    let gate = GateProcess::start_on(port, engine, postgres, &stack.database, &settings);
    let client = browser(&files);
    let start = format!("{}/sso/start?next=/projects/", nginx.url);
    let page = open(&client, &start).await;
    let at = page.url().clone();
    assert!(at.as_str().starts_with(&issuer), "{at} {}", gate.log());
    let post = client
        .post(at)
        .header("Accept", "text/html")
        .header("Content-Type", "application/x-www-form-urlencoded");
    let answer = post.body("sub=vera-at-op").send().await.unwrap();
    assert_eq!(answer.url().path(), "/projects/", "{}", gate.log());
    let user = whoami(&client, &nginx.url).await;
    assert_eq!(user.as_deref(), Some("vera@example.com"), "{}", gate.log());
    let names = stack.sql(
        "SELECT first_name || ' ' || last_name FROM htx_user WHERE email = 'vera@example.com'",
    );
    assert_eq!(names, "Vera Other");
    let asks = open(&client, &format!("{}/sso/logout", nginx.url)).await;
    assert!(asks.url().as_str().starts_with(&issuer), "{}", asks.url());
    assert_eq!(whoami(&client, &nginx.url).await, None);
}
