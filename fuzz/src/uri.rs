//! The original URI and `next`: an open path is open for every reader, and a browser stays on the origin.

use label_studio_gate::gate::credential::cut_out;
use label_studio_gate::gate::policy::{PathRule, Policy, local_path};
use percent_encoding::percent_decode_str;
use url::Url;

/// A URI of the original request.
pub fn original_uri(data: &[u8]) {
    let Ok(uri) = std::str::from_utf8(data) else {
        return;
    };
    check_open_paths(uri);
    check_redirect(uri);
    if let Some((token, clean)) = cut_out(uri, "token") {
        assert_eq!(token.split('.').count(), 3);
        assert!(cut_out(&clean, "token").is_none(), "{clean:?} has a token");
        assert_eq!(clean.split('?').next(), uri.split('?').next());
    }
}

/// Where nothing is asked, nginx and Django see the same path that the rule has seen.
fn check_open_paths(uri: &str) {
    let rules =
        ["/health", "/static/*", "/a/b/*"].map(|rule| PathRule::parse(rule).expect("a rule"));
    let policy = Policy {
        open_paths: rules.into(),
        ..Policy::default()
    };
    let path = uri.split('?').next().unwrap_or_default();
    if policy.is_open(path) {
        let decoded = percent_decode_str(path).decode_utf8().expect("UTF-8");
        assert_eq!(resolved(&decoded), decoded, "{path:?} is another path");
        let covered = ["/static/", "/a/b/"]
            .iter()
            .any(|rule| decoded.starts_with(rule));
        assert!(covered || decoded == "/health", "{path:?} is not covered");
    }
}

/// Slashes merged and dot segments removed, as nginx does it (`ngx_http_parse_complex_uri`).
fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let end = if path.ends_with('/') && !segments.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{end}", segments.join("/"))
}

fn check_redirect(next: &str) {
    for base in [
        "https://ls.example.com/sso/login",
        "http://ls.example.com:8080/",
    ] {
        let base = Url::parse(base).expect("a URL");
        let there = base.join(local_path(next)).expect("a URL");
        assert_eq!(there.origin(), base.origin(), "{next:?} leads elsewhere");
        assert!(there.username().is_empty() && there.password().is_none());
    }
}
