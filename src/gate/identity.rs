//! Stage 4: claims → [`Claimant`], the user that the claims name.
//!
//! In: verified claims. Out: the identity to look up, the issuer's profile of the user, and what
//! the issuer may do for them. Afterwards, the identity has the type of the column it is compared
//! with.

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use super::groups::{GroupRules, Membership, NoMember};
use super::observer::Steps;
use super::reason::{CredentialError, Denied, Reason};
use super::verify::{Subject, VerifiedClaims};

/// Length of the column `htx_user.email`, in characters.
const MAX_EMAIL_LENGTH: usize = 254;

/// Length of the columns `htx_user.first_name` and `last_name`, in characters.
const MAX_NAME_LENGTH: usize = 256;

/// The claim that says whether the user has proved to own the address (OpenID Connect Core §5.1).
const EMAIL_VERIFIED: &str = "email_verified";

/// What identifies a user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Primary key in `htx_user`.
    Id(i32),
    /// Email address.
    Email(String),
    /// `username`, compared exactly. It never admits staff or superusers (`ActiveUser::admit`).
    Username(String),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Email(text) | Self::Username(text) => f.write_str(text),
        }
    }
}

/// Which claims describe a user, and what the issuer may do for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimMapping {
    /// The claim with the email address.
    pub email_claim: String,
    /// The claim with the username; `None` to look users up by address only.
    pub username_claim: Option<String>,
    /// The claim with the first name.
    pub first_name_claim: String,
    /// The claim with the last name.
    pub last_name_claim: String,
    /// Whether to accept an email address that the issuer says is not verified.
    pub unverified_email: bool,
    /// What the issuer may do for a user.
    pub admission: Admission,
    /// What the user's groups decide; `None`: nothing.
    pub groups: Option<GroupRules>,
}

impl ClaimMapping {
    /// The claims that may name the user.
    fn identifying_claims(&self) -> String {
        let names = [Some(&self.email_claim), self.username_claim.as_ref()];
        let names = names.into_iter().flatten().filter(|name| !name.is_empty());
        names.map(String::as_str).collect::<Vec<_>>().join(" or ")
    }
}

/// What the issuer may do for a user who signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// It may create an account.
    pub create: bool,
    /// It may update the first and last name.
    pub update_names: bool,
    /// It may sign in staff and superusers.
    pub privileged: bool,
}

/// The default is for a token that identifies a user by Label Studio's own primary key. It carries
/// no profile, so it creates and updates nothing.
impl Default for Admission {
    fn default() -> Self {
        Self {
            create: false,
            update_names: false,
            privileged: true,
        }
    }
}

/// The user that a credential claims to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The identity to look up.
    pub identity: Identity,
    /// The issuer's profile of the user.
    pub profile: Profile,
    /// What the issuer may do for the user.
    pub admission: Admission,
    /// What the user's groups decide.
    pub membership: Membership,
}

/// Why claims name no user who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoClaimant {
    /// What is wrong.
    pub why: Unnamed,
    /// In which claim; several, if each of them could have named the user. Their names, not what they
    /// hold.
    pub claim: String,
}

/// What is wrong with claims that name no user who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unnamed {
    /// The claims name nobody.
    Unverified(CredentialError),
    /// They name a user whose groups may not sign in.
    Refused {
        /// Why not.
        reason: Denied,
        /// Whom they name.
        identity: Identity,
    },
}

impl NoClaimant {
    fn unverified(why: CredentialError, claim: impl Into<String>) -> Self {
        Self {
            why: Unnamed::Unverified(why),
            claim: claim.into(),
        }
    }

    /// The reason.
    pub fn reason(&self) -> Reason {
        match self.why {
            Unnamed::Unverified(why) => why.into(),
            Unnamed::Refused { reason, .. } => reason.into(),
        }
    }

    /// Reports where the user was looked for.
    pub fn note(&self, steps: Steps<'_>) {
        let code = self.reason().code();
        steps.note(format_args!("looked at claim {}: {code}", self.claim));
    }
}

/// An issuer's profile of a user. Missing fields are empty strings, and names are as long as they are
/// stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// `username`
    pub username: String,
    /// `first_name`
    pub first_name: String,
    /// `last_name`
    pub last_name: String,
}

impl Claimant {
    /// Reads the claimant from the claims, by their issuer's claim mapping.
    pub fn from_claims(claims: &VerifiedClaims) -> Result<Self, NoClaimant> {
        match claims.subject() {
            Subject::UserId(claim) => {
                let identity = from_user_id(claims.get(claim));
                let identity = identity.map_err(|why| NoClaimant::unverified(why, claim));
                Ok(Self::of(identity?))
            }
            Subject::Person(mapping) => from_profile(claims, mapping),
        }
    }

