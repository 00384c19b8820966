//! How long a call may take on a machine that is busy with other things: its limit, plus the time in which its runtime stood still.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mysql_retry_fixture::{in_time, ms};
use tokio::task::JoinHandle;

/// How much longer than its limit a call may take on an idle machine.
const GRACE: Duration = ms(50);
/// The resolution of the runtime's timers: a delay below it does not count.
const COARSE: Duration = ms(2);

/// A delay counts when a call begins, at its deadline, and at its end.
const MOMENTS: u32 = 3;

/// Measures how late its runtime is: on one thread, the time between the moment when a task is due and the moment when it runs.
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

/// How long a call took, and how late its runtime was.
#[derive(Debug)]
pub(super) struct Took {
    time: Duration,
    delays: Delays,
}

impl Took {
    pub(super) fn assert_within(&self, limit: Duration, what: &str) {
        let late = self.delays.sum.min(self.delays.longest * MOMENTS);
        assert!(self.time <= limit + GRACE + late, "{what}: {self:?} instead of {limit:?}");
    }
}

/// Waits for a call and measures it.
pub(super) async fn timed<T>(call: impl Future<Output = T>) -> (T, Took) {
    let lateness = Lateness::measure();
    let started = Instant::now();
    let ended = in_time(call).await;
    (ended, Took { time: started.elapsed(), delays: lateness.so_far() })
}

/// Waits for a call, which has to end within this time.
pub(super) async fn on_time<T>(what: &str, limit: Duration, call: impl Future<Output = T>) -> T {
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
