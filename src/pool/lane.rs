//! The warm lane: connections that were returned a moment ago go straight to the next caller.
//!
//! The driver's pool hands a returned connection to a task, and looks at the socket of each connection that it gives out. The
//! look shows nothing that happened in the last [`WINDOW`]: it asks the runtime's I/O driver, which has to run first. So a
//! connection that was returned within that time is given out without the pool and without the look, last in first out. Later
//! it goes to the pool.
//!
//! During an outage the connections stay here, and are pinged before they are used. A call that waits for one finds it as
//! soon as it is woken. On its way into the driver's pool a connection is nowhere to be found.
//!
//! Only connections that are returned as they began come here: the driver takes back other things (a handler for local files)
//! when a connection enters its pool. None come where the driver keeps an age (`abs_conn_ttl`): it looks at that in its pool.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::Conn;

use super::{
    Record, Shared,
    tasks::keeper::{Keeper, Turn},
};

/// When no connection was returned for this long, the sockets of the idle ones are checked again.
pub(super) const WINDOW: Duration = Duration::from_micros(100);
/// How often the lane is cleared, while connections pass through it. Less often while there is nothing to clear: each time wakes
/// another thread of the runtime, which may take over the work of the busy one.
const TICK: Duration = Duration::from_millis(1);
const LONGEST_TICK: Duration = Duration::from_millis(16);
/// How often the task that clears it looks whether an outage is over.
const TICK_OF_AN_OUTAGE: Duration = Duration::from_millis(20);

/// `C` is a connection, `R` what is known of it.
pub(super) struct Lane<C = Conn, R = Arc<Record>> {
    stack: Mutex<Stack<C, R>>,
    /// A connection was returned since the last tick.
    is_used: AtomicBool,
    clearing: Keeper,
}

struct Stack<C, R> {
    /// The last one was returned last.
    warm: Vec<Warm<C, R>>,
    /// When a connection last went back, to the lane or to the pool.
    last_return: Option<Instant>,
}

/// A connection that was returned a moment ago.
pub(super) struct Warm<C = Conn, R = Arc<Record>> {
    pub(super) conn: C,
    pub(super) record: R,
    pub(super) target: usize,
    pub(super) since: Instant,
}

/// What the lane has for a caller.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<C = Conn> {
    /// A connection, and whether it is to be pinged: it was returned before the window.
    Connection(C, bool),
    /// Connections that were too old are on their way into the pool.
    Cleared,
    Nothing,
}

impl<C, R> Default for Lane<C, R> {
    fn default() -> Self {
        let stack = Mutex::new(Stack { warm: Vec::new(), last_return: None });
        Lane { stack, is_used: AtomicBool::new(false), clearing: Keeper::default() }
    }
}

impl<C, R> Lane<C, R> {
    /// The connection to this target that was returned last, if it was returned within the window.
    pub(super) fn take_warm(&self, target: usize, now: Instant) -> Option<Warm<C, R>> {
        let mut stack = self.lock();
        let last = stack.warm.last()?;
        if last.target == target && last.is_young(now) { stack.warm.pop() } else { None }
    }

    /// The connection to this target that was returned last. Unless there is an outage, that must have been within the
    /// window.
    pub(super) fn take(&self, target: usize, now: Instant, is_outage: bool) -> Taken<C> {
        let mut stack = self.lock();
        let Some(warm) = stack.warm.pop() else { return Taken::Nothing };
        let is_young = warm.is_young(now);
        if warm.target == target && (is_young || is_outage) {
            return Taken::Connection(warm.conn, !is_young);
        }
        // all others are older
        let old = (warm, mem::take(&mut stack.warm));
        drop(stack);
        drop(old);
        Taken::Cleared
    }

    /// Whether there is a connection to this target.
    pub(super) fn has(&self, target: usize) -> bool {
        self.lock().warm.iter().any(|warm| warm.target == target)
    }

    /// The connection to this target that was returned first.
    pub(super) fn take_oldest(&self, target: usize) -> Option<C> {
        let mut stack = self.lock();
        let oldest = stack.warm.iter().position(|warm| warm.target == target)?;
        Some(stack.warm.remove(oldest).conn)
    }

    /// How many connections to this target there are.
    pub(super) fn count(&self, target: usize) -> usize {
        self.lock().warm.iter().filter(|warm| warm.target == target).count()
    }

    /// Puts all connections into the pool.
    pub(super) fn clear(&self) {
        let old = mem::take(&mut self.lock().warm);
        drop(old);
    }

    /// Puts those into the pool that were returned before the window.
    fn tick(&self, now: Instant) -> Tick {
        let mut stack = self.lock();
        let young = stack.warm.partition_point(|warm| !warm.is_young(now));
        let old: Vec<Warm<C, R>> = stack.warm.drain(..young).collect();
        let is_quiet = stack.warm.is_empty() && !self.is_used.swap(false, Relaxed);
        drop(stack);
        let has_cleared = !old.is_empty();
        drop(old);
        Tick { is_quiet, has_cleared }
    }

    /// For how long no connection was returned; `None` if none ever was.
    pub(super) fn quiet(&self, now: Instant) -> Option<Duration> {
        self.lock().last_return.map(|last| now.saturating_duration_since(last))
    }

