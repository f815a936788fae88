//! Stage 4: claims → [`Claimant`], whom the claims speak of.
//!
//! In: claims that were verified. Out: the one name under which the user is to be looked up, what else is said of them, and what may be done
//! for them. Afterwards holds: the name has the type of the column it is compared with.

use serde_json::Value;

use super::reason::CredentialError;
use super::verify::{Subject, VerifiedClaims};

/// Characters that `htx_user.email` holds.
const LONGEST_EMAIL: usize = 254;

/// How a user is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Primary key in `htx_user`.
    Id(i32),
    /// E-mail address.
    Email(String),
    /// `username`, compared exactly. It never admits staff or superusers (`ActiveUser::admit`).
    Username(String),
}

/// Which claims describe a person, and what may be done for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonRules {
    /// The claim with the e-mail address.
    pub email: String,
    /// The claim with the username; `None`: users are found by their address alone.
    pub username: Option<String>,
    /// The claim with the first name.
    pub first_name: String,
    /// The claim with the last name.
    pub last_name: String,
    /// Whether an e-mail address counts that the issuer says it has not verified.
    pub unverified_email: bool,
    /// What may be done.
    pub admission: Admission,
}

/// What may be done for somebody who shows up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// An account may be created.
    pub create: bool,
    /// First and last name may be brought up to date.
    pub update_names: bool,
    /// Staff and superusers may come in.
    pub privileged: bool,
}

/// For a token that names a user of Label Studio itself: it says nothing that isn't known already.
impl Default for Admission {
    fn default() -> Self {
        Self {
            create: false,
            update_names: false,
            privileged: true,
        }
    }
}

/// Somebody who shows up: their name, and what was said of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Under which they are looked up.
    pub identity: Identity,
    /// What the issuer says of them.
    pub profile: Profile,
    /// What may be done for them.
    pub admission: Admission,
}

/// What an issuer says of a person; empty texts where it says nothing.
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
    /// Whom the claims speak of, by what their issuer calls it.
    pub fn from_claims(claims: &VerifiedClaims) -> Result<Self, CredentialError> {
        match claims.subject() {
            Subject::UserId(claim) => Ok(Self::of(from_user_id(claims.get(claim))?)),
            Subject::Person(rules) => person(claims, rules),
        }
    }

    /// A user of Label Studio.
    pub fn of(identity: Identity) -> Self {
        Self {
            identity,
            profile: Profile::default(),
            admission: Admission::default(),
        }
    }
}

/// A primary key: a number or a string of digits, since simplejwt 5.5.1 writes the latter and its earlier versions the former. Never a
/// boolean and never a float: Python takes `True` for 1, and the plugin logs such a token in as user 1.
fn from_user_id(claim: Option<&Value>) -> Result<Identity, CredentialError> {
    match claim {
        None | Some(Value::Null) => Err(CredentialError::TokenClaimMissing),
        Some(value) => user_id(value)
            .map(Identity::Id)
            .ok_or(CredentialError::TokenClaimInvalid),
    }
}

fn person(claims: &VerifiedClaims, rules: &PersonRules) -> Result<Claimant, CredentialError> {
    let trimmed = |name| optional(claims, Some(name)).map(|text| text.trim().to_owned());
    // What somebody is found by is compared as it is: an issuer may tell apart what white space alone tells apart.
    let profile = Profile {
        username: optional(claims, rules.username.as_deref())?,
        first_name: trimmed(&rules.first_name)?,
        last_name: trimmed(&rules.last_name)?,
    };
    let email = optional(claims, Some(&rules.email))?;
    let identity = if !email.is_empty() {
        check_email(claims, rules, &email)?;
        Identity::Email(email)
    } else if !profile.username.is_empty() {
        Identity::Username(profile.username.clone())
    } else {
        return Err(CredentialError::TokenClaimMissing);
    };
    Ok(Claimant {
        identity,
        profile,
        admission: rules.admission,
    })
}

/// The claim's text, empty where there is none. Postgres has no NUL in a text.
fn optional(claims: &VerifiedClaims, name: Option<&str>) -> Result<String, CredentialError> {
    let value = name.filter(|name| !name.is_empty());
    match value.and_then(|name| claims.get(name)) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if !text.contains('\0') => Ok(text.clone()),
        Some(_) => Err(CredentialError::TokenClaimInvalid),
    }
}

/// Whoever may write any address into a profile, and is not asked to prove it, could be anybody (OpenID Connect Core §5.7).
fn check_email(
    claims: &VerifiedClaims,
    rules: &PersonRules,
    email: &str,
) -> Result<(), CredentialError> {
    if !is_email_address(email) {
        return Err(CredentialError::TokenClaimInvalid);
    }
    let verified = match claims.get("email_verified") {
        None | Some(Value::Bool(true)) => true,
        // Some issuers write their booleans as texts.
        Some(Value::String(text)) => text == "true",
        Some(_) => false,
    };
    if verified || rules.unverified_email {
        Ok(())
    } else {
        Err(CredentialError::TokenEmailUnverified)
    }
}

/// Something before and behind an @, without spaces, that fits the column. More than that only a letter to it could tell.
pub fn is_email_address(text: &str) -> bool {
    let plain = |c: char| !c.is_whitespace() && !c.is_control();
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && text.chars().all(plain)
        && text.chars().count() <= LONGEST_EMAIL
}

/// A primary key: positive, within Postgres' `integer`, and written in plain digits.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_user_id_is_a_positive_integer_or_its_digits() {
        for (value, expected) in [
            (json!(7), Some(7)),
            (json!("7"), Some(7)),
            (json!("2147483647"), Some(i32::MAX)),
            (json!("2147483648"), None),
            (json!(2_147_483_648_i64), None),
            (json!(true), None),
            (json!(7.0), None),
            (json!("7.0"), None),
            (json!("+7"), None),
            (json!("-7"), None),
            (json!(-7), None),
            (json!(0), None),
            (json!(""), None),
            (json!(" 7"), None),
            (json!("٧"), None),
            (json!([7]), None),
            (json!({"id": 7}), None),
            (json!(null), None),
        ] {
            assert_eq!(user_id(&value), expected, "{value}");
        }
    }
}
