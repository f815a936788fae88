//! Stage 7: what the proxy is told.
//!
//! In: the outcome of the stages before. Out: a [`Grant`] (go on, and with which cookies) or a [`Rejection`], which is a [`Denial`] (known
//! or not, but refused) or an [`Outage`] (cannot decide). Afterwards holds: whoever has a `Grant` has passed every check, because only
//! [`Gate::decide`](super::Gate::decide) can make one; and each outcome has exactly one [`Reason`], which is the log field, the metric
//! label, `X-Gate-Reason` and a row of the table in `docs/reasons.md`.

use super::user::ActiveUser;

/// Declares [`Reason`] once: variant, code and the sentence that explains it.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+) => {
        /// Why a decision fell as it did.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code in `X-Gate-Reason`, in the log and in the metric.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// One sentence for people.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The request carries no token of ours; it goes on as it came.
    NoToken = "no_token",
    /// The request carries a credential of Label Studio's own API, which Label Studio judges itself.
    ApiCredential = "api_credential",
    /// The token was accepted and a session was opened.
    SessionOpened = "session_opened",
    /// The token was accepted and the user's session was already there.
    SessionKept = "session_kept",
    /// The token was accepted; the session of another user was ended and one opened for this user.
    UserSwitched = "user_switched",
    /// The token is not a JSON Web Token in compact form, or holds a name twice.
    TokenMalformed = "token_malformed",
    /// The token's header asks for something that the gate does not do (`crit`, `b64`, encryption).
    TokenHeaderRefused = "token_header_refused",
    /// The token names another algorithm than the one that belongs to the key, or none.
    TokenAlgorithmRefused = "token_algorithm_refused",
    /// The token is signed with another key, or was changed after it was signed.
    TokenSignatureInvalid = "token_signature_invalid",
    /// The token's `exp` has passed.
    TokenExpired = "token_expired",
    /// The token's `nbf` or `iat` lies in the future.
    TokenNotYetValid = "token_not_yet_valid",
    /// The token's `iss` is not the expected issuer.
    TokenIssuerRefused = "token_issuer_refused",
    /// The token's `aud` does not name the gate.
    TokenAudienceRefused = "token_audience_refused",
    /// A claim that must be there is missing.
    TokenClaimMissing = "token_claim_missing",
    /// A claim is there with a value of the wrong type or form.
    TokenClaimInvalid = "token_claim_invalid",
    /// The token is valid, but no user of Label Studio answers to it.
    UserUnknown = "user_unknown",
    /// The token is valid, but its user is not active in Label Studio.
    UserInactive = "user_inactive",
    /// The token is valid, but its user was removed from the organization.
    UserRemoved = "user_removed",
    /// The proxy did not say what the original request was, or said it in a form that cannot be read.
    RequestMalformed = "request_malformed",
    /// Postgres is out of reach or did not answer in time.
    DatabaseUnavailable = "database_unavailable",
    /// Too many requests are waiting already.
    Overloaded = "overloaded",
}

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

    /// The request goes on without its token, which was not acceptable.
    pub(super) const fn without_token(reason: Reason, cookies: Cookies) -> Self {
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
    /// The gate cannot decide now.
    Outage(Outage),
}

impl Rejection {
    /// Why.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::Denial(denial) => denial.reason,
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

/// The gate cannot decide: 503, and the proxy lets nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// Postgres is out of reach or did not answer in time.
    #[error("the database is out of reach")]
    Database,
    /// Too many requests are waiting already.
    #[error("too many requests are waiting")]
    Overloaded,
}

impl Outage {
    /// The code for it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Database => Reason::DatabaseUnavailable,
            Self::Overloaded => Reason::Overloaded,
        }
    }
}

impl From<Outage> for Rejection {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// `docs/reasons.md` is made of the codes. `UPDATE_DOCS=1` writes it.
    #[test]
    fn the_table_of_reasons_is_up_to_date() {
        let mut table = String::from(concat!(
            "# Reasons\n\n",
            "Each answer of the check carries one of these codes in `X-Gate-Reason`. It is the field `reason` of the log line and the label `reason` of the ",
            "metric `label_studio_gate_checks_total`.\n\n",
            "| reason | status | what it means |\n|---|---|---|\n",
        ));
        for reason in Reason::ALL {
            let status = match reason {
                Reason::UserUnknown
                | Reason::UserInactive
                | Reason::UserRemoved
                | Reason::RequestMalformed => 403,
                Reason::DatabaseUnavailable | Reason::Overloaded => 503,
                _ => 200,
            };
            let _ = writeln!(
                table,
                "| `{}` | {status} | {} |",
                reason.code(),
                reason.explanation()
            );
        }
        crate::documents::compare("docs/reasons.md", &table);
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
    }
}
