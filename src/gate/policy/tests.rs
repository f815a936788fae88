//! Path rules, and Label Studio's own paths.

use super::*;
use crate::gate::subrequest::{CookieHeader, Unstated};

fn open(rules: &[&str]) -> Policy {
    let rules = rules.iter().map(|rule| PathRule::parse(rule));
    Policy {
        open_paths: rules.collect::<Option<_>>().expect("rules"),
        ..Policy::default()
    }
}

#[test]
fn rules_match_the_decoded_path_from_its_start() {
    let policy = open(&["/health", "/static/*"]);
    for (path, expected) in [
        ("/health", true),
        ("/%68ealth", true),
        ("/health/", false),
        ("/healthy", false),
        ("/x/health", false),
        ("/static/", true),
        ("/static/a/b.css", true),
        ("/static", false),
        ("/staticx", false),
        ("/STATIC/a", false),
        ("/static/../api/users", false),
        ("/static/%2e%2e/api/users", false),
        ("/static/.%2E/api", false),
        ("/static/..%2fapi", false),
        ("/static/%252e%252e/api", false),
        ("/static//a", false),
        ("/static/a%00", false),
        ("/static/a\\..\\b", false),
        ("/static/..;/api", false),
        ("/static/%ff", false),
        ("/static/a#b", false),
        ("/static/a%23b", false),
        ("//static/a", false),
    ] {
        assert_eq!(policy.is_open(path), expected, "{path}");
    }
    assert!(!open(&[]).is_open("/"));
}

#[test]
fn rules_hold_with_and_without_the_prefix_of_label_studio() {
    let policy = Policy {
        label_studio_path: "/label-studio".to_owned(),
        ..open(&["/health", "/label-studio/static/*"])
    };
    for (path, expected) in [
        ("/label-studio/health", true),
        // Some proxies strip the prefix before they ask.
        ("/health", true),
        ("/label-studio/static/a", true),
        ("/static/a", false),
        ("/label-studio/label-studio/health", false),
        ("/label-studiohealth", false),
        ("/label-studio/../health", false),
        ("/other/health", false),
    ] {
        assert_eq!(policy.is_open(path), expected, "{path}");
    }
}

#[test]
fn invalid_rules_are_rejected() {
    for text in [
        "", "*", "health", "/a*", "/a/*/b", "/a/..", "/a//b", "/%41", "/a;b",
    ] {
        assert_eq!(PathRule::parse(text), None, "{text}");
    }
    assert!(PathRule::parse("/*").is_some());
}

#[test]
fn label_studio_paths_are_recognized_below_the_prefix() {
    let policy = Policy {
        anonymous: Anonymous::Require,
        label_studio_path: "/label-studio".to_owned(),
        ..Policy::default()
    };
    let of = |method: &'static str, uri: &'static str| {
        Subrequest::new(uri, CookieHeader::new(std::iter::empty()), None)
            .expect("readable")
            .sent_by(method, &Unstated)
    };
    for (method, uri, refresh, sign_out) in [
        ("POST", "/label-studio/api/token/refresh/", true, false),
        ("POST", "/api/token/refresh/?x=1", true, false),
        ("GET", "/api/token/refresh/", false, false),
        ("POST", "/api/token/refresh/x", false, false),
        ("POST", "/api/token/refresh//", false, false),
        ("POST", "/x/../api/token/refresh/", false, false),
        (
            "POST",
            "/label-studio/label-studio/api/token/refresh/",
            false,
            false,
        ),
        ("GET", "/label-studio/logout", false, true),
        ("GET", "/logout/?next=/", false, true),
        ("GET", "/logouts", false, false),
    ] {
        let subrequest = of(method, uri);
        let exempt = policy.exempts(&subrequest);
        assert_eq!(
            exempt == Some(Granted::TokenRefresh),
            refresh,
            "{method} {uri}"
        );
        assert_eq!(
            policy.is_label_studio_logout(&subrequest),
            sign_out,
            "{uri}"
        );
        assert_eq!(Policy::default().exempts(&subrequest), None);
    }
}

#[test]
fn usernames_are_protected_where_users_are_found_by_them() {
    let policy = Policy {
        protects_usernames: true,
        ..open(&["/api/*"])
    };
    let refuses = |policy: &Policy, method: &str, path: &str| {
        let cookies = CookieHeader::new(std::iter::empty());
        let subrequest = Subrequest::new(path, cookies, None).expect("origin-form");
        policy.refuses_renaming(&subrequest.sent_by(method, &Unstated))
    };
    for (path, expected) in [
        ("/api/users", true),
        ("/api/users/", true),
        ("/api/users/7/", true),
        ("/api/users/7", true),
        ("/api/users.json", true),
        ("/api/users/7.json", true),
        // Label Studio may be published below a path of which the gate isn't told.
        ("/label-studio/api/users/7/", true),
        ("/label-studio/api/users", true),
        ("/tools/label-studio/api/users.json", true),
        ("/label-studio/api/%75sers/7/", true),
        ("/label-studio%2fapi/users/7/", true),
        ("/label-studio//api/users/7/", true),
        ("/api/users-test/api/users/7/", true),
        ("/api/users/avatar/api/users/7/", true),
        ("/label-studio/user/signup/", true),
        ("/label-studio/api/users/7/avatar/", false),
        ("/label-studio/api/usersx", false),
        ("/label-studio/api/current-user/hotkeys/", false),
        ("/label-studio/user/signups", false),
        ("/api/%75sers/7/", true),
        ("/api/./users/7/", true),
        ("/api//users/7/", true),
        ("/api/x/%2e%2e/users/7/", true),
        ("/api/%2575sers/7/", true),
        ("/api/%ff", true),
        ("/user/signup", true),
        ("/user/signup/?token=x", true),
        ("/api/users/7/avatar", false),
        ("/api/users/7/avatar/", false),
        ("/api/usersx", false),
        ("/user/login/", false),
        ("/api/projects/1/", false),
        ("/admin/users/user/7/change/", false),
    ] {
        for method in ["POST", "PUT", "PATCH", "DELETE", "", "patch"] {
            assert_eq!(refuses(&policy, method, path), expected, "{method} {path}");
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert!(!refuses(&policy, method, path), "{method} {path}");
        }
        assert!(!refuses(&open(&[]), "PATCH", path), "{path}");
    }
}
