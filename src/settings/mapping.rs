//! Which user a token of an issuer names, and what it permits: the same settings for every source of
//! verified claims.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::gate::groups::{GroupRules, StaffRule};
use crate::gate::identity::{Admission, ClaimMapping};

/// Which user a token names, and what it permits.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct MappingSettings {
    /// The claim with the email address. Dots lead into nested objects, here and below; a claim
    /// whose own name has dots is found too.
    #[schemars(extend("default" = "email", "x-env" = ["JWT_SSO_EMAIL_CLAIM"]))]
    email_claim: String,
    /// The claim with the username, which finds users without an email claim.
    #[schemars(extend("x-env" = ["JWT_SSO_USERNAME_CLAIM"]))]
    username_claim: Option<String>,
    /// The claim with the first name.
    #[schemars(extend("default" = "first_name", "x-env" = ["JWT_SSO_FIRST_NAME_CLAIM"]))]
    first_name_claim: String,
    /// The claim with the last name.
    #[schemars(extend("default" = "last_name", "x-env" = ["JWT_SSO_LAST_NAME_CLAIM"]))]
    last_name_claim: String,
    /// Whether unknown users get an account; needs `sql/role.sql` with `create_users`.
    #[schemars(extend("default" = false, "x-env" = ["JWT_SSO_AUTO_CREATE_USERS"]))]
    create_users: bool,
    /// Whether first and last name are updated from the claims.
    #[schemars(extend("default" = true))]
    update_names: bool,
    /// Whether staff and superusers may sign in this way.
    #[schemars(extend("default" = true))]
    allow_privileged: bool,
    /// Whether to trust an address that comes with `email_verified: false`.
    #[schemars(extend("default" = false))]
    accept_unverified_email: bool,
    /// The claim with the user's groups or roles: a list, a single text, or an object whose keys are
    /// the groups (`groups`, `realm_access.roles`, `urn:zitadel:iam:org:project:roles`).
    groups_claim: String,
    /// Groups whose users may sign in. Empty: all users may. If set, tokens without the claim are
    /// refused.
    allowed_groups: Vec<String>,
    /// Groups whose users are staff in Label Studio; users in none of them stop being staff. Needs
    /// `sql/role.sql` with `staff`. Superusers are never changed. Empty: nobody is.
    staff_groups: Vec<String>,
    /// Whether `staff_groups` also decides about accounts that have a password.
    #[schemars(extend("default" = false))]
    staff_with_password: bool,
    /// The organization in which a new account begins, by group: `group=ID`, with the ID from Label
    /// Studio's table `organization`. The first match counts; without one, the account begins in
    /// the first organization.
    organizations: Vec<String>,
}

impl MappingSettings {
    /// The mapping. Tells `refuse` what is wrong: the setting, and why.
    pub(super) fn check(self, mut refuse: impl FnMut(&str, &str)) -> ClaimMapping {
        if self.email_claim.is_empty() && self.username_claim.is_none() {
            let why = "must not be empty, unless there is a username_claim";
            refuse("email_claim", why);
        }
        ClaimMapping {
            groups: self.groups(&mut refuse),
            email_claim: self.email_claim,
            username_claim: self.username_claim,
            first_name_claim: self.first_name_claim,
            last_name_claim: self.last_name_claim,
            unverified_email: self.accept_unverified_email,
            admission: Admission {
                create: self.create_users,
                update_names: self.update_names,
                privileged: self.allow_privileged,
            },
        }
    }

    /// A setting for groups that could have no effect is refused: an operator would believe that it
    /// keeps somebody out (CVE-2021-21411).
    fn groups(&self, refuse: &mut impl FnMut(&str, &str)) -> Option<GroupRules> {
        let uses = [
            ("allowed_groups", !self.allowed_groups.is_empty()),
            ("staff_groups", !self.staff_groups.is_empty()),
            ("organizations", !self.organizations.is_empty()),
        ];
        let is_used = uses.iter().any(|(_, is_set)| *is_set);
        if self.groups_claim.is_empty() {
            for (field, _) in uses.iter().filter(|(_, is_set)| *is_set) {
                refuse(field, "has no effect without groups_claim");
            }
            return None;
        }
        if !is_used {
            let why = "has no effect without allowed_groups, staff_groups or organizations";
            refuse("groups_claim", why);
        }
        if !self.staff_groups.is_empty() && !self.allow_privileged {
            let why = "needs allow_privileged: staff could not sign in";
            refuse("staff_groups", why);
        }
        if !self.staff_groups.is_empty() && self.email_claim.is_empty() {
            let why = "needs an email_claim: a username never admits staff";
            refuse("staff_groups", why);
        }
        if self.staff_with_password && self.staff_groups.is_empty() {
            refuse("staff_with_password", "has no effect without staff_groups");
        }
        if !self.organizations.is_empty() && !self.create_users {
            refuse("organizations", "has no effect without create_users");
        }
        Some(GroupRules {
            claim: self.groups_claim.clone(),
            allowed: self.allowed_groups.clone(),
            staff: (!self.staff_groups.is_empty()).then(|| StaffRule {
                groups: self.staff_groups.clone(),
                with_password: self.staff_with_password,
            }),
            organizations: self.organizations(refuse),
        })
    }

    fn organizations(&self, refuse: &mut impl FnMut(&str, &str)) -> Vec<(String, i32)> {
        let mut organizations = Vec::new();
        for text in &self.organizations {
            // The name of a group may contain "=" itself (LDAP).
            let pair = text
                .rsplit_once('=')
                .and_then(|(group, id)| Some((group.trim(), id.trim().parse().ok()?)));
            match pair {
                Some((group, id)) if !group.is_empty() && id > 0 => {
                    organizations.push((group.to_owned(), id));
                }
                _ => refuse(
                    "organizations",
                    &format!("must be group=ID, as annotators=3, not {text:?}"),
                ),
            }
        }
        organizations
    }
}
