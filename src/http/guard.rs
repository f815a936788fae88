//! What every request passes before its route.
//!
//! In: any request. Out: its route's answer, unless `slow_peers` or `request_target` ends it before.
//! Nearly every request is a check: a proxy sends it, and it has no body. Such a request goes straight
//! on and costs no future of its own.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};

use super::{request_target, slow_peers};

/// The middleware.
pub(super) struct Guard;

/// The routes behind it.
pub(super) struct Guarded<S>(Rc<S>);

/// An answer under way. What actix-web's router returns is passed on as it is.
type Answer = Pin<Box<dyn Future<Output = Result<ServiceResponse, Error>>>>;

impl<S> Transform<S, ServiceRequest> for Guard
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error, Future = Answer>
        + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = Guarded<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, routes: S) -> Self::Future {
        ready(Ok(Guarded(Rc::new(routes))))
    }
}

impl<S> Service<ServiceRequest> for Guarded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error, Future = Answer>
        + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Answer {
        let is_plain = request_target::is_canonical(request.uri().path());
        if is_plain && !slow_peers::may_dawdle(&mut request) {
            return self.0.call(request);
        }
        let routes = Rc::clone(&self.0);
        Box::pin(slow_peers::cut_off(
            request,
            async move |request| match request_target::refusal(request.request())? {
                None => routes.call(request).await,
                Some(refusal) => Ok(request.into_response(refusal)),
            },
        ))
    }
}
