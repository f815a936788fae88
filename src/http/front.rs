//! The entry point: answers checks, and passes other requests to the app.
//!
//! In: any request. Out: the answer to a check, from `auth`, or to anything else, from the app.
//! Nearly every request is a check: a proxy sends it, and it has no body. It is answered before
//! actix-web prepares what only the app's routes need.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::Request;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, Payload, Response, Service, ServiceFactory, ServiceResponse};
use actix_web::{Error, web};

use super::{Current, Proxy, Snapshot, auth, check_path, request_target};

/// The app behind the checks; first its factory, then its service.
pub(super) struct Front<A> {
    pub(super) checks: Checks,
    pub(super) app: A,
}

/// Answers checks.
#[derive(Clone)]
pub(super) struct Checks {
    pub(super) current: web::Data<Current>,
    /// The kinds of proxy whose checks are answered.
    pub(super) proxies: Rc<[Proxy]>,
}

impl Checks {
    /// The kind of proxy and the state, if this is a check without a body from a trusted proxy.
    /// Anything else goes to the app.
    fn find(&self, request: &mut Request) -> Option<(Proxy, Snapshot)> {
        let path = request.path();
        let is_check = |proxy: &Proxy| match proxy {
            Proxy::Envoy => request_target::is_envoys(path),
            proxy => path == check_path(*proxy),
        };
        let proxy = self.proxies.iter().copied().find(is_check)?;
        let has_no_body = matches!(request.payload(), Payload::None);
        let state = Snapshot::of(&self.current);
        (has_no_body && state.trusted_proxies.sent(request.head())).then_some((proxy, state))
    }
}

/// An answer under way.
type Answer = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, Error>>>>;

impl<A> Service<Request> for Front<A>
where
    A: Service<Request, Response = ServiceResponse, Error = Error, Future: 'static>,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.app.poll_ready(context)
    }

    fn call(&self, mut request: Request) -> Answer {
        if let Some((proxy, state)) = self.checks.find(&mut request) {
            return Box::pin(async move {
                let response = auth::answer(proxy, request.head(), &state).await;
                Ok(response.into())
            });
        }
        let answer = self.app.call(request);
        Box::pin(async move { Ok(answer.await?.into()) })
    }
}

impl<A> ServiceFactory<Request> for Front<A>
where
    A: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse,
            Error = Error,
            InitError = (),
            Future: 'static,
        >,
    <A::Service as Service<Request>>::Future: 'static,
{
    type Config = AppConfig;
    type Response = Response<BoxBody>;
    type Error = Error;
    type Service = Front<A::Service>;
    type InitError = ();
    type Future = Pin<Box<dyn Future<Output = Result<Self::Service, ()>>>>;

    fn new_service(&self, config: AppConfig) -> Self::Future {
        let checks = self.checks.clone();
        let app = self.app.new_service(config);
        Box::pin(async move {
            let app = app.await?;
            Ok(Front { checks, app })
        })
    }
}
