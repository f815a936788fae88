//! Why nobody is signed in.
//!
//! In: what a provider, a browser or a check said. Out: a [`NoSignIn`], and from it the verdict.

use crate::gate::reason::{CredentialError, Outage};
use crate::gate::verdict::{Principal, Rejection, SignInRequired};
use crate::gate::verify::Unverified;

/// The reason why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSignIn {
    /// The answer proves nothing.
    Refused(CredentialError),
    /// The provider said no, in its own words.
    Provider {
        /// What it means.
        reason: CredentialError,
        /// `error`
        code: String,
        /// `error_description`
        description: Option<String>,
    },
    /// The gate can't decide now.
    Outage(Outage),
}

impl NoSignIn {
    /// The browser has no flow that this answer belongs to.
    pub fn unknown() -> Self {
        CredentialError::SignInUnknown.into()
    }

    /// The verdict about the sign-in.
    pub fn rejection(&self) -> Rejection {
        match self {
            Self::Refused(reason) | Self::Provider { reason, .. } => {
                let required = SignInRequired::new(Some(*reason), Principal::default(), None);
                Rejection::SignInRequired(required)
            }
            Self::Outage(outage) => (*outage).into(),
        }
    }
}

impl From<CredentialError> for NoSignIn {
    fn from(reason: CredentialError) -> Self {
        Self::Refused(reason)
    }
}

impl From<Outage> for NoSignIn {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

impl From<Unverified> for NoSignIn {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Unrecognized(reason) | Unverified::Refused(reason) => Self::Refused(reason),
            Unverified::Outage(outage) => Self::Outage(outage),
        }
    }
}
