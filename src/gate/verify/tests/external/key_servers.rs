//! When the gate asks a key server, and what happens if the server is down.

use async_trait::async_trait;

use super::*;

/// A key server that always has these keys and counts its fetches.
pub(super) struct Served {
    pub(super) keys: Arc<KeySet>,
    pub(super) fetches: Mutex<u32>,
}

#[async_trait]
impl KeySource for Served {
    fn current(&self) -> Option<Arc<KeySet>> {
        Some(self.keys.clone())
    }

    async fn renew(&self, _id: Option<&str>) -> Result<Arc<KeySet>, Outage> {
        *self.fetches.lock().expect("lock") += 1;
        Ok(self.keys.clone())
    }
}

/// A key server that has never answered.
struct Unreachable;

#[async_trait]
impl KeySource for Unreachable {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }

    async fn renew(&self, _id: Option<&str>) -> Result<Arc<KeySet>, Outage> {
        Err(Outage::KeyServerUnavailable)
    }
}

#[test]
fn key_server_is_asked_only_for_an_unknown_key() {
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
    for (what, token, expected, fetches_expected) in [
        ("known", token(Some("now"), &good_claims()), None, 0),
        ("no key ID", token(None, &good_claims()), None, 0),
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
            fetches: Mutex::default(),
        });
        let found = judge(vec![issuer(Keys::Served(served.clone()))], &token);
        assert_eq!(found.err(), expected, "{what}");
        assert_eq!(
            *served.fetches.lock().expect("lock"),
            fetches_expected,
            "{what}"
        );
    }
}

#[test]
fn unreachable_key_server_is_an_outage_unless_another_issuer_knows_the_token() {
    let shared = || {
        let keys = KeySet::from_secrets(&[SHARED.into()]);
        issuer(Keys::Configured(keys))
    };
    let unreachable = || issuer(Keys::Served(Arc::new(Unreachable)));
    let good = sign(Algorithm::HS256, SHARED, &good_claims());
    let expired = sign(Algorithm::HS256, SHARED, &changed(&json!({"exp": 1})));
    let unknown = sign(Algorithm::HS256, &"y".repeat(64), &good_claims());
    for (what, token, expected) in [
        ("accepted by another", &good, None),
        (
            "known to be expired",
            &expired,
            Some(CredentialError::TokenExpired),
        ),
    ] {
        let before = judge(vec![unreachable(), shared()], token);
        assert_eq!(before.err(), expected, "{what}");
        let after = judge(vec![shared(), unreachable()], token);
        assert_eq!(after.err(), expected, "{what}");
    }
    for issuers in [
        vec![unreachable(), shared()],
        vec![shared(), unreachable()],
        vec![unreachable()],
    ] {
        assert!(is_outage(issuers, &unknown), "no issuer knows the token");
    }
}
