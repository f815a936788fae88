//! Stage 4, continued: the groups of a user, and what they decide.
//!
//! In: verified claims and the issuer's rules. Out: a [`Membership`], or why the user may not come
//! in. Afterwards, a claim that is missing has changed nothing: it is not an empty list.

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

/// What the groups decide about a user who may come in.
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

/// Why a user may not come in, or why that can't be told.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(claim: &str) -> GroupRules {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        GroupRules {
            claim: claim.to_owned(),
            allowed: texts(&["annotators", "leads"]),
            staff: Some(StaffRule {
                groups: texts(&["leads"]),
                with_password: false,
            }),
            organizations: vec![("emea".to_owned(), 3), ("leads".to_owned(), 4)],
        }
    }

    fn member(is_staff: bool, organization: Option<i32>) -> Result<Membership, NoMember> {
        Ok(Membership {
            staff: Some(Staff {
                is_staff,
                with_password: false,
            }),
            organization,
        })
    }

    #[test]
    fn groups_are_read_from_every_form_that_issuers_use() {
        let refused = |reason| Err(NoMember::Refused(reason));
        let unreadable = Err(NoMember::Unreadable(CredentialError::TokenClaimInvalid));
        let zitadel = "urn:zitadel:iam:org:project:roles";
        let auth0 = "https://ls.example.com/groups";
        for (claim, claims, expected) in [
            (
                "groups",
                json!({"groups": ["annotators"]}),
                member(false, None),
            ),
            (
                "groups",
                json!({"groups": ["x", "leads"]}),
                member(true, Some(4)),
            ),
            // The first of the settings counts, not the first of the claim.
            (
                "groups",
                json!({"groups": ["leads", "emea"]}),
                member(true, Some(3)),
            ),
            (
                "groups",
                json!({"groups": "annotators"}),
                member(false, None),
            ),
            // Keycloak's paths and nested roles.
            (
                "groups",
                json!({"groups": ["/annotators"]}),
                refused(Denied::GroupNotAllowed),
            ),
            (
                "realm_access.roles",
                json!({"realm_access": {"roles": ["leads"]}}),
                member(true, Some(4)),
            ),
            (
                "resource_access.ls.example.com.roles",
                json!({"resource_access": {"ls.example.com": {"roles": ["annotators"]}}}),
                member(false, None),
            ),
            (
                zitadel,
                json!({zitadel: {"annotators": {"1": "a.b"}}}),
                member(false, None),
            ),
            (auth0, json!({auth0: ["leads"]}), member(true, Some(4))),
            // Names are compared exactly, and none is a part of another.
            (
                "groups",
                json!({"groups": ["Leads", "leads ", "lead"]}),
                refused(Denied::GroupNotAllowed),
            ),
            (
                "groups",
                json!({"groups": "annotators,leads"}),
                refused(Denied::GroupNotAllowed),
            ),
            (
                "groups",
                json!({"groups": []}),
                refused(Denied::GroupNotAllowed),
            ),
            (
                "groups",
                json!({"groups": ""}),
                refused(Denied::GroupNotAllowed),
            ),
            (
                "groups",
                json!({"groups": {}}),
                refused(Denied::GroupNotAllowed),
            ),
            ("groups", json!({}), refused(Denied::GroupsMissing)),
            (
                "groups",
                json!({"groups": null}),
                refused(Denied::GroupsMissing),
            ),
            (
                "realm_access.roles",
                json!({"realm_access": []}),
                refused(Denied::GroupsMissing),
            ),
            // Entra ID with more than 200 groups, and with the implicit flow.
            (
                "groups",
                json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}}),
                refused(Denied::GroupsTooMany),
            ),
            (
                "groups",
                json!({"hasgroups": true}),
                refused(Denied::GroupsTooMany),
            ),
            (
                "groups",
                json!({"hasgroups": "true"}),
                refused(Denied::GroupsTooMany),
            ),
            (
                "roles",
                json!({"_claim_names": {"groups": "src1"}}),
                refused(Denied::GroupsMissing),
            ),
            ("groups", json!({"groups": 7}), unreadable),
            ("groups", json!({"groups": true}), unreadable),
            ("groups", json!({"groups": ["leads", 7]}), unreadable),
            ("groups", json!({"groups": [["leads"]]}), unreadable),
        ] {
            let found = rules(claim).decide(&VerifiedClaims::of_test(&claims));
            assert_eq!(found, expected, "{claim} of {claims}");
        }
    }

    #[test]
    fn a_missing_claim_changes_nothing_and_an_empty_one_is_an_empty_list() {
        let rules = GroupRules {
            allowed: Vec::new(),
            ..rules("groups")
        };
        for (claims, expected) in [
            (json!({}), Ok(Membership::default())),
            (json!({"hasgroups": true}), Ok(Membership::default())),
            (json!({"groups": []}), member(false, None)),
            (json!({"groups": ["others"]}), member(false, None)),
        ] {
            let found = rules.decide(&VerifiedClaims::of_test(&claims));
            assert_eq!(found, expected, "{claims}");
        }
    }
}
