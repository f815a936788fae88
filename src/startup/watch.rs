//! Notices that the file of a secret, a key or a certificate has changed.
//!
//! The contents are compared every few seconds. This sees every way in which files are replaced: a
//! write, a rename, the symbolic links of a Kubernetes Secret, a network file system. A file counts
//! as changed once it reads the same twice, because the first look may come while it is written.

use std::time::Duration;

use tokio::time::Instant;

use crate::settings::Files;

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(2);

/// When to try contents again that could not be used because something was unreachable.
const PAUSE: Duration = Duration::from_secs(30);

/// What is known about the files.
pub(super) struct Watch {
    /// The contents that are in force, or that were tried.
    known: Files,
    /// The contents at the last look.
    seen: Files,
    /// When to try the known contents again.
    again: Option<Instant>,
}

impl Watch {
    /// Watches for contents that differ from these.
    pub(super) fn new(files: &Files) -> Self {
        Self {
            known: files.clone(),
            seen: files.clone(),
            again: None,
        }
    }

    /// What is in the files after the next interval. Reading happens on a thread of its own, because
    /// a file system may be slow.
    pub(super) fn look(&self) -> impl Future<Output = Option<Files>> + use<> {
        let files = self.seen.clone();
        async move {
            if files.is_empty() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(INTERVAL).await;
            let read = tokio::task::spawn_blocking(move || files.look_again());
            read.await.ok()
        }
    }

    /// Whether the files have new contents, which are complete, or it is time to try again. Says so
    /// once for each change.
    pub(super) fn observe(&mut self, now: Files) -> bool {
        let settled = now == self.seen;
        self.seen = now;
        let changed = settled && self.seen != self.known;
        let is_due = self.again.is_some_and(|at| at <= Instant::now());
        if changed {
            for file in self.seen.changed_since(&self.known) {
                tracing::info!(file = %file.display(), "a file that the settings name has changed");
            }
            self.known = self.seen.clone();
        }
        if changed || is_due {
            self.again = None;
        }
        changed || is_due
    }

    /// Tries the same contents again after a while.
    pub(super) fn try_again_later(&mut self) {
        self.again = Some(Instant::now() + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn files(contents: &[u8]) -> Files {
        let mut files = Files::default();
        files.record(Path::new("secret"), Some(contents));
        files
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_has_changed_once_it_reads_the_same_twice() {
        let mut watch = Watch::new(&files(b"old"));
        for (contents, expected) in [
            ("old", false),
            ("half", false),
            ("half and ha", false),
            ("half and half", false),
            ("half and half", true),
            ("half and half", false),
            ("other", false),
            ("half and half", false),
            ("half and half", false),
            ("old", false),
            ("old", true),
        ] {
            assert_eq!(
                watch.observe(files(contents.as_bytes())),
                expected,
                "{contents}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_unreachable_is_tried_again() {
        let mut watch = Watch::new(&files(b"old"));
        assert!(!watch.observe(files(b"new")));
        assert!(watch.observe(files(b"new")));
        watch.try_again_later();
        assert!(!watch.observe(files(b"new")));
        tokio::time::advance(PAUSE).await;
        assert!(watch.observe(files(b"new")));
        assert!(!watch.observe(files(b"new")));
    }
}
