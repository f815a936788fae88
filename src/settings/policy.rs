//! `[policy]` and `[purge]`: what is asked of every request, and what is cleaned up.

use std::time::Duration;

use url::Url;

use super::reader::Reader;
use super::session::Session;
use crate::django::SameSite;
use crate::gate::policy::{Anonymous, CrossSite, PathRule, Policy, local_path};

/// What is asked of every request, and where people are sent.
#[derive(Debug)]
pub struct Policies {
    /// What the gate asks.
    pub gate: Policy,
    /// Where people sign in.
    pub sign_in: Option<Url>,
    /// The parameter of that URL that says where they came from.
    pub return_parameter: String,
    /// Where they are when they have signed out.
    pub signed_out: Option<String>,
    /// How often expired sessions are deleted; `None`: never.
    pub purge_every: Option<Duration>,
}

/// Whether foreign pages' requests are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Auto,
    Refuse,
    Allow,
}

impl Policies {
    pub(super) fn read(reader: &mut Reader, session: &Session) -> Self {
        let words = [("pass", Anonymous::Pass), ("require", Anonymous::Require)];
        let anonymous = reader.choice("policy.anonymous", &words);
        let cross_site = reader.choice(
            "policy.cross_site",
            &[
                ("auto", Words::Auto),
                ("refuse", Words::Refuse),
                ("allow", Words::Allow),
            ],
        );
        let every = reader.seconds("purge.every_seconds", 0..=604_800);
        Self {
            gate: Policy {
                anonymous,
                open_paths: open_paths(reader),
                cross_site: match cross_site {
                    // Browsers keep other sessions to the site themselves.
                    Words::Auto => CrossSite::Auto {
                        within_site: session.cookie_samesite == SameSite::None,
                    },
                    Words::Refuse => CrossSite::Refuse,
                    Words::Allow => CrossSite::Allow,
                },
                allowed_origins: allowed_origins(reader),
                label_studio_path: String::new(),
            },
            sign_in: sign_in(reader),
            return_parameter: reader.filled("policy.return_parameter"),
            signed_out: signed_out(reader),
            purge_every: (!every.is_zero()).then_some(every),
        }
    }
}

fn open_paths(reader: &mut Reader) -> Vec<PathRule> {
    let name = "policy.open_paths";
    let mut rules = Vec::new();
    for text in reader.list(name) {
        match PathRule::parse(&text) {
            Some(rule) => rules.push(rule),
            None => reader.refuse(
                name,
                format!(
                    "must be paths as /health, or as /static/* for all below, and has {text:?}"
                ),
            ),
        }
    }
    rules
}

fn allowed_origins(reader: &mut Reader) -> Vec<String> {
    let name = "policy.allowed_origins";
    let mut origins = Vec::new();
    for text in reader.list(name) {
        let origin = Url::parse(&text).map(|url| url.origin().ascii_serialization());
        match origin {
            Ok(origin) if origin == text.trim_end_matches('/').to_ascii_lowercase() => {
                origins.push(origin);
            }
            _ => reader.refuse(
                name,
                format!("must be origins as https://app.example.com, and has {text:?}"),
            ),
        }
    }
    origins
}

fn sign_in(reader: &mut Reader) -> Option<Url> {
    let name = "policy.sign_in_url";
    let text = reader.optional(name)?;
    let url = Url::parse(&text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    if url.is_none() {
        reader.refuse(
            name,
            format!("must be a URL as https://app.example.com/login, and is {text:?}"),
        );
    }
    url
}

/// A page of Label Studio's own host, or any other that the operator names.
fn signed_out(reader: &mut Reader) -> Option<String> {
    let name = "policy.signed_out_url";
    let text = reader.optional(name)?;
    let is_url = Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_url && local_path(&text) != text {
        reader.refuse(name, format!("must be a URL or a path, and is {text:?}"));
    }
    Some(text)
}
