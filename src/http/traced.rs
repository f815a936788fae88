//! Answers requests within the span of a trace, if requests are traced.
//!
//! In: a request and how to answer it. Out: the answer, with the headers that carry the trace on to
//! Label Studio. What the span tells comes from the answer's own headers.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};

use super::context::RequestContext;
use super::extract::{self, Proxy};
use super::respond;
use crate::traces::{Answered, RequestSpan, TraceHeaders, Traces};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const X_GATE_TRACEPARENT: HeaderName = HeaderName::from_static("x-gate-traceparent");
const X_GATE_TRACESTATE: HeaderName = HeaderName::from_static("x-gate-tracestate");

/// Longest `tracestate` in bytes that is passed on (W3C Trace Context §3.3.1.5: at least 512).
const MAX_TRACESTATE: usize = 1024;

/// A route that is traced; its name is the span's.
#[derive(Debug, Clone, Copy)]
pub(super) enum Traced {
    /// `/auth/{proxy}`
    Check(Proxy),
    /// `/sso/login`, `/sso/start`, `/sso/callback`, `/sso/backchannel-logout`, and a page with a token in
    /// its URL.
    SignIn,
    /// `POST /api/sso/token`
    Token,
    /// `POST /api/sso/revoke`
    Revoke,
}

impl Traced {
    const fn name(self) -> &'static str {
        match self {
            Self::Check(_) => "check",
            Self::SignIn => "sign-in",
            Self::Token => "token",
            Self::Revoke => "revoke",
        }
    }

    /// Answers a request. `answer` is called once; the answer of a traced request is on the heap, so
    /// that others don't pay for its size.
    pub(super) async fn answer(
        self,
        context: &RequestContext<'_>,
        answer: impl AsyncFnOnce() -> HttpResponse,
    ) -> HttpResponse {
        match &context.state.traces {
            None => answer().await,
            Some(traces) => Box::pin(self.trace(traces, context, answer())).await,
        }
    }

    async fn trace(
        self,
        traces: &Traces,
        context: &RequestContext<'_>,
        answer: impl Future<Output = HttpResponse>,
    ) -> HttpResponse {
        let headers = context.request.headers();
        let header = |name| extract::only(headers, name).unwrap_or_default();
        let parent = TraceHeaders {
            traceparent: header(&TRACEPARENT).to_owned(),
            tracestate: header(&TRACESTATE).to_owned(),
        };
        let Some(span) = traces.begin(self.name(), &parent) else {
            return answer.await;
        };
        if span.is_sampled() {
            self.describe(&span, context);
        }
        let mut response = span.around(answer).await;
        let headers = span.end(&answered(&response));
        self.pass_on(&mut response, &headers);
        response
    }

    /// Tells method and path of the original request, without the query, and its ID in the log.
    fn describe(self, span: &RequestSpan, context: &RequestContext<'_>) {
        let request = context.request;
        let (method, uri) = match self {
            Self::Check(proxy) => (
                extract::original_method(proxy, request).unwrap_or_default(),
                extract::original_uri(proxy, request).unwrap_or_default(),
            ),
            Self::SignIn | Self::Token | Self::Revoke => {
                (request.method.as_str(), request.uri.path())
            }
        };
        let path = uri.split(['?', '#']).next().unwrap_or_default();
        span.describe(method, path, context.id());
    }

    /// Adds the headers for Label Studio to the answer of a check that lets the request pass. Proxies
    /// pass other answers on to the browser.
    fn pass_on(self, response: &mut HttpResponse, headers: &TraceHeaders) {
        let Self::Check(proxy) = self else { return };
        if !response.status().is_success() {
            return;
        }
        let (parent, state) = match proxy {
            Proxy::Nginx | Proxy::Caddy => (X_GATE_TRACEPARENT, X_GATE_TRACESTATE),
            // These copy headers under their own names.
            Proxy::IngressNginx | Proxy::Traefik | Proxy::Envoy => (TRACEPARENT, TRACESTATE),
        };
        for (name, value) in [(parent, &headers.traceparent), (state, &headers.tracestate)] {
            if let Ok(value) = HeaderValue::from_str(value)
                && !value.is_empty()
                && value.len() <= MAX_TRACESTATE
            {
                response.headers_mut().insert(name, value);
            }
        }
    }
}

fn answered(response: &HttpResponse) -> Answered<'_> {
    let header = |name: &HeaderName| response.headers().get(name)?.to_str().ok();
    Answered {
        status: response.status().as_u16(),
        reason: header(&respond::X_GATE_REASON),
        method: header(&respond::X_GATE_METHOD),
        user_id: header(&respond::X_GATE_USER_ID),
    }
}
