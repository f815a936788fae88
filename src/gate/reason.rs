//! Why a decision fell as it did.
//!
//! Each outcome has reasons of its own: a request goes on ([`Granted`]), its credential proves nothing ([`CredentialError`]), it is
//! refused ([`Denied`]), somebody must sign in, or nobody can tell ([`Outage`]). A denial therefore cannot carry `session_opened`.
//! [`Reason`] is the union: the log field, the metric label, `X-Gate-Reason` and a row of the table in `docs/reasons.md`.

use std::fmt;

/// Declares the reasons of one outcome: variant, code and the sentence that explains it.
macro_rules! reasons {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code in `X-Gate-Reason`, in the log and in the metric.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// One sentence for operators.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }

        impl From<$name> for Reason {
            fn from(reason: $name) -> Self {
                Self::$name(reason)
            }
        }
    };
}

reasons! {
    /// Why a request goes on: 200.
    Granted {
        /// The request carries no credential of ours; it goes on as it came.
        NoToken = "no_token",
        /// The path is open: nothing is asked about it.
        OpenPath = "open_path",
        /// The request exchanges a personal access token, which is in its body, for an access token; Label Studio verifies it.
        TokenRefresh = "token_refresh",
        /// Somebody must be signed in, and the session that the request carries is alive.
        SessionValid = "session_valid",
        /// The request carries a credential of Label Studio's own API. With `policy.anonymous = "require"` the gate has verified it.
        ApiCredential = "api_credential",
        /// The credential was accepted and a session was opened.
        SessionOpened = "session_opened",
        /// The credential was accepted and the user's session was already there.
        SessionKept = "session_kept",
        /// The credential was accepted; the session of another user was ended and one opened for this user.
        UserSwitched = "user_switched",
        /// The host application is out of reach; the session that the user already has in Label Studio goes on.
        SessionKeptUnasked = "session_kept_unasked",
    }
}

reasons! {
    /// Why a credential proves nothing. The request is treated as if it had not carried it.
    CredentialError {
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
        /// A claim that must be there, or a field of the host application's answer, is missing.
        TokenClaimMissing = "token_claim_missing",
        /// A claim, or a field of the host application's answer, has a value of the wrong type or form.
        TokenClaimInvalid = "token_claim_invalid",
        /// A claim that is required has none of the accepted values.
        TokenClaimRefused = "token_claim_refused",
        /// The issuer says that it has not verified the e-mail address.
        TokenEmailUnverified = "token_email_unverified",
        /// The token has opened a session already, and tokens are good for one (`token.use = "once"`).
        TokenUsed = "token_used",
        /// The token was revoked: it is on Label Studio's blacklist, or was issued before its user's sessions were revoked.
        TokenRevoked = "token_revoked",
        /// The organization does not accept API tokens of this kind.
        ApiTokensDisabled = "api_tokens_disabled",
        /// The request carries a token, and no method that takes tokens is switched on.
        NoMethod = "no_method",
        /// The host application knows no session of that name, or says that nobody is signed in to it.
        ClientSessionUnknown = "client_session_unknown",
    }
}

reasons! {
    /// Why a request is refused: 403.
    Denied {
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
    }
}

reasons! {
    /// The gate cannot decide: 503, and the proxy lets nothing through.
    Outage {
        /// Postgres is out of reach or did not answer in time.
        DatabaseUnavailable = "database_unavailable",
        /// The key server of an issuer is out of reach, and none of its keys that are known has signed the token.
        KeyServerUnavailable = "key_server_unavailable",
        /// The host application's API is out of reach, too slow, or answers with something else than agreed.
        ClientApiUnavailable = "client_api_unavailable",
        /// Too many requests are waiting already.
        Overloaded = "overloaded",
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explanation().trim_end_matches('.'))
    }
}

impl std::error::Error for Outage {}

/// Why a decision fell as it did, whatever its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request goes on.
    Granted(Granted),
    /// Its credential proves nothing.
    CredentialError(CredentialError),
    /// Somebody must be signed in, and the request carries neither a credential nor a living session.
    SignInRequired,
    /// It is refused.
    Denied(Denied),
    /// Nobody can tell.
    Outage(Outage),
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize =
        Granted::ALL.len() + CredentialError::ALL.len() + 1 + Denied::ALL.len() + Outage::ALL.len();

    /// Every reason, in the order of the documentation and of [`index`](Self::index).
    pub fn all() -> impl Iterator<Item = Self> {
        let granted = Granted::ALL.iter().copied().map(Self::from);
        let credentials = CredentialError::ALL.iter().copied().map(Self::from);
        let denied = Denied::ALL.iter().copied().map(Self::from);
        let outages = Outage::ALL.iter().copied().map(Self::from);
        granted
            .chain(credentials)
            .chain([Self::SignInRequired])
            .chain(denied)
            .chain(outages)
    }

    /// Its place among all, from 0.
    pub const fn index(self) -> usize {
        const CREDENTIALS: usize = Granted::ALL.len();
        const SIGN_IN: usize = CREDENTIALS + CredentialError::ALL.len();
        match self {
            Self::Granted(reason) => reason as usize,
            Self::CredentialError(reason) => CREDENTIALS + reason as usize,
            Self::SignInRequired => SIGN_IN,
            Self::Denied(reason) => SIGN_IN + 1 + reason as usize,
            Self::Outage(reason) => SIGN_IN + 1 + Denied::ALL.len() + reason as usize,
        }
    }

    /// The code in `X-Gate-Reason`, in the log and in the metric.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Granted(reason) => reason.code(),
            Self::CredentialError(reason) => reason.code(),
            Self::SignInRequired => "sign_in_required",
            Self::Denied(reason) => reason.code(),
            Self::Outage(reason) => reason.code(),
        }
    }

    /// The reason with that code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|reason| reason.code() == code)
    }

    /// One sentence for operators.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Granted(reason) => reason.explanation(),
            Self::CredentialError(reason) => reason.explanation(),
            Self::SignInRequired => {
                "Somebody must be signed in, and the request carries neither a credential nor a living session."
            }
            Self::Denied(reason) => reason.explanation(),
            Self::Outage(reason) => reason.explanation(),
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
        for reason in Reason::all() {
            let status = match reason {
                Reason::Granted(_) | Reason::CredentialError(_) => 200,
                Reason::SignInRequired => 401,
                Reason::Denied(_) => 403,
                Reason::Outage(_) => 503,
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
    fn codes_are_distinct_and_lead_back() {
        for (n, reason) in Reason::all().enumerate() {
            assert_eq!(reason.index(), n);
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Reason::all().count(), Reason::COUNT);
    }
}
