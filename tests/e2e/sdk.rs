//! Label Studio's own Python SDK where sign-in is required: its calls pass with both kinds of API
//! tokens, and with nothing else.

use std::process::Command;

use crate::label_studio::{seeded, venv};
use crate::sign_in::start_proxy;
use crate::stack::stacks;
use crate::support::client;
use crate::support::cluster::run;

/// Asks who is signed in and lists projects; prints the email address, or the error of the first
/// call.
const PROGRAM: &str = "
import sys
from label_studio_sdk import LabelStudio
client = LabelStudio(base_url=sys.argv[1], api_key=sys.argv[2])
try:
    print(client.users.whoami().email)
except Exception as error:
    print(getattr(error, 'status_code', None) or getattr(error, 'response', error))
else:
    list(client.projects.list())
    project = client.projects.create(title='made by the SDK')
    client.projects.delete(id=project.id)
";

fn with_sdk(url: &str, api_key: &str) -> String {
    let python = venv().join("bin/python");
    let said = run(Command::new(python).args(["-c", PROGRAM, url, api_key]));
    said.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_works_with_both_kinds_of_tokens_where_sign_in_is_required() {
    for stack in stacks() {
        let (proxy, _gate) = start_proxy(stack, &[("GATE_POLICY_ANONYMOUS", "require")]);
        let admin = with_sdk(&proxy.url, seeded("GATE_DEMO_ADMIN_TOKEN"));
        assert!(admin.contains('@'), "{admin}");
        assert_eq!(with_sdk(&proxy.url, seeded("GATE_DEMO_ADMIN_PAT")), admin);
        let made_up = with_sdk(&proxy.url, "0000000000000000000000000000000000000000");
        assert_eq!(made_up, "401");
    }
}

/// Regression test: a made-up credential opened the sign-up form, and with it everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_credential_does_not_open_the_sign_up() {
    for stack in stacks() {
        let (proxy, _gate) = start_proxy(stack, &[("GATE_POLICY_ANONYMOUS", "require")]);
        for (name, value) in [
            ("X-Api-Key", "x"),
            ("Authorization", "Token x"),
            ("Authorization", "Bearer x"),
            ("Authorization", "Bearer a.b.c"),
        ] {
            for path in ["/user/signup/", "/user/login/", "/api/projects/"] {
                let request = client().get(format!("{}{path}", proxy.url));
                let answer = request.header(name, value).send().await.unwrap();
                let reason = answer.headers().get("X-Gate-Reason").cloned();
                let reason = reason.map(|reason| reason.to_str().unwrap().to_owned());
                let expected = (401, Some("sign_in_required".to_owned()));
                assert_eq!(
                    (answer.status().as_u16(), reason),
                    expected,
                    "{name}: {value} {path}"
                );
            }
        }
    }
}
