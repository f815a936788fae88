//! The pages that users see, and which reason leads to which.

use actix_web::http::StatusCode;

use crate::gate::reason::{CredentialError, Denied, Outage, Reason};

/// Declares the pages and the list of all.
macro_rules! pages {
    ($($(#[doc = $doc:literal])+ $page:ident,)+) => {
        /// A page: what happened, and what the user can do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Page {
            $($(#[doc = $doc])+ $page,)+
        }

        impl Page {
            /// Every page.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$page,)+];
        }
    };
}

pages! {
    /// The token has expired.
    LinkExpired,
    /// The token was for one use.
    LinkUsed,
    /// The token was withdrawn.
    LinkRevoked,
    /// The clocks of the issuer and the gate differ.
    LinkTooEarly,
    /// There is no complete token.
    LinkIncomplete,
    /// The token can't be verified, or doesn't contain what it must.
    LinkUnverified,
    /// The issuer hasn't verified the user's email address.
    EmailUnconfirmed,
    /// The user has none of the required roles or groups.
    RoleMissing,
    /// None of the user's groups may sign in.
    GroupMissing,
    /// The organization doesn't accept API tokens of this kind.
    ApiTokensDisabled,
    /// The gate accepts no tokens.
    NoMethod,
    /// The user must sign in.
    SignInRequired,
    /// The user has no account.
    UserUnknown,
    /// The user's account is inactive.
    UserInactive,
    /// The user was removed from the organization.
    UserRemoved,
    /// The user is an administrator, and this issuer must not sign in administrators.
    UserPrivileged,
    /// The user is an administrator, whom the proxy in front may not sign in.
    AdministratorForm,
    /// The user's account could not be created.
    UserNotCreated,
    /// The user is no longer staff, and the account could not be changed.
    UserNotUpdated,
    /// Another site made the browser send the request.
    Blocked,
    /// The request could change a username, and users are found by theirs.
    UsernameProtected,
    /// The request can't be parsed.
    NotUnderstood,
    /// The request names more than one user.
    IdentityUnclear,
    /// The browser sent too many cookies.
    CookiesTooLong,
    /// The request may come from another site, so the user must confirm the sign-out.
    ConfirmSignOut,
    /// The session has ended.
    SignedOut,
    /// The answer of a provider belongs to no sign-in that this browser has started.
    SignInUnknown,
    /// The provider says that the user declined, or may not use Label Studio.
    SignInDeclined,
    /// The provider has to ask the user something first.
    SignInInteraction,
    /// The same in a frame, where a provider can't ask: a window opens for that.
    SignInInWindow,
    /// In that window: the user is signed in.
    SignedIn,
    /// The user has to enter their credentials at the provider again, or in another way.
    SignInTooWeak,
    /// What the provider says about the user can't be verified.
    SignInUnverified,
    /// The provider, or its answer, ended the sign-in.
    SignInFailed,
    /// The provider can't sign in anybody now.
    SignInTryAgain,
    /// The user signs in repeatedly, and comes back without a session each time.
    SignInLoops,
    /// Too many sign-ins came from the user's network.
    TooManySignIns,
    /// The user chooses where to sign in.
    ChooseProvider,
    /// The provider doesn't answer.
    ProviderUnavailable,
    /// The provider doesn't know the gate.
    ProviderRefuses,
    /// The database or a key server is unreachable.
    Unavailable,
    /// The host application doesn't answer.
    ApplicationUnavailable,
    /// Too many requests are waiting.
    Overloaded,
}

/// What an embedding page is told (`docs/embedding.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    /// The token was not accepted. A fresh one may be.
    LinkExpired,
    /// The request carried no token and no valid session.
    SignInRequired,
    /// The user has signed out.
    SignedOut,
    /// The user has no access. A fresh token changes nothing.
    AccessDenied,
    /// The request is refused for every user.
    RequestRefused,
    /// The gate can't decide now, or too many sign-ins came from the user's network.
    Unavailable,
}

impl Message {
    /// Its `type`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::LinkExpired => "link_expired",
            Self::SignInRequired => "sign_in_required",
            Self::SignedOut => "signed_out",
            Self::AccessDenied => "access_denied",
            Self::RequestRefused => "request_refused",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Page {
    /// The page for a reason that a request does not pass.
    pub(super) const fn of(reason: Reason) -> Self {
        match reason {
            Reason::CredentialError(error) => Self::of_credential(error),
            Reason::Granted(_) | Reason::SignInRequired => Self::SignInRequired,
            Reason::Denied(denied) => Self::of_denial(denied),
            Reason::Outage(outage) => Self::of_outage(outage),
        }
    }

    const fn of_credential(error: CredentialError) -> Self {
        match error {
            CredentialError::TokenExpired => Self::LinkExpired,
            CredentialError::TokenUsed => Self::LinkUsed,
            CredentialError::TokenRevoked => Self::LinkRevoked,
            CredentialError::TokenNotYetValid => Self::LinkTooEarly,
            CredentialError::TokenMalformed => Self::LinkIncomplete,
            CredentialError::TokenHeaderRefused
            | CredentialError::TokenAlgorithmRefused
            | CredentialError::TokenSignatureInvalid
            | CredentialError::TokenKeyUnknown
            | CredentialError::TokenIssuerRefused
            | CredentialError::TokenAudienceRefused
            | CredentialError::TokenLifetimeTooLong
            | CredentialError::TokenClaimMissing
            | CredentialError::TokenClaimInvalid
            | CredentialError::ProxySecretWrong => Self::LinkUnverified,
            CredentialError::TokenClaimRefused => Self::RoleMissing,
            CredentialError::TokenEmailUnverified => Self::EmailUnconfirmed,
            CredentialError::ApiTokensDisabled => Self::ApiTokensDisabled,
            CredentialError::NoMethod => Self::NoMethod,
            CredentialError::ApplicationSessionUnknown
            | CredentialError::ApplicationSessionForbidden => Self::SignInRequired,
            CredentialError::ProxyNotForStaff => Self::AdministratorForm,
            CredentialError::SignInUnknown | CredentialError::SignInCodeRefused => {
                Self::SignInUnknown
            }
            CredentialError::SignInDeclined => Self::SignInDeclined,
            CredentialError::SignInInteraction => Self::SignInInteraction,
            CredentialError::TokenAuthenticationRefused => Self::SignInTooWeak,
            CredentialError::TokenNonceRefused
            | CredentialError::TokenTypeRefused
            | CredentialError::TokenHashRefused => Self::SignInUnverified,
            CredentialError::SignInFailed => Self::SignInFailed,
            CredentialError::SignInUnavailable => Self::SignInTryAgain,
        }
    }

    /// The page for a sign-in at a provider that ended like this. Reasons about a token refer to
    /// the provider's, which the user has never seen.
    pub(super) const fn of_sign_in(reason: Reason) -> Self {
        match Self::of(reason) {
            Self::LinkExpired
            | Self::LinkUsed
            | Self::LinkRevoked
            | Self::LinkTooEarly
            | Self::LinkIncomplete
            | Self::LinkUnverified
            | Self::NoMethod => Self::SignInUnverified,
            page => page,
        }
    }

    const fn of_denial(denied: Denied) -> Self {
        match denied {
            Denied::UserUnknown => Self::UserUnknown,
            Denied::UserInactive => Self::UserInactive,
            Denied::UserRemoved => Self::UserRemoved,
            Denied::UserPrivileged => Self::UserPrivileged,
            Denied::StaffNotRemoved => Self::UserNotUpdated,
            Denied::GroupNotAllowed | Denied::GroupsMissing | Denied::GroupsTooMany => {
                Self::GroupMissing
            }
            Denied::UserNotCreated => Self::UserNotCreated,
            Denied::CrossSiteRequest => Self::Blocked,
            Denied::UsernameProtected => Self::UsernameProtected,
            Denied::RequestMalformed => Self::NotUnderstood,
            Denied::IdentityAmbiguous => Self::IdentityUnclear,
            Denied::CookiesTooLong => Self::CookiesTooLong,
            Denied::TooManySignIns => Self::TooManySignIns,
        }
    }

    const fn of_outage(outage: Outage) -> Self {
        match outage {
            Outage::DatabaseUnavailable | Outage::KeyServerUnavailable => Self::Unavailable,
            Outage::ApplicationApiUnavailable => Self::ApplicationUnavailable,
            Outage::Overloaded => Self::Overloaded,
            Outage::ProviderUnavailable => Self::ProviderUnavailable,
            Outage::ProviderRefusesClient => Self::ProviderRefuses,
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::LinkExpired
            | Self::LinkUsed
            | Self::LinkRevoked
            | Self::LinkTooEarly
            | Self::LinkIncomplete
            | Self::LinkUnverified
            | Self::EmailUnconfirmed
            | Self::RoleMissing
            | Self::ApiTokensDisabled
            | Self::NoMethod
            | Self::SignInRequired
            | Self::AdministratorForm
            | Self::SignInUnknown
            | Self::SignInDeclined
            | Self::SignInInteraction
            | Self::SignInInWindow
            | Self::SignInTooWeak
            | Self::SignInUnverified
            | Self::SignInFailed
            | Self::SignInTryAgain
            | Self::SignInLoops => StatusCode::UNAUTHORIZED,
            Self::UserUnknown
            | Self::UserInactive
            | Self::UserRemoved
            | Self::UserPrivileged
            | Self::UserNotCreated
            | Self::UserNotUpdated
            | Self::GroupMissing
            | Self::Blocked
            | Self::UsernameProtected
            | Self::NotUnderstood
            | Self::IdentityUnclear
            | Self::CookiesTooLong => StatusCode::FORBIDDEN,
            Self::ConfirmSignOut | Self::SignedOut | Self::SignedIn | Self::ChooseProvider => {
                StatusCode::OK
            }
            Self::TooManySignIns => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable
            | Self::ApplicationUnavailable
            | Self::ProviderUnavailable
            | Self::ProviderRefuses
            | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What an embedding page is told; `None`: nothing, because the user has to answer first.
    pub(super) const fn message(self) -> Option<Message> {
        match self {
            Self::LinkExpired
            | Self::LinkUsed
            | Self::LinkRevoked
            | Self::LinkTooEarly
            | Self::LinkIncomplete
            | Self::LinkUnverified => Some(Message::LinkExpired),
            Self::SignInRequired | Self::SignInInteraction | Self::SignInInWindow => {
                Some(Message::SignInRequired)
            }
            Self::SignInDeclined
            | Self::SignInUnknown
            | Self::SignInTooWeak
            | Self::SignInUnverified
            | Self::SignInFailed
            | Self::SignInTryAgain
            | Self::SignInLoops
            | Self::EmailUnconfirmed
            | Self::RoleMissing
            | Self::GroupMissing
            | Self::ApiTokensDisabled
            | Self::NoMethod
            | Self::UserUnknown
            | Self::UserInactive
            | Self::UserRemoved
            | Self::UserPrivileged
            | Self::AdministratorForm
            | Self::UserNotCreated
            | Self::UserNotUpdated => Some(Message::AccessDenied),
            Self::Blocked
            | Self::UsernameProtected
            | Self::NotUnderstood
            | Self::IdentityUnclear
            | Self::CookiesTooLong => Some(Message::RequestRefused),
            Self::SignedOut => Some(Message::SignedOut),
            Self::TooManySignIns
            | Self::Unavailable
            | Self::ApplicationUnavailable
            | Self::ProviderUnavailable
            | Self::ProviderRefuses
            | Self::Overloaded => Some(Message::Unavailable),
            Self::ConfirmSignOut | Self::ChooseProvider | Self::SignedIn => None,
        }
    }

    /// Whether a user who is not signed in is sent to the sign-in page without being asked. If a
    /// fresh token changes nothing, that would be a loop.
    pub(super) const fn leads_to_sign_in(self) -> bool {
        matches!(
            self.message(),
            Some(Message::LinkExpired | Message::SignInRequired)
        ) && !matches!(self, Self::SignInInteraction | Self::SignInInWindow)
    }

    /// Whether signing in again may help, so that the page links to the sign-in page.
    pub(super) const fn offers_sign_in(self) -> bool {
        self.leads_to_sign_in()
            || matches!(
                self,
                Self::EmailUnconfirmed
                    | Self::RoleMissing
                    | Self::GroupMissing
                    | Self::SignedOut
                    | Self::SignInUnknown
                    | Self::SignInDeclined
                    | Self::SignInInteraction
                    | Self::SignInTooWeak
                    | Self::SignInUnverified
                    | Self::SignInFailed
                    | Self::SignInTryAgain
                    | Self::SignInLoops
            )
    }

    /// Whether the same request may succeed in a moment.
    pub(super) const fn offers_retry(self) -> bool {
        matches!(self.message(), Some(Message::Unavailable))
    }

    /// Whether the page is about a problem, which an administrator may have to look into.
    pub(super) const fn is_problem(self) -> bool {
        !matches!(
            self,
            Self::ConfirmSignOut | Self::SignedOut | Self::SignedIn | Self::ChooseProvider
        )
    }
}
