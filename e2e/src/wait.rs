//! Waiting for a condition, for a bounded time.

use std::time::Duration;

/// How long anything that should happen soon may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(15);

const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, and returns it. Blocks its thread.
///
/// # Panics
/// When `limit` passes first; the message names `what`.
pub fn until<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        pause(BETWEEN_LOOKS);
    }
}

/// Blocks the thread between two looks, or where time itself is what a test is about.
#[expect(
    clippy::disallowed_methods,
    reason = "a test's thread serves no request"
)]
pub fn pause(span: Duration) {
    std::thread::sleep(span); // sleep: between two looks; callers say why where it is not that
}
