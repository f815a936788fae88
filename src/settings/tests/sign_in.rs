//! `[sign_in]`: what is accepted, and what cannot work.

use super::*;
use crate::settings::{ClientAuthentication, Prompt, SignIn};

const PROVIDER: [(&str, &str); 3] = [
    (
        "GATE_LABEL_STUDIO_URL",
        "https://ls.example.com/label-studio",
    ),
    ("GATE_SIGN_IN_ISSUER", "https://op.example.com/realms/a/"),
    ("GATE_SIGN_IN_CLIENT_ID", "gate"),
];

fn sign_in(more: &[(&str, &str)]) -> SignIn {
    let settings: Vec<_> = PROVIDER.iter().chain(more).copied().collect();
    load(&settings).sign_in.expect("it is on")
}

#[test]
fn it_is_off_without_an_issuer() {
    assert!(load(&[]).sign_in.is_none());
}

#[test]
fn everything_but_the_registration_has_a_default() {
    let sign_in = sign_in(&[("GATE_SIGN_IN_CLIENT_SECRET", "secret")]);
    let [provider] = &sign_in.providers[..] else {
        panic!("one provider");
    };
    assert_eq!(provider.label, "op.example.com");
    assert_eq!(provider.scopes, ["email", "profile"]);
    assert_eq!(provider.issuer, "https://op.example.com/realms/a/");
    assert_eq!(
        provider.document.as_str(),
        "https://op.example.com/realms/a/.well-known/openid-configuration"
    );
    assert_eq!(provider.mapping.first_name_claim, "given_name");
    assert!(matches!(
        provider.authentication,
        ClientAuthentication::Secret(_)
    ));
    assert!(provider.shared_key().is_none());
    let uri = sign_in.redirect_uri(provider);
    assert_eq!(
        uri.as_str(),
        "https://ls.example.com/label-studio/sso/callback"
    );
    assert!(sign_in.is_secure());
}

#[test]
fn a_prompt_is_one_of_three_words_or_none() {
    for (text, expected) in [
        ("", None),
        ("login", Some(Prompt::Login)),
        ("consent", Some(Prompt::Consent)),
        ("select_account", Some(Prompt::SelectAccount)),
    ] {
        let sign_in = sign_in(&[("GATE_SIGN_IN_PROMPT", text)]);
        assert_eq!(sign_in.providers[0].prompt, expected, "{text}");
    }
    let told = errors(&[("GATE_SIGN_IN_PROMPT", "none")]);
    let accepted = "must be \"login\" or \"consent\" or \"select_account\", not \"none\"";
    assert!(told.contains(accepted), "{told}");
}

#[test]
fn a_client_secret_signs_id_tokens_if_that_is_set() {
    let secret = "x".repeat(32);
    let sign_in = sign_in(&[
        ("GATE_SIGN_IN_CLIENT_SECRET", &secret),
        ("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256"),
    ]);
    assert!(sign_in.providers[0].shared_key().is_some());
}

#[test]
fn invalid_provider_settings_are_refused_with_the_reason() {
    for (changes, name, why) in [
        (
            &[("GATE_SIGN_IN_CLIENT_ID", "")][..],
            "sign_in.client_id",
            "is required",
        ),
        (
            &[("GATE_LABEL_STUDIO_URL", "")],
            "label_studio.url",
            "is required with sign_in",
        ),
        (
            &[("GATE_LABEL_STUDIO_URL", "http://ls.example.com")],
            "label_studio.url",
            "https://",
        ),
        (
            &[("GATE_SIGN_IN_ISSUER", "http://op.example.com")],
            "sign_in.issuer",
            "allow_http",
        ),
        (
            &[("GATE_SIGN_IN_ISSUER", "keycloak")],
            "sign_in.issuer",
            "URL",
        ),
        (
            &[("GATE_SIGN_IN_PRIVATE_KEY", "rubbish")],
            "sign_in.private_key",
            "PEM",
        ),
        (
            &[
                ("GATE_SIGN_IN_PRIVATE_KEY", "x"),
                ("GATE_SIGN_IN_CLIENT_SECRET", "y"),
            ],
            "sign_in.client_secret",
            "exclude",
        ),
        (
            &[("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256")],
            "sign_in.id_token_algorithms",
            "there is none",
        ),
        (
            &[
                ("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256"),
                ("GATE_SIGN_IN_CLIENT_SECRET", "short"),
            ],
            "sign_in.id_token_algorithms",
            "32 bytes",
        ),
        (
            &[
                ("GATE_SIGN_IN_ID_TOKEN_ALGORITHMS", "HS256,RS256"),
                ("GATE_SIGN_IN_CLIENT_SECRET", "x"),
            ],
            "sign_in.id_token_algorithms",
            "either",
        ),
        (
            &[("GATE_SIGN_IN_SESSION_SECONDS", "3600")],
            "sign_in.session_seconds",
            "require",
        ),
        (
            &[("GATE_SIGN_IN_EMAIL_CLAIM", "")],
            "sign_in.email_claim",
            "username_claim",
        ),
        (
            &[("SESSION_COOKIE_SAMESITE", "Strict")],
            "session.cookie_samesite",
            "Lax",
        ),
        (
            &[
                ("SESSION_ENGINE", "signed_cookies"),
                ("GATE_SIGN_IN_BACKCHANNEL_LOGOUT", "true"),
            ],
            "sign_in.backchannel_logout",
            "nobody but the browser",
        ),
        (
            &[(
                "GATE_SIGN_IN_PROVIDERS",
                r#"[{"name": "a", "issuer": "https://a.test", "client_id": "x"}]"#,
            )],
            "sign_in.issuer",
            "table",
        ),
        (
            &[
                ("GATE_SIGN_IN_ISSUER", ""),
                (
                    "GATE_SIGN_IN_PROVIDERS",
                    r#"[{"name": "A b", "issuer": "https://a.test", "client_id": "x"}]"#,
                ),
            ],
            "sign_in.providers[0].name",
            "redirect URI",
        ),
        (
            &[
                ("GATE_SIGN_IN_ISSUER", ""),
                (
                    "GATE_SIGN_IN_PROVIDERS",
                    r#"[{"name": "a", "issuer": "https://a.test", "client_id": "x"}, {"name": "a", "issuer": "https://b.test", "client_id": "x"}]"#,
                ),
            ],
            "sign_in.providers[1].name",
            "another provider",
        ),
    ] {
        let settings: Vec<_> = PROVIDER.iter().chain(changes).copied().collect();
        let errors = errors(&settings);
        assert!(
            errors.contains(name) && errors.contains(why),
            "{changes:?}: {errors}"
        );
    }
}
