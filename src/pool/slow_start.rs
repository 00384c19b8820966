//! Slow start: after an outage connections are opened one at a time, and one more at a time for each that was opened.
//!
//! When a server is back, all executors of a fleet want their connections at once, and it may have room for only some of them.
//! So for a while a call that finds no idle connection first waits for one that another call returns. What is open serves many
//! calls in that time. It opens one, if few enough are being opened,
//!
//! * when none has been returned for as long as it took to open the last one;
//! * when it has waited for [`ROUNDS`] times as long;
//! * when so many calls wait that what is open would need more than [`QUEUE`] times as long to serve them.
//!
//! The same while the server has been full of late, but for the last: who can be served by what is open takes no place from
//! others.

use std::{
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout_at};

use super::HANDSHAKES;
use crate::random;

/// How long it lasts after an outage, and at most after the server was full.
const LENGTH: Duration = Duration::from_secs(3);
const LENGTH_WHERE_FULL: Duration = Duration::from_secs(40);
/// The bounds of the time for which a call waits for the connection of another one. In the shorter one the executors of a fleet
/// have found out that the server is back.
const PATIENCE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// How often a call looks whether the pool takes another connection.
const AGAIN: Duration = Duration::from_millis(20);
/// How often that time a call waits while connections are returned to others.
const ROUNDS: u32 = 4;
/// For so many times as long as a connection takes to open, and at least for this long, calls may queue.
const QUEUE: u32 = 2;
const SHORT_QUEUE: Duration = Duration::from_millis(5);
/// After so many returned connections it is known how fast the queue moves.
const SAMPLE: u32 = 4;

#[derive(Default)]
pub(super) struct SlowStart {
    /// Outside of it, only this flag is read.
    is_on: AtomicBool,
    waiting: AtomicUsize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    until: Option<Instant>,
    /// Until when the server counts as full.
    crowded: Option<Instant>,
    /// How many connections may be in the process of being made.
    allowed: usize,
    opening: usize,
    /// How long it took to open the last one; `None` while none is known to be open.
    took: Option<Duration>,
    /// When a connection was last returned, or opened.
    returned: Option<Instant>,
    pace: Option<Pace>,
}

/// How fast those who wait are served by what is open.
#[derive(Clone, Copy)]
struct Pace {
    since: Instant,
    /// Connections returned since then.
    returned: u32,
}

/// What a call without a connection is to do.
pub(super) enum Turn<'a> {
    /// Open one, as at any other time.
    Free,
    /// Open one.
    Open(Opening<'a>),
    /// Look for the one that was returned.
    Look,
    Late,
}

/// A connection is being made.
pub(super) struct Opening<'a> {
    start: &'a SlowStart,
    since: Instant,
    is_open: bool,
}

impl SlowStart {
    /// Begins when a server is back; `took` is how long it took to open the connection that is there already.
    pub(super) fn begin(&self, took: Option<Duration>) {
        let mut state = self.lock();
        let State { opening, crowded, .. } = *state;
        let until = Some(Instant::now() + LENGTH).max(crowded);
        *state = State { until, crowded, allowed: 1, opening, took, returned: None, pace: None };
        self.is_on.store(true, Relaxed);
        drop(state);
        self.changed.notify_waiters();
    }

    /// The server has no room for all.
    pub(super) fn note_crowd(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        // the executors of a fleet do not forget it together
        let until = Some(now + LENGTH_WHERE_FULL.mul_f64(1.0 - 0.5 * random::share()));
        if state.until.is_none_or(|until| until <= now) {
            // a call that finds no connection waits for those that others have
            (state.allowed, state.took) = (1, Some(Duration::ZERO));
        }
        (state.crowded, state.until) = (until, state.until.max(until));
        self.is_on.store(true, Relaxed);
    }

    /// Whether the server was full a short while ago.
    pub(super) fn is_crowded(&self) -> bool {
        self.is_on.load(Relaxed) && self.lock().crowded.is_some_and(|until| Instant::now() < until)
    }

