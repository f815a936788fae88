//! The reasons for decisions.
//!
//! Each outcome has its own reasons: a request passes ([`Granted`]), its credential proves nothing
//! ([`CredentialError`]), it is refused ([`Denied`]), it needs a signed-in user, or the gate can't
//! decide ([`Outage`]). A denial therefore cannot carry `session_opened`. [`Reason`] is the union
//! of them: the log field, the metric label, `X-Gate-Reason` and a row of the table in
//! `docs/reasons.md`.

use std::fmt;

/// Declares the reasons of one outcome: variant, code and one-sentence explanation.
macro_rules! reasons {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $doc:literal])+ $variant:ident = $code:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code in `X-Gate-Reason`, the log and the metric.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// One sentence for operators.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }

    };
}

/// Makes the reasons of an outcome reasons for a decision about a request.
macro_rules! outcomes {
    ($($name:ident),+) => {
        $(impl From<$name> for Reason {
            fn from(reason: $name) -> Self {
                Self::$name(reason)
            }
        })+
    };
}

reasons! {
    /// Why a request passes: 200.
    Granted {
        /// The request carries no credential that the gate handles. It passes unchanged.
        NoToken = "no_token",
        /// The path is open (`policy.open_paths`). The gate checks nothing.
        OpenPath = "open_path",
        /// The request exchanges a personal access token in its body for an access token. Label
        /// Studio verifies it.
        TokenRefresh = "token_refresh",
        /// A signed-in user is required, and the request's session is valid.
        SessionValid = "session_valid",
        /// The request carries a credential of Label Studio's own API. With
        /// `policy.anonymous = "require"`, the gate has verified it.
        ApiCredential = "api_credential",
        /// The gate accepted the credential and opened a session.
        SessionOpened = "session_opened",
        /// The gate accepted the credential. The user already had a valid session.
        SessionKept = "session_kept",
        /// The gate accepted the credential, ended another user's session and opened one for this
        /// user.
        UserSwitched = "user_switched",
        /// The host application is unreachable. The user keeps their existing session in Label
        /// Studio.
        SessionKeptUnasked = "session_kept_unasked",
    }
}

reasons! {
    /// Why a credential proves nothing. The request is treated as if it carried none.
    CredentialError {
        /// The token is not a JSON Web Token in compact form, or contains a duplicate name.
        TokenMalformed = "token_malformed",
        /// The token's header requires a feature that the gate doesn't support (`crit`, `b64`,
        /// encryption).
        TokenHeaderRefused = "token_header_refused",
        /// The token's algorithm is `none` or doesn't match the key.
        TokenAlgorithmRefused = "token_algorithm_refused",
        /// The token was signed with another key or modified after signing.
        TokenSignatureInvalid = "token_signature_invalid",
        /// The token names a key ID that its issuer doesn't have.
        TokenKeyUnknown = "token_key_unknown",
        /// The token has expired (`exp`).
        TokenExpired = "token_expired",
        /// The token is not valid yet: its `nbf` or `iat` is in the future.
        TokenNotYetValid = "token_not_yet_valid",
        /// The token's `iss` is not the expected issuer.
        TokenIssuerRefused = "token_issuer_refused",
        /// The token's `aud` doesn't include the gate.
        TokenAudienceRefused = "token_audience_refused",
        /// The token's lifetime exceeds the limit for its issuer.
        TokenLifetimeTooLong = "token_lifetime_too_long",
        /// A required claim, or a required field of the host application's answer, is missing.
        TokenClaimMissing = "token_claim_missing",
        /// A claim, or a field of the host application's answer, has the wrong type or format.
        TokenClaimInvalid = "token_claim_invalid",
        /// A required claim has none of the accepted values.
        TokenClaimRefused = "token_claim_refused",
        /// The issuer says that the email address is not verified.
        TokenEmailUnverified = "token_email_unverified",
        /// The token has already opened a session, and tokens are single-use
        /// (`token.use = "once"`).
        TokenUsed = "token_used",
        /// The token is revoked: it is on Label Studio's blacklist, or was issued before its user's
        /// sessions were revoked.
        TokenRevoked = "token_revoked",
        /// The organization doesn't accept API tokens of this kind.
        ApiTokensDisabled = "api_tokens_disabled",
        /// The request carries a token, but no token method is enabled.
        NoMethod = "no_method",
        /// The ID token was issued for another sign-in (`nonce`).
        TokenNonceRefused = "token_nonce_refused",
        /// The token is of another kind than the one that is needed here (`typ`, `events`).
        TokenTypeRefused = "token_type_refused",
        /// The ID token doesn't belong to the access token that came with it (`at_hash`).
        TokenHashRefused = "token_hash_refused",
        /// The user signed in at the provider too long ago, or in another way than the settings
        /// require (`auth_time`, `acr`).
        TokenAuthenticationRefused = "token_authentication_refused",
        /// The provider's answer belongs to no sign-in that this browser started in the last ten
        /// minutes.
        SignInUnknown = "sign_in_unknown",
        /// The provider says that the user declined, or may not use Label Studio.
        SignInDeclined = "sign_in_declined",
        /// The provider has to ask the user something, which it can't do in a frame.
        SignInInteraction = "sign_in_interaction",
        /// The provider says that it can't sign in anybody now.
        SignInUnavailable = "sign_in_unavailable",
        /// The provider refused the sign-in. The log has its words.
        SignInFailed = "sign_in_failed",
        /// The provider doesn't accept the code that the browser brought: it is too old, or it was
        /// used before.
        SignInCodeRefused = "sign_in_code_refused",
        /// The host application doesn't know the session, or says that its user is not signed in.
        ApplicationSessionUnknown = "client_session_unknown",
        /// The host application's API answers 403: it refuses the gate, whose
        /// `client_session.verify_secret` is wrong, or it says so of users who are not signed in.
        ApplicationSessionForbidden = "client_session_forbidden",
        /// A header of `proxy_headers` names a user, but `Gate-Proxy-Secret` is missing or wrong.
        ProxySecretWrong = "proxy_secret_wrong",
        /// The proxy in front names staff or a superuser, whom it may not sign in. They sign in to
        /// Label Studio with their password.
        ProxyNotForStaff = "proxy_not_for_staff",
    }
}

