//! Method 1: algorithm × where the key is × what is wrong, a row a line.

use std::sync::{Arc, LazyLock, Mutex};

use async_trait::async_trait;
use futures_util::FutureExt as _;
use jsonwebtoken::jwk::Jwk;

use super::*;
use crate::gate::identity::{Admission, PersonRules};

mod attacks;
mod keys;

/// A shared secret long enough for HS512.
const SHARED: &str = "a-secret-that-two-services-share-and-that-has-more-than-sixty-four-bytes";

/// A key of an issuer, and how it is handed to the gate.
struct Signer {
    encoding: EncodingKey,
    pem: Option<String>,
}

impl Signer {
    fn secret() -> Self {
        Self {
            encoding: EncodingKey::from_secret(SHARED.as_bytes()),
            pem: None,
        }
    }

    fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let pair = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let private = pair.serialize_pem();
        let private = private.as_bytes();
        let encoding = if algorithm == &rcgen::PKCS_RSA_SHA256 {
            EncodingKey::from_rsa_pem(private)
        } else if algorithm == &rcgen::PKCS_ED25519 {
            EncodingKey::from_ed_pem(private)
        } else {
            EncodingKey::from_ec_pem(private)
        };
        Self {
            encoding: encoding.expect("a private key"),
            pem: Some(pair.public_key_pem()),
        }
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.encoding).expect("signed")
    }

    /// The key in a set, under that name.
    fn jwk(&self, algorithm: Algorithm, id: &str) -> Value {
        let mut jwk = match &self.pem {
            // Of the other kind jsonwebtoken doesn't write them: RFC 8037 §2, the last 32 bytes of the public key.
            Some(pem) if algorithm == Algorithm::EdDSA => {
                let key = pem::parse(pem).expect("PEM").into_contents();
                let x = URL_SAFE_NO_PAD.encode(&key[key.len() - 32..]);
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x})
            }
            _ => {
                let jwk = Jwk::from_encoding_key(&self.encoding, algorithm);
                serde_json::to_value(jwk.expect("a public key")).expect("JSON")
            }
        };
        jwk["kid"] = id.into();
        jwk
    }
}

static RSA: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_RSA_SHA256));
static P256: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_ECDSA_P256_SHA256));
static P384: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_ECDSA_P384_SHA384));
static ED25519: LazyLock<Signer> = LazyLock::new(|| Signer::pair(&rcgen::PKCS_ED25519));
static SECRET_OF_TWO: LazyLock<Signer> = LazyLock::new(Signer::secret);

fn signer(algorithm: Algorithm) -> &'static Signer {
    crate::startup::install_crypto();
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => &SECRET_OF_TWO,
        Algorithm::ES256 => &P256,
        Algorithm::ES384 => &P384,
        Algorithm::EdDSA => &ED25519,
        _ => &RSA,
    }
}

/// A key server that always has those keys and counts how often it is asked.
struct Served {
    keys: Arc<KeySet>,
    asked: Mutex<u32>,
}

#[async_trait]
impl KeySource for Served {
    fn current(&self) -> Option<Arc<KeySet>> {
        Some(self.keys.clone())
    }

    async fn renew(&self) -> Result<Arc<KeySet>, Outage> {
        *self.asked.lock().expect("lock") += 1;
        Ok(self.keys.clone())
    }
}

/// A key server that has never answered.
struct Gone;

#[async_trait]
impl KeySource for Gone {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }

    async fn renew(&self) -> Result<Arc<KeySet>, Outage> {
        Err(Outage::KeyServerUnavailable)
    }
}

fn expectation() -> Expectation {
    Expectation {
        issuer: Some("https://issuer.test/".to_owned()),
        audiences: vec!["label-studio".to_owned(), "other".to_owned()],
        leeway: Duration::from_secs(5),
        max_lifetime: Some(Duration::from_secs(3600)),
        required: vec![
            RequiredClaim {
                name: "realm_access.roles".to_owned(),
                accepted: vec!["annotator".into(), "manager".into()],
            },
            RequiredClaim {
                name: "https://issuer.test/tenant".to_owned(),
                accepted: Vec::new(),
            },
        ],
    }
}

fn rules() -> PersonRules {
    PersonRules {
        email: "profile.mail".to_owned(),
        username: Some("username".to_owned()),
        first_name: "given_name".to_owned(),
        last_name: "family_name".to_owned(),
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
        ..nothing()
    };
    identity(&verifier, &Credential::Token(token.into()))
}

