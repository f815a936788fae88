//! English.

use super::{Labels, Text};
use crate::http::sso::page::Page;

pub(super) const LABELS: Labels = Labels {
    sign_in: "Sign in",
    sign_in_again: "Sign in again",
    another_account: "Use another account",
    try_again: "Try again",
    sign_out: "Sign out",
    support: "Contact support",
    request: "Request",
    reason: "Reason",
};

pub(super) const fn text(page: Page) -> Text {
    match page {
        Page::LinkExpired => Text::new(
            "This link has expired",
            "Go back to the application you came from and open Label Studio from there again.",
        ),
        Page::LinkUsed => Text::new(
            "This link has already been used",
            "Each link works once. Go back to the application you came from and open Label Studio from there again.",
        ),
        Page::LinkRevoked => Text::new(
            "This link is no longer valid",
            "It has been revoked. Go back to the application you came from and open Label Studio from there again.",
        ),
        Page::LinkTooEarly => Text::new(
            "This link is not valid yet",
            "Wait a minute, then open Label Studio from your application again. If this keeps happening, tell your administrator that the servers' clocks differ.",
        ),
        Page::LinkIncomplete => Text::new(
            "This link is incomplete",
            "If you copied it, copy all of it. Otherwise go back to the application you came from and open Label Studio from there again.",
        ),
        Page::LinkUnverified => Text::new(
            "This link could not be verified",
            "Go back to the application you came from and open Label Studio from there again. If this keeps happening, give your administrator the request number below.",
        ),
        Page::EmailUnconfirmed => Text::new(
            "Your email address is not confirmed",
            "Look for a confirmation email from your sign-in service and follow the link in it. Then open Label Studio again.",
        ),
        Page::RoleMissing => Text::new(
            "You don't have access to this Label Studio",
            "Your account lacks the role or group that is required. Ask your administrator for it, then sign in again.",
        ),
        Page::GroupMissing => Text::new(
            "You don't have access to this Label Studio",
            "Your account is in none of the groups that may use this Label Studio. Ask your administrator for access, then sign in again.",
        ),
        Page::ApiTokensDisabled => Text::new(
            "This token is not accepted",
            "Your organization has switched off API tokens of this kind. Ask your Label Studio administrator how to sign in.",
        ),
        Page::NoMethod => Text::new(
            "Signing in with a link is not set up",
            "Tell your Label Studio administrator.",
        ),
        Page::SignInRequired => Text::new(
            "Sign in required",
            "Sign in to your application, and open Label Studio from there.",
        ),
        Page::UserUnknown => Text::new(
            "You don't have access to this Label Studio",
            "There is no account for you. Ask your Label Studio administrator to invite you.",
        ),
        Page::UserInactive => Text::new(
            "Your account is deactivated",
            "Ask your Label Studio administrator to activate it.",
        ),
        Page::UserRemoved => Text::new(
            "You are no longer a member of this organization",
            "Ask your Label Studio administrator to invite you again.",
        ),
        Page::UserPrivileged => Text::new(
            "Administrators can't sign in this way",
            "Your account has administrator rights in Label Studio, and this application may not sign in such accounts. Sign in to Label Studio with your password, or ask your Label Studio administrator.",
        ),
        Page::AdministratorForm => Text::new(
            "Administrators sign in with their password",
            "Your account has administrator rights in Label Studio, and your organization's sign-in may not sign in such accounts. Use Label Studio's own sign-in form.",
        ),
        Page::UserNotUpdated => Text::new(
            "Your account could not be updated",
            "Your rights have changed. Tell your Label Studio administrator, and give them the request number below.",
        ),
        Page::UserNotCreated => Text::new(
            "Your account could not be created",
            "Tell your Label Studio administrator, and give them the request number below.",
        ),
        Page::Blocked => Text::new(
            "This request was blocked",
            "It came from a page that isn't allowed to act on your behalf. Open Label Studio directly. If the page belongs to your application, tell your administrator.",
        ),
        Page::UsernameProtected => Text::new(
            "Accounts can't be changed here",
            "Your organization's sign-in relies on the usernames of this Label Studio. Ask your administrator to make the change.",
        ),
        Page::NotUnderstood => Text::new(
            "This request could not be understood",
            "Check the address, or go back and try again. If this keeps happening, give your administrator the request number below.",
        ),
        Page::IdentityUnclear => Text::new(
            "This request names more than one user",
            "Give your administrator the request number below.",
        ),
        Page::CookiesTooLong => Text::new(
            "Your browser sent too many cookies",
            "Delete the cookies of this site, then open Label Studio again.",
        ),
        Page::ConfirmSignOut => Text::new(
            "Sign out of Label Studio?",
            "You followed a link from another site. Select the button to end your session.",
        ),
        Page::SignedOut => Text::new("You are signed out", "Your Label Studio session has ended."),
        Page::SignInUnknown => Text::new(
            "This sign-in has expired",
            "It took longer than ten minutes, was already finished, or began in another browser. Sign in again.",
        ),
        Page::SignInDeclined => Text::new(
            "You were not signed in",
            "The sign-in was cancelled, or your account may not use Label Studio. Sign in again, or ask your administrator for access.",
        ),
        Page::SignInInteraction => Text::new("Sign in required", "Sign in to open Label Studio."),
        Page::SignInInWindow => Text::new(
            "Sign in required",
            "Sign in to open Label Studio. A window opens for that.",
        ),
        Page::SignedIn => Text::new(
            "You are signed in",
            "This window closes by itself. If it does not, close it, and open the page with Label Studio again.",
        ),
        Page::SignInTooWeak => Text::new(
            "Please confirm who you are",
            "You signed in too long ago, or not in the way that Label Studio requires. Sign in again. If this keeps happening, tell your administrator.",
        ),
        Page::SignInUnverified => Text::new(
            "This sign-in could not be verified",
            "Sign in again. If this keeps happening, give your administrator the request number below.",
        ),
        Page::SignInFailed => Text::new(
            "The sign-in failed",
            "The sign-in service reported an error. Sign in again. If this keeps happening, give your administrator the request number below.",
        ),
        Page::SignInTryAgain => Text::new(
            "The sign-in service is busy",
            "It can't sign you in at the moment. Try again in a minute.",
        ),
        Page::SignInLoops => Text::new(
            "Your browser is not keeping you signed in",
            "You were signed in several times in a row, and each time your browser came back without the session. Allow cookies for this site, then sign in again. If this keeps happening, tell your administrator.",
        ),
        Page::TooManySignIns => Text::new(
            "Too many sign-ins",
            "Too many sign-ins came from your network in the last minute. Wait a minute, then try again. If this keeps happening, tell your administrator.",
        ),
        Page::ChooseProvider => Text::new(
            "Sign in to Label Studio",
            "Choose an account to sign in with.",
        ),
        Page::ProviderUnavailable => Text::new(
            "Sign-in is temporarily unavailable",
            "The sign-in service does not answer. Try again in a moment. If this keeps happening, tell your administrator.",
        ),
        Page::ProviderRefuses => Text::new(
            "Sign-in is temporarily unavailable",
            "The sign-in service does not accept Label Studio. Tell your administrator, and give them the request number below.",
        ),
        Page::Unavailable => Text::new(
            "Sign-in is temporarily unavailable",
            "Try again in a moment. If this keeps happening, tell your administrator.",
        ),
        Page::ApplicationUnavailable => Text::new(
            "Sign-in is temporarily unavailable",
            "Your application is not responding. Try again in a moment. If this keeps happening, tell your administrator.",
        ),
        Page::Overloaded => Text::new(
            "Sign-in is busy",
            "Too many people are signing in at the moment. Try again in a few seconds.",
        ),
    }
}
