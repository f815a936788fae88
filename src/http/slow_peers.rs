//! Cuts off peers that send their request too slowly.
//!
//! In: any request. Out: the request with its body in memory, or 408 and a closed connection. A
//! slow peer cannot keep a connection open. The server itself limits the time for the head of a
//! connection's first request (`client_request_timeout`), but not for later ones, so only trusted
//! proxies may reuse connections.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{Error, HttpMessage as _, HttpResponse};
use futures_core::Stream as _;
use serde_json::json;
use tokio::time::timeout;

use super::{FORM_LIMIT, Snapshot};

/// Receives the body within `http.body_timeout_seconds`, and passes the request on.
pub(super) async fn guard(
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let (keeps_connection, limit) = Snapshot::peek(request.request(), |state| {
        let keeps_connection = state.trusted_proxies.sent(request.head());
        (keeps_connection, state.body_timeout)
    })?;
    let mut payload = request.take_payload();
    let received = match &payload {
        // No reason to set a timer.
        Payload::None => Ok(Ok(Received::All(Bytes::new()))),
        _ => timeout(limit, receive(&mut payload)).await,
    };
    let mut response = match received {
        Ok(Ok(Received::All(body))) => {
            if !body.is_empty() {
                request.set_payload(Payload::from(body));
            }
            next.call(request).await?
        }
        Ok(Ok(Received::TooMuch(body))) => {
            request.set_payload(Payload::from(body));
            let response = next.call(request).await?;
            closing(response, payload)
        }
        Ok(Err(error)) => request.error_response(error),
        Err(_) => closing(request.into_response(too_slow()), payload),
    };
    if !keeps_connection {
        let head = response.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

enum Received {
    All(Bytes),
    /// The beginning of a body that is larger than any route accepts.
    TooMuch(Bytes),
}

async fn receive(payload: &mut Payload) -> Result<Received, PayloadError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = poll_fn(|cx| Pin::new(&mut *payload).poll_next(cx)).await {
        body.extend_from_slice(&chunk?);
        if body.len() > FORM_LIMIT {
            return Ok(Received::TooMuch(body.freeze()));
        }
    }
    Ok(Received::All(body.freeze()))
}

fn too_slow() -> HttpResponse {
    HttpResponse::RequestTimeout().json(json!({"error": "The request body took too long"}))
}

/// Makes the server close the connection after the response.
fn closing(response: ServiceResponse, unread: Payload) -> ServiceResponse {
    response.map_body(|_, body| {
        BoxBody::new(Holding {
            body,
            _unread: unread,
        })
    })
}

/// A response body that owns the unread part of the request. After the response, the server closes
/// the connection if the request's payload is still alive; if it was dropped, the server reads the
/// rest, however slowly it arrives.
struct Holding {
    body: BoxBody,
    _unread: Payload,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(cx)
    }
}