    /// A connection goes back to the pool.
    pub(super) fn note_return(&self, now: Instant) {
        self.lock().last_return = Some(now);
    }

    fn note_use(&self) {
        // a store would take the cache line away from the others
        if !self.is_used.load(Relaxed) {
            self.is_used.store(true, Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stack<C, R>> {
        // connections are dropped outside of the lock
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a tick has found.
struct Tick {
    /// The lane is empty, and was not used since the last tick.
    is_quiet: bool,
    /// Some were returned before the window.
    has_cleared: bool,
}

impl<C, R> Warm<C, R> {
    fn is_young(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < WINDOW
    }
}

impl Shared {
    /// Gives a connection to the next caller, or to the pool.
    pub(super) fn put_into_lane(self: &Arc<Self>, warm: Warm) {
        let mut stack = self.lane.lock();
        stack.last_return = Some(warm.since);
        // looked at under the lock: whoever closes the permits clears the lane afterwards
        if !self.targets[warm.target].is_laned || self.permits.is_closed() {
            drop(stack);
            return drop(warm);
        }
        stack.warm.push(warm);
        drop(stack);
        self.lane.note_use();
        if self.lane.clearing.begins() {
            match tokio::runtime::Handle::try_current() {
                Ok(runtime) => drop(runtime.spawn(clear(Arc::downgrade(self)))),
                Err(_) => {
                    self.lane.clear();
                    self.lane.clearing.ends(|| false);
                }
            }
        }
    }
}

/// Clears the lane at intervals, while it is used and there is no outage.
async fn clear(shared: Weak<Shared>) {
    let mut turn = Turn::new(&shared, |shared| &shared.lane.clearing, |shared| shared.lane.clear());
    let mut tick = TICK;
    loop {
        tokio::time::sleep(tick).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.outage.is_troubled() {
            tick = TICK_OF_AN_OUTAGE;
            continue;
        }
        let Tick { is_quiet, has_cleared } = shared.lane.tick(Instant::now());
        tick = if has_cleared { TICK } else { (tick * 2).min(LONGEST_TICK) };
        if is_quiet && turn.ends(&shared, || !shared.lane.lock().warm.is_empty()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO: Duration = Duration::from_micros(1);

    /// A lane to which connections were returned after so many microseconds, by their numbers.
    fn lane(began: Instant, returned: &[(u32, usize, u32)]) -> Lane<u32, ()> {
        let lane = Lane::default();
        for &(conn, target, micros) in returned {
            lane.lock().warm.push(Warm { conn, record: (), target, since: began + micros * MICRO });
            lane.note_use();
        }
        lane
    }

    #[test]
    fn the_connection_that_was_returned_last_is_given_out_first() {
        let began = Instant::now();
        let lane = lane(began, &[(1, 0, 0), (2, 0, 10)]);
        let now = began + 99 * MICRO;
        assert!(lane.has(0) && !lane.has(1));
        assert_eq!(lane.take(0, now, false), Taken::Connection(2, false));
        assert_eq!(lane.take(0, now, false), Taken::Connection(1, false));
        assert_eq!(lane.take(0, now, false), Taken::Nothing);
        assert!(!lane.has(0));
    }

    #[test]
    fn a_connection_leaves_the_lane_when_its_window_has_passed() {
        let began = Instant::now();
        let lane = lane(began, &[(1, 0, 0), (2, 0, 1)]);
        assert_eq!(lane.take(0, began + WINDOW, false), Taken::Connection(2, false));
        assert_eq!(lane.take(0, began + WINDOW, false), Taken::Cleared);
        assert_eq!(lane.take(0, began + WINDOW, false), Taken::Nothing);
    }

    #[test]
    fn in_an_outage_a_connection_stays_and_is_given_out_as_idle() {
        let began = Instant::now();
        let lane = lane(began, &[(1, 0, 0), (2, 0, 1), (3, 0, 2)]);
        assert_eq!(lane.take(0, began + MICRO, true), Taken::Connection(3, false));
        assert_eq!(lane.take(0, began + 10 * WINDOW, true), Taken::Connection(2, true));
        assert_eq!(lane.take(1, began + 10 * WINDOW, true), Taken::Cleared);
        assert_eq!(lane.take(0, began, true), Taken::Nothing);
    }

    #[test]
    fn a_connection_to_another_target_is_not_given_out() {
        let began = Instant::now();
        let lane = lane(began, &[(1, 0, 0), (2, 1, 0)]);
        assert_eq!(lane.take(0, began, false), Taken::Cleared);
        assert_eq!(lane.take(1, began, false), Taken::Nothing);
    }

    #[test]
    fn a_tick_removes_what_is_old_and_tells_when_nothing_comes_any_more() {
        let began = Instant::now();
        let lane = lane(began, &[(1, 0, 0), (2, 0, 50)]);
        let tick = lane.tick(began + WINDOW);
        assert!(!tick.is_quiet && tick.has_cleared, "one is left");
        assert_eq!(lane.lock().warm.len(), 1);
        let tick = lane.tick(began + 2 * WINDOW);
        assert!(!tick.is_quiet && tick.has_cleared, "it was used since the last tick");
        assert_eq!(lane.lock().warm.len(), 0);
        let tick = lane.tick(began + 3 * WINDOW);
        assert!(tick.is_quiet && !tick.has_cleared);
    }
}
