//! After a sign-out, after Label Studio's own "Log out" and after a revocation, no copy of the
//! session cookie is valid, with both session engines.

use crate::browser::Browser;
use crate::login::fresh;
use crate::sign_in::start_proxy;
use crate::stack::{Stack, stacks};
use crate::support::cluster::{CLUSTER, GATE_ROLE, run};
use crate::support::token::native;

/// Creates the gate's own tables, as an operator does.
fn migrate(stack: &Stack) {
    let url = CLUSTER.url("postgres", &stack.database);
    let binary = env!("CARGO_BIN_EXE_label-studio-gate");
    run(std::process::Command::new(binary)
        .args(["migrate", "--role", GATE_ROLE])
        .env("SECRET_KEY", crate::support::token::SECRET_KEY)
        .env("DATABASE_URL", url));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_of_an_ended_session_is_valid() {
    for stack in stacks() {
        migrate(stack);
        let settings = [
            ("GATE_POLICY_ANONYMOUS", "require"),
            ("GATE_DATABASE_CACHE_SECONDS", "0"),
        ];
        let (proxy, _gate) = start_proxy(stack, &settings);
        for end in ["the gate's sign-out", "Label Studio's own", "a revocation"] {
            let email = format!("ended{}@example.test", fresh());
            let token = native(stack.user(&email));
            let browser = Browser::new(&proxy.url).with_token(&token);
            assert_eq!(browser.whoami().await, Some(email.clone()), "{end}");
            // Label Studio signs the cookie again in every response, so these are two copies of one
            // session.
            let copies = [browser.cookie("sessionid").unwrap(), {
                browser.whoami().await;
                browser.cookie("sessionid").unwrap()
            }];
            match end {
                "the gate's sign-out" => {
                    let form = browser.client.post(browser.at("/sso/logout"));
                    assert_eq!(form.send().await.unwrap().status(), 303);
                }
                "Label Studio's own" => {
                    let answer = browser.get("/logout").await;
                    assert!(answer.status().is_redirection(), "{}", answer.status());
                }
                _ => {
                    let admin = crate::label_studio::seeded("GATE_DEMO_ADMIN_TOKEN");
                    let request = crate::support::client()
                        .post(format!("{}/api/sso/revoke", proxy.url))
                        .header("Authorization", format!("Token {admin}"))
                        .body(format!(r#"{{"email": "{email}"}}"#));
                    let answer = request.send().await.unwrap();
                    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
                }
            }
            for copy in &copies {
                let thief = Browser::new(&proxy.url);
                thief.set("sessionid", copy);
                assert_eq!(thief.whoami().await, None, "{:?}: {end}", stack.engine);
            }
            // A replayed token opens another session, unless tokens were revoked too, and revives
            // no copy.
            let again = Browser::new(&proxy.url).with_token(&token);
            let expected = (end != "a revocation").then(|| email.clone());
            assert_eq!(again.whoami().await, expected, "{:?}: {end}", stack.engine);
            for copy in &copies {
                let thief = Browser::new(&proxy.url);
                thief.set("sessionid", copy);
                assert_eq!(
                    thief.whoami().await,
                    None,
                    "{:?}: {end}, replayed",
                    stack.engine
                );
            }
        }
    }
}