/// Whether nobody can tell about the token.
fn is_undecided(issuers: Vec<Issuer>, token: &str) -> bool {
    let verifier = Verifier {
        issuers,
        ..nothing()
    };
    let credential = Credential::Token(token.into());
    let verified = verifier.verify(&credential, now()).now_or_never();
    matches!(
        verified.expect("nobody is waited for"),
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

/// The good claims with some changed; `null` takes a claim out.
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

/// What can be wrong with the claims of a token that is signed as it should be, and the reason that comes back.
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

const ALGORITHMS: &[Algorithm] = &[
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Every way in which the key for `algorithm` can be given to the gate.
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
    assert_eq!(keys.len(), 1, "keys of other kinds are passed over");
    let served = Served {
        keys: Arc::new(keys),
        asked: Mutex::default(),
    };
    vec![
        ("public key", issuer(Keys::Configured(from_pem))),
        ("key server", issuer(Keys::Served(Arc::new(served)))),
    ]
}

#[test]
fn every_algorithm_with_every_source_of_keys_and_every_defect() {
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
fn a_key_server_is_asked_for_an_unknown_key_and_for_nothing_else() {
    use CredentialError::*;
    let signer = signer(Algorithm::ES256);
    let set = json!({"keys": [signer.jwk(Algorithm::ES256, "now")]}).to_string();
    let keys = Arc::new(KeySet::from_jwks(set.as_bytes()).expect("a key"));
    let token = |kid: Option<&str>, claims: &Value| {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = kid.map(str::to_owned);
        signer.sign(&header, claims)
    };
    let forged = sign(Algorithm::HS256, SHARED, &good_claims());
    for (what, token, expected, questions) in [
        ("known", token(Some("now"), &good_claims()), None, 0),
        ("no name", token(None, &good_claims()), None, 0),
        (
            "unknown",
            token(Some("next"), &good_claims()),
            Some(TokenKeyUnknown),
            1,
        ),
        (
            "another issuer's",
            token(
                Some("next"),
                &changed(&json!({"iss": "https://other.test/"})),
            ),
            Some(TokenIssuerRefused),
            0,
        ),
        ("forged", forged, Some(TokenAlgorithmRefused), 0),
    ] {
        let served = Arc::new(Served {
            keys: keys.clone(),
            asked: Mutex::default(),
        });
        let found = judge(vec![issuer(Keys::Served(served.clone()))], &token);
        assert_eq!(found.err(), expected, "{what}");
        assert_eq!(*served.asked.lock().expect("lock"), questions, "{what}");
    }
}

#[test]
fn a_key_server_that_is_down_is_an_outage_unless_somebody_else_knows_the_token() {
    let shared = || {
        let keys = KeySet::from_secrets(&[SHARED.into()]);
        issuer(Keys::Configured(keys))
    };
    let gone = || issuer(Keys::Served(Arc::new(Gone)));
    let good = sign(Algorithm::HS256, SHARED, &good_claims());
    let expired = sign(Algorithm::HS256, SHARED, &changed(&json!({"exp": 1})));
    let foreign = sign(Algorithm::HS256, &"y".repeat(64), &good_claims());
    for (what, token, expected) in [
        ("accepted by another", &good, None),
        (
            "known to be expired",
            &expired,
            Some(CredentialError::TokenExpired),
        ),
    ] {
        let before = judge(vec![gone(), shared()], token);
        assert_eq!(before.err(), expected, "{what}");
        let behind = judge(vec![shared(), gone()], token);
        assert_eq!(behind.err(), expected, "{what}");
    }
    for issuers in [vec![gone(), shared()], vec![shared(), gone()], vec![gone()]] {
        assert!(is_undecided(issuers, &foreign), "known to nobody");
    }
}

#[test]
fn a_token_without_a_method_is_told_so() {
    let token = sign(Algorithm::HS256, SHARED, &good_claims());
    assert_eq!(judge(Vec::new(), &token), Err(CredentialError::NoMethod));
}

#[test]
fn a_token_for_somebody_else_is_refused_where_no_audience_is_configured() {
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
fn claims_are_found_by_name_and_by_path() {
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
        let found = super::super::claims::claim(claims, path).and_then(Value::as_i64);
        assert_eq!(found, expected, "{path}");
    }
}
