//! What `/metrics` tells about an issuer's keys.

use std::sync::Arc;
use std::time::Duration;

use super::KeyServer;
use crate::gate::verify::KeySource as _;
use crate::metrics::{Histogram, Page, Source, family};

/// Times requests to the key server.
#[derive(Debug, Default)]
pub(super) struct Measures {
    ok: Histogram,
    failed: Histogram,
}

impl Measures {
    /// Records how long it took to read the keys, or to fail.
    pub(super) fn observe(&self, ok: bool, duration: Duration) {
        let durations = if ok { &self.ok } else { &self.failed };
        durations.observe(duration);
    }
}

/// The key server of an issuer, with the issuer's name.
pub struct Named {
    /// The name in the settings.
    pub issuer: String,
    /// Its key server.
    pub server: Arc<KeyServer>,
}

impl Source for Named {
    fn report(&self, page: &mut Page) {
        let (issuer, server) = (self.issuer.as_str(), &self.server);
        let (ok, failed) = (&server.measures.ok, &server.measures.failed);
        page.histogram(&family::KEY_SERVER_DURATION, &[issuer, "ok"], ok);
        page.histogram(&family::KEY_SERVER_DURATION, &[issuer, "failed"], failed);
        let keys = server.current().map_or(0, |keys| keys.len());
        #[expect(clippy::cast_precision_loss, reason = "a response's size is limited")]
        page.gauge(&family::ISSUER_KEYS, &[issuer], keys as f64);
        let every = server.refresh.every.as_secs_f64();
        page.gauge(&family::ISSUER_KEYS_REFRESH, &[issuer], every);
        if let Some(read_at) = server.read_at.load_full() {
            let age = read_at.elapsed().as_secs_f64();
            page.gauge(&family::ISSUER_KEYS_AGE, &[issuer], age);
        }
    }
}
