//! A call to a dependency.

use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::TraceHeaders;

/// A call to a dependency. If the request that makes it is traced, it is a span, which ends when
/// this is dropped.
pub struct Call {
    span: Option<Span>,
    /// What goes on with the call if it is no span of its own.
    passing: Option<SpanContext>,
}

impl Call {
    /// A statement that Postgres is asked to run.
    pub fn statement(name: &'static str) -> Self {
        Self::begin(name, || {
            vec![
                KeyValue::new("db.system.name", "postgresql"),
                KeyValue::new("db.query.summary", name),
            ]
        })
    }

    /// A GET request to `host`.
    pub fn get(host: &str) -> Self {
        Self::begin("GET", || {
            vec![
                KeyValue::new("http.request.method", "GET"),
                KeyValue::new("server.address", host.to_owned()),
            ]
        })
    }

    fn begin(name: &'static str, attributes: impl FnOnce() -> Vec<KeyValue>) -> Self {
        let none = Self {
            span: None,
            passing: None,
        };
        Context::map_current(|current| {
            if !current.has_active_span() {
                return none;
            }
            let parent = current.span();
            let tracer = current
                .get::<SdkTracer>()
                .filter(|_| parent.span_context().is_sampled());
            match tracer {
                None => Self {
                    span: None,
                    passing: Some(parent.span_context().clone()),
                },
                Some(tracer) => Self {
                    span: Some(
                        tracer
                            .span_builder(name)
                            .with_kind(SpanKind::Client)
                            .with_attributes(attributes())
                            .start_with_context(tracer, current),
                    ),
                    passing: None,
                },
            }
        })
    }

    /// The headers that carry the trace on.
    pub fn headers(&self) -> Option<TraceHeaders> {
        let own = self.span.as_ref().map(Span::span_context);
        own.or(self.passing.as_ref()).map(TraceHeaders::of)
    }

    /// The dependency answered with this HTTP status.
    pub fn answered(&mut self, status: u16) {
        if let Some(span) = &mut self.span {
            let status_code = i64::from(status);
            span.set_attribute(KeyValue::new("http.response.status_code", status_code));
            if status >= 500 {
                span.set_status(Status::error(""));
            }
        }
    }

    /// The call failed. `why` is one of a few words, without anything of the request.
    pub fn failed(&mut self, why: &'static str) {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new("error.type", why));
            span.set_status(Status::error(why));
        }
    }
}
