//! How long work on connections may take.

use std::time::{Duration, Instant};

/// The bounds of the work on connections that one call asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) deadline: Instant,
    /// Bounds each step of making, checking and resetting a connection; `None`: only the deadline does.
    pub(crate) connect_timeout: Option<Duration>,
    /// Whether the end of an outage is waited for.
    pub(crate) waits: bool,
}

impl Limits {
    /// The connect time-out, at most `longest`.
    pub(crate) fn connect_within(&self, longest: Duration) -> Duration {
        self.connect_timeout.map_or(longest, |limit| limit.min(longest))
    }
}
