//! How the gate proves to the provider which client it is (OpenID Connect Core §9).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use oauth2::AuthType;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use url::form_urlencoded;

use super::metadata::Metadata;
use crate::gate::jws::{self, SigningError};

/// `client_assertion_type` of RFC 7523 §2.2.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds until an assertion expires.
const LIFETIME: i64 = 60;

/// What the client authenticates with.
pub enum ClientAuthentication {
    /// Nothing: a public client, whose flows PKCE protects.
    Public,
    /// A secret: `client_secret_basic`, or `client_secret_post` if the provider takes only that.
    Secret(SecretString),
    /// A private key (`private_key_jwt`).
    PrivateKey(SigningKey),
}

/// A private key and its algorithm.
pub struct SigningKey {
    /// The key.
    pub key: EncodingKey,
    /// The algorithm that goes with it.
    pub algorithm: Algorithm,
    /// `kid` under which the provider knows the public key.
    pub id: Option<String>,
}

/// The claims of an assertion (RFC 7523 §3).
#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    /// The issuer alone: an endpoint of a malicious provider as audience would let it use the
    /// assertion at another one (CVE-2025-27370, CVE-2025-27371).
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl SigningKey {
    /// An assertion that `client_id` makes for the provider `issuer` at `now`, in seconds since the
    /// epoch.
    pub(super) fn assertion(
        &self,
        client_id: &str,
        issuer: &str,
        jti: String,
        now: i64,
    ) -> Result<String, SigningError> {
        let header = Header {
            kid: self.id.clone(),
            ..Header::new(self.algorithm)
        };
        let claims = Assertion {
            iss: client_id,
            sub: client_id,
            aud: issuer,
            jti,
            iat: now,
            exp: now + LIFETIME,
        };
        jws::encode(&header, &claims, &self.key)
    }
}

/// How a secret is sent: in the header, unless the provider reads it in the body only.
pub(super) fn auth_type(metadata: &Metadata) -> AuthType {
    if !metadata.takes("client_secret_basic") && metadata.takes("client_secret_post") {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

/// `Authorization: Basic`, both parts form-encoded first (RFC 6749 §2.3.1).
pub(super) fn basic(client_id: &str, secret: &SecretString) -> HeaderValue {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose_secret()));
    sensitive(format!("Basic {}", STANDARD.encode(pair)))
}

/// `Authorization: Bearer` (RFC 6750 §2.1).
pub(super) fn bearer(token: &SecretString) -> HeaderValue {
    sensitive(format!("Bearer {}", token.expose_secret()))
}

/// A header that no log shows. A token with a line break in it becomes an empty one, which the
/// provider refuses.
fn sensitive(text: String) -> HeaderValue {
    let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}
