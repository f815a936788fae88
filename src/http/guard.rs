//! What every request passes before its route.
//!
//! In: any request. Out: its route's answer, unless `slow_peers` or `request_target` ends it before.
//! Nearly every request is a check: a proxy sends it, and it has no body. It is answered from here, and
//! no router looks at it.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::{Error, web};

use super::{Current, Proxy, Snapshot, auth, check_path, request_target, slow_peers};

/// The middleware.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) current: web::Data<Current>,
    /// The kinds of proxy whose checks are answered.
    pub(super) proxies: Rc<[Proxy]>,
}

impl Guard {
    /// Whose check this is.
    fn check(&self, path: &str) -> Option<Proxy> {
        let is_check = |proxy: &Proxy| match proxy {
            Proxy::Envoy => request_target::is_envoys(path),
            proxy => path == check_path(*proxy),
        };
        self.proxies.iter().copied().find(is_check)
    }
}

/// The routes behind it.
pub(super) struct Guarded<S> {
    guard: Guard,
    routes: Rc<S>,
}

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
        ready(Ok(Guarded {
            guard: self.clone(),
            routes: Rc::new(routes),
        }))
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
        self.routes.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Answer {
        if request_target::is_canonical(request.uri().path()) {
            let state = Snapshot::of(&self.guard.current);
            if !slow_peers::may_dawdle(&mut request, &state) {
                return match self.guard.check(request.uri().path()) {
                    Some(proxy) => answered(proxy, request, state),
                    None => self.routes.call(request),
                };
            }
        }
        let routes = Rc::clone(&self.routes);
        Box::pin(slow_peers::cut_off(
            request,
            async move |request| match request_target::refusal(request.request())? {
                None => routes.call(request).await,
                Some(refusal) => Ok(request.into_response(refusal)),
            },
        ))
    }
}

fn answered(proxy: Proxy, request: ServiceRequest, state: Snapshot) -> Answer {
    let request = request.into_parts().0;
    Box::pin(async move {
        let response = auth::answered(proxy, &request, &state).await;
        Ok(ServiceResponse::new(request, response))
    })
}
