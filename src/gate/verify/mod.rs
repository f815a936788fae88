//! Stage 3: credential → [`VerifiedClaims`].
//!
//! In: an unverified token or session cookie. Out: its claims. Afterwards, either the signature was
//! made with a configured key under that key's own algorithm, and the token is valid now and meant
//! for the gate; or the host application has confirmed whose session it is.

mod api_token;
mod application_session;
mod claims;
mod compact;
mod evidence;
mod external;
mod keys;
mod load_balancer;
mod native;
mod public_key;
mod secret_form;
mod strict_json;
#[cfg(test)]
mod tests;
mod unsigned;

use std::time::SystemTime;

pub use self::api_token::{ApiAuthenticator, ApiTokens, JwtOwner, TokenOwner};
pub use self::application_session::{
    ApplicationSession, ApplicationSessions, SessionRefusal, UserClaims,
};
pub use self::claims::{Expectation, RequiredClaim};
pub use self::compact::Compact;
pub use self::evidence::{Fingerprint, Method, ProviderSession, Subject, VerifiedClaims};
pub use self::external::{Issuer, Keys};
pub use self::keys::{KeyError, KeySet, KeySource, VerificationKey};
pub use self::load_balancer::LoadBalancer;
pub use self::native::{AUDIENCE, ISSUER, Native, REVOCATION};
pub use self::unsigned::UnsignedProxy;
use super::credential::Credential;
use super::observer::{Observer, Steps};
use super::reason::{CredentialError, Outage};

/// Why a credential proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unverified {
    /// This method doesn't recognize the credential. Another method may.
    Unrecognized(CredentialError),
    /// The credential is genuine but not acceptable.
    Refused(CredentialError),
    /// The gate can't decide now.
    Outage(Outage),
}

impl From<CredentialError> for Unverified {
    fn from(reason: CredentialError) -> Self {
        Self::Refused(reason)
    }
}

impl Unverified {
    /// Picks the more specific of two methods' results for one token, or the earlier one if they
    /// are equally specific.
    const fn more_specific(self, later: Self) -> Self {
        match (self, later) {
            (Self::Refused(_), _) | (Self::Outage(_), Self::Unrecognized(_) | Self::Outage(_)) => {
                self
            }
            (Self::Unrecognized(_), Self::Unrecognized(_)) => self,
            (_, later) => later,
        }
    }
}

/// The enabled methods, in the order in which they are tried.
pub struct Verifier {
    /// Method 1.
    pub issuers: Vec<Issuer>,
    /// Method 2: tokens issued by the token route.
    pub native: Option<Native>,
    /// Method 2: Label Studio's own API tokens.
    pub api_tokens: Option<ApiAuthenticator>,
    /// Method 3.
    pub application_session: Option<ApplicationSession>,
    /// A proxy in front that names users without a signature.
    pub unsigned: Option<UnsignedProxy>,
    /// Maximum length of a token in bytes. Longer ones are refused without parsing.
    pub max_length: usize,
}

impl Verifier {
    /// Verifies a credential.
    pub async fn verify(
        &self,
        credential: &Credential<'_>,
        now: SystemTime,
        observer: &dyn Observer,
    ) -> Result<VerifiedClaims, Unverified> {
        let steps = Steps::new(observer, "credential");
        let unknown = |why| Err(Unverified::Unrecognized(why));
        match credential {
            Credential::Token(token) => self.verify_token(token, now, steps).await,
            Credential::Asserted(token) => self.verify_asserted(token, now, steps).await,
            Credential::Unsigned(headers) => match &self.unsigned {
                Some(proxy) => proxy.verify(headers, now, steps),
                None => unknown(CredentialError::NoMethod),
            },
            Credential::ApplicationSession(cookie) => match &self.application_session {
                Some(method) => method.verify(cookie, steps).await,
                None => unknown(CredentialError::ApplicationSessionUnknown),
            },
        }
    }

    async fn verify_token(
        &self,
        token: &str,
        now: SystemTime,
        steps: Steps<'_>,
    ) -> Result<VerifiedClaims, Unverified> {
        let token = self.parse(token, Compact::parse, steps)?;
        let mut why: Option<Unverified> = None;
        let mut note = |next: Unverified| {
            why = Some(why.map_or(next, |first| first.more_specific(next)));
        };
        // Anybody can put a load balancer's token here, and each asks for a key.
        let issuers = self.issuers.iter();
        for issuer in issuers.filter(|issuer| !issuer.is_load_balancer()) {
            match issuer.verify(&token, now, steps).await {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        if let Some(method) = &self.api_tokens {
            match method.verify(&token, now, steps).await {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        if let Some(native) = &self.native {
            match native.verify(&token, now, steps) {
                Ok(claims) => return Ok(claims),
                Err(next) => note(next),
            }
        }
        Err(why.unwrap_or(Unverified::Unrecognized(CredentialError::NoMethod)))
    }

    fn parse<'t>(
        &self,
        token: &'t str,
        parse: fn(&'t str) -> Result<Compact<'t>, CredentialError>,
        steps: Steps<'_>,
    ) -> Result<Compact<'t>, Unverified> {
        let (length, most) = (token.len(), self.max_length);
        if length > most {
            steps.note(format_args!(
                "a token of {length} bytes, at most {most} accepted"
            ));
            return Err(Unverified::Unrecognized(CredentialError::TokenMalformed));
        }
        parse(token).map_err(|why| {
            steps.note(format_args!(
                "{length} bytes that are no JSON Web Token in compact form"
            ));
            Unverified::Unrecognized(why)
        })
    }
}
