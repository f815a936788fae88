//! Stage 4, continued: the groups of a user, and what they decide.
//!
//! In: verified claims and the issuer's rules. Out: a [`Membership`], or why the user may not sign
//! in. Afterwards, a claim that is missing has changed nothing: it is not an empty list.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::reason::{CredentialError, Denied};
use super::verify::VerifiedClaims;

/// Which claim holds the groups, and what they decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRules {
    /// The claim: a list, a single text, or an object whose keys are the groups.
    pub claim: String,
    /// Users in one of these groups may sign in; empty: all may.
    pub allowed: Vec<String>,
    /// Who is staff; `None`: the issuer doesn't decide that.
    pub staff: Option<StaffRule>,
    /// The organizations in which accounts begin, by group. The first match counts.
    pub organizations: Vec<(String, i32)>,
}

/// Which groups make users staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaffRule {
    /// Users in one of these groups are staff, others are not.
    pub groups: Vec<String>,
    /// Whether that includes accounts with a password of their own.
    pub with_password: bool,
}

/// What the groups decide about a user who may sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Membership {
    /// Whether the user is staff; `None`: unchanged.
    pub staff: Option<Staff>,
    /// The organization in which the user's account begins; `None`: the first.
    pub organization: Option<i32>,
}

/// Whether the groups make a user staff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staff {
    /// `htx_user.is_staff`
    pub is_staff: bool,
    /// Whether that may be changed for an account with a password of its own.
    pub with_password: bool,
}

/// The groups that claims name.
#[derive(Debug, PartialEq, Eq)]
enum Groups<'c> {
    /// These, possibly none.
    Named(Vec<&'c str>),
    /// The claims don't say.
    Missing,
    /// There are too many for a token. The claims say where to ask for them.
    TooMany,
}

/// Why a user may not sign in, or why the claims don't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMember {
    /// The claim has another type.
    Unreadable(CredentialError),
    /// The user is in none of the allowed groups, or the claims don't say.
    Refused(Denied),
}

impl GroupRules {
    /// What the groups in the claims decide.
    pub fn decide(&self, claims: &VerifiedClaims) -> Result<Membership, NoMember> {
        let groups = match self.read(claims)? {
            Groups::Named(groups) => groups,
            Groups::Missing if self.allowed.is_empty() => return Ok(Membership::default()),
            Groups::Missing => return Err(NoMember::Refused(Denied::GroupsMissing)),
            Groups::TooMany if self.allowed.is_empty() => return Ok(Membership::default()),
            Groups::TooMany => return Err(NoMember::Refused(Denied::GroupsTooMany)),
        };
        let contains = |group: &String| groups.contains(&group.as_str());
        if !self.allowed.is_empty() && !self.allowed.iter().any(contains) {
            return Err(NoMember::Refused(Denied::GroupNotAllowed));
        }
        let mut organizations = self.organizations.iter();
        Ok(Membership {
            staff: self.staff.as_ref().map(|rule| Staff {
                is_staff: rule.groups.iter().any(contains),
                with_password: rule.with_password,
            }),
            organization: organizations
                .find(|(group, _)| contains(group))
                .map(|(_, organization)| *organization),
        })
    }

    fn read<'c>(&self, claims: &'c VerifiedClaims) -> Result<Groups<'c>, NoMember> {
        let unreadable = NoMember::Unreadable(CredentialError::TokenClaimInvalid);
        Ok(match claims.get(&self.claim) {
            None | Some(Value::Null) if self.are_elsewhere(claims) => Groups::TooMany,
            None | Some(Value::Null) => Groups::Missing,
            Some(Value::String(group)) if group.is_empty() => Groups::Named(Vec::new()),
            Some(Value::String(group)) => Groups::Named(vec![group]),
            // Zitadel: an object of roles, each with the organizations that grant it.
            Some(Value::Object(groups)) => {
                Groups::Named(groups.keys().map(String::as_str).collect())
            }
            Some(Value::Array(groups)) => {
                let groups = groups.iter().map(|group| group.as_str().ok_or(unreadable));
                Groups::Named(groups.collect::<Result<_, _>>()?)
            }
            Some(_) => return Err(unreadable),
        })
    }

    /// Whether the issuer left the groups out because there are too many: Entra ID names another
    /// place (OpenID Connect Core §5.6.2), or says only that there are some. The gate doesn't ask
    /// there: the address is the token's, and the answer needs rights of its own.
    fn are_elsewhere(&self, claims: &VerifiedClaims) -> bool {
        let distributed = claims.get("_claim_names").and_then(Value::as_object);
        distributed.is_some_and(|names| names.contains_key(&self.claim))
            || matches!(claims.get("hasgroups"), Some(Value::Bool(true)))
            || matches!(claims.get("hasgroups"), Some(Value::String(text)) if text == "true")
    }
}
