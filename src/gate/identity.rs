//! Stage 4: claims → [`Identity`], whom the claims speak of.
//!
//! In: claims that were verified. Out: the one name under which the user is to be looked up. Afterwards holds: the name has the type of
//! the column it is compared with.

use serde_json::Value;

use super::reason::Reason;
use super::verify::{Subject, VerifiedClaims};

/// How a user is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Primary key in `htx_user`.
    Id(i32),
    /// E-mail address.
    Email(String),
}

impl Identity {
    /// Whom the claims speak of, by what their issuer calls it.
    pub fn from_claims(claims: &VerifiedClaims) -> Result<Self, Reason> {
        match claims.subject() {
            Subject::UserId(claim) => Self::from_user_id(claims.get(claim)),
        }
    }

    /// A primary key: a number or a string of digits, since simplejwt 5.5.1 writes the latter and its earlier versions the former. Never a
    /// boolean and never a float: Python takes `True` for 1, and the plugin logs such a token in as user 1.
    fn from_user_id(claim: Option<&Value>) -> Result<Self, Reason> {
        match claim {
            None | Some(Value::Null) => Err(Reason::TokenClaimMissing),
            Some(value) => user_id(value)
                .map(Self::Id)
                .ok_or(Reason::TokenClaimInvalid),
        }
    }
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