reasons! {
    /// Why a request is refused: 403, or 429 if there are too many.
    Denied {
        /// The credential is valid, but matches no user in Label Studio.
        UserUnknown = "user_unknown",
        /// The credential is valid, but its user is inactive in Label Studio.
        UserInactive = "user_inactive",
        /// The credential is valid, but its user was removed from the organization.
        UserRemoved = "user_removed",
        /// The credential is valid, but its user is staff or a superuser, and was identified by
        /// username or by an issuer that must not sign in such users.
        UserPrivileged = "user_privileged",
        /// The credential is valid and may create an account, but this database doesn't allow it.
        /// The log and `doctor` say why.
        UserNotCreated = "user_not_created",
        /// The credential is valid, but its user is in none of the groups that may sign in.
        GroupNotAllowed = "group_not_allowed",
        /// The credential is valid, but doesn't say in which groups its user is, and only some
        /// groups may sign in.
        GroupsMissing = "groups_missing",
        /// The credential is valid, but its user is in more groups than a token of the issuer holds
        /// (Entra ID), and only some groups may sign in.
        GroupsTooMany = "groups_too_many",
        /// The credential is valid, and its user is no longer staff by its groups, but this database
        /// doesn't allow the gate to change that. The log and `doctor` say why.
        StaffNotRemoved = "staff_not_removed",
        /// A header in which a proxy in front asserts an identity (`token.header`, `proxy_headers`)
        /// occurs more than once.
        IdentityAmbiguous = "identity_ambiguous",
        /// A page of another origin made the browser send a request that changes data, or one with a token
        /// in its URL that is no link.
        CrossSiteRequest = "cross_site_request",
        /// The request could change a username in Label Studio, and users are found by theirs
        /// (`username_claim`).
        UsernameProtected = "username_protected",
        /// The proxy didn't describe the original request, or described it in a form that the gate
        /// can't parse.
        RequestMalformed = "request_malformed",
        /// The request's cookies are longer than 20 kB. The answer repeats them for Label Studio, and would
        /// not fit into the proxy's buffer.
        CookiesTooLong = "cookies_too_long",
        /// More sign-ins at OpenID providers came from this network within a minute than
        /// `sign_in.starts_per_minute` allows. `Retry-After` says how long to wait.
        TooManySignIns = "too_many_sign_ins",
    }
}

reasons! {
    /// The gate can't decide: 503. The proxy lets nothing through.
    Outage {
        /// Postgres is unreachable or too slow.
        DatabaseUnavailable = "database_unavailable",
        /// The issuer's key server is unreachable, and none of its known keys signed the token.
        KeyServerUnavailable = "key_server_unavailable",
        /// The OpenID provider is unreachable or too slow, or its answer is unusable.
        ProviderUnavailable = "provider_unavailable",
        /// The OpenID provider doesn't accept the gate as its client. The log says why.
        ProviderRefusesClient = "provider_refuses_client",
        /// The host application's API is unreachable, too slow, or returned an unexpected answer.
        ApplicationApiUnavailable = "client_api_unavailable",
        /// Too many requests are already waiting.
        Overloaded = "overloaded",
    }
}

