//! Traces: what the gate did for a request, as OpenTelemetry spans.
//!
//! [`Traces`] starts a request's span, in the trace that the proxy names in `traceparent` (W3C Trace
//! Context, §3.2) or in a new one. While the request is answered, every [`Call`] to a dependency
//! becomes a span below it and carries the trace on. Finished spans go to a queue, which
//! `src/telemetry/otlp.rs` empties.
//!
//! Without traces, a call costs a look at a thread-local variable and a check none at all. No token,
//! cookie or query becomes part of a span.

mod call;
mod headers;
mod sampling;

use std::sync::Arc;

use async_trait::async_trait;
use opentelemetry::trace::{
    FutureExt as _, Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _, WithContext,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanProcessor};

pub use self::call::Call;
pub use self::headers::TraceHeaders;
pub use self::sampling::Sampling;

/// Starts the spans of requests.
pub struct Traces {
    tracer: SdkTracer,
    spans: Arc<dyn Spans>,
}

/// What takes finished spans.
#[async_trait]
pub trait Spans: SpanProcessor {
    /// Waits until the spans so far have been sent, but not forever.
    async fn flush(&self);
}

/// The span of a request that is being answered.
pub struct RequestSpan(Context);

/// How a request was answered.
pub struct Answered<'a> {
    /// Status of the answer.
    pub status: u16,
    /// Reason of the decision.
    pub reason: Option<&'a str>,
    /// The method that verified the credential.
    pub method: Option<&'a str>,
    /// Primary key in `htx_user`.
    pub user_id: Option<&'a str>,
}

impl Traces {
    /// Hands finished spans to `spans`.
    pub fn new<S: Spans + Clone + 'static>(
        spans: S,
        resource: Resource,
        sampling: &Sampling,
    ) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_span_processor(spans.clone())
            .with_sampler(sampling.sampler())
            .with_resource(resource)
            .build();
        Self {
            tracer: provider.tracer("label-studio-gate"),
            spans: Arc::new(spans),
        }
    }

    /// Waits until the spans so far have been sent, but not forever.
    pub async fn flush(&self) {
        self.spans.flush().await;
    }

    /// Starts the span of a request, in the trace that `parent` names. `None`: it is not traced, and
    /// no trace goes through it.
    pub fn begin(&self, name: &'static str, parent: &TraceHeaders) -> Option<RequestSpan> {
        let remote = parent.context();
        let span = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .start_with_context(&self.tracer, &remote);
        let is_sampled = span.span_context().is_sampled();
        if !is_sampled && !remote.has_active_span() {
            return None;
        }
        let context = remote.with_value(self.tracer.clone()).with_span(span);
        Some(RequestSpan(context))
    }
}

/// Keeps the trace of the current request in work that becomes a task of its own.
pub fn carried<F: Future>(work: F) -> WithContext<F> {
    work.with_current_context()
}

impl RequestSpan {
    /// Runs `answer` within this span: its calls to dependencies become spans below it.
    pub async fn around<F: Future>(&self, answer: F) -> F::Output {
        answer.with_context(self.0.clone()).await
    }

    /// Whether the span is recorded.
    pub fn is_sampled(&self) -> bool {
        self.0.span().span_context().is_sampled()
    }

    /// Sets the method of the request, its path without the query, and its ID in the log.
    pub fn describe(&self, method: &str, path: &str, request_id: &str) {
        let span = self.0.span();
        for (name, value) in [
            ("http.request.method", method),
            ("url.path", path),
            ("gate.request_id", request_id),
        ] {
            span.set_attribute(KeyValue::new(name, value.to_owned()));
        }
    }

    /// Ends the span. Returns the headers that carry the trace on to Label Studio.
    pub fn end(self, answered: &Answered<'_>) -> TraceHeaders {
        let span = self.0.span();
        let status = i64::from(answered.status);
        span.set_attribute(KeyValue::new("http.response.status_code", status));
        for (name, value) in [
            ("gate.reason", answered.reason),
            ("gate.method", answered.method),
            ("gate.user_id", answered.user_id),
        ] {
            if let Some(value) = value {
                span.set_attribute(KeyValue::new(name, value.to_owned()));
            }
        }
        // A refusal is a decision. Only what the gate could not decide is an error.
        if answered.status >= 500 {
            let reason = answered.reason.unwrap_or_default().to_owned();
            span.set_status(Status::error(reason));
        }
        span.end();
        TraceHeaders::of(span.span_context())
    }
}