    /// Whether it lasts.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed) && !self.ends(Instant::now())
    }

    /// Whether calls wait for a connection, which another one is not to take from them.
    pub(super) fn has_queue(&self) -> bool {
        self.is_on() && self.waiting.load(Relaxed) > 0
    }

    fn ends(&self, now: Instant) -> bool {
        let ends = self.lock().until.is_none_or(|until| now >= until);
        if ends {
            self.is_on.store(false, Relaxed);
        }
        ends
    }

    /// A connection was returned.
    pub(super) fn note_return(&self) {
        if self.is_on.load(Relaxed) {
            let mut state = self.lock();
            state.took.get_or_insert_default();
            let now = Instant::now();
            state.returned = Some(now);
            if let Some(pace) = &mut state.pace {
                pace.returned += 1;
            }
            let opens = state.opening < state.allowed && state.has_long_queue(self.waiting.load(Relaxed), now);
            drop(state);
            self.changed.notify_one();
            if opens {
                self.changed.notify_one();
            }
        }
    }

    /// A connection was lost that a call had: the others may be lost too.
    pub(super) fn note_loss(&self) {
        if self.is_on.load(Relaxed) {
            self.lock().took = None;
            self.changed.notify_waiters();
        }
    }

    /// Waits for a connection that is returned, or for the turn to open one, since then. `has_idle` tells whether one is
    /// there, `has_room` whether the pool takes another one.
    pub(super) async fn turn(
        &self,
        since: Instant,
        deadline: Instant,
        has_idle: impl Fn() -> bool,
        has_room: impl Fn() -> bool,
    ) -> Turn<'_> {
        let queued = Queued::new(&self.waiting);
        if queued.is_first {
            self.lock().pace = Some(Pace { since: Instant::now(), returned: 0 });
        }
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let until = {
                let mut state = self.lock();
                let Some(end) = state.until.filter(|end| now < *end) else {
                    self.is_on.store(false, Relaxed);
                    return Turn::Free;
                };
                let has_room = has_room();
                let may_open = state.opening < state.allowed && has_room;
                let patient = state.patient_until(since);
                if may_open && (now >= patient || state.has_long_queue(self.waiting.load(Relaxed), now)) {
                    state.opening += 1;
                    return Turn::Open(Opening { start: self, since: now, is_open: false });
                }
                if now >= deadline {
                    return Turn::Late;
                }
                let next = match (may_open, has_room) {
                    (true, _) => patient,
                    (false, true) => end,
                    // nobody tells when the driver's pool has closed a connection
                    (false, false) => now + AGAIN,
                };
                next.min(end).min(deadline)
            };
            let is_told = timeout_at(until.into(), changed).await.is_ok();
            // a connection that has just been returned has not reached the pool yet
            tokio::task::yield_now().await;
            if is_told && has_idle() {
                return Turn::Look;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // no foreign code runs under the lock
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How long a call that has waited since then waits for the connection of another one.
    fn patient_until(&self, since: Instant) -> Instant {
        let Some(took) = self.took else { return since };
        let patience = took.clamp(PATIENCE.0, PATIENCE.1);
        let last = self.returned.map_or(since, |returned| returned.max(since));
        (last + patience).min(since + ROUNDS * patience)
    }

    /// Whether so many calls wait that another connection would be there long before they are served.
    fn has_long_queue(&self, waiting: usize, now: Instant) -> bool {
        let (Some(took), Some(Pace { since, returned })) = (self.took, self.pace) else { return false };
        let is_crowded = self.crowded.is_some_and(|until| now < until);
        if is_crowded || returned < SAMPLE {
            return false;
        }
        let queue = now.saturating_duration_since(since).mul_f64(waiting as f64 / f64::from(returned));
        queue > (took * QUEUE).max(SHORT_QUEUE)
    }
}

impl Opening<'_> {
    /// The connection was made.
    pub(super) fn succeeds(mut self) {
        self.is_open = true;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut state = self.start.lock();
        state.opening -= 1;
        if self.is_open {
            state.allowed = (state.allowed + 1).min(HANDSHAKES);
            state.took = Some(self.since.elapsed());
            // it has to serve a call before another one is opened
            let now = Instant::now();
            (state.returned, state.pace) = (Some(now), Some(Pace { since: now, returned: 0 }));
        } else {
            state.allowed = 1;
        }
        drop(state);
        self.start.changed.notify_waiters();
    }
}

/// Counts a call that waits, also when it is dropped.
struct Queued<'a> {
    count: &'a AtomicUsize,
    is_first: bool,
}

impl<'a> Queued<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        let before = count.fetch_add(1, Relaxed);
        Queued { count, is_first: before == 0 }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn where_the_queue_takes_longer_than_a_connection_another_one_is_opened() {
        let now = Instant::now();
        let served = |took, millis, returned| State {
            took: Some(Duration::from_millis(took)),
            pace: Some(Pace { since: now - Duration::from_millis(millis), returned }),
            ..State::default()
        };
        // one call a millisecond
        assert!(served(20, 10, 10).has_long_queue(41, now) && !served(20, 10, 10).has_long_queue(40, now));
        assert!(!served(20, 10, SAMPLE - 1).has_long_queue(1_000, now), "too few to know");
        assert!(served(0, 10, 10).has_long_queue(6, now) && !served(0, 10, 10).has_long_queue(5, now));
        let unknown = State { took: None, ..served(0, 10, 10) };
        assert!(!unknown.has_long_queue(1_000, now), "the next call opens one anyway");
        let crowded = State { crowded: Some(now + LENGTH), ..served(20, 10, 10) };
        assert!(!crowded.has_long_queue(1_000, now), "others need the places");
    }

    #[tokio::test]
    async fn a_call_sees_by_itself_that_the_pool_takes_another_connection() {
        let start = SlowStart::default();
        start.note_crowd();
        let looks = Cell::new(0);
        let has_room = || {
            looks.set(looks.get() + 1);
            looks.get() > 3
        };
        let (now, long) = (Instant::now(), Duration::from_secs(60));
        let turn = tokio::time::timeout(long / 2, start.turn(now, now + long, || false, has_room)).await;
        assert!(matches!(turn, Ok(Turn::Open(_))) && now.elapsed() < LENGTH_WHERE_FULL, "after {:?}", now.elapsed());
    }
}
