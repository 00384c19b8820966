//! The tasks that wait for an answer, noted beside their connections, so that somebody can look after the silent ones.

use std::{
    io, mem,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::records::{Key, Records};
use crate::pool::watch::Silent;

/// Where a connection is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) target: usize,
    pub(super) key: Key,
}

/// A task that waits for an answer.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    waker: Waker,
    /// When it was first seen waiting, by who looks after the silent ones.
    since: Option<Instant>,
    /// When its session was first seen to do nothing.
    idle: Option<Instant>,
    /// Why it need not wait any longer.
    given_up: Option<GivenUp>,
}

/// Why a task need not wait for its answer any longer.
#[derive(Clone, Debug)]
pub(crate) enum GivenUp {
    /// Nobody is there who could give it.
    Lost(io::ErrorKind, Arc<str>),
    /// It is not being worked on, nor was it for some time: unless it is on its way, it will not come.
    Idle(Arc<str>),
}

/// What was found out about a silent connection.
#[derive(Clone, Debug)]
pub(crate) enum Finding {
    /// Its session is at work, or does not tell: it is asked again later.
    Works,
    /// Its session waits for a command, and has begun none for so long.
    Idles(Duration),
    /// Nobody will answer. The kind of error tells a time-out from a session that has ended.
    Lost(io::ErrorKind, Arc<str>),
}

impl Records {
    /// The task waits for an answer on this connection: why it should not, if it should not.
    pub(crate) fn park(&self, place: Place, waker: &Waker) -> Option<GivenUp> {
        let mut inner = self.lock();
        let record = inner.by_connection.get_mut(&place.key)?;
        let Some(parked) = &mut record.parked else {
            record.parked = Some(Parked { waker: waker.clone(), since: None, idle: None, given_up: None });
            return None;
        };
        let given_up = parked.given_up.clone();
        let before = (!parked.waker.will_wake(waker)).then(|| mem::replace(&mut parked.waker, waker.clone()));
        // what a waker does when it goes is nobody's business under the lock
        drop(inner);
        drop(before);
        given_up
    }

    /// The answer is there.
    pub(crate) fn unpark(&self, place: Place) {
        let mut inner = self.lock();
        let parked = inner.by_connection.get_mut(&place.key).and_then(|record| record.parked.take());
        drop(inner);
        drop(parked);
    }

    /// Whether any task waits, and the connections of those that have waited for at least `limit`.
    pub(crate) fn silent(&self, target: usize, now: Instant, limit: Duration) -> (bool, Vec<Silent>) {
        let mut inner = self.lock();
        let mut silent = Vec::new();
        let mut any = false;
        for (&key, record) in &mut inner.by_connection {
            let Some(parked) = &mut record.parked else { continue };
            any = true;
            let since = *parked.since.get_or_insert(now);
            if now.saturating_duration_since(since) >= limit {
                silent.push(Silent { place: Place { target, key }, since, session: record.session.clone() });
            }
        }
        (any, silent)
    }

    /// Ends the wait on a connection that has been silent since then, or sees to it that it is looked at again. A session
    /// that idles is given up when it has done so for `patience`.
    pub(crate) fn judge(&self, place: Place, since: Instant, finding: Finding, patience: Duration) {
        let now = Instant::now();
        let mut inner = self.lock();
        let parked = inner.by_connection.get_mut(&place.key).and_then(|record| record.parked.as_mut());
        // another statement may have been sent on it, or another connection have taken its place
        let Some(parked) = parked.filter(|parked| parked.since == Some(since)) else { return };
        let given_up = match finding {
            Finding::Works => None,
            Finding::Lost(kind, why) => Some(GivenUp::Lost(kind, why)),
            Finding::Idles(time) => {
                let seen = now.saturating_duration_since(*parked.idle.get_or_insert(now));
                if !has_idled_throughout(seen, time, patience) {
                    return;
                }
                let why = format!("the server waits for a request, and has begun none in this session for {time:?}");
                Some(GivenUp::Idle(why.into()))
            }
        };
        (parked.since, parked.idle) = (None, None);
        let Some(given_up) = given_up else { return };
        parked.given_up = Some(given_up);
        let waker = parked.waker.clone();
        drop(inner);
        waker.wake();
    }
}

/// Whether a session that was seen to idle twice, so long apart, has begun no command in between, the last one so long
/// ago; and the time is long enough.
///
/// The server tells whole seconds, one too many or one too few. (And not since when it idles: a MySQL 9.7 counts from the
/// beginning of the last command, so that a report of an hour seems to have idled for an hour when it ends.)
fn has_idled_throughout(seen: Duration, time: Duration, patience: Duration) -> bool {
    seen >= patience.max(Duration::from_secs(3)) && time.as_secs() + 1 >= seen.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_idles_that_was_seen_to_do_so_for_long_enough_and_began_nothing_in_between() {
        let idled = |seen: f64, time, patience| {
            has_idled_throughout(
                Duration::from_secs_f64(seen),
                Duration::from_secs(time),
                Duration::from_secs(patience),
            )
        };
        assert!(idled(5.0, 5, 5) && idled(5.9, 4, 5) && idled(5.0, 3_600, 5));
        assert!(!idled(4.9, 3_600, 5), "a report of an hour may just have ended");
        // a batch of many small commands, each of them answered
        assert!(!idled(60.0, 0, 5) && !idled(60.0, 58, 5));
        // whole seconds say nothing about fractions
        assert!(!idled(2.9, 3, 1) && idled(3.0, 2, 1));
    }
}
