//! What `/metrics` tells about a provider.

use std::sync::Arc;

use tokio::time::Instant;

use super::OpenIdProvider;
use super::error::{ProviderError, is_about_code};
use crate::metrics::{Histogram, Page, Source, family};

/// The requests to a provider. Its keys are read by a [`crate::keys::KeyServer`], which has measures of
/// its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request {
    /// Metadata.
    Discovery,
    /// A pushed authorization request.
    Push,
    /// The exchange of a code.
    Token,
    /// The userinfo endpoint.
    Userinfo,
}

/// The label of each request, in their order.
const REQUESTS: [&str; 4] = ["discovery", "pushed_authorization", "token", "userinfo"];
/// The label of each outcome, in the order of [`outcome`].
const OUTCOMES: [&str; 3] = ["ok", "refused", "failed"];

/// What a request came to. `None`: the decision could not wait for it. A provider that refuses the client
/// lets nobody sign in, like one that is down.
fn outcome(failed: Option<&ProviderError>) -> usize {
    match failed {
        Some(ProviderError::Refused { code, .. }) if is_about_code(code) => 1,
        _ => 2,
    }
}

/// Times the requests to a provider.
#[derive(Debug, Default)]
pub(super) struct Measures {
    durations: [[Histogram; OUTCOMES.len()]; REQUESTS.len()],
}

impl Measures {
    /// Records a request that was sent at `begun`.
    pub(super) fn observe<T>(
        &self,
        request: Request,
        result: &Result<T, ProviderError>,
        begun: Instant,
    ) {
        let outcome = result
            .as_ref()
            .map_or_else(|error| outcome(Some(error)), |_| 0);
        self.durations[request as usize][outcome].observe(begun.elapsed());
    }

    /// Records a request that was sent at `begun` and that the decision could not wait for.
    pub(super) fn observe_unanswered(&self, request: Request, begun: Instant) {
        self.durations[request as usize][outcome(None)].observe(begun.elapsed());
    }
}

/// A provider, with its name.
pub struct Named {
    /// The name in the settings.
    pub name: String,
    /// The provider.
    pub provider: Arc<OpenIdProvider>,
}

impl Source for Named {
    fn report(&self, page: &mut Page) {
        let durations = &self.provider.measures.durations;
        for (request, durations) in REQUESTS.iter().zip(durations) {
            for (outcome, durations) in OUTCOMES.iter().zip(durations) {
                let labels = [self.name.as_str(), request, outcome];
                page.histogram_if_used(&family::PROVIDER_DURATION, &labels, durations);
            }
        }
    }
}
