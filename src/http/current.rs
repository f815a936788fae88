//! The state in force, and the snapshot of it that a request works with.
//!
//! A reload replaces the state as a whole. A handler takes a [`Snapshot`] when it begins and decides
//! with that until it has answered, so no request sees half of one configuration and half of
//! another. A state is dropped when the last request that uses it has been answered.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::error::ErrorInternalServerError;
use actix_web::{Error, FromRequest, HttpRequest, web};
use arc_swap::ArcSwap;

use super::State;
use crate::traces::Traces;

/// The state in force.
pub struct Current(ArcSwap<State>);

/// The state that one request works with, from its beginning to its end.
pub(super) struct Snapshot(Arc<State>);

impl Current {
    /// Begins with `state`.
    pub fn new(state: State) -> Self {
        Self(ArcSwap::from_pointee(state))
    }

    /// Where requests are traced.
    pub fn traces(&self) -> Option<Arc<Traces>> {
        self.0.load().traces.clone()
    }

    /// Replaces the state. Requests that have begun keep the previous one.
    pub fn replace(&self, state: State) {
        self.0.store(Arc::new(state));
    }

    /// Writes the audit events that are left, within a time limit.
    pub async fn finish(&self) {
        let audit = self.0.load().audit.clone();
        if let Some(audit) = audit {
            audit.finish().await;
        }
    }
}

impl Deref for Snapshot {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Snapshot {
    /// Looks at the state in force, without keeping it.
    pub(super) fn peek<T>(
        request: &HttpRequest,
        look: impl FnOnce(&State) -> T,
    ) -> Result<T, Error> {
        let current = request.app_data::<web::Data<Current>>();
        let seen = current.map(|current| look(&current.0.load()));
        seen.ok_or_else(without_state)
    }

    /// The state in force when this is called.
    pub(super) fn of(current: &Current) -> Self {
        Self(current.0.load_full())
    }

    /// The state in force when this is called, of the app that has this request.
    pub(super) fn take(request: &HttpRequest) -> Result<Self, Error> {
        let current = request.app_data::<web::Data<Current>>();
        let snapshot = current.map(|current| Self::of(current));
        snapshot.ok_or_else(without_state)
    }
}

fn without_state() -> Error {
    ErrorInternalServerError("the routes have no state")
}

impl FromRequest for Snapshot {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::take(request))
    }
}
