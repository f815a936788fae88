//! `[pages]`: the pages that the gate shows to users.

use schemars::JsonSchema;
use serde::Deserialize;

use super::types::{FrameAncestor, LogoUrl, SupportUrl};

/// The pages that the gate shows to users: why they are not signed in, and after signing out.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Pages {
    /// Name of your organization or application, shown above each page. Empty: none.
    pub name: String,
    /// URL of a logo, shown above each page: one that begins with `https://`, or a path on Label
    /// Studio's host, which must need no sign-in (`policy.open_paths`). Empty: none.
    pub logo_url: Option<LogoUrl>,
    /// Where users get help, linked on each page about a problem: `mailto:help@example.com`, or a
    /// URL that begins with `https://`. Empty: no link.
    pub support_url: Option<SupportUrl>,
    /// Sites whose pages may show the gate's pages in a frame (`frame-ancestors` of CSP): `self`,
    /// an origin, or all its subdomains as `https://*.example.com`. Empty: any site, as Label
    /// Studio itself. The page that asks whether to sign out can be framed by Label Studio's own
    /// origin and by `policy.allowed_origins` only.
    pub frame_ancestors: Vec<FrameAncestor>,
}
