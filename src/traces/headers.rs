//! `traceparent` and `tracestate` (W3C Trace Context, §3.2 and §3.3).

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The headers that name a trace. Empty: none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceHeaders {
    /// `traceparent`
    pub traceparent: String,
    /// `tracestate`; empty: no header.
    pub tracestate: String,
}

impl TraceHeaders {
    pub(super) fn of(span: &SpanContext) -> Self {
        let (trace, id) = (span.trace_id(), span.span_id());
        let flags = span.trace_flags().to_u8();
        Self {
            traceparent: format!("00-{trace}-{id}-{flags:02x}"),
            tracestate: span.trace_state().header(),
        }
    }

    /// A context with the span that the headers name. Headers that are not well-formed name none
    /// (§4.3).
    pub(super) fn context(&self) -> Context {
        let none = Context::new();
        if self.traceparent.is_empty() {
            return none;
        }
        let context = TraceContextPropagator::new().extract_with_context(&none, self);
        match context.span().span_context().is_valid() {
            true => context,
            false => none,
        }
    }
}

impl Extractor for TraceHeaders {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            "traceparent" => &self.traceparent,
            "tracestate" => &self.tracestate,
            _ => return None,
        };
        (!value.is_empty()).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(traceparent: &str, tracestate: &str) -> TraceHeaders {
        let headers = TraceHeaders {
            traceparent: traceparent.to_owned(),
            tracestate: tracestate.to_owned(),
        };
        TraceHeaders::of(headers.context().span().span_context())
    }

    #[test]
    fn what_is_read_is_written_again() {
        for flags in ["00", "01"] {
            let given = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            let read = read(&given, "vendor=1,other=x");
            assert_eq!(read.traceparent, given);
            assert_eq!(read.tracestate, "vendor=1,other=x");
        }
    }

    #[test]
    fn headers_that_are_not_well_formed_name_no_trace() {
        for given in [
            "",
            "x",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            let headers = TraceHeaders {
                traceparent: given.to_owned(),
                tracestate: "a=b".to_owned(),
            };
            assert!(!headers.context().has_active_span(), "{given}");
        }
    }
}
