//! What is wrong, and since when.

use std::{
    io,
    time::{Duration, Instant},
};

use mysql_async::Error;

use super::{Closed, Need};
use crate::{
    driver::{copy, io_error},
    verdict::{Obstacle, Unavailable},
};

/// A server that is full again within this time has never had room for all.
const CROWDED: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct State {
    /// No connection can be had.
    pub(super) down: Option<Spell>,
    /// Writes are refused.
    pub(super) read_only: Option<Spell>,
    /// When a call last asked for a connection.
    pub(super) asked: Option<Instant>,
    /// When a probe last found that nothing has changed.
    pub(super) confirmed: Option<Instant>,
    /// When the last outage ended.
    pub(super) ended: Option<Instant>,
    /// When the server was first found full, and last.
    pub(super) full: Option<(Instant, Instant)>,
    /// When the last round of probes began.
    pub(super) probed: Option<Instant>,
    pub(super) closed: bool,
    /// The probe task panicked.
    pub(super) failed: bool,
}

/// A period in which connections cannot be had, or writes are refused.
#[derive(Debug)]
pub(super) struct Spell {
    pub(super) since: Instant,
    pub(super) why: Unavailable,
    /// The last error, and when it was seen.
    pub(super) error: Error,
    pub(super) heard: Instant,
}

/// Whether the system has refused a connection, so that the server had no part in it.
pub(super) fn is_refused(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    let kind = io_error(error).map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
}

impl State {
    pub(super) fn note_full(&mut self, now: Instant) {
        let is_again = |last: Instant| now.saturating_duration_since(last) <= CROWDED;
        let first = self.full.filter(|&(_, last)| is_again(last)).map_or(now, |(first, _)| first);
        self.full = Some((first, now));
    }

    pub(super) fn trouble(&self) -> Option<&Spell> {
        self.down.as_ref().or(self.read_only.as_ref())
    }

    /// What keeps a call from trying to get a connection.
    pub(super) fn obstacle(&self, need: Need, idle: bool) -> Option<&Spell> {
        if self.closed {
            return None;
        }
        let down = self.down.as_ref().filter(|spell| !(idle && spell.why.spares_open_connections()));
        down.or(self.read_only.as_ref().filter(|_| need == Need::Write))
    }

    /// Whether the last answer is so recent that a call can be refused because of it.
    pub(super) fn is_fresh(&self, now: Instant, limit: Duration) -> bool {
        self.confirmed.is_some_and(|confirmed| now.saturating_duration_since(confirmed) < limit)
    }
}

impl Spell {
    pub(super) fn closed(&self, obstacle: Obstacle, now: Instant) -> Closed {
        Closed { obstacle, why: self.why, error: copy(&self.error), lasted: now.saturating_duration_since(self.since) }
    }
}
