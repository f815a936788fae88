//! Detects that the API may be refusing the gate's secret, which looks the same as an unknown session.
//!
//! In: whether the API refused a session or named a user. Out: a line in the log. When a refusal comes and
//! no user was named for a while, the API is tried as `doctor` tries it. Nothing is decided here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::trial::SecretTrial;
use super::{Api, Verdict};

/// The time between two trials, and between the last named user and a trial.
const PAUSE: Duration = Duration::from_secs(600);

const MAY_BE_WRONG: &str = "answers a wrong secret as it answers client_session.verify_secret: compare it with your \
     application's";

/// Decides when the secret is tried, and what that shows.
#[derive(Default)]
pub(super) struct SecretMonitor(Mutex<Known>);

/// What is known about the secret.
#[derive(Default)]
struct Known {
    /// When a user was named, or a trial began.
    settled: Option<Instant>,
    /// Whether the API has ever named a user.
    named_a_user: bool,
    /// Whether a trial has ever shown that the API answers a wrong secret in another way.
    tells_secrets_apart: bool,
}

/// What a trial tells the operator.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// The secret was right and is no longer.
    NoLongerAccepted,
    /// Nothing shows that the secret is right.
    MayBeWrong,
}

impl SecretMonitor {
    /// Records that the API has named a user, so that the secret is right.
    pub(super) fn user_was_named(&self) {
        let mut known = self.lock();
        known.named_a_user = true;
        known.settled = Some(Instant::now());
    }

    /// Records a refusal. Returns whether it is reason for a trial, which then begins.
    fn begins_trial(&self) -> bool {
        let mut known = self.lock();
        let arises = known.settled.is_none_or(|at| at.elapsed() >= PAUSE);
        if arises {
            known.settled = Some(Instant::now());
        }
        arises
    }

    /// Records what a trial has shown.
    fn judge(&self, trial: SecretTrial) -> Option<Finding> {
        let mut known = self.lock();
        match trial {
            SecretTrial::Right => {
                known.tells_secrets_apart = true;
                None
            }
            SecretTrial::Unchecked | SecretTrial::Unanswered => None,
            SecretTrial::Unknown if known.tells_secrets_apart => Some(Finding::NoLongerAccepted),
            // An API that named a user does not tell wrong secrets from unknown sessions.
            SecretTrial::Unknown if known.named_a_user => None,
            SecretTrial::Unknown => Some(Finding::MayBeWrong),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called after a refusal: tries the API in the background if there is reason to.
pub(super) fn check_secret(api: &Arc<Api>) {
    if !api.secret_monitor.begins_trial() {
        return;
    }
    let api = api.clone();
    tokio::spawn(async move {
        let Ok(trial) = api.try_out().await else {
            return;
        };
        // The answer of a failing API says nothing about the secret.
        if !matches!(trial.verdict, Verdict::Nobody(_)) {
            return;
        }
        match api.secret_monitor.judge(trial.secret) {
            None => {}
            Some(Finding::NoLongerAccepted) => tracing::error!(
                "the host application's API no longer accepts client_session.verify_secret: it \
                 answers a wrong secret in the same way"
            ),
            Some(Finding::MayBeWrong) => {
                let what = trial.misses().unwrap_or(MAY_BE_WRONG);
                tracing::warn!("the host application's API has named no user yet, and {what}");
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trials_are_rare_and_none_follows_a_named_user() {
        let monitor = SecretMonitor::default();
        assert!(monitor.begins_trial());
        tokio::time::advance(PAUSE - Duration::from_secs(1)).await;
        assert!(!monitor.begins_trial());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(monitor.begins_trial());
        tokio::time::advance(PAUSE).await;
        monitor.user_was_named();
        assert!(!monitor.begins_trial());
        tokio::time::advance(PAUSE).await;
        assert!(monitor.begins_trial());
    }

    #[test]
    fn a_trial_is_read_in_the_light_of_what_was_seen_before() {
        use SecretTrial::{Right, Unanswered, Unchecked, Unknown};
        let fresh = SecretMonitor::default();
        assert_eq!(fresh.judge(Unknown), Some(Finding::MayBeWrong));
        assert_eq!(fresh.judge(Unchecked), None);
        assert_eq!(fresh.judge(Unanswered), None);
        assert_eq!(fresh.judge(Right), None);
        assert_eq!(fresh.judge(Unknown), Some(Finding::NoLongerAccepted));

        let indistinct = SecretMonitor(Mutex::new(Known {
            named_a_user: true,
            ..Known::default()
        }));
        assert_eq!(indistinct.judge(Unknown), None);
    }
}
