//! Stage 7: what the proxy is told.
//!
//! In: the outcome of the stages before. Out: a [`Grant`] (go on, and with which cookies) or a [`Rejection`]: a [`Denial`], a
//! [`SignInRequired`] or an [`Outage`] (cannot decide). Afterwards holds: whoever has a `Grant` has passed every check, because only
//! the gate itself can make one; and each outcome has one [`Reason`].

use super::reason::{CredentialError, Denied, Granted, Outage, Reason};
use super::user::ActiveUser;
use super::verify::Method;

/// Go on, and with which cookies.
///
/// The cookie values are complete and ready for their headers; `None` means that nothing is to be sent.
#[derive(Debug)]
pub struct Grant {
    reason: Reason,
    login: Option<Login>,
    cookies: Cookies,
}

/// Who was logged in by this request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Primary key in `htx_user`.
    pub user_id: i32,
    /// The user's e-mail address as Label Studio has it.
    pub email: String,
    /// The method that vouched for the user.
    pub method: Method,
}

/// The cookies of an answer, each a whole header value.
#[derive(Default, PartialEq, Eq)]
pub struct Cookies {
    /// The `Cookie` header for Label Studio, when it differs from the one that came in.
    pub request: Option<Vec<u8>>,
    /// `Set-Cookie` of the session.
    pub session: Option<String>,
    /// `Set-Cookie` that deletes the token's cookie.
    pub token_deletion: Option<String>,
}

/// Tells which cookies there are and never what is in them: a session cookie is a credential.
impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cookies")
            .field("request", &self.request.is_some())
            .field("session", &self.session.is_some())
            .field("token_deletion", &self.token_deletion.is_some())
            .finish()
    }
}

impl Grant {
    /// The request goes on as it came.
    pub(super) fn untouched(reason: Granted) -> Self {
        Self::without_login(reason, Cookies::default())
    }

    /// The request goes on and logs nobody in. A token is taken from it.
    pub(super) fn without_login(reason: Granted, cookies: Cookies) -> Self {
        Self {
            reason: reason.into(),
            login: None,
            cookies,
        }
    }

    /// The request goes on as if it had not carried its credential, which proves nothing.
    pub(super) fn ignoring(credential: CredentialError, cookies: Cookies) -> Self {
        Self {
            reason: credential.into(),
            login: None,
            cookies,
        }
    }

    /// The request goes on as `user`.
    pub(super) fn logged_in(
        reason: Granted,
        user: &ActiveUser,
        method: Method,
        cookies: Cookies,
    ) -> Self {
        let login = Login {
            user_id: user.id(),
            email: user.email().to_owned(),
            method,
        };
        Self {
            reason: reason.into(),
            login: Some(login),
            cookies,
        }
    }

    /// Why.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Who, when a token was accepted.
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The cookies to hand on.
    pub const fn cookies(&self) -> &Cookies {
        &self.cookies
    }
}

/// Not granted.
#[derive(Debug)]
pub enum Rejection {
    /// The request is refused: 403.
    Denial(Denial),
    /// Somebody must be signed in, and nobody is: 401.
    SignInRequired(SignInRequired),
    /// The gate cannot decide now: 503.
    Outage(Outage),
}

impl Rejection {
    /// A request that cannot be read is refused (GHSA-68wm-pfjf-wqp6).
    pub const fn malformed() -> Self {
        Self::Denial(Denial::new(Denied::RequestMalformed, None))
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Denial(denial) => denial.reason.into(),
            Self::SignInRequired(required) => required.reason(),
            Self::Outage(outage) => (*outage).into(),
        }
    }

    /// `Set-Cookie` that deletes the token's cookie, where the request came with one.
    ///
    /// Otherwise the browser would send it with every further request, and each would be refused.
    pub fn token_deletion(&self) -> Option<&str> {
        match self {
            Self::Denial(denial) => denial.token_deletion.as_deref(),
            Self::SignInRequired(required) => required.token_deletion.as_deref(),
            Self::Outage(_) => None,
        }
    }
}

impl From<Outage> for Rejection {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

/// The request is refused, because of who sent it or of where it comes from.
#[derive(Debug)]
pub struct Denial {
    reason: Denied,
    token_deletion: Option<String>,
}

impl Denial {
    pub(super) const fn new(reason: Denied, token_deletion: Option<String>) -> Self {
        Self {
            reason,
            token_deletion,
        }
    }

    /// Why.
    pub const fn reason(&self) -> Denied {
        self.reason
    }
}

/// Somebody must be signed in, and nobody is.
#[derive(Debug)]
pub struct SignInRequired {
    refused: Option<CredentialError>,
    token_deletion: Option<String>,
}

impl SignInRequired {
    /// `refused`: what is wrong with the credential that the request carries; `None`: it carries none.
    pub(super) const fn new(
        refused: Option<CredentialError>,
        token_deletion: Option<String>,
    ) -> Self {
        Self {
            refused,
            token_deletion,
        }
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.refused.map_or(Reason::SignInRequired, Reason::from)
    }
}
