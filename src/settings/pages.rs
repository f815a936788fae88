//! `[pages]`: the pages that the gate shows to users.

use schemars::JsonSchema;
use serde::Deserialize;

use super::types::FrameAncestor;

/// The pages that the gate shows to users: why they are not signed in, and after signing out.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Pages {
    /// Sites whose pages may show the gate's pages in a frame (`frame-ancestors` of CSP): `self`,
    /// an origin, or all its subdomains as `https://*.example.com`. Empty: any site, as Label
    /// Studio itself. The page that asks whether to sign out can be framed by Label Studio's own
    /// origin and by `policy.allowed_origins` only.
    pub frame_ancestors: Vec<FrameAncestor>,
}
