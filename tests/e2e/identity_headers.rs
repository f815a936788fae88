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
use crate::support::token::{SHARED_SECRET, now, sign, with};

pub const HEADER: &str = "Cf-Access-Jwt-Assertion";
/// Of headers without a signature.
pub const SECRET: &str = "a-secret-that-only-the-proxy-in-front-knows";
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
pub fn token(email: &str) -> String {
    let claims = json!({
        "sub": email, "email": email, "jti": fresh(), "iat": now(), "exp": now() + 600,
    });
    sign(Algorithm::HS256, SHARED_SECRET, &claims)
}

/// Asks Label Studio who is signed in, with these headers.
pub async fn ask(browser: &Browser, headers: &[(&str, &str)]) -> Response {
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
                // nginx's own name for it, and the spelling that some servers take for a hyphen.
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
        "X-Gate-Identity-Email",
        "X-Gate-Identity-Username",
        "X-Gate-Identity-Groups",
        "Gate-Proxy-Secret",
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

/// oauth2-proxy with `--pass-authorization-header`: its ID token is where the credentials of Label
/// Studio's API are too.
#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_of_the_provider_signs_in_and_api_credentials_work() {
    const PROVIDER: &str = "https://sso.example.com/realms/r";
    const BEARER: (&str, &str) = (
        MAP.0,
        "map \"\" $gate_identity {\n    default $http_authorization;",
    );
    let settings = [
        ("JWT_SSO_SECRET", SHARED_SECRET),
        ("GATE_EXTERNAL_ISSUER", PROVIDER),
        ("GATE_TOKEN_HEADER", "Authorization"),
    ];
    for stack in stacks() {
        let port = CLUSTER.port();
        let gate = GateProcess::start_with(stack.engine, port, &stack.database, &settings);
        let email = format!("bearer{}@example.test", fresh());
        let id = stack.user(&email);
        let key = format!("SELECT key FROM authtoken_token WHERE user_id = {id}");
        let key = format!("Token {}", stack.sql(&key));
        let bearer = |changes: Value| {
            let claims = json!({"iss": PROVIDER, "sub": email, "email": email, "iat": now(), "exp": now() + 600});
            let token = sign(Algorithm::HS256, SHARED_SECRET, &with(claims, &changes));
            format!("Bearer {token}")
        };
        for edits in [&[][..], &[BEARER, SHORT_CUT]] {
            let (binary, label_studio) = (&binaries()[0], stack.label_studio.port);
            let nginx = Nginx::start_with(binary, &[gate.port], label_studio, None, edits);
            let which = format!("{:?} {}", stack.engine, edits.len());
            let browser = Browser::new(&nginx.url);
            for n in 0..3 {
                let authorization = bearer(json!({"jti": n}));
                let answer = ask(&browser, &[("Authorization", &authorization)]).await;
                let user: Value = answer.json().await.unwrap();
                assert_eq!(user["email"], email, "{which}");
            }
            // This view of Label Studio's knows Bearer tokens of its own only, and would refuse ours.
            let rotate = browser.client.post(browser.at("/api/token/rotate/"));
            let rotate = rotate
                .header("Authorization", bearer(json!({})))
                .json(&json!({"refresh": "x"}));
            let status = rotate.send().await.unwrap().status();
            assert_eq!(status, 400, "{which}: the token is not what is wrong");

            for (authorization, expected) in [
                (key.clone(), 200),
                (bearer(json!({"iss": null})), 401),
                (bearer(json!({"iss": "https://other.example.com"})), 401),
                (bearer(json!({"exp": now() - 600})), 401),
            ] {
                let nobody = Browser::new(&nginx.url);
                let answer = ask(&nobody, &[("Authorization", &authorization)]).await;
                assert_eq!(answer.status(), expected, "{which}: {authorization}");
                assert_eq!(nobody.whoami().await, None, "{which}: no session");
            }
        }
    }
}

/// Authelia and others: headers without a signature, and the secret.
#[tokio::test(flavor = "multi_thread")]
async fn headers_without_a_signature_sign_in_with_the_secret_alone() {
    const EMAIL: (&str, &str) = (
        "$gate_identity_email    { default \"\"; }",
        "$gate_identity_email    { default $http_remote_email; }",
    );
    let settings = [
        ("GATE_PROXY_HEADERS_EMAIL", "Remote-Email"),
        ("GATE_PROXY_HEADERS_SECRET", SECRET),
    ];
    for stack in stacks() {
        let port = CLUSTER.port();
        let gate = GateProcess::start_with(stack.engine, port, &stack.database, &settings);
        let email = format!("remote{}@example.test", fresh());
        stack.user(&email);
        let admin = crate::label_studio::seeded("GATE_DEMO_ADMIN_EMAIL");
        for edits in [&[EMAIL][..], &[EMAIL, SHORT_CUT]] {
            let (binary, label_studio) = (&binaries()[0], stack.label_studio.port);
            let nginx = Nginx::start_with(binary, &[gate.port], label_studio, None, edits);
            let which = format!("{:?} {}", stack.engine, edits.len());
            let named = ("Remote-Email", email.as_str());
            let known = ("Gate-Proxy-Secret", SECRET);
            let browser = Browser::new(&nginx.url);
            for _ in 0..3 {
                let user: Value = ask(&browser, &[named, known]).await.json().await.unwrap();
                assert_eq!(user["email"], email, "{which}");
            }
            for headers in [
                &[named][..],
                &[named, ("Gate-Proxy-Secret", "another")],
                &[("Remote_Email", email.as_str()), known],
                &[("X-Gate-Identity-Email", email.as_str()), known],
                &[("Remote-Email", admin), known],
            ] {
                let answer = ask(&Browser::new(&nginx.url), headers).await;
                assert_eq!(answer.status(), 401, "{which}: {headers:?}");
            }
            // An administrator signs in with Label Studio's own form, although the proxy names them.
            let form = Browser::new(&nginx.url);
            form.fill_in_the_form().await;
            let answer = ask(&form, &[("Remote-Email", admin), known]).await;
            let user: Value = answer.json().await.unwrap();
            assert_eq!(user["email"], admin, "{which}");
        }
    }
}
