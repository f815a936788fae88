//! Stage 7: the verdict.
//!
//! In: the results of the earlier stages. Out: a [`Grant`] (proceed, with these cookies) or a
//! [`Rejection`]: a [`Denial`], a [`SignInRequired`] or an [`Outage`]. Afterwards, a `Grant` is
//! proof that every check passed, because only the gate can create one. Each outcome has exactly
//! one [`Reason`].

use super::reason::{CredentialError, Denied, Granted, Outage, Reason};
use super::user::ActiveUser;
use super::verify::Method;

/// Evidence that the request may proceed, and the cookies to send.
///
/// Cookie values are complete header values; `None` means that nothing is sent.
#[derive(Debug)]
pub struct Grant {
    reason: Reason,
    login: Option<Login>,
    cookies: Cookies,
}

/// The user that this request logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Primary key in `htx_user`.
    pub user_id: i32,
    /// The user's e-mail address as stored in Label Studio.
    pub email: String,
    /// The method that verified the credential.
    pub method: Method,
}

/// The cookies of an answer, each a complete header value.
#[derive(Default, PartialEq, Eq)]
pub struct Cookies {
    /// The `Cookie` header for Label Studio, if it differs from the request's.
    pub request: Option<Vec<u8>>,
    /// `Set-Cookie` that sets the session.
    pub session: Option<String>,
    /// `Set-Cookie` that deletes the token's cookie.
    pub token_deletion: Option<String>,
}

/// Shows which cookies are present but never their values: a session cookie is a credential.
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
    /// The request passes unchanged.
    pub(super) fn untouched(reason: Granted) -> Self {
        Self::without_login(reason, Cookies::default())
    }

    /// The request passes without a login. If it carried a token, the token is removed.
    pub(super) fn without_login(reason: impl Into<Reason>, cookies: Cookies) -> Self {
        Self::new(reason.into(), None, cookies)
    }

    /// The request passes as `user`.
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
        Self::new(reason.into(), Some(login), cookies)
    }

    /// The only constructor.
    const fn new(reason: Reason, login: Option<Login>, cookies: Cookies) -> Self {
        Self {
            reason,
            login,
            cookies,
        }
    }

    /// The reason.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The user, if this request logged one in.
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// The cookies to send.
    pub const fn cookies(&self) -> &Cookies {
        &self.cookies
    }
}

/// Why the request may not proceed.
#[derive(Debug)]
pub enum Rejection {
    /// The request is refused: 403.
    Denial(Denial),
    /// The request needs a signed-in user: 401.
    SignInRequired(SignInRequired),
    /// The gate can't decide now: 503.
    Outage(Outage),
}

impl Rejection {
    /// The request can't be parsed, so it is refused (GHSA-68wm-pfjf-wqp6).
    pub const fn malformed() -> Self {
        Self::Denial(Denial::new(Denied::RequestMalformed, None))
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Denial(denial) => denial.reason.into(),
            Self::SignInRequired(required) => required.reason(),
            Self::Outage(outage) => (*outage).into(),
        }
    }

    /// `Set-Cookie` that deletes the token's cookie, if the request carries one.
    ///
    /// Without it, the browser would resend the token with every request, and each would be
    /// refused.
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

/// The request is refused because of its user or its origin.
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

    /// The reason.
    pub const fn reason(&self) -> Denied {
        self.reason
    }
}

/// The request needs a signed-in user and has none.
#[derive(Debug)]
pub struct SignInRequired {
    refused: Option<CredentialError>,
    token_deletion: Option<String>,
}

impl SignInRequired {
    /// `refused` is the reason why the request's credential is unacceptable; `None` if it carries
    /// none.
    pub(super) const fn new(
        refused: Option<CredentialError>,
        token_deletion: Option<String>,
    ) -> Self {
        Self {
            refused,
            token_deletion,
        }
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.refused.map_or(Reason::SignInRequired, Reason::from)
    }
}
