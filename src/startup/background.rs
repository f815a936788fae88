//! Work in the background that ends with what it belongs to.

use tokio::task::JoinHandle;

/// A task that is cancelled when this is dropped. A reload would otherwise leave the tasks of the
/// previous configuration behind.
pub(super) struct Background(JoinHandle<()>);

impl Background {
    /// Starts `work`.
    pub(super) fn start(work: impl Future<Output = ()> + 'static) -> Self {
        Self(actix_web::rt::spawn(work))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[actix_web::test]
    async fn a_task_ends_with_its_owner() {
        let owned = Rc::new(());
        let held = owned.clone();
        let task = Background::start(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        assert_eq!(Rc::strong_count(&owned), 2);
        drop(task);
        while Rc::strong_count(&owned) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
