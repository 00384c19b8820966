//! How long a call may take on a machine that is busy with other things: what it is allowed, and what its runtime lost.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::support::{hooks::ms, in_time};

/// What a call may take beyond its time-outs, on a machine that has nothing else to do.
const GRACE: Duration = ms(50);
/// Timers of the runtime are that coarse: so late is on time.
const COARSE: Duration = ms(2);

/// A delay counts where a call sets a timer and where that strikes: when it begins, at its deadline, and at its end.
const MOMENTS: u32 = 3;

/// Measures how late its runtime is: on one thread, the time in which it did not come to do what was due.
struct Lateness {
    clock: Arc<Mutex<Clock>>,
    ticking: JoinHandle<()>,
}

struct Clock {
    due: Instant,
    delays: Delays,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    sum: Duration,
    longest: Duration,
}

impl Clock {
    fn look(&mut self) -> Delays {
        let now = Instant::now();
        let delay = now.saturating_duration_since(self.due).saturating_sub(COARSE);
        self.delays = Delays { sum: self.delays.sum + delay, longest: self.delays.longest.max(delay) };
        self.due = now + ms(1);
        self.delays
    }
}

impl Lateness {
    fn measure() -> Self {
        let clock = Arc::new(Mutex::new(Clock { due: Instant::now() + ms(1), delays: Delays::default() }));
        let ticking = tokio::spawn({
            let clock = clock.clone();
            async move {
                loop {
                    tokio::time::sleep(ms(1)).await;
                    look(&clock);
                }
            }
        });
        Lateness { clock, ticking }
    }

    fn so_far(&self) -> Delays {
        look(&self.clock)
    }
}

fn look(clock: &Mutex<Clock>) -> Delays {
    clock.lock().unwrap_or_else(PoisonError::into_inner).look()
}

impl Drop for Lateness {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}

/// How long a call took.
#[derive(Debug)]
pub struct Took {
    time: Duration,
    /// How late its runtime was meanwhile.
    delays: Delays,
}

impl Took {
    pub fn assert_within(&self, limit: Duration, what: &str) {
        let late = self.delays.sum.min(self.delays.longest * MOMENTS);
        assert!(self.time <= limit + GRACE + late, "{what}: {self:?} instead of {limit:?}");
    }
}

/// Waits for a call, and takes its time.
pub async fn timed<T>(call: impl Future<Output = T>) -> (T, Took) {
    let lateness = Lateness::measure();
    let started = Instant::now();
    let ended = in_time(call).await;
    (ended, Took { time: started.elapsed(), delays: lateness.so_far() })
}

/// Waits for a call, which has to end within this time.
pub async fn on_time<T>(what: &str, limit: Duration, call: impl Future<Output = T>) -> T {
    let (ended, took) = timed(call).await;
    took.assert_within(limit, what);
    ended
}

#[tokio::test]
async fn the_time_in_which_a_thread_was_blocked_is_measured() {
    let lateness = Lateness::measure();
    tokio::time::sleep(ms(10)).await;
    let before = lateness.so_far();
    std::thread::sleep(ms(100));
    let at_its_end = lateness.so_far();
    std::thread::sleep(ms(100));
    tokio::time::sleep(ms(10)).await;
    let after = lateness.so_far();
    for (before, after) in [(before, at_its_end), (at_its_end, after)] {
        assert!(after.sum - before.sum >= ms(96), "{before:?} {after:?}");
        assert!(after.longest >= ms(96), "{after:?}");
    }
}
