//! Sign-in at OpenID providers before the real Label Studio: through every kind of proxy, with a provider
//! that fails, in a real browser, and at a provider of another make.

mod browsers;
mod outages;
mod proxies;
mod second_make;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use serde_json::Value;

use crate::openid::Files;

/// A browser that follows redirects between Label Studio and the provider.
fn browser(files: &Files) -> Client {
    let certificate = std::fs::read(&files.certificate).unwrap();
    crate::support::client_builder()
        .add_root_certificate(Certificate::from_pem(&certificate).unwrap())
        .cookie_store(true)
        .redirect(Policy::limited(10))
        .build()
        .unwrap()
}

async fn open(client: &Client, url: &str) -> Response {
    let page = client.get(url).header("Accept", "text/html");
    let page = page.header("Sec-Fetch-Site", "same-origin");
    page.send().await.unwrap()
}

/// Fills in the provider's development login: a name, and then consent.
async fn log_in(client: &Client, mut answer: Response, user: &str) -> Response {
    for form in [
        format!("prompt=login&login={user}&password=x"),
        "prompt=consent".to_owned(),
    ] {
        let at = answer.url().clone();
        assert!(at.path().starts_with("/interaction/"), "{at}: {answer:?}");
        let post = client
            .post(at)
            .header("Accept", "text/html")
            .header("Content-Type", "application/x-www-form-urlencoded");
        answer = post.body(form).send().await.unwrap();
    }
    answer
}

/// The email address of the user Label Studio sees.
async fn whoami(client: &Client, origin: &str) -> Option<String> {
    let answer = client.get(format!("{origin}/api/current-user/whoami"));
    let answer = answer.send().await.unwrap();
    let body: Value = answer.json().await.ok()?;
    body["email"].as_str().map(str::to_owned)
}

/// Signs out at the provider itself, which asks first.
async fn leave(client: &Client, issuer: &str) {
    let page = open(client, &format!("{issuer}/session/end")).await;
    confirm(client, page).await;
}

async fn confirm(client: &Client, page: Response) -> Response {
    let text = page.text().await.unwrap();
    let between = |start: &str| text.split(start).nth(1).unwrap().split('"').next().unwrap();
    let (action, xsrf) = (between("action=\""), between("name=\"xsrf\" value=\""));
    let post = client
        .post(action)
        .header("Accept", "text/html")
        .header("Content-Type", "application/x-www-form-urlencoded");
    let form = format!("xsrf={xsrf}&logout=yes");
    post.body(form).send().await.unwrap()
}

/// A gate's settings for the provider at this issuer.
fn settings<'s>(
    files: &'s Files,
    origin: &'s str,
    issuer: &'s str,
    secret: &'s str,
) -> Vec<(&'static str, &'s str)> {
    vec![
        ("GATE_LABEL_STUDIO_URL", origin),
        ("GATE_SIGN_IN_ISSUER", issuer),
        ("GATE_SIGN_IN_CLIENT_ID", "gate-0"),
        ("GATE_SIGN_IN_CLIENT_SECRET", secret),
        ("GATE_SIGN_IN_CREATE_USERS", "true"),
        ("GATE_POLICY_ANONYMOUS", "require"),
        ("GATE_KEY_SERVER_COOLDOWN_SECONDS", "1"),
        (
            "GATE_KEY_SERVER_CA_FILE",
            files.certificate.to_str().unwrap(),
        ),
    ]
}

/// The last page of a sign-in: its status, and the reason in its header.
async fn outcome(client: &Client, origin: &str, user: &str) -> (u16, String) {
    let form = open(client, &format!("{origin}/sso/start?next=/projects/")).await;
    let answer = log_in(client, form, user).await;
    reason_of(&answer)
}

fn reason_of(answer: &Response) -> (u16, String) {
    let reason = answer.headers().get("X-Gate-Reason");
    let reason = reason.map_or("", |reason| reason.to_str().unwrap());
    (answer.status().as_u16(), reason.to_owned())
}
