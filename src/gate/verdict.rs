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
    user: Option<ActiveUser>,
    logged_in_by: Option<Method>,
    principal: Principal,
    cookies: Cookies,
}

/// The user whom a decision concerns, as far as the gate knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// The method that verified a credential.
    pub method: Option<Method>,
    /// Primary key in `htx_user`.
    pub user_id: Option<i32>,
    /// The address, username or primary key that a verified credential names, if no user has it.
    pub identity: Option<String>,
    /// The claims that should name the user, or let them sign in, and don't.
    pub claim: Option<String>,
}

impl Principal {
    /// A known user.
    pub fn user(user_id: i32) -> Self {
        Self {
            user_id: Some(user_id),
            ..Self::default()
        }
    }
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
        Self::without_login(reason, Principal::default(), Cookies::default())
    }

    /// The request passes without a login. If it carried a token, the token is removed.
    pub(super) fn without_login(
        reason: impl Into<Reason>,
        principal: Principal,
        cookies: Cookies,
    ) -> Self {
        Self {
            reason: reason.into(),
            user: None,
            logged_in_by: None,
            principal,
            cookies,
        }
    }

    /// The request passes as `user`, by a credential of Label Studio's own: a session or an API token.
    pub(super) fn recognized(reason: Granted, user: ActiveUser, cookies: Cookies) -> Self {
        let principal = Principal::user(user.id());
        Self::without_login(reason, principal, cookies).of(Some(user))
    }

    /// The same grant, for a request that Label Studio attributes to this user.
    pub(super) fn of(self, user: Option<ActiveUser>) -> Self {
        Self { user, ..self }
    }

    /// The request passes as `user`, whom it logs in.
    pub(super) fn logged_in(
        reason: Granted,
        user: &ActiveUser,
        method: Method,
        cookies: Cookies,
    ) -> Self {
        Self {
            reason: reason.into(),
            user: Some(user.clone()),
            logged_in_by: Some(method),
            principal: Principal {
                method: Some(method),
                ..Principal::user(user.id())
            },
            cookies,
        }
    }

    /// The reason.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The user to whom Label Studio attributes the request, if the gate knows. Not the user of a
    /// credential that was refused.
    pub const fn user(&self) -> Option<&ActiveUser> {
        self.user.as_ref()
    }

    /// The method by which this request logged the user in; `None` if it didn't.
    pub const fn logged_in_by(&self) -> Option<Method> {
        self.logged_in_by
    }

    /// The user whom the decision concerns.
    pub const fn principal(&self) -> &Principal {
        &self.principal
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
        Self::of_request(Denied::RequestMalformed)
    }

    /// The request is refused for every user, whatever credential it carries.
    pub const fn of_request(reason: Denied) -> Self {
        Self::Denial(Denial::of_request(reason, None))
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Denial(denial) => denial.reason.into(),
            Self::SignInRequired(required) => required.reason(),
            Self::Outage(outage) => (*outage).into(),
        }
    }

    /// The user whom the decision concerns; `None` for an outage.
    pub const fn principal(&self) -> Option<&Principal> {
        match self {
            Self::Denial(denial) => Some(&denial.principal),
            Self::SignInRequired(required) => Some(&required.principal),
            Self::Outage(_) => None,
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
    principal: Principal,
    token_deletion: Option<String>,
}

impl Denial {
    /// Refused because of its user.
    pub(super) const fn of_user(
        reason: Denied,
        principal: Principal,
        token_deletion: Option<String>,
    ) -> Self {
        Self {
            reason,
            principal,
            token_deletion,
        }
    }

    /// Refused for every user.
    pub(super) const fn of_request(reason: Denied, token_deletion: Option<String>) -> Self {
        let principal = Principal {
            method: None,
            user_id: None,
            identity: None,
            claim: None,
        };
        Self::of_user(reason, principal, token_deletion)
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
    principal: Principal,
    token_deletion: Option<String>,
}

impl SignInRequired {
    /// `refused` is the reason why the request's credential is unacceptable; `None` if it carries
    /// none. `principal` is whom that credential names.
    pub(super) const fn new(
        refused: Option<CredentialError>,
        principal: Principal,
        token_deletion: Option<String>,
    ) -> Self {
        Self {
            refused,
            principal,
            token_deletion,
        }
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        self.refused.map_or(Reason::SignInRequired, Reason::from)
    }
}
