//! The tasks that wait for an answer, noted beside their connections, so that the watch can find the silent ones.

use std::{
    io, mem,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::{record::Record, records::Records};
use crate::pool::watch::Silent;

/// A task that waits for an answer.
#[derive(Clone, Debug)]
pub(super) struct Parked {
    waker: Waker,
    /// When the watch first saw it waiting.
    since: Option<Instant>,
    /// When the watch first saw its session idle.
    idle: Option<Instant>,
    /// Why it should stop waiting.
    given_up: Option<GivenUp>,
}

/// Why a task should stop waiting for its answer.
#[derive(Clone, Debug)]
pub(crate) enum GivenUp {
    /// The server or the session is gone.
    Lost(io::ErrorKind, Arc<str>),
    /// The session has been idle for some time: unless the answer is on its way, it will not come.
    Idle(Arc<str>),
    /// The server cannot commit anything: unless the statement only reads, it will not end.
    CannotCommit(Arc<str>),
}

/// What the server says about a silent connection.
#[derive(Clone, Debug)]
pub(crate) enum Finding {
    /// Its session is executing, or its state is not known: it is asked again later.
    Works,
    /// Its session waits for a command, and has begun none for this time.
    Idles(Duration),
    /// Its session is executing, on a server that cannot commit anything.
    CannotCommit(Arc<str>),
    /// There will be no answer. The kind of error distinguishes a time-out from a session that has ended.
    Lost(io::ErrorKind, Arc<str>),
}

impl Record {
    /// Notes that the task waits for an answer on this connection. Returns why it should stop, if it should.
    pub(crate) fn park(&self, waker: &Waker) -> Option<GivenUp> {
        let mut known = self.lock();
        let Some(parked) = &mut known.parked else {
            known.parked = Some(Parked { waker: waker.clone(), since: None, idle: None, given_up: None });
            return None;
        };
        let given_up = parked.given_up.clone();
        let before = (!parked.waker.will_wake(waker)).then(|| mem::replace(&mut parked.waker, waker.clone()));
        // the waker is dropped outside the lock: its `Drop` may run foreign code
        drop(known);
        drop(before);
        given_up
    }

    /// The answer has arrived.
    pub(crate) fn unpark(&self) {
        let parked = self.lock().parked.take();
        drop(parked);
    }

    /// Ends the wait on a connection that has been silent since then, or has it asked again later. An idle
    /// session is given up when it has been idle for `patience`.
    pub(crate) fn judge(&self, since: Instant, finding: Finding, patience: Duration) {
        let now = Instant::now();
        let mut known = self.lock();
        // another statement may have been sent on it
        let Some(parked) = known.parked.as_mut().filter(|parked| parked.since == Some(since)) else { return };
        let given_up = match finding {
            Finding::Works => None,
            Finding::CannotCommit(why) => Some(GivenUp::CannotCommit(why)),
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
        drop(known);
        waker.wake();
    }
}

impl Records {
    /// Whether any task waits, and the connections of those that have waited for at least `limit`.
    pub(crate) fn silent(&self, now: Instant, limit: Duration) -> (bool, Vec<Silent>) {
        let mut silent = Vec::new();
        let mut any = false;
        for record in self.all() {
            let mut known = record.lock();
            let Some(parked) = &mut known.parked else { continue };
            any = true;
            let since = *parked.since.get_or_insert(now);
            if now.saturating_duration_since(since) >= limit {
                let session = known.session.clone();
                drop(known);
                silent.push(Silent { record, since, session });
            }
        }
        (any, silent)
    }
}

/// Whether a session that was seen idle twice has begun no command in between, and has been idle for long enough.
///
/// The server returns whole seconds, up to one too many or too few. MySQL 9.7 counts from the beginning of the last command,
/// so that after a report of an hour the session seems to have been idle for an hour.
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
        // whole seconds do not show fractions
        assert!(!idled(2.9, 3, 1) && idled(3.0, 2, 1));
    }
}
