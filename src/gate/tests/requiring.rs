//! With `policy.anonymous = "require"`, no unverified request passes, whatever it contains.

use proptest::prelude::*;

use super::*;
use crate::gate::policy::PathRule;
use crate::gate::reason::Reason;
use crate::gate::subrequest::Unstated;

/// Credential-like input: nonsense, fragments of valid credentials, and forged ones.
fn credential() -> impl Strategy<Value = String> {
    let forged = |secret: &'static [u8]| {
        any::<u8>().prop_map(move |id| {
            let claims = json!({
                "user_id": id, "iat": NOW, "exp": NOW + 600, "iss": "label-studio", "aud": "label-studio-sso",
                "token_type": "access", "jti": "x",
            });
            let key = jsonwebtoken::EncodingKey::from_secret(secret);
            jws::encode(&jsonwebtoken::Header::default(), &claims, &key)
                .expect("HMAC signs")
        })
    };
    prop_oneof![
        "[!-:<-~]{0,60}",
        "[a-z0-9]{32,40}",
        "[A-Za-z0-9_-]{0,20}\\.[A-Za-z0-9_-]{0,20}\\.[A-Za-z0-9_-]{0,20}",
        forged(b"another-secret-key-of-fifty-characters-0123456789"),
        forged(b""),
        // A valid token whose signature lost a character.
        Just(token(7)[..token(7).len() - 1].to_owned()),
        Just("key-".to_owned()),
    ]
}

fn uri() -> impl Strategy<Value = String> {
    prop_oneof![
        "/[!-~]{0,40}",
        Just("/user/signup".to_owned()),
        Just("/static/../api/users".to_owned()),
        Just("/static/%2e%2e/api/users".to_owned()),
        Just("/health/../projects".to_owned()),
        credential().prop_map(|token| format!("/projects?token={token}")),
    ]
}

proptest! {
    #[test]
    fn no_unverified_request_passes(
        engine in prop_oneof![Just(Engine::Database), Just(Engine::SignedCookies)],
        uri in uri(),
        method in "GET|POST|PUT|OPTIONS|[A-Z]{0,6}",
        session in credential(),
        token in credential(),
        api in prop::option::of((0..3, credential())),
    ) {
        let mut world = World::new(engine);
        world.gate.policy.anonymous = Anonymous::Require;
        world.gate.policy.open_paths = vec![PathRule::parse("/static/*").expect("a rule")];
        let header = format!("sessionid={session}; ls_auth_token={token}");
        let cookies = CookieHeader::new(std::iter::once(header.as_bytes()));
        let api = api.as_ref().map(|(kind, text)| match kind {
            0 => ApiCredential::Key(text),
            1 => ApiCredential::Jwt(text),
            _ => ApiCredential::Unreadable,
        });
        let subrequest = Subrequest::new(&uri, cookies, api);
        let Some(subrequest) = subrequest else {
            return Ok(());
        };
        let subrequest = subrequest.sent_by(&method, &Unstated);
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let verdict = runtime.expect("a runtime").block_on(world.gate.decide(&subrequest, &NoObserver));
        if let Ok(grant) = verdict {
            // Open paths pass. Anything else needs proof, which no input here contains.
            let open = grant.reason() == Reason::Granted(Granted::OpenPath)
                && uri.starts_with("/static/")
                && !uri.contains("..");
            prop_assert!(open, "{method} {uri} passed: {:?}", grant.reason());
        }
    }
}
