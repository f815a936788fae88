//! Which requests are traced.
//!
//! In: the settings. Out: a sampler. Afterwards, nobody but a trusted proxy decides what is recorded:
//! a browser can choose flag and ID of the trace that its `traceparent` names.

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator as _, ParentBasedSampler, RandomIdGenerator, Sampler, SamplingResult, ShouldSample,
};

/// Which requests are traced, and as what.
#[derive(Debug, Clone)]
pub struct Sampling {
    /// The part of the requests that is traced, from 0 to 1.
    pub ratio: f64,
    /// Whether `traceparent` decides instead, if there is one.
    pub trust_parent: bool,
}

impl Sampling {
    /// Calls to dependencies are recorded if their request is.
    pub(super) fn sampler(&self) -> ParentBasedSampler {
        let sampler = Sampler::parent_based(Sampler::TraceIdRatioBased(self.ratio));
        if self.trust_parent {
            return sampler;
        }
        let own = OwnBits {
            ratio: self.ratio,
            bits: RandomIdGenerator::default(),
        };
        sampler
            .with_remote_parent_sampled(own.clone())
            .with_remote_parent_not_sampled(own)
    }
}

/// Samples a part of the requests by random bits of the gate's own, whatever trace they belong to.
#[derive(Debug, Clone)]
struct OwnBits {
    ratio: f64,
    bits: RandomIdGenerator,
}

impl ShouldSample for OwnBits {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let by_ratio = Sampler::TraceIdRatioBased(self.ratio);
        let own = self.bits.new_trace_id();
        by_ratio.should_sample(parent, own, name, kind, attributes, links)
    }
}
