//! The warm lane: connections that were returned a moment ago go straight to the next caller.
//!
//! The driver's pool hands a returned connection to a task, and looks at the socket of each connection that it gives out. The
//! look shows nothing that happened in the last [`WINDOW`]: it asks the runtime's I/O driver, which has to run first. So a
//! connection that was returned within that time is given out without the pool and without the look, last in first out. Later
//! it goes to the pool.
//!
//! Only connections that are returned as they began come here: the driver takes back other things (a handler for local files)
//! when a connection enters its pool. None come while there is an outage, nor where the driver keeps an age
//! (`abs_conn_ttl`): it looks at that in its pool.

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
    Shared,
    tasks::keeper::{Keeper, Turn},
};

/// When no connection was returned for this long, the sockets of the idle ones are checked again.
pub(super) const WINDOW: Duration = Duration::from_micros(100);
/// How often the lane is cleared, while connections pass through it.
const TICK: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(super) struct Lane {
    stack: Mutex<Vec<Warm>>,
    /// A connection was returned since the last tick.
    is_used: AtomicBool,
    clearing: Keeper,
}

struct Warm {
    conn: Conn,
    target: usize,
    since: Instant,
}

/// What the lane has for a caller.
pub(super) enum Taken {
    Warm(Conn),
    /// Connections that were too old are on their way into the pool.
    Cleared,
    Nothing,
}

impl Lane {
    /// The connection to this target that was returned last, if that was within the window.
    pub(super) fn take(&self, target: usize, now: Instant) -> Taken {
        let mut stack = self.lock();
        match stack.last() {
            None => Taken::Nothing,
            Some(warm) if warm.target == target && now.saturating_duration_since(warm.since) < WINDOW => {
                stack.pop().map_or(Taken::Nothing, |warm| Taken::Warm(warm.conn))
            }
            // all others are older
            Some(_) => {
                let old = mem::take(&mut *stack);
                drop(stack);
                drop(old);
                Taken::Cleared
            }
        }
    }

    /// Puts all connections into the pool.
    pub(super) fn clear(&self) {
        let old = mem::take(&mut *self.lock());
        drop(old);
    }

    /// Puts those into the pool that were returned before the window. Returns whether the lane is empty, and was not used
    /// since the last tick.
    fn tick(&self, now: Instant) -> bool {
        let mut stack = self.lock();
        let young = stack.partition_point(|warm| now.saturating_duration_since(warm.since) >= WINDOW);
        let old: Vec<Warm> = stack.drain(..young).collect();
        let is_quiet = stack.is_empty() && !self.is_used.swap(false, Relaxed);
        drop(stack);
        drop(old);
        is_quiet
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Warm>> {
        // connections are dropped outside of the lock
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Gives a connection to the next caller, or to the pool.
    pub(super) fn put_into_lane(self: &Arc<Self>, conn: Conn, target: usize, now: Instant) {
        let has_room = self.targets[target].is_laned && !self.outage.is_troubled();
        let mut stack = self.lane.lock();
        // looked at under the lock: whoever closes the permits clears the lane afterwards
        if !has_room || self.permits.is_closed() {
            drop(stack);
            return drop(conn);
        }
        stack.push(Warm { conn, target, since: now });
        drop(stack);
        if !self.lane.is_used.load(Relaxed) {
            self.lane.is_used.store(true, Relaxed);
        }
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

/// Clears the lane at intervals, while it is used.
async fn clear(shared: Weak<Shared>) {
    let mut turn = Turn::new(&shared, |shared| &shared.lane.clearing, |shared| shared.lane.clear());
    loop {
        tokio::time::sleep(TICK).await;
        let Some(shared) = shared.upgrade() else { return };
        let is_quiet = shared.lane.tick(Instant::now());
        if is_quiet && turn.ends(&shared, || !shared.lane.lock().is_empty()) {
            return;
        }
    }
}
