//! Other names for the cookie and the parameter: one line each in nginx's file.

use crate::browser::Browser;
use crate::login::fresh;
use crate::nginx::{Nginx, SHORT_CUT, binaries};
use crate::stack::{GateProcess, database_stack};
use crate::support::cluster::CLUSTER;
use crate::support::token::native;

const NAMES: [(&str, &str); 2] = [
    (
        "$gate_token_cookie_name  { default ls_auth_token; }",
        "$gate_token_cookie_name  { default company.sso; }",
    ),
    (
        "$gate_token_parameter    { default token; }",
        "$gate_token_parameter    { default sso-key; }",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_and_the_parameter_have_other_names_after_one_edit_each() {
    let stack = database_stack();
    let settings = [
        ("JWT_SSO_COOKIE_NAME", "company.sso"),
        ("JWT_SSO_TOKEN_PARAM", "sso-key"),
    ];
    let gate = GateProcess::start_with(stack.engine, CLUSTER.port(), &stack.database, &settings);
    let email = format!("renamed{}@example.test", fresh());
    let user = stack.user(&email);
    for binary in binaries() {
        // With the short cut, nginx itself must recognize them.
        let edits = [NAMES[0], NAMES[1], SHORT_CUT];
        let port = stack.label_studio.port;
        let proxy = Nginx::start_with(&binary, &[gate.port], port, None, &edits);
        let browser = Browser::new(&proxy.url);
        browser.set("company.sso", &native(user));
        assert_eq!(browser.whoami().await.as_ref(), Some(&email));

        let token = native(user);
        let browser = Browser::new(&proxy.url);
        let path = format!("/api/current-user/whoami?x=1&sso-key={token}");
        assert_eq!(browser.get(&path).await.status(), 200);
        assert_eq!(browser.whoami().await.as_ref(), Some(&email));
        let page = browser
            .client
            .get(browser.at(&format!("/projects/?sso-key={token}&page=2")));
        let page = page
            .header("Accept", "text/html")
            .header("Referer", format!("{}/?sso-key={token}", proxy.url));
        let answer = page.send().await.unwrap();
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.headers()["Location"], "/projects/?page=2");

        // The old names mean nothing now.
        let stranger = Browser::new(&proxy.url).with_token(&native(user));
        assert_eq!(stranger.whoami().await, None);

        let access = proxy.read("access.log");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!access.contains(signature), "{access}");
        assert!(
            access.contains("/api/current-user/whoami?[token]"),
            "{access}"
        );
        assert!(access.contains("/?[token]"), "{access}");
        assert!(!gate.log().contains(signature));
    }
}

/// Debian's `sites-enabled/default` is a default server too. nginx must say so, not ignore one.
#[test]
fn two_default_servers_are_an_error_and_one_with_a_name_is_not() {
    const DEBIANS: &str = "server { listen 80 default_server; server_name _; }";
    let shipped = include_str!("../../nginx/label-studio.conf");
    for binary in binaries() {
        for (server, accepted) in [
            (shipped.to_owned(), false),
            (
                shipped
                    .replace("listen 80 default_server;", "listen 80;")
                    .replace("server_name _;", "server_name ls.example.com;"),
                true,
            ),
        ] {
            let home = tempfile::tempdir().unwrap();
            let gate = home.path().join("label-studio-gate");
            std::fs::create_dir(&gate).unwrap();
            let nginx = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx");
            for file in [
                "gate-http.conf",
                "gate.conf",
                "gate-browser.conf",
                "gate-check.conf",
                "gate-proxy.conf",
            ] {
                std::fs::copy(nginx.join(file), gate.join(file)).unwrap();
            }
            let server = server.replace("/var/log/nginx/", "");
            let main = crate::nginx::MAIN;
            let whole = format!("{main} http {{ access_log off; {DEBIANS}\n{server}\n}}");
            let output = crate::nginx::command(&binary, home.path(), &whole)
                .arg("-t")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), accepted, "{said}");
            if accepted {
                assert!(!said.contains("conflicting"), "{said}");
            } else {
                assert!(said.contains("a duplicate default server"), "{said}");
            }
        }
    }
}
