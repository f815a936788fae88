//! The settings in force, as a metric: which gate of several differs from the others, and since
//! when. Without secrets, names and addresses.

use crate::gate::policy::Anonymous;
use crate::gate::session::Engine;
use crate::metrics::family::CONFIGURATION;
use crate::metrics::{Page, Source};
use crate::settings::Settings;

/// The labels of the metric.
pub(super) struct Configuration {
    engine: &'static str,
    anonymous: &'static str,
    methods: String,
    token_use: &'static str,
}

impl Configuration {
    pub(super) fn of(settings: &Settings) -> Self {
        let methods = [
            ("external", !settings.external.issuers.is_empty()),
            ("native", settings.native.enabled),
            ("api_tokens", settings.native.api_tokens),
            ("session", settings.client_session.is_some()),
            (
                "proxy",
                settings.proxy_headers.is_some() || settings.token.header.is_some(),
            ),
            ("openid", settings.sign_in.is_some()),
        ];
        let enabled = methods.iter().filter(|(_, enabled)| *enabled);
        Self {
            engine: match settings.session.engine {
                Engine::Database => "db",
                Engine::SignedCookies => "signed_cookies",
            },
            anonymous: match settings.policy.gate.anonymous {
                Anonymous::Pass => "pass",
                Anonymous::Require => "require",
            },
            methods: enabled.map(|(name, _)| *name).collect::<Vec<_>>().join(" "),
            token_use: match settings.token.once() {
                None => "many",
                Some(_) => "once",
            },
        }
    }
}

impl Source for Configuration {
    fn report(&self, page: &mut Page) {
        let labels = [self.engine, self.anonymous, &self.methods, self.token_use];
        page.info(&CONFIGURATION, &labels);
    }
}
