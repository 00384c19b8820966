//! The tasks that wait for an answer, noted beside their connections, so that somebody can look after the silent ones.

use std::{
    mem,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use super::records::{Key, Records};
use crate::watch::Silent;

/// Where a connection is to be found.
#[derive(Clone, Copy, Debug)]
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
    /// Why it need not wait any longer.
    given_up: Option<Arc<str>>,
}

impl Records {
    /// The task waits for an answer on this connection: why it should not, if it should not.
    pub(crate) fn park(&self, place: Place, waker: &Waker) -> Option<Arc<str>> {
        let mut inner = self.lock();
        let record = inner.by_connection.get_mut(&place.key)?;
        let Some(parked) = &mut record.parked else {
            record.parked = Some(Parked { waker: waker.clone(), since: None, given_up: None });
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

    /// Ends the wait on a connection that has been silent since then; or asks again later, if `why` is `None`.
    pub(crate) fn judge(&self, place: Place, since: Instant, why: Option<&Arc<str>>) {
        let mut inner = self.lock();
        let parked = inner.by_connection.get_mut(&place.key).and_then(|record| record.parked.as_mut());
        // another statement may have been sent on it, or another connection have taken its place
        let Some(parked) = parked.filter(|parked| parked.since == Some(since)) else { return };
        let Some(why) = why else {
            parked.since = None;
            return;
        };
        parked.given_up = Some(why.clone());
        let waker = parked.waker.clone();
        drop(inner);
        waker.wake();
    }
}
