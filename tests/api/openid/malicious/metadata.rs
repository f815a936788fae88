//! What a provider publishes about itself.

use serde_json::json;

use super::super::Provider;
use crate::actors::Browser;
use crate::world::World;

/// A provider whose metadata leads elsewhere is not used at all.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_leads_astray_is_not_used() {
    let world = World::new(&[]).await;
    for changes in [
        json!({"authorization_endpoint": "javascript:alert(1)"}),
        json!({"end_session_endpoint": "javascript:alert(1)"}),
        json!({"issuer": "https://other.test"}),
        json!({"token_endpoint": null}),
    ] {
        let provider = Provider::with_metadata(&changes);
        let app = provider.gate(&world, &[]);
        let answer = Browser::of(&app).visit("GET", "/sso/start", "").await;
        answer.expect(503, "provider_unavailable");
    }
}
