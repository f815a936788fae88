//! A JWT in compact form (RFC 7519, RFC 7515 §7.1).
//!
//! In: the text of a token. Out: its parsed header and claims, not yet trusted. Afterwards, both
//! are JSON objects without duplicate names; only [`Compact::signed_by`] proves who made them.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::super::jws;
use super::super::observer::{Shown, Steps};
use super::super::reason::CredentialError;
use super::keys::VerificationKey;
use super::{Unverified, strict_json};

/// The parts of a token, parsed but not verified.
pub struct Compact<'t> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// The signed text: header and payload as sent.
    signed: &'t str,
    /// Whether the parts are padded, as only load balancers of AWS do it.
    padded: bool,
    signature: &'t str,
}

impl<'t> Compact<'t> {
    /// Parses a token.
    ///
    /// Duplicate names are refused (RFC 7515 §4, RFC 7519 §4), because parsers differ in which one
    /// they keep.
    pub fn parse(token: &'t str) -> Result<Self, CredentialError> {
        Self::read(token, false)
    }

    /// Parses a token that may be padded ([`Self::is_padded`]).
    pub fn parse_padded(token: &'t str) -> Result<Self, CredentialError> {
        Self::read(token, token.contains('='))
    }

    fn read(token: &'t str, padded: bool) -> Result<Self, CredentialError> {
        let malformed = CredentialError::TokenMalformed;
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(malformed)?;
        let header = object(header, padded)?;
        // An encrypted token has five parts (RFC 7516 §7.1), and is well-formed.
        let unreadable = |error| match header.contains_key("enc") {
            true => CredentialError::TokenHeaderRefused,
            false => error,
        };
        Ok(Self {
            claims: object(payload, padded).map_err(unreadable)?,
            header,
            signed,
            signature: match padded {
                true => signature.trim_end_matches('='),
                false => signature,
            },
            padded,
        })
    }

    /// The signed text.
    pub const fn signed(&self) -> &'t str {
        self.signed
    }

    /// The header, not yet verified.
    pub const fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// Whether the parts are padded, which RFC 7515 §2 forbids.
    pub(super) const fn is_padded(&self) -> bool {
        self.padded
    }

    /// The claims, not yet verified.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// `kid`: the key that the token claims to be signed with (RFC 7515 §4.1.4).
    pub fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// `typ`: what kind of token it is (RFC 7519 §5.1, RFC 8725 §3.11).
    pub fn typ(&self) -> Option<&str> {
        self.header.get("typ").and_then(Value::as_str)
    }

    /// `iss`, not yet verified.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Checks that one of `keys` made the signature, under an algorithm of that key.
    ///
    /// The header's algorithm is only compared with the key's, so a token can't choose how it is
    /// verified (RFC 8725 §3.1).
    pub fn signed_by<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k VerificationKey>,
        steps: Steps<'_>,
    ) -> Result<(), Unverified> {
        let algorithm = match self.algorithm() {
            Ok(algorithm) => algorithm,
            Err(why) => {
                self.note_header(steps);
                return Err(Unverified::Unrecognized(why));
            }
        };
        let mut reason = CredentialError::TokenAlgorithmRefused;
        for key in keys {
            let label = key.label();
            if !key.allows(algorithm) {
                steps.note(format_args!("{label} is not for alg {algorithm:?}"));
                continue;
            }
            let message = self.signed.as_bytes();
            let made_by = |key: &_| jws::is_signed(message, self.signature, key, algorithm);
            if made_by(key.key()) {
                steps.note(format_args!("{label} made the signature"));
                return Ok(());
            }
            steps.note(format_args!("{label} did not make the signature"));
            if steps.are_wanted()
                && let Some(form) = key.right_form(made_by)
            {
                steps.note(format_args!("{label} would have made it {form}"));
            }
            reason = CredentialError::TokenSignatureInvalid;
        }
        Err(Unverified::Unrecognized(reason))
    }

    fn note_header(&self, steps: Steps<'_>) {
        let part = |name| Shown(self.header.get(name));
        steps.note(format_args!(
            "header not supported: alg {}, crit {}, b64 {}",
            part("alg"),
            part("crit"),
            part("b64")
        ));
    }

    /// The header's algorithm, not yet compared with a key's.
    pub fn algorithm(&self) -> Result<Algorithm, CredentialError> {
        // A critical extension that isn't supported makes the token invalid (RFC 7515 §4.1.11). The
        // gate supports none.
        if self.header.contains_key("crit") || self.header.contains_key("b64") {
            return Err(CredentialError::TokenHeaderRefused);
        }
        let named = self.header.get("alg").and_then(Value::as_str);
        let named = named.ok_or(CredentialError::TokenMalformed)?;
        named
            .parse()
            .map_err(|_| CredentialError::TokenAlgorithmRefused)
    }
}

fn object(part: &str, padded: bool) -> Result<Map<String, Value>, CredentialError> {
    let json = match padded {
        true => URL_SAFE.decode(part),
        false => URL_SAFE_NO_PAD.decode(part),
    };
    let json = json.map_err(|_| CredentialError::TokenMalformed)?;
    strict_json::object(&json).ok_or(CredentialError::TokenMalformed)
}
