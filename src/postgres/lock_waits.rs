//! Logins that may have to wait for a lock use a share of the pool.
//!
//! In: a login that is recorded by itself. Out: its turn, which its connection keeps until Postgres has
//! answered. One login of each user at a time: the others would wait for the same row, each on a
//! connection of its own. All of them together leave a part of the pool to requests that wait for no lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The part of the pool for logins that a batch has left out: one connection in this many.
const LEFT_OVER: usize = 4;

/// The same for logins that replace a session.
const REPLACING: usize = 2;

/// The login of a user, by their ID, that may have to wait for a lock.
#[derive(Debug, Clone, Copy)]
pub(super) enum LockWait {
    /// Somebody has locked what it needs.
    LeftOver(i32),
    /// It deletes a row, which is rarely locked. So it does not wait behind those that are left over.
    Replacing(i32),
}

/// The turns of such logins.
pub(super) struct LockWaits {
    users: Mutex<HashMap<i32, Weak<Semaphore>>>,
    left_over: Arc<Semaphore>,
    replacing: Arc<Semaphore>,
}

/// May use a connection, until dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _user: Option<OwnedSemaphorePermit>,
    _share: Option<OwnedSemaphorePermit>,
}

impl LockWaits {
    pub(super) fn new(pool_size: usize) -> Self {
        let share = |part: usize| Arc::new(Semaphore::new((pool_size / part).max(1)));
        Self {
            users: Mutex::default(),
            left_over: share(LEFT_OVER),
            replacing: share(REPLACING),
        }
    }

    /// Waits for a turn. The caller limits the wait.
    pub(super) async fn turn(&self, wait: LockWait) -> Turn {
        let (user, share) = match wait {
            LockWait::LeftOver(user) => (user, &self.left_over),
            LockWait::Replacing(user) => (user, &self.replacing),
        };
        // Nobody closes a semaphore.
        let user = self.user(user).acquire_owned().await.ok();
        let share = share.clone().acquire_owned().await.ok();
        Turn {
            _user: user,
            _share: share,
        }
    }

    fn user(&self, id: i32) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = users.get(&id).and_then(Weak::upgrade) {
            return known;
        }
        // Instead of growing.
        if users.len() == users.capacity() {
            users.retain(|_, user| user.strong_count() > 0);
        }
        let user = Arc::new(Semaphore::new(1));
        users.insert(id, Arc::downgrade(&user));
        user
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::LockWait::{LeftOver, Replacing};
    use super::*;

    #[test]
    fn one_login_of_a_user_and_a_quarter_of_the_pool_at_a_time() {
        let waits = LockWaits::new(8);
        let turn = |wait| waits.turn(wait).now_or_never();
        let first = turn(LeftOver(1));
        assert!(first.is_some() && turn(LeftOver(1)).is_none() && turn(Replacing(1)).is_none());
        let second = turn(LeftOver(2));
        assert!(second.is_some() && turn(LeftOver(3)).is_none());
        assert!(turn(Replacing(3)).is_some());
        drop((first, second));
        assert!(turn(LeftOver(1)).is_some() && turn(LeftOver(3)).is_some());
    }

    #[test]
    fn users_whose_logins_are_done_are_forgotten() {
        let waits = LockWaits::new(8);
        for id in 0..10_000 {
            assert!(waits.turn(LeftOver(id)).now_or_never().is_some());
        }
        assert!(waits.users.lock().unwrap().capacity() < 100);
    }
}
