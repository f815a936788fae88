//! Headers in which a proxy in front names the user without a signature.
//!
//! In: the headers, and the secret that the proxy sends with them. Out: claims. Afterwards, the
//! sender knows a secret that only the operator's proxy has, and the claims never sign in staff or
//! superusers: nothing but that secret stands between a forged header and the account that it names.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::super::clock::unix_seconds_f64;
use super::super::groups::GroupRules;
use super::super::identity::{Admission, ClaimMapping};
use super::super::observer::Steps;
use super::super::reason::CredentialError;
use super::super::subrequest::UnsignedHeaders;
use super::{Fingerprint, Method, Subject, Unverified, VerifiedClaims};

const EMAIL: &str = "email";
const USERNAME: &str = "username";
const GROUPS: &str = "groups";

/// A proxy that names users in headers.
pub struct UnsignedProxy {
    /// The SHA-256 of the secret, so that a comparison doesn't depend on lengths either.
    secret: [u8; 32],
    separator: char,
    mapping: Arc<ClaimMapping>,
}

impl UnsignedProxy {
    /// A proxy that knows `secret`, separates groups by `separator`, signs in users of the
    /// `allowed` groups (empty: all), and may `create` accounts.
    pub fn new(secret: &SecretString, separator: char, allowed: Vec<String>, create: bool) -> Self {
        let groups = (!allowed.is_empty()).then(|| GroupRules {
            claim: GROUPS.to_owned(),
            allowed,
            staff: None,
            organizations: Vec::new(),
        });
        Self {
            secret: Sha256::digest(secret.expose_secret()).into(),
            separator,
            mapping: Arc::new(ClaimMapping {
                email_claim: EMAIL.to_owned(),
                username_claim: Some(USERNAME.to_owned()),
                admission: Admission {
                    create,
                    update_names: false,
                    privileged: false,
                },
                groups,
                ..ClaimMapping::default()
            }),
        }
    }

    /// The headers as claims, if they come with the secret. The proxy asserts them now, so they are
    /// as new as a token issued now.
    pub(super) fn verify(
        &self,
        headers: &UnsignedHeaders<'_>,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let given: [u8; 32] = Sha256::digest(headers.secret.unwrap_or_default()).into();
        if !bool::from(given.ct_eq(&self.secret)) {
            let found = headers.secret.map_or("none", |_| "another one");
            steps.note(format_args!(
                "the secret of proxy_headers expected, {found} found"
            ));
            return Err(CredentialError::ProxySecretWrong.into());
        }
        let mut claims = self.claims(headers);
        let fingerprint = fingerprint(&claims);
        claims.insert("iat".to_owned(), json!(unix_seconds_f64(now)));
        Ok(VerifiedClaims::new(
            claims,
            Subject::Person(self.mapping.clone()),
            Method::Proxy,
            fingerprint,
        ))
    }

    /// What a session would be derived from if the headers were the proxy's. Proves nothing.
    pub(super) fn claimed_evidence(&self, headers: &UnsignedHeaders<'_>) -> Fingerprint {
        fingerprint(&self.claims(headers))
    }

    fn claims(&self, headers: &UnsignedHeaders<'_>) -> Map<String, Value> {
        let mut claims = Map::new();
        for (name, text) in [(EMAIL, headers.email), (USERNAME, headers.username)] {
            if let Some(text) = text {
                claims.insert(name.to_owned(), Value::from(text));
            }
        }
        if let (Some(groups), Some(_)) = (headers.groups, &self.mapping.groups) {
            let groups = groups.split(self.separator).map(str::trim);
            let mut groups: Vec<_> = groups.filter(|group| !group.is_empty()).collect();
            // Their order says nothing.
            groups.sort_unstable();
            claims.insert(GROUPS.to_owned(), groups.into());
        }
        claims
    }
}

/// Identifies the person by everything that the headers say.
fn fingerprint(claims: &Map<String, Value>) -> Fingerprint {
    let claims = [EMAIL, USERNAME, GROUPS].map(|name| claims.get(name));
    Fingerprint::of("proxy headers", &json!(claims).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a-secret-that-only-the-proxy-in-front-knows";

    fn proxy(allowed: &[&str]) -> UnsignedProxy {
        let allowed = allowed.iter().map(|&group| group.to_owned()).collect();
        UnsignedProxy::new(&SECRET.into(), '|', allowed, false)
    }

    fn ann<'r>(secret: Option<&'r str>, groups: Option<&'r str>) -> UnsignedHeaders<'r> {
        UnsignedHeaders {
            secret,
            email: Some("ann@example.com"),
            username: Some("ann"),
            groups,
        }
    }

    #[test]
    fn headers_count_with_the_secret_alone() {
        let longer = format!("{SECRET}x");
        let verify = |secret| {
            let found =
                proxy(&[]).verify(&ann(secret, None), SystemTime::UNIX_EPOCH, Steps::unheard());
            found.map(|claims| claims.get("email").cloned())
        };
        for wrong in [None, Some(""), Some(&SECRET[1..]), Some(longer.as_str())] {
            let refused = Unverified::Refused(CredentialError::ProxySecretWrong);
            assert_eq!(verify(wrong), Err(refused), "{wrong:?}");
        }
        assert_eq!(verify(Some(SECRET)), Ok(Some(json!("ann@example.com"))));
    }

    #[test]
    fn groups_are_separated_and_none_is_not_an_empty_list() {
        let groups = |text| proxy(&["a"]).claims(&ann(None, text)).get(GROUPS).cloned();
        assert_eq!(groups(None), None);
        assert_eq!(groups(Some("")), Some(json!([])));
        assert_eq!(groups(Some(" b |a|")), Some(json!(["a", "b"])));
        // Another separator is a part of the name.
        assert_eq!(groups(Some("b,a")), Some(json!(["b,a"])));
        let same = |one, other| {
            let evidence = |text| proxy(&["a"]).claimed_evidence(&ann(None, Some(text)));
            evidence(one).as_bytes() == evidence(other).as_bytes()
        };
        assert!(same("a|b", "b|a"));
        assert!(!same("a|b", "a"));
    }
}
