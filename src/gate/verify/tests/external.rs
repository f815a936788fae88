//! Method 1: tokens of external issuers.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;

use self::key_servers::Served;
use self::signers::{ALGORITHMS, RSA, SHARED, Signer, signer};
use super::*;
use crate::gate::identity::{Admission, ClaimMapping};

mod attacks;
mod defects;
mod key_servers;
mod keys;
mod signers;
mod vectors;

fn expectation() -> Expectation {
    Expectation {
        issuer: Some("https://issuer.test/".to_owned()),
        audiences: vec!["label-studio".to_owned(), "other".to_owned()],
        leeway: Duration::from_secs(5),
        max_lifetime: Some(Duration::from_secs(3600)),
        required: vec![
            RequiredClaim {
                name: "realm_access.roles".to_owned(),
                accepted: Some(vec!["annotator".into(), "manager".into()]),
            },
            RequiredClaim {
                name: "https://issuer.test/tenant".to_owned(),
                accepted: None,
            },
        ],
    }
}

fn rules() -> ClaimMapping {
    ClaimMapping {
        groups: None,
        email_claim: "profile.mail".to_owned(),
        username_claim: Some("username".to_owned()),
        first_name_claim: "given_name".to_owned(),
        last_name_claim: "family_name".to_owned(),
        unverified_email: false,
        admission: Admission::default(),
    }
}

fn issuer(keys: Keys) -> Issuer {
    Issuer::new(keys, expectation(), rules())
}

fn judge(issuers: Vec<Issuer>, token: &str) -> Result<Identity, CredentialError> {
    let verifier = Verifier {
        issuers,
        ..no_methods()
    };
    identity(&verifier, &Credential::Token(token.into()))
}

/// Whether verification ends in an outage.
fn is_outage(issuers: Vec<Issuer>, token: &str) -> bool {
    let verifier = Verifier {
        issuers,
        ..no_methods()
    };
    let credential = Credential::Token(token.into());
    let verified = verifier
        .verify(&credential, now(), &NoObserver)
        .now_or_never();
    matches!(
        verified.expect("does not wait"),
        Err(Unverified::Outage(Outage::KeyServerUnavailable))
    )
}

fn good_claims() -> Value {
    json!({
        "iss": "https://issuer.test/", "aud": ["somebody", "label-studio"], "iat": NOW, "exp": NOW + 600,
        "realm_access": {"roles": ["x", "annotator"]}, "https://issuer.test/tenant": 7,
        "profile": {"mail": "ann@example.com"}, "username": "ann",
    })
}

/// The valid claims with some changes; `null` removes a claim.
fn changed(changes: &Value) -> Value {
    let mut claims = good_claims();
    for (name, value) in changes.as_object().expect("changes are an object") {
        let object = claims.as_object_mut().expect("claims are an object");
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// Every way to configure the key for `algorithm`.
fn sources(algorithm: Algorithm) -> Vec<(&'static str, Issuer)> {
    let signer = signer(algorithm);
    let Some(pem) = &signer.pem else {
        let secrets = [SecretString::from("x".repeat(64)), SHARED.into()];
        let mut keys = KeySet::from_secrets(&secrets);
        keys.restrict(&[algorithm]);
        return vec![("secret", issuer(Keys::Configured(keys)))];
    };
    let from_pem = KeySet::from_pem(pem).expect("a public key");
    let set = json!({"keys": [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "now"},
        {"kty": "RSA", "kid": "now", "n": "AQAB", "e": "AQAB"},
        {"kty": "XYZ", "kid": "now"},
        signer.jwk(algorithm, "now"),
    ]});
    let keys = KeySet::from_jwks(set.to_string().as_bytes()).expect("a set of keys");
    assert_eq!(keys.len(), 1, "other keys are skipped");
    let served = Served {
        keys: Arc::new(keys),
        fetches: Mutex::default(),
    };
    vec![
        ("public key", issuer(Keys::Configured(from_pem))),
        ("key server", issuer(Keys::Served(Arc::new(served)))),
    ]
}
