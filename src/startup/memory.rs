//! Returns freed memory to the operating system.
//!
//! glibc keeps what a thread has freed in that thread's arena, and returns it by itself only from the
//! top. After a peak of connections, whose buffers lie between longer-lived objects, the process would
//! stay as large as it was at the peak (decision 22).

use std::time::Duration;

/// What a peak of 10,000 connections leaves behind takes 10 ms once. With nothing to return, a call
/// takes 0.1 ms.
const INTERVAL: Duration = Duration::from_secs(10);

/// Returns freed memory regularly. Never ends.
pub(super) async fn return_regularly() {
    loop {
        tokio::time::sleep(INTERVAL).await;
        trim();
    }
}

#[cfg(target_env = "gnu")]
#[expect(
    unsafe_code,
    reason = "the only way to reach malloc_trim(3); it has no preconditions"
)]
fn trim() {
    // SAFETY: malloc_trim is thread-safe (MT-Safe) and touches only memory that nothing uses.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
const fn trim() {}
