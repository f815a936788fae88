//! URLs that hold a user and a password.

use super::*;

/// A URL may hold a password for the server behind it.
#[test]
fn no_url_is_shown_with_its_password() {
    const SECRET_URL: &str = "https://gate:hunter2@host.test/path";
    let accepted = load(&[
        ("GATE_CLIENT_SESSION_VERIFY_URL", SECRET_URL),
        ("GATE_CLIENT_SESSION_VERIFY_SECRET", "shared-verify-secret"),
        ("GATE_CLIENT_SESSION_COOKIE_NAME", "connect.sid"),
        ("GATE_EXTERNAL_JWKS_URL", SECRET_URL),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
        ("GATE_TRACES_ENDPOINT", SECRET_URL),
        ("GATE_POLICY_SIGN_IN_URL", SECRET_URL),
    ]);
    let told = accepted.describe();
    assert!(!told.contains("hunter2"), "{told}");
    let url = "client_session.verify_url = \"https://host.test/path\"";
    assert!(told.contains(url), "{told}");
    for (name, url) in [
        ("GATE_CLIENT_SESSION_VERIFY_URL", "gate:hunter2@host.test"),
        (
            "GATE_CLIENT_SESSION_VERIFY_URL",
            "https//gate:hunter2@host.test",
        ),
        (
            "GATE_CLIENT_SESSION_VERIFY_URL",
            "https://gate:hunter2/@host.test",
        ),
        ("GATE_EXTERNAL_JWKS_URL", "ftp://gate:hunter2@host.test"),
        ("GATE_EXTERNAL_DISCOVERY", "htps://gate:hunter2@host.test"),
        ("GATE_SIGN_IN_ISSUER", "https:/gate:hunter2@host.test:x"),
        ("GATE_LABEL_STUDIO_URL", SECRET_URL),
        ("GATE_HTTP_LISTEN", SECRET_URL),
        ("GATE_POLICY_ALLOWED_ORIGINS", SECRET_URL),
    ] {
        let told = errors(&[(name, url)]);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("host.test"), "{told}");
    }
}

/// The issuer's name is compared and shown, and has neither (OpenID Connect Discovery 1.0 §3).
#[test]
fn a_user_is_no_part_of_an_issuers_name() {
    const URL: &str = "https://gate:hunter2@op.test";
    let provider = [
        ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
        ("GATE_SIGN_IN_ISSUER", URL),
        ("GATE_SIGN_IN_CLIENT_ID", "gate"),
        ("GATE_SIGN_IN_CLIENT_SECRET", "x"),
    ];
    let told = errors(&provider);
    assert!(told.contains("sign_in.issuer: must have no user"), "{told}");
    let issuer = [
        ("GATE_EXTERNAL_DISCOVERY", URL),
        ("GATE_EXTERNAL_AUDIENCE", "label-studio"),
    ];
    let told = errors(&issuer);
    assert!(told.contains("external.issuer: is required"), "{told}");
    let named = [&issuer[..], &[("GATE_EXTERNAL_ISSUER", "https://op.test")]].concat();
    assert_eq!(load(&named).external.issuers.len(), 1);
}

#[test]
fn a_list_of_urls_is_no_url() {
    for variable in [
        "LABEL_STUDIO_HOST",
        "GATE_POLICY_SIGN_IN_URL",
        "GATE_TRACES_ENDPOINT",
    ] {
        for list in ["https://a.test,https://b.test", "https://a.test,b.test"] {
            let told = errors(&[(variable, list)]);
            assert!(
                told.contains("must be a URL that begins with http"),
                "{told}"
            );
        }
        for host in [
            "https://a_b.test",
            "https://xn--bcher-kva.example:8443",
            "https://[::1]:1",
            "http://10.0.0.7",
        ] {
            load(&[(variable, host)]);
        }
    }
}

/// `iss` would be compared with the address of the document.
#[test]
fn the_address_of_a_discovery_document_is_no_issuer() {
    let told = errors(&[
        ("GATE_LABEL_STUDIO_URL", "https://ls.example.com"),
        (
            "GATE_SIGN_IN_ISSUER",
            "https://op.test/realms/a/.well-known/openid-configuration",
        ),
        ("GATE_SIGN_IN_CLIENT_ID", "gate"),
    ]);
    let expected = "sign_in.issuer: is the address of the discovery document: leave out \
        /.well-known/openid-configuration (set in GATE_SIGN_IN_ISSUER)";
    assert!(told.contains(expected), "{told}");
}
