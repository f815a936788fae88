//! Randomness as a parameter, so that tests are deterministic.

use std::time::Duration;

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Sixteen unpredictable bytes.
    fn sixteen(&self) -> [u8; 16];

    /// Sixteen unpredictable bytes as 32 hexadecimal digits.
    fn hex(&self) -> String {
        uuid::Builder::from_bytes(self.sixteen())
            .into_uuid()
            .simple()
            .to_string()
    }

    /// `pause` and up to a quarter of it, so that gates that begin to wait at the same time do not ask
    /// at the same time.
    fn with_jitter(&self, pause: Duration) -> Duration {
        pause + pause * u32::from(self.sixteen()[0]) / 1024
    }
}

/// The same bytes every time, for tests.
#[cfg(test)]
pub(super) struct Fixed;

#[cfg(test)]
impl Entropy for Fixed {
    fn sixteen(&self) -> [u8; 16] {
        [7; 16]
    }
}
