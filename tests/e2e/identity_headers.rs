//! The token of an identity-aware proxy in front of nginx, with the shipped files.

use jsonwebtoken::Algorithm;
use reqwest::Response;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::login::fresh;
use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::stack::{Engine, GateProcess, Stack, stacks};
use crate::support::cluster::CLUSTER;
use crate::support::stub::{Reply, Stub};
use crate::support::token::{SHARED_SECRET, now, sign};

const HEADER: &str = "Cf-Access-Jwt-Assertion";
/// What docs/identity-aware-proxies.md tells operators to write into `gate-http.conf`.
const MAP: (&str, &str) = (
    "map \"\" $gate_identity {\n    default \"\";",
    "map \"\" $gate_identity {\n    default $http_cf_access_jwt_assertion;",
);

fn gate(stack: &Stack) -> GateProcess {
    let settings = [
        ("JWT_SSO_SECRET", SHARED_SECRET),
        ("GATE_TOKEN_HEADER", HEADER),
    ];
    GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &settings)
}

/// A token as it comes with one request.
fn token(email: &str) -> String {
    let claims = json!({
        "sub": email, "email": email, "jti": fresh(), "iat": now(), "exp": now() + 600,
    });
    sign(Algorithm::HS256, SHARED_SECRET, &claims)
}

/// Asks Label Studio who is signed in, with these headers.
async fn ask(browser: &Browser, headers: &[(&str, &str)]) -> Response {
    let mut request = browser.client.get(browser.at("/api/current-user/whoami"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studio_knows_whom_the_proxy_names() {
    for stack in stacks() {
        let gate = gate(stack);
        let email = format!("proxied{}@example.test", fresh());
        stack.user(&email);
        for binary in binaries() {
            for edits in [&[MAP][..], &[MAP, SHORT_CUT]] {
                let label_studio = stack.label_studio.port;
                let nginx = Nginx::start_with(&binary, &[gate.port], label_studio, None, edits);
                let which = format!("{:?} {} {}", stack.engine, binary.display(), edits.len());
                let browser = Browser::new(&nginx.url);
                let mut sessions = Vec::new();
                for _ in 0..3 {
                    let answer = ask(&browser, &[(HEADER, &token(&email))]).await;
                    let user: Value = answer.json().await.unwrap();
                    assert_eq!(user["email"], email, "{which}");
                    sessions.push(browser.cookie("sessionid").unwrap());
                }
                // Label Studio signs a cookie again in each response.
                sessions.dedup();
                if stack.engine == Engine::Database {
                    assert_eq!(sessions.len(), 1, "{which}: one session");
                }

                let nobody = || Browser::new(&nginx.url);
                let genuine = token(&email);
                // nginx' own name for it, and the spelling that some servers take for a hyphen.
                for other in ["X-Gate-Identity", "Cf_Access_Jwt_Assertion"] {
                    let answer = ask(&nobody(), &[(other, &genuine)]).await;
                    assert_eq!(answer.status(), 401, "{which}: {other}");
                }
                // nginx before 1.23 hands over the first, and later ones both.
                let unknown = token("nobody@example.test");
                let answer = ask(&nobody(), &[(HEADER, &unknown), (HEADER, &genuine)]).await;
                assert_eq!(answer.status(), 403, "{which}: twice");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_studio_sees_no_token_of_a_proxy() {
    let label_studio = Stub::start(|_| Reply::of(200, "studio"));
    let gate = gate(stacks()[0]);
    let hidden = [
        HEADER,
        "X-Goog-IAP-JWT-Assertion",
        "X-Pomerium-Jwt-Assertion",
        "Teleport-Jwt-Assertion",
        "X-MS-TOKEN-AAD-ID-TOKEN",
        "X-MS-TOKEN-AAD-ACCESS-TOKEN",
        "X-Amzn-Oidc-Data",
        "X-Amzn-Oidc-Accesstoken",
        "X-Forwarded-Access-Token",
        "X-Auth-Request-Access-Token",
        "X-Gate-Identity",
    ];
    for binary in binaries() {
        for edits in [&[][..], &[MAP], &[MAP, SHORT_CUT]] {
            let nginx = Nginx::start_with(&binary, &[gate.port], label_studio.port, None, edits);
            let headers = hidden.map(|name| (name, "of-the-proxy"));
            let answer = ask(&Browser::new(&nginx.url), &headers).await;
            assert_eq!(
                answer.status(),
                200,
                "a token that proves nothing is ignored"
            );
        }
    }
    let heads = label_studio.heads();
    assert_eq!(heads.len(), 3 * binaries().len());
    for head in heads {
        assert!(!head.contains("of-the-proxy"), "{head}");
    }
}
