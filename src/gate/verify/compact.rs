//! A JWT in compact form (RFC 7519, RFC 7515 §7.1), taken apart without believing anything in it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::super::reason::Reason;
use super::strict_json;

/// The parts of a token, read and not yet verified.
pub struct Compact<'t> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// What the signature is over: header and payload as they were sent.
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Compact<'t> {
    /// Takes a token apart.
    ///
    /// A name that stands twice is refused (RFC 7515 §4, RFC 7519 §4): readers differ in which of the two they take.
    pub fn parse(token: &'t str) -> Result<Self, Reason> {
        let malformed = Reason::TokenMalformed;
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(malformed)?;
        Ok(Self {
            header: object(header)?,
            claims: object(payload)?,
            signed,
            signature,
        })
    }

    /// What the signature is over.
    pub const fn signed(&self) -> &'t str {
        self.signed
    }

    /// The claims, once the signature is verified with `key` under `algorithm`.
    ///
    /// The algorithm is the key's. The header's is only compared with it, so a token can't choose how it is verified (RFC 8725 §3.1).
    pub fn verified(
        self,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, Reason> {
        self.check_header(algorithm)?;
        match jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm) {
            Ok(true) => Ok(self.claims),
            Ok(false) | Err(_) => Err(Reason::TokenSignatureInvalid),
        }
    }

    fn check_header(&self, algorithm: Algorithm) -> Result<(), Reason> {
        // An extension that must be understood and isn't makes the token invalid (RFC 7515 §4.1.11). The gate understands none.
        if self.header.contains_key("crit") || self.header.contains_key("b64") {
            return Err(Reason::TokenHeaderRefused);
        }
        let named = self
            .header
            .get("alg")
            .and_then(Value::as_str)
            .ok_or(Reason::TokenMalformed)?;
        if named.parse() == Ok(algorithm) {
            Ok(())
        } else {
            Err(Reason::TokenAlgorithmRefused)
        }
    }
}

fn object(part: &str) -> Result<Map<String, Value>, Reason> {
    let json = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Reason::TokenMalformed)?;
    strict_json::object(&json).ok_or(Reason::TokenMalformed)
}
