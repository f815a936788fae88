//! Why a decision fell as it did.
//!
//! One enum is the log field, the metric label, `X-Gate-Reason` and a row of the table in `docs/reasons.md`, so that the four cannot differ.

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
