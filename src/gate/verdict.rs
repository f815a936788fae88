//! Stage 7: what the proxy is told.
//!
//! In: the outcome of the stages before. Out: a [`Grant`] (go on, and with which cookies) or a [`Rejection`], which is a [`Denial`] (known
//! or not, but refused) or an [`Outage`] (cannot decide). Afterwards holds: whoever has a `Grant` has passed every check, because only
//! [`Gate::decide`](super::Gate::decide) can make one; and each outcome has exactly one [`Reason`], which is the log field, the metric
//! label, `X-Gate-Reason` and a row of the table in `docs/reasons.md`.

use super::reason::{Outage, Reason};
use super::user::ActiveUser;

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
    /// The method that vouched for the user: `external`, `native` or `session`.
    pub method: &'static str,
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
    pub(super) const fn untouched(reason: Reason) -> Self {
        Self {
            reason,
            login: None,
            cookies: Cookies {
                request: None,
                session: None,
                token_deletion: None,
            },
        }
    }

    /// The request goes on and logs nobody in: its credential was not acceptable, and a token is taken from it.
    pub(super) const fn without_login(reason: Reason, cookies: Cookies) -> Self {
        Self {
            reason,
            login: None,
            cookies,
        }
    }

    /// The request goes on as `user`.
    pub(super) fn logged_in(
        reason: Reason,
        user: &ActiveUser,
        method: &'static str,
        cookies: Cookies,
    ) -> Self {
        let login = Login {
            user_id: user.id(),
            email: user.email().to_owned(),
            method,
        };
        Self {
            reason,
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
    /// The request is refused.
    Denial(Denial),
    /// Somebody must be signed in, and nobody is: 401.
    SignInRequired(Denial),
    /// The gate cannot decide now.
    Outage(Outage),
}

impl Rejection {
    /// Why.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Denial(denial) | Self::SignInRequired(denial) => denial.reason,
            Self::Outage(outage) => outage.reason(),
        }
    }
}

/// The request is refused: 403, because its sender is known and may not come in.
///
/// The token's cookie is deleted with the refusal, or the browser would bring it with every further request and each would be refused.
#[derive(Debug)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// `Set-Cookie` that deletes the token's cookie, where the request came with one.
    pub token_deletion: Option<String>,
}

impl From<Outage> for Rejection {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}
