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
    /// The request carries no credential of ours; it goes on as it came.
    NoToken = "no_token",
    /// The path is open: nothing is asked about it.
    OpenPath = "open_path",
    /// Somebody must be signed in, and the session that the request carries is alive.
    SessionValid = "session_valid",
    /// Somebody must be signed in, and the request carries neither a credential nor a living session.
    SignInRequired = "sign_in_required",
    /// The request carries a credential of Label Studio's own API, which Label Studio judges itself.
    ApiCredential = "api_credential",
    /// The credential was accepted and a session was opened.
    SessionOpened = "session_opened",
    /// The credential was accepted and the user's session was already there.
    SessionKept = "session_kept",
    /// The credential was accepted; the session of another user was ended and one opened for this user.
    UserSwitched = "user_switched",
    /// The token is not a JSON Web Token in compact form, or holds a name twice.
    TokenMalformed = "token_malformed",
    /// The token's header asks for something that the gate does not do (`crit`, `b64`, encryption).
    TokenHeaderRefused = "token_header_refused",
    /// The token names another algorithm than the one that belongs to the key, or none.
    TokenAlgorithmRefused = "token_algorithm_refused",
    /// The token is signed with another key, or was changed after it was signed.
    TokenSignatureInvalid = "token_signature_invalid",
    /// The token names a key that its issuer does not have.
    TokenKeyUnknown = "token_key_unknown",
    /// The token's `exp` has passed.
    TokenExpired = "token_expired",
    /// The token's `nbf` or `iat` lies in the future.
    TokenNotYetValid = "token_not_yet_valid",
    /// The token's `iss` is not the expected issuer.
    TokenIssuerRefused = "token_issuer_refused",
    /// The token's `aud` does not name the gate.
    TokenAudienceRefused = "token_audience_refused",
    /// The token is good for longer than tokens of its issuer may be.
    TokenLifetimeTooLong = "token_lifetime_too_long",
    /// A claim that must be there, or a field of the client API's answer, is missing.
    TokenClaimMissing = "token_claim_missing",
    /// A claim, or a field of the client API's answer, has a value of the wrong type or form.
    TokenClaimInvalid = "token_claim_invalid",
    /// A claim that is required has none of the accepted values.
    TokenClaimRefused = "token_claim_refused",
    /// The issuer says that it has not verified the e-mail address.
    TokenEmailUnverified = "token_email_unverified",
    /// The token has opened a session already, and tokens are good for one (`token.use = "once"`).
    TokenUsed = "token_used",
    /// The API token of Label Studio was revoked.
    TokenRevoked = "token_revoked",
    /// The organization does not accept API tokens of this kind.
    ApiTokensDisabled = "api_tokens_disabled",
    /// The request carries a token, and no method that takes tokens is switched on.
    NoMethod = "no_method",
    /// The client's application knows no session of that name, or says that nobody is signed in to it.
    ClientSessionUnknown = "client_session_unknown",
    /// The client's application is out of reach; the session that the user already has in Label Studio goes on.
    SessionKeptUnasked = "session_kept_unasked",
    /// The credential is valid, but no user of Label Studio answers to it.
    UserUnknown = "user_unknown",
    /// The credential is valid, but its user is not active in Label Studio.
    UserInactive = "user_inactive",
    /// The credential is valid, but its user was removed from the organization.
    UserRemoved = "user_removed",
    /// The credential is valid, but its user is staff or a superuser, and was named by a username or by an issuer that may not let such users in.
    UserPrivileged = "user_privileged",
    /// The credential is valid and an account may be created, but cannot be with this database; the log and `doctor` say why.
    UserNotCreated = "user_not_created",
    /// A page of another origin made the browser send a request that changes something.
    CrossSiteRequest = "cross_site_request",
    /// The proxy did not say what the original request was, or said it in a form that cannot be read.
    RequestMalformed = "request_malformed",
    /// Postgres is out of reach or did not answer in time.
    DatabaseUnavailable = "database_unavailable",
    /// The key server of an issuer is out of reach, and none of its keys that are known has signed the token.
    KeyServerUnavailable = "key_server_unavailable",
    /// The API of the client's application is out of reach, too slow, or answers with something else than agreed.
    ClientApiUnavailable = "client_api_unavailable",
    /// Too many requests are waiting already.
    Overloaded = "overloaded",
}

/// The gate cannot decide: 503, and the proxy lets nothing through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    /// Postgres is out of reach or did not answer in time.
    #[error("the database is out of reach")]
    Database,
    /// The key server of an issuer is out of reach.
    #[error("the issuer's key server is out of reach")]
    KeyServer,
    /// The API of the client's application is out of reach, or answers with something else than agreed.
    #[error("the client's API gives no answer")]
    ClientApi,
    /// Too many requests are waiting already.
    #[error("too many requests are waiting")]
    Overloaded,
}

impl Outage {
    /// The code for it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Database => Reason::DatabaseUnavailable,
            Self::KeyServer => Reason::KeyServerUnavailable,
            Self::ClientApi => Reason::ClientApiUnavailable,
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
            "metric `label_studio_gate_checks_total`. The status is that of `policy.anonymous = \"pass\"`; with `\"require\"` a refused credential without a living session is 401.\n\n",
            "| reason | status | what it means |\n|---|---|---|\n",
        ));
        for reason in Reason::ALL {
            let status = match reason {
                Reason::SignInRequired => 401,
                Reason::UserUnknown
                | Reason::UserInactive
                | Reason::UserRemoved
                | Reason::UserPrivileged
                | Reason::UserNotCreated
                | Reason::CrossSiteRequest
                | Reason::RequestMalformed => 403,
                Reason::DatabaseUnavailable
                | Reason::KeyServerUnavailable
                | Reason::ClientApiUnavailable
                | Reason::Overloaded => 503,
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
