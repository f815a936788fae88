//! `[policy]` and `[purge]`: rules for every request, and the removal of expired sessions.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::session::Session;
use super::types::{Destination, HttpUrl, OpenPath, Seconds, WebOrigin};
use crate::django::SameSite;
use crate::gate::policy::{Anonymous, CrossSite, Policy};

/// Rules for every request, and where users are sent to sign in and after signing out.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PolicySection {
    /// What happens to an unauthenticated request. With `require`, nginx/gate-http.conf must ask
    /// the gate about every request.
    #[serde(with = "AnonymousNames")]
    #[schemars(extend("default" = "pass"))]
    anonymous: Anonymous,
    /// Paths that are never checked: `/health` (exactly this path), or `/static/*` (everything
    /// below). Compared with the decoded path, with and without the path of `label_studio.url`.
    open_paths: Vec<OpenPath>,
    /// With `anonymous = "require"`: the page where users sign in. Empty: they are only told to.
    sign_in_url: Option<HttpUrl>,
    /// The parameter that tells the sign-in page where the user came from.
    #[schemars(length(min = 1), extend("default" = "next"))]
    return_parameter: String,
    /// Where `/sso/logout` leads: a URL, or a path on the same host. Empty: a page of the gate.
    signed_out_url: Option<Destination>,
    /// What happens to state-changing requests from pages of other origins, and to images and scripts of such pages
    /// with a token in their URL (`Sec-Fetch-Mode` is not `navigate`), which would change who is signed in.
    #[schemars(extend("default" = "auto"))]
    cross_site: CrossSiteRule,
    /// Origins whose pages may send such requests. A request without `Origin`, as for an image, is known by its
    /// `Referer`.
    #[schemars(extend("x-env" = ["CORS_ALLOWED_ORIGINS"]))]
    allowed_origins: Vec<WebOrigin>,
}

/// The names of [`Anonymous`] in settings.
#[derive(Deserialize, JsonSchema)]
#[serde(remote = "Anonymous", rename_all = "lowercase")]
enum AnonymousNames {
    /// Label Studio decides.
    Pass,
    /// The answer is 401, unless the request has a live session, an accepted credential or a valid
    /// credential of Label Studio's API.
    Require,
}

/// What happens to requests that pages of other origins make the browser send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum CrossSiteRule {
    /// Refused if they come from another site and the browser added a credential, or the URL has a token; with
    /// `SameSite=None` sessions, also if they come from another origin of the same site.
    Auto,
    /// Refused.
    Refuse,
    /// Allowed.
    Allow,
}

/// Removal of expired rows from `django_session`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PurgeSection {
    /// How often expired sessions are deleted, by one gate at a time. 0: never;
    /// `label-studio-gate purge` does it once.
    #[schemars(range(max = 604_800), extend("default" = 0))]
    every_seconds: Seconds,
}

/// Rules for every request, and where users are sent.
#[derive(Debug)]
pub struct Policies {
    /// Rules that the gate applies.
    pub gate: Policy,
    /// The page where users sign in.
    pub sign_in: Option<Url>,
    /// The parameter that tells the sign-in page where the user came from.
    pub return_parameter: String,
    /// Where users are sent after signing out.
    pub signed_out: Option<String>,
    /// How often expired sessions are deleted; `None`: never.
    pub purge_every: Option<Duration>,
}

impl Policies {
    pub(super) fn new(section: &PolicySection, purge: &PurgeSection, session: &Session) -> Self {
        let open_paths = section.open_paths.iter();
        let origins = section.allowed_origins.iter();
        Self {
            gate: Policy {
                anonymous: section.anonymous,
                open_paths: open_paths.map(|path| (**path).clone()).collect(),
                cross_site: match section.cross_site {
                    // Browsers keep other sessions to the site themselves.
                    CrossSiteRule::Auto => CrossSite::Auto {
                        within_site: session.cookie_samesite == SameSite::None,
                    },
                    CrossSiteRule::Refuse => CrossSite::Refuse,
                    CrossSiteRule::Allow => CrossSite::Allow,
                },
                allowed_origins: origins.map(|origin| origin.to_string()).collect(),
                label_studio_path: String::new(),
                protects_usernames: false,
            },
            sign_in: section.sign_in_url.as_deref().cloned(),
            return_parameter: section.return_parameter.clone(),
            signed_out: section.signed_out_url.as_deref().cloned(),
            purge_every: purge.every_seconds.nonzero(),
        }
    }
}
