//! Reads what a proxy in front of this one says about the user.
//!
//! In: a subrequest. Out: the same, with the token or the headers that the operator named. Afterwards,
//! no other header counts, and each has one spelling: `_` is not treated as `-`
//! (CVE-2025-64484).

use actix_web::dev::RequestHead;
use actix_web::http::header::{HeaderMap, HeaderName};

use super::extract::{self, Proxy};
use crate::gate::subrequest::{ApiCredential, Asserted, Subrequest, UnsignedHeaders};
use crate::gate::verify::Verifier;

/// The names under which the shipped nginx files pass on the operator's headers, whatever those are called.
static X_GATE_IDENTITY: HeaderName = HeaderName::from_static("x-gate-identity");
static X_GATE_IDENTITY_EMAIL: HeaderName = HeaderName::from_static("x-gate-identity-email");
static X_GATE_IDENTITY_USERNAME: HeaderName = HeaderName::from_static("x-gate-identity-username");
static X_GATE_IDENTITY_GROUPS: HeaderName = HeaderName::from_static("x-gate-identity-groups");
/// The secret that only the proxy in front knows.
static GATE_PROXY_SECRET: HeaderName = HeaderName::from_static("gate-proxy-secret");

/// Where a proxy in front says who the user is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IdentityHeaders {
    /// There is no such proxy.
    #[default]
    None,
    /// A token in this header.
    Token(HeaderName),
    /// A token in `Authorization`, beside the credentials of Label Studio's API.
    Bearer,
    /// Headers without a signature.
    Unsigned {
        /// With the email address.
        email: Option<HeaderName>,
        /// With the username.
        username: Option<HeaderName>,
        /// With the groups.
        groups: Option<HeaderName>,
    },
}

/// More than one value, or one that isn't text.
struct Unclear;

impl IdentityHeaders {
    /// The subrequest with the identity that a proxy in front asserts.
    pub(super) fn add<'r>(
        &self,
        subrequest: Subrequest<'r>,
        proxy: Proxy,
        request: &'r RequestHead,
        verifier: &Verifier,
    ) -> Subrequest<'r> {
        let headers = request.headers();
        match self {
            Self::None => subrequest,
            Self::Bearer => match (subrequest.api_credential(), extract::bearer(headers)) {
                (Some(ApiCredential::Jwt(_)) | None, Some(token))
                    if verifier.names_issuer(token) =>
                {
                    subrequest.asserting_bearer(token)
                }
                _ => subrequest,
            },
            Self::Token(_) | Self::Unsigned { .. } => {
                subrequest.asserting(self.asserted(proxy, headers))
            }
        }
    }

    /// What the headers that this kind of proxy sends assert. A token in `Authorization` is not among
    /// them.
    pub fn asserted<'r>(&self, proxy: Proxy, headers: &'r HeaderMap) -> Option<Asserted<'r>> {
        match self {
            Self::None | Self::Bearer => None,
            Self::Token(header) => token(headers, sent_as(proxy, &X_GATE_IDENTITY, header)),
            Self::Unsigned {
                email,
                username,
                groups,
            } => {
                let find = |fixed, header: &Option<HeaderName>| match header {
                    Some(header) => only(headers, sent_as(proxy, fixed, header)),
                    None => Ok(None),
                };
                let asserted = unsigned(
                    only(headers, &GATE_PROXY_SECRET),
                    find(&X_GATE_IDENTITY_EMAIL, email),
                    find(&X_GATE_IDENTITY_USERNAME, username),
                    find(&X_GATE_IDENTITY_GROUPS, groups),
                );
                asserted.unwrap_or(Some(Asserted::Ambiguous))
            }
        }
    }
}

/// The header's name as this kind of proxy sends it.
const fn sent_as<'h>(
    proxy: Proxy,
    fixed: &'static HeaderName,
    header: &'h HeaderName,
) -> &'h HeaderName {
    match proxy {
        Proxy::Nginx => fixed,
        Proxy::IngressNginx | Proxy::Caddy | Proxy::Traefik | Proxy::Envoy => header,
    }
}

/// nginx since 1.23 joins equal headers with a comma, which no token contains.
fn token<'r>(headers: &'r HeaderMap, header: &HeaderName) -> Option<Asserted<'r>> {
    Some(match only(headers, header) {
        Ok(None) => return None,
        Ok(Some(token)) if !token.contains(',') => Asserted::Token(token),
        _ => Asserted::Ambiguous,
    })
}

/// An address or a name with a comma may be two, as above.
fn unsigned<'r>(
    secret: Result<Option<&'r str>, Unclear>,
    email: Result<Option<&'r str>, Unclear>,
    username: Result<Option<&'r str>, Unclear>,
    groups: Result<Option<&'r str>, Unclear>,
) -> Result<Option<Asserted<'r>>, Unclear> {
    let (email, username) = (email?, username?);
    let mut names = email.into_iter().chain(username);
    if email.is_none() && username.is_none() {
        return Ok(None);
    }
    if names.any(|name| name.contains(',')) {
        return Err(Unclear);
    }
    Ok(Some(Asserted::Unsigned(UnsignedHeaders {
        secret: secret?,
        email,
        username,
        groups: groups?,
    })))
}

/// The value of a header that occurs at most once. An empty one counts as none, because nginx and
/// others can't leave a header out.
fn only<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Result<Option<&'r str>, Unclear> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (std::str::from_utf8(value.as_bytes()), values.next()) {
        (Ok(text), None) => Ok(Some(text).filter(|text| !text.is_empty())),
        _ => Err(Unclear),
    }
}
