//! The plugin and the gate accept each other's tokens.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::label_studio::{LabelStudio, database, seeded};
use crate::nginx::{Nginx, binaries};
use crate::stack::{Engine, GateProcess};
use crate::support::cluster::CLUSTER;

/// The settings that the plugin's documentation adds to Label Studio's.
const SETTINGS: &str = r#"
INSTALLED_APPS = INSTALLED_APPS + ["label_studio_sso"]
AUTHENTICATION_BACKENDS = ["label_studio_sso.backends.JWTAuthenticationBackend"] + list(AUTHENTICATION_BACKENDS)
MIDDLEWARE = MIDDLEWARE + ["label_studio_sso.middleware.JWTAutoLoginMiddleware"]
JWT_SSO_NATIVE_USER_ID_CLAIM = "user_id"
JWT_SSO_COOKIE_NAME = "ls_auth_token"
JWT_SSO_TOKEN_PARAM = "token"
SSO_TOKEN_EXPIRY = 600
ROOT_URLCONF = "plugin_urls"
"#;

const URLS: &str = r#"
from core.urls import *
from django.urls import include, path

urlpatterns = urlpatterns + [path("api/sso/", include("label_studio_sso.urls"))]
"#;

async fn issue(url: &str) -> String {
    let request = crate::support::client()
        .post(format!("{url}/api/sso/token"))
        .header(
            "Authorization",
            format!("Token {}", seeded("GATE_DEMO_ADMIN_TOKEN")),
        )
        .json(&json!({"email": seeded("GATE_DEMO_USER_EMAIL")}));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    answer["token"]
        .as_str()
        .unwrap_or_else(|| panic!("{url}: {answer}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_and_the_gate_accept_each_others_tokens() {
    let database = database();
    let settings = tempfile::tempdir().unwrap();
    let overlay = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/label-studio/gate_db_sessions.py"
    );
    // A single module, because Label Studio asks Django for its names while Django loads it.
    let sessions_in_the_database = std::fs::read_to_string(overlay).unwrap();
    std::fs::write(
        settings.path().join("plugin_settings.py"),
        sessions_in_the_database + SETTINGS,
    )
    .unwrap();
    std::fs::write(settings.path().join("plugin_urls.py"), URLS).unwrap();
    let with_plugin = LabelStudio::with_settings(&database, settings.path(), "plugin_settings");
    let plugin_url = format!("http://127.0.0.1:{}", with_plugin.port);

    let gate = GateProcess::start(Engine::Database, CLUSTER.port(), &database);
    let gate_url = format!("http://127.0.0.1:{}", gate.port);
    let email = seeded("GATE_DEMO_USER_EMAIL");

    let of_the_gate = issue(&gate_url).await;
    let browser = Browser::new(&plugin_url).with_token(&of_the_gate);
    assert_eq!(
        browser.whoami().await.as_deref(),
        Some(email),
        "the plugin accepts the gate's token"
    );

    // The gate in front of a Label Studio without the plugin, with the same database and key.
    let of_the_plugin = issue(&plugin_url).await;
    let overlay = std::path::Path::new(overlay).parent().unwrap();
    let without_plugin = LabelStudio::with_settings(&database, overlay, "gate_db_sessions");
    let proxy = Nginx::start(&binaries()[0], &[gate.port], without_plugin.port);
    let browser = Browser::new(&proxy.url).with_token(&of_the_plugin);
    assert_eq!(
        browser.whoami().await.as_deref(),
        Some(email),
        "the gate accepts the plugin's token"
    );
}
