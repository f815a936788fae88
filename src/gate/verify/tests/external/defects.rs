//! Algorithm × key source × defect of the claims.

use super::*;

/// Defects of the claims in a correctly signed token, with the expected result.
fn defects() -> Vec<(Value, Result<Identity, CredentialError>)> {
    use CredentialError::*;
    let ann = || Ok(Identity::Email("ann@example.com".to_owned()));
    vec![
        (json!({}), ann()),
        (json!({"exp": NOW - 4}), ann()),
        (json!({"exp": NOW - 5}), Err(TokenExpired)),
        (json!({"exp": null}), Err(TokenClaimMissing)),
        (json!({"exp": "soon"}), Err(TokenClaimInvalid)),
        (json!({"nbf": NOW + 4}), ann()),
        (json!({"nbf": NOW + 6}), Err(TokenNotYetValid)),
        (json!({"iat": NOW + 600}), Err(TokenNotYetValid)),
        (json!({"exp": NOW + 3600}), ann()),
        (json!({"exp": NOW + 3601}), Err(TokenLifetimeTooLong)),
        (
            json!({"exp": NOW + 3601, "iat": null}),
            Err(TokenLifetimeTooLong),
        ),
        (
            json!({"exp": NOW + 6_307_200_000_i64}),
            Err(TokenLifetimeTooLong),
        ),
        (json!({"exp": 1e300}), Err(TokenClaimInvalid)),
        (json!({"nbf": -1}), Err(TokenClaimInvalid)),
        (json!({"iat": 253_402_300_800_i64}), Err(TokenClaimInvalid)),
        (json!({"iss": null}), Err(TokenClaimMissing)),
        (
            json!({"iss": "https://issuer.test"}),
            Err(TokenIssuerRefused),
        ),
        (json!({"iss": 7}), Err(TokenIssuerRefused)),
        (json!({"aud": null}), Err(TokenClaimMissing)),
        (json!({"aud": "other"}), ann()),
        (json!({"aud": "somebody"}), Err(TokenAudienceRefused)),
        (
            json!({"aud": [["label-studio"]]}),
            Err(TokenAudienceRefused),
        ),
        (json!({"realm_access": null}), Err(TokenClaimMissing)),
        (
            json!({"realm_access": {"roles": ["visitor"]}}),
            Err(TokenClaimRefused),
        ),
        (json!({"realm_access": {"roles": "manager"}}), ann()),
        (
            json!({"realm_access": {"roles": "managers"}}),
            Err(TokenClaimRefused),
        ),
        (
            json!({"https://issuer.test/tenant": null}),
            Err(TokenClaimMissing),
        ),
        (json!({"profile": {"mail": 7}}), Err(TokenClaimInvalid)),
        (
            json!({"profile": {"mail": ["ann@example.com"]}}),
            Err(TokenClaimInvalid),
        ),
        (json!({"profile": {"mail": "ann"}}), Err(TokenClaimInvalid)),
        (
            json!({"profile": {"mail": "ann @example.com"}}),
            Err(TokenClaimInvalid),
        ),
        (
            json!({"profile": {"mail": "ann\u{0}@example.com"}}),
            Err(TokenClaimInvalid),
        ),
        (
            json!({"profile": {"mail": format!("{}@example.com", "a".repeat(250))}}),
            Err(TokenClaimInvalid),
        ),
        (
            json!({"profile": null}),
            Ok(Identity::Username("ann".to_owned())),
        ),
        (
            json!({"profile": {"mail": ""}}),
            Ok(Identity::Username("ann".to_owned())),
        ),
        (
            json!({"profile": null, "username": null}),
            Err(TokenClaimMissing),
        ),
        (
            json!({"profile": null, "username": 7}),
            Err(TokenClaimInvalid),
        ),
        (json!({"given_name": {}}), Err(TokenClaimInvalid)),
        (json!({"email_verified": true}), ann()),
        (json!({"email_verified": "true"}), ann()),
        (json!({"email_verified": false}), Err(TokenEmailUnverified)),
        (
            json!({"email_verified": "false"}),
            Err(TokenEmailUnverified),
        ),
        (json!({"email_verified": 1}), Err(TokenEmailUnverified)),
    ]
}

#[test]
fn defects_are_refused_for_every_algorithm_and_key_source() {
    let mut rows = 0;
    for &algorithm in ALGORITHMS {
        let signer = signer(algorithm);
        for (changes, expected) in defects() {
            let mut header = Header::new(algorithm);
            header.kid = Some("now".to_owned());
            let token = signer.sign(&header, &changed(&changes));
            for (source, issuer) in sources(algorithm) {
                let found = judge(vec![issuer], &token);
                assert_eq!(found, expected, "{algorithm:?}, {source}, {changes}");
                rows += 1;
            }
        }
    }
    assert!(rows > 700, "{rows}");
}

#[test]
fn token_is_refused_if_no_method_is_enabled() {
    let token = sign(Algorithm::HS256, SHARED, &good_claims());
    assert_eq!(judge(Vec::new(), &token), Err(CredentialError::NoMethod));
}

#[test]
fn token_with_an_audience_is_refused_if_none_is_configured() {
    let without = Expectation {
        audiences: Vec::new(),
        ..expectation()
    };
    for (aud, expected) in [
        (json!(null), None),
        (
            json!("label-studio"),
            Some(CredentialError::TokenAudienceRefused),
        ),
    ] {
        let keys = Keys::Configured(KeySet::from_secrets(&[SHARED.into()]));
        let issuer = Issuer::new(keys, without.clone(), rules());
        let token = sign(Algorithm::HS256, SHARED, &changed(&json!({"aud": aud})));
        assert_eq!(judge(vec![issuer], &token).err(), expected, "{aud}");
    }
}

#[test]
fn claims_are_found_by_name_or_path() {
    let claims = json!({
        "a": {"b": {"c": 1}, "b.c": 2}, "a.x": 3, "https://e.test/mail": 4,
        "resource_access": {"my.client": {"roles": 5}},
    });
    let claims = claims.as_object().expect("an object");
    for (path, expected) in [
        ("a.b.c", Some(2)),
        ("a.x", Some(3)),
        ("https://e.test/mail", Some(4)),
        ("resource_access.my.client.roles", Some(5)),
        ("a.b.d", None),
        ("", None),
        (".", None),
        ("a.", None),
    ] {
        let found = super::super::super::claims::claim(claims, path).and_then(Value::as_i64);
        assert_eq!(found, expected, "{path}");
    }
}