    /// A claimant with this identity and no profile.
    pub fn of(identity: Identity) -> Self {
        Self {
            identity,
            profile: Profile::default(),
            admission: Admission::default(),
            membership: Membership::default(),
        }
    }

    /// The address of the account that the issuer may create.
    pub fn creatable(&self) -> Option<&str> {
        match &self.identity {
            Identity::Email(email) if self.admission.create && is_email_address(email) => {
                Some(email)
            }
            _ => None,
        }
    }
}

/// Reads a primary key: a number, or a string of digits because simplejwt writes a string since
/// 5.5.1. Never a boolean or a float: Python treats `True` as 1, and the plugin logs in such a
/// token as user 1.
fn from_user_id(claim: Option<&Value>) -> Result<Identity, CredentialError> {
    match claim {
        None | Some(Value::Null) => Err(CredentialError::TokenClaimMissing),
        Some(value) => user_id(value)
            .map(Identity::Id)
            .ok_or(CredentialError::TokenClaimInvalid),
    }
}

fn from_profile(claims: &VerifiedClaims, mapping: &ClaimMapping) -> Result<Claimant, NoClaimant> {
    let shown = |name| {
        let text = optional(claims, Some(name))?;
        Ok::<_, NoClaimant>(text.trim().chars().take(MAX_NAME_LENGTH).collect())
    };
    // The username is a lookup key, so compare it unchanged: an issuer may have names that differ
    // only in white space.
    let profile = Profile {
        username: optional(claims, mapping.username_claim.as_deref())?,
        first_name: shown(&mapping.first_name_claim)?,
        last_name: shown(&mapping.last_name_claim)?,
    };
    let email = optional(claims, Some(&mapping.email_claim))?;
    let identity = if !email.is_empty() {
        check_email(claims, mapping, &email)?;
        Identity::Email(email)
    } else if !profile.username.is_empty() {
        Identity::Username(profile.username.clone())
    } else {
        let why = CredentialError::TokenClaimMissing;
        return Err(NoClaimant::unverified(why, mapping.identifying_claims()));
    };
    let membership = match &mapping.groups {
        None => Membership::default(),
        Some(rules) => match rules.decide(claims) {
            Ok(membership) => membership,
            Err(NoMember::Unreadable(why)) => {
                return Err(NoClaimant::unverified(why, &rules.claim));
            }
            Err(NoMember::Refused(reason)) => {
                return Err(NoClaimant {
                    why: Unnamed::Refused { reason, identity },
                    claim: rules.claim.clone(),
                });
            }
        },
    };
    Ok(Claimant {
        identity,
        profile,
        admission: mapping.admission,
        membership,
    })
}

/// The claim's text, or an empty string if it is missing. Postgres text can't contain NUL.
fn optional(claims: &VerifiedClaims, name: Option<&str>) -> Result<String, NoClaimant> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(String::new());
    };
    match claims.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if !text.contains('\0') => Ok(text.clone()),
        Some(_) => Err(NoClaimant::unverified(
            CredentialError::TokenClaimInvalid,
            name,
        )),
    }
}

/// Checks the address and its verification. If users can enter any address without proving it, they
/// can impersonate anyone (OpenID Connect Core §5.7).
fn check_email(
    claims: &VerifiedClaims,
    mapping: &ClaimMapping,
    email: &str,
) -> Result<(), NoClaimant> {
    if !is_email_address(email) {
        return Err(NoClaimant::unverified(
            CredentialError::TokenClaimInvalid,
            &mapping.email_claim,
        ));
    }
    let verified = match claims.get(EMAIL_VERIFIED) {
        None | Some(Value::Bool(true)) => true,
        // Some issuers write booleans as strings.
        Some(Value::String(text)) => text == "true",
        Some(_) => false,
    };
    if verified || mapping.unverified_email {
        Ok(())
    } else {
        Err(NoClaimant::unverified(
            CredentialError::TokenEmailUnverified,
            EMAIL_VERIFIED,
        ))
    }
}

/// Whether the text has something on both sides of its only `@`, no spaces, and fits the column. Only
/// sending mail to it could verify more. A quoted local part may contain another `@` (RFC 5321
/// §4.1.2), but programs disagree about where such an address ends (CVE-2026-40574).
pub fn is_email_address(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && text.chars().all(plain)
        && text.chars().count() <= MAX_EMAIL_LENGTH
}

/// Reads a primary key: positive, within Postgres' `integer`, and in plain ASCII digits.
pub fn user_id(value: &Value) -> Option<i32> {
    let id = match value {
        Value::Number(number) => number.as_i64().and_then(|id| i32::try_from(id).ok())?,
        Value::String(digits)
            if (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) =>
        {
            digits.parse().ok()?
        }
        _ => return None,
    };
    (id > 0).then_some(id)
}