outcomes!(Granted, CredentialError, Denied, Outage);

reasons! {
    /// Why a call to the token route or to the revocation route is declined, if not for a reason in
    /// [`Denied`] or [`Outage`].
    Declined {
        /// The call carries no API token.
        NoApiToken = "no_api_token",
        /// The API token is unknown, expired or revoked, or its owner is inactive.
        ApiTokenInvalid = "api_token_invalid",
        /// The API token is a legacy token, which the organization doesn't accept.
        LegacyTokensDisabled = "legacy_tokens_disabled",
        /// The API token is a personal access token, which the organization doesn't accept.
        JwtTokensDisabled = "jwt_tokens_disabled",
        /// The API token's owner is not an administrator.
        NotAdmin = "not_admin",
        /// The user is a superuser, and the API token's owner is not.
        NotSuperuser = "not_superuser",
        /// The administrator requested too many tokens, or too many wrong API tokens came from this
        /// network.
        TooManyRequests = "too_many_requests",
        /// The body is not JSON with an email address.
        BodyInvalid = "body_invalid",
        /// The user's sessions are signed cookies, and the user has a password, so only changing
        /// it ends them.
        UserHasPassword = "user_has_password",
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explanation().trim_end_matches('.'))
    }
}

impl std::error::Error for Outage {}

/// The reason for a decision, of any outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request passes.
    Granted(Granted),
    /// Its credential proves nothing.
    CredentialError(CredentialError),
    /// The request needs a signed-in user, and carries neither a credential nor a valid session.
    SignInRequired,
    /// The request is refused.
    Denied(Denied),
    /// The gate can't decide.
    Outage(Outage),
}

impl Reason {
    /// The number of reasons.
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

    /// Its position in [`all`](Self::all), from 0.
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

    /// The code in `X-Gate-Reason`, the log and the metric.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Granted(reason) => reason.code(),
            Self::CredentialError(reason) => reason.code(),
            Self::SignInRequired => "sign_in_required",
            Self::Denied(reason) => reason.code(),
            Self::Outage(reason) => reason.code(),
        }
    }

    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::all().find(|reason| reason.code() == code)
    }

    /// One sentence for operators.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Granted(reason) => reason.explanation(),
            Self::CredentialError(reason) => reason.explanation(),
            Self::SignInRequired => {
                "A signed-in user is required, and the request carries neither a credential nor a valid session."
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

    /// `docs/reasons.md` is generated from the codes. `UPDATE_DOCS=1` writes it.
    #[test]
    fn reasons_table_is_up_to_date() {
        let mut table = String::from(concat!(
            "# Reasons\n\n",
            "Every auth response carries one of these codes in `X-Gate-Reason`. It is also the field `reason` of the log line and the label `reason` of the ",
            "metric `label_studio_gate_checks_total`. The status applies to `policy.anonymous = \"pass\"`; with `\"require\"`, a refused credential without a valid session is 401.\n\n",
            "| reason | status | meaning |\n|---|---|---|\n",
        ));
        for reason in Reason::all() {
            let status = match reason {
                Reason::Granted(_) | Reason::CredentialError(_) => 200,
                Reason::SignInRequired => 401,
                Reason::Denied(Denied::TooManySignIns) => 429,
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

    /// The table in `docs/log.md` is generated from the codes. `UPDATE_DOCS=1` writes it.
    #[test]
    fn reasons_of_declined_calls_are_documented() {
        let mut table = String::from("| reason | meaning |\n|---|---|\n");
        for declined in Declined::ALL {
            let (code, meaning) = (declined.code(), declined.explanation());
            let _ = writeln!(table, "| `{code}` | {meaning} |");
        }
        crate::documents::compare_part("docs/log.md", "declined calls", &table);
    }

    #[test]
    fn codes_are_distinct_and_map_back_to_their_reason() {
        for (n, reason) in Reason::all().enumerate() {
            assert_eq!(reason.index(), n);
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
        }
        assert_eq!(Reason::all().count(), Reason::COUNT);
        for declined in Declined::ALL {
            assert_eq!(Reason::from_code(declined.code()), None, "{declined:?}");
        }
    }
}
