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
