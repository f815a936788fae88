//! Several attempts of which one has to succeed: the next begins when one fails or takes long.

use std::time::Duration;

use tokio::task::JoinSet;

/// How long an attempt runs before the next one starts (RFC 8305 §5, "Connection Attempt Delay").
const HEAD_START: Duration = Duration::from_millis(250);

/// The result of the first attempt that succeeds; the others are cancelled. If all fail, their
/// errors.
pub(super) async fn first_success<T, E, F>(
    attempts: impl IntoIterator<Item = F>,
) -> Result<T, Vec<E>>
where
    T: Send + 'static,
    E: Send + 'static,
    F: Future<Output = Result<T, E>> + Send + 'static,
{
    let mut waiting = attempts.into_iter().peekable();
    let mut running = JoinSet::new();
    let mut errors = Vec::new();
    loop {
        if let Some(next) = waiting.next() {
            running.spawn(next);
        }
        tokio::select! {
            done = running.join_next() => match done {
                Some(Ok(Ok(success))) => return Ok(success),
                Some(Ok(Err(error))) => errors.push(error),
                Some(Err(_panicked)) => {}
                None if waiting.peek().is_none() => return Err(errors),
                None => {}
            },
            () = tokio::time::sleep(HEAD_START), if waiting.peek().is_some() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    async fn attempt(
        milliseconds: u64,
        result: Result<&'static str, &'static str>,
    ) -> Result<&'static str, &'static str> {
        sleep(Duration::from_millis(milliseconds)).await;
        result
    }

    async fn race(
        attempts: &[(u64, Result<&'static str, &'static str>)],
    ) -> (Result<&'static str, Vec<&'static str>>, u128) {
        let start = Instant::now();
        let attempts = attempts
            .iter()
            .map(|(after, result)| attempt(*after, *result));
        let result = first_success(attempts.collect::<Vec<_>>()).await;
        (result, start.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_fails_or_hangs_does_not_hold_up_the_next() {
        const NEVER: u64 = 3_600_000;
        // The first is preferred as long as it is fast enough.
        assert_eq!(race(&[(200, Ok("a")), (0, Ok("b"))]).await, (Ok("a"), 200));
        assert_eq!(
            race(&[(NEVER, Ok("a")), (5, Ok("b"))]).await,
            (Ok("b"), 255)
        );
        assert_eq!(race(&[(3, Err("a")), (5, Ok("b"))]).await, (Ok("b"), 8));
        // A slow one may still win.
        assert_eq!(
            race(&[(300, Ok("a")), (NEVER, Ok("b"))]).await,
            (Ok("a"), 300)
        );
        let failing = [(700, Err("a")), (1, Err("b")), (1, Err("c"))];
        assert_eq!(race(&failing).await, (Err(vec!["b", "c", "a"]), 700));
        assert_eq!(race(&[]).await, (Err(vec![]), 0));
    }
}
