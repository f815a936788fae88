//! Slow peers: a request that does not arrive is cut off.
//!
//! In: any request. Out: the same with its body in memory, or an answer 408 and a closed connection. Afterwards holds: no connection
//! stays open because somebody sends slowly. The head of a connection's first request has a limit in the server itself
//! (`client_request_timeout`); the heads of later ones have none there, so only trusted proxies keep their connections.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::ConnectionType;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use futures_core::Stream as _;
use serde_json::json;
use tokio::time::timeout;

use super::{FORM_LIMIT, State};

/// Middleware: receives the body within `http.body_timeout_seconds`.
pub(super) async fn cut_off(
    state: web::Data<State>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let keeps_connection = state.trusted_proxies.sent(request.request());
    let mut payload = request.take_payload();
    let mut response = match timeout(state.body_timeout, receive(&mut payload)).await {
        Ok(Ok(Received::All(body))) => {
            request.set_payload(Payload::from(body));
            next.call(request).await?.map_into_boxed_body()
        }
        Ok(Ok(Received::TooMuch(body))) => {
            request.set_payload(Payload::from(body));
            let response = next.call(request).await?.map_into_boxed_body();
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
    /// Enough of it to show that it is larger than any route takes.
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

/// The same answer, and afterwards the connection is closed.
fn closing(response: ServiceResponse<BoxBody>, unread: Payload) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| {
        BoxBody::new(Holding {
            body,
            _unread: unread,
        })
    })
}

/// An answer's body that holds what was not read of the request's. Once an answer is sent, the server closes the connection if somebody
/// still holds that; what nobody holds it waits for, however slowly it comes.
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
