//! Randomness as a parameter, so that tests are deterministic.

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
}
