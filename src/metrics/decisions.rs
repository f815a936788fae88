//! How requests were decided.

use super::family::Family;
use super::{Counter, Page};
use crate::gate::reason::Reason;
use crate::gate::verdict::{Grant, Rejection};
use crate::gate::verify::Method;

/// The label of each method, in the order of [`method_index`].
const METHODS: [&str; 6] = ["none", "external", "native", "session", "proxy", "openid"];

const fn method_index(method: Option<Method>) -> usize {
    match method {
        None => 0,
        Some(Method::External) => 1,
        Some(Method::Native) => 2,
        Some(Method::Session) => 3,
        Some(Method::Proxy) => 4,
        Some(Method::OpenId) => 5,
    }
}

/// Counts decisions by reason and method.
#[derive(Debug)]
pub(super) struct Decisions([[Counter; METHODS.len()]; Reason::COUNT]);

impl Default for Decisions {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Default::default()))
    }
}

impl Decisions {
    pub(super) fn count(&self, verdict: &Result<Grant, Rejection>) {
        let (reason, principal) = match verdict {
            Ok(grant) => (grant.reason(), Some(grant.principal())),
            Err(rejection) => (rejection.reason(), rejection.principal()),
        };
        let method = principal.and_then(|principal| principal.method);
        if let Some(methods) = self.0.get(reason.index()) {
            methods[method_index(method)].increment();
        }
    }

    /// Reports every reason, so that a rate is known from its first occurrence, and the methods
    /// that occurred.
    pub(super) fn report(&self, page: &mut Page, family: &'static Family) {
        for (reason, counters) in Reason::all().zip(&self.0) {
            for (method, counter) in METHODS.into_iter().zip(counters) {
                let count = counter.get();
                if count > 0 || method == "none" {
                    page.counter(family, &[reason.code(), method], count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::CHECKS;
    use super::*;

    #[test]
    fn every_reason_has_a_counter_of_its_own() {
        let decisions = Decisions::default();
        for (n, reason) in (1..).zip(Reason::all()) {
            decisions.0[reason.index()][0].add(n);
        }
        let mut page = Page::default();
        decisions.report(&mut page, &CHECKS);
        let text = page.finish();
        for (n, reason) in (1..).zip(Reason::all()) {
            let code = reason.code();
            let line = format!("checks_total{{reason=\"{code}\",method=\"none\"}} {n}\n");
            assert!(text.contains(&line), "{line} is not in {text}");
        }
    }

    #[test]
    fn methods_have_the_name_of_the_log() {
        for method in [
            Method::External,
            Method::Native,
            Method::Session,
            Method::Proxy,
            Method::OpenId,
        ] {
            assert_eq!(METHODS[method_index(Some(method))], method.as_str());
        }
    }
}
