//! Sends finished spans to a collector: OTLP over HTTP, in protobuf (OTLP 1.5, §"OTLP/HTTP").
//!
//! A finished span goes to a bounded queue. A task sends what is in it, in batches, when there is
//! enough or when some seconds have passed. Nothing waits for the collector: a span that finds no
//! room, or whose batch is not accepted, is lost and counted.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::http_client::HttpClient;
use crate::metrics::{Metrics, SpanFate};
use crate::traces::Spans;

/// Spans that wait to be sent; some megabytes.
const QUEUE: usize = 4096;

/// Spans in one request.
const BATCH: usize = 512;

/// How long a span waits for others.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the end of the service waits for the collector.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// A failing collector is logged no more often than this.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Where spans are sent.
pub struct Collector {
    /// The address that takes spans, as `http://localhost:4318/v1/traces`.
    pub endpoint: Url,
    /// Headers of each request.
    pub headers: HeaderMap,
    /// A client with the limits for a request.
    pub http: HttpClient,
}

/// The queue of finished spans.
#[derive(Debug, Clone)]
pub struct SpanQueue {
    entries: mpsc::Sender<Entry>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
enum Entry {
    Span(Box<SpanData>),
    /// Send everything before this, and tell when that is done.
    Flush(oneshot::Sender<()>),
}

impl SpanQueue {
    /// Sends what is queued to `collector`, until every clone of the queue is dropped. `resource`
    /// says where the spans come from.
    pub fn start(collector: Collector, resource: &Resource, metrics: Arc<Metrics>) -> Self {
        let (entries, receiver) = mpsc::channel(QUEUE);
        let sender = Sender {
            collector,
            resource: resource.into(),
            metrics: metrics.clone(),
            logged: None,
            lost: 0,
        };
        tokio::spawn(sender.run(receiver));
        Self { entries, metrics }
    }
}

#[async_trait]
impl Spans for SpanQueue {
    async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        let flushed = async {
            if self.entries.send(Entry::Flush(done)).await.is_ok() {
                // The sender of `done` is dropped only if the task ends.
                let _ = wait.await;
            }
        };
        let _ = tokio::time::timeout(FLUSH_LIMIT, flushed).await;
    }
}

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.entries.try_send(Entry::Span(Box::new(span))).is_err() {
            self.metrics.count_spans(SpanFate::QueueFull, 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _limit: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Empties the queue.
struct Sender {
    collector: Collector,
    resource: ResourceAttributesWithSchema,
    metrics: Arc<Metrics>,
    /// When the last failure was logged, and how many spans were lost since.
    logged: Option<Instant>,
    lost: usize,
}

impl Sender {
    async fn run(mut self, mut entries: mpsc::Receiver<Entry>) {
        while let Some(first) = entries.recv().await {
            let mut batch = Vec::with_capacity(BATCH);
            let mut next = Some(first);
            let deadline = Instant::now() + PAUSE;
            let mut flushed = None;
            while let Some(entry) = next.take() {
                match entry {
                    Entry::Span(span) => batch.push(*span),
                    Entry::Flush(done) => {
                        flushed = Some(done);
                        break;
                    }
                }
                if batch.len() < BATCH {
                    let waited = tokio::time::timeout_at(deadline, entries.recv());
                    next = waited.await.unwrap_or_default();
                }
            }
            if !batch.is_empty() {
                self.send(batch).await;
            }
            if let Some(done) = flushed {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
            }
        }
    }

    async fn send(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(batch, &self.resource),
        };
        let body = request.encode_to_vec();
        let mut outcome = self.post(body.clone()).await;
        if let Err(Refused { again: true, .. }) = outcome {
            tokio::time::sleep(PAUSE).await;
            outcome = self.post(body).await;
        }
        match outcome {
            Ok(rejected) => {
                let rejected = rejected.min(spans);
                self.metrics
                    .count_spans(SpanFate::Exported, spans - rejected);
                if rejected > 0 {
                    self.lose(rejected, "the collector rejected a part of them");
                }
            }
            Err(Refused { why, .. }) => self.lose(spans, &why),
        }
    }

    /// Sends one request. Returns how many of its spans the collector rejected.
    async fn post(&self, body: Vec<u8>) -> Result<usize, Refused> {
        let Collector {
            endpoint,
            headers,
            http,
        } = &self.collector;
        let mut headers = headers.clone();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);
        let answer = http.post(endpoint.clone(), headers, body).await;
        let answer = answer.map_err(|why| Refused {
            why: why.to_string(),
            again: true,
        })?;
        if !answer.status.is_success() {
            // OTLP/HTTP names the answers after which a client may try again.
            return Err(Refused {
                why: format!("the response is {}", answer.status),
                again: matches!(answer.status.as_u16(), 429 | 502 | 503 | 504),
            });
        }
        let answer = ExportTraceServiceResponse::decode(answer.body.as_slice());
        let partial = answer.ok().and_then(|answer| answer.partial_success);
        let rejected = partial.map_or(0, |partial| partial.rejected_spans);
        Ok(usize::try_from(rejected).unwrap_or_default())
    }

    fn lose(&mut self, spans: usize, why: &str) {
        self.metrics.count_spans(SpanFate::NotAccepted, spans);
        self.lost += spans;
        let is_due = self.logged.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if is_due {
            let server = self.collector.endpoint.host_str().unwrap_or_default();
            tracing::warn!(server, spans = self.lost, why, "traces were not accepted");
            (self.logged, self.lost) = (Some(Instant::now()), 0);
        }
    }
}

/// The collector did not take a request.
struct Refused {
    why: String,
    /// Whether it might take it a moment later.
    again: bool,
}
