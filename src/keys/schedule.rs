//! When the key server is asked: regularly while it answers, soon after it failed.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first failure. Each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The shortest time between a failure and an attempt for a token. Anybody can make up a token.
const TOKEN_PAUSE: Duration = Duration::from_secs(1);

/// When keys are refreshed.
#[derive(Debug, Clone, Copy)]
pub struct Refresh {
    /// Interval of the background refresh.
    pub every: Duration,
    /// Minimum time between a success and an attempt for a token with an unknown key ID.
    pub cooldown: Duration,
}

/// The last request to the server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) at: Instant,
    /// Consecutive failures, this one included. 0: it succeeded.
    pub(super) failures: u32,
}

impl Refresh {
    /// How long after `attempt` the background task asks again.
    pub(super) fn background_pause(&self, attempt: Attempt) -> Duration {
        match attempt.failures {
            0 => self.every,
            failures => FIRST_PAUSE
                .saturating_mul(2_u32.saturating_pow(failures - 1))
                .min(LONGEST_PAUSE)
                .min(self.cooldown),
        }
    }

    /// How long after `attempt` a token may trigger another one.
    pub(super) fn token_pause(&self, attempt: Attempt) -> Duration {
        match attempt.failures {
            0 => self.cooldown,
            _ => TOKEN_PAUSE.min(self.cooldown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pauses_grow_with_each_failure_up_to_a_limit() {
        let refresh = Refresh {
            every: Duration::from_secs(600),
            cooldown: Duration::from_secs(30),
        };
        let at = Instant::now();
        let pauses = |failures| {
            let attempt = Attempt { at, failures };
            let pauses = [
                refresh.background_pause(attempt),
                refresh.token_pause(attempt),
            ];
            pauses.map(|pause| pause.as_millis())
        };
        for (failures, expected) in [
            (0, [600_000, 30_000]),
            (1, [250, 1000]),
            (2, [500, 1000]),
            (3, [1000, 1000]),
            (5, [4000, 1000]),
            (6, [5000, 1000]),
            (u32::MAX, [5000, 1000]),
        ] {
            assert_eq!(pauses(failures), expected, "{failures}");
        }
    }
}
