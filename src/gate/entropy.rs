//! Randomness, as a parameter.

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    /// Sixteen bytes that nobody can guess.
    fn sixteen(&self) -> [u8; 16];

    /// The same in 32 hexadecimal digits.
    fn hex(&self) -> String {
        uuid::Builder::from_bytes(self.sixteen())
            .into_uuid()
            .simple()
            .to_string()
    }
}
