//! An OpenTelemetry collector: it receives OTLP over HTTP and decodes it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// What was received.
#[derive(Default)]
struct Received {
    heads: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

/// The collector. It lives until the test process ends.
pub struct Collector {
    port: u16,
    received: Arc<Mutex<Received>>,
    /// What it answers.
    status: Arc<AtomicU16>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let collector = Self {
            port: listener.local_addr().expect("bound").port(),
            received: Arc::default(),
            status: Arc::new(AtomicU16::new(200)),
        };
        let (received, status) = (collector.received.clone(), collector.status.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (received, status) = (received.clone(), status.clone());
                std::thread::spawn(move || serve(stream, &received, &status));
            }
        });
        collector
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.port)
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The heads of the requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.received.lock().unwrap().heads.clone()
    }

    /// Everything that was received, as it was on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().unwrap().bodies.concat()
    }

    /// The requests so far, decoded.
    pub fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.received.lock().unwrap();
        let decode = |body: &Vec<u8>| ExportTraceServiceRequest::decode(body.as_slice());
        let requests = received.bodies.iter().map(decode);
        requests.collect::<Result<_, _>>().expect("OTLP")
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|it| it.resource_spans);
        let scopes = resources.flat_map(|it| it.scope_spans);
        scopes.flat_map(|it| it.spans).collect()
    }
}

/// Answers the requests of a connection.
fn serve(stream: TcpStream, received: &Mutex<Received>, status: &AtomicU16) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or_default() == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = vec![0; length.unwrap_or_default()];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let status = status.load(Ordering::SeqCst);
        if status == 200 {
            let mut received = received.lock().unwrap();
            received.heads.push(head);
            received.bodies.push(body);
        }
        let answer = format!("HTTP/1.1 {status} Answer\r\nContent-Length: 0\r\n\r\n");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// An attribute as text.
pub fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match &found.value {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => Some(text.clone()),
        Some(AnyValue {
            value: Some(Value::IntValue(number)),
        }) => Some(number.to_string()),
        _ => None,
    }
}
