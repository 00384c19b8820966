//! The load: 200 tasks in a loop, and what became of their calls.
//!
//! Half of them read a row by its key, half write a row of their own; each pauses after a call, so that two processors
//! are not busy with that alone. They run on a runtime of their own: what measures is not in their queue, and the end of
//! the runtime ends whatever a library does in the background.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, time::sleep};

use crate::columns::{Client, Column, Done, Way};

/// Tasks, each with a row of its own.
pub(crate) const TASKS: u32 = 200;
/// After each call of a task.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// Nothing of the kind has happened yet.
const NOT_YET: u64 = u64::MAX;

/// The tasks of one column; ends with the value.
pub(crate) struct Load {
    tally: Arc<Tally>,
    runtime: Option<Runtime>,
}

/// What the tasks write down. Times are nanoseconds since the start.
struct Tally {
    start: Instant,
    tasks: Vec<Task>,
    began: AtomicU64,
    ready: AtomicU64,
    read_errors: AtomicU64,
    write_errors: AtomicU64,
    first_error: Mutex<Option<String>>,
}

/// One task's successes: the first of all, and the first after the server was ready.
struct Task {
    ever: AtomicU64,
    again: AtomicU64,
}

/// What callers saw of an outage.
pub(crate) struct Seen {
    /// From "the server is ready" to the first success of a task, shortest first; only those that came to it.
    pub(crate) again: Vec<Duration>,
    pub(crate) read_errors: u64,
    pub(crate) write_errors: u64,
    pub(crate) first_error: Option<String>,
}

impl Load {
    /// Starts the tasks of a column.
    pub(crate) fn start(column: Column, way: &Way) -> Self {
        let runtime = runtime();
        let client = {
            let _inside = runtime.enter();
            column.client(way)
        };
        let tally = Arc::new(Tally::new());
        for number in 0..TASKS {
            runtime.spawn(work(client.clone(), tally.clone(), number));
        }
        Load { tally, runtime: Some(runtime) }
    }

    /// Waits until each task has had a success.
    ///
    /// # Panics
    /// When that takes 20 s: something is wrong before anything was broken.
    pub(crate) async fn warm_up(&self) {
        let all = |task: &Task| task.ever.load(Ordering::Relaxed) != NOT_YET;
        if !self.wait(Duration::from_secs(20), all).await {
            panic!("not all tasks have had a success: {:?}", self.tally.first_error());
        }
    }

    /// From now on errors count.
    pub(crate) fn outage_begins(&self) {
        self.tally.began.store(self.tally.now(), Ordering::SeqCst);
    }

    /// From now on successes count.
    pub(crate) fn server_is_ready(&self) {
        self.tally.ready.store(self.tally.now(), Ordering::SeqCst);
    }

    /// Waits until each task has had a success after the outage, and not for longer than `limit`.
    pub(crate) async fn recover(&self, limit: Duration) {
        self.wait(limit, |task| task.again.load(Ordering::Relaxed) != NOT_YET).await;
    }

    /// Ends the tasks wherever they are, and tells what they saw until now.
    pub(crate) fn end(mut self) -> Seen {
        let seen = self.tally.seen();
        self.stop();
        seen
    }

    async fn wait(&self, limit: Duration, all: impl Fn(&Task) -> bool) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.tally.tasks.iter().all(&all) {
                return true;
            }
            sleep(Duration::from_millis(5)).await;
        }
        false
    }

    fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Tally {
    fn new() -> Self {
        let task = |_| Task { ever: AtomicU64::new(NOT_YET), again: AtomicU64::new(NOT_YET) };
        Tally {
            start: Instant::now(),
            tasks: (0..TASKS).map(task).collect(),
            began: AtomicU64::new(NOT_YET),
            ready: AtomicU64::new(NOT_YET),
            read_errors: AtomicU64::new(0),
            write_errors: AtomicU64::new(0),
            first_error: Mutex::new(None),
        }
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn note(&self, number: u32, is_read: bool, done: Done) {
        match done {
            Ok(()) => {
                let (now, task) = (self.now(), &self.tasks[number as usize]);
                task.ever.fetch_min(now, Ordering::Relaxed);
                if now >= self.ready.load(Ordering::SeqCst) {
                    task.again.fetch_min(now, Ordering::Relaxed);
                }
            }
            Err(error) => {
                if self.now() >= self.began.load(Ordering::SeqCst) {
                    let count = if is_read { &self.read_errors } else { &self.write_errors };
                    count.fetch_add(1, Ordering::Relaxed);
                }
                self.first_error.lock().expect("nobody panics with it").get_or_insert(error);
            }
        }
    }

    fn first_error(&self) -> Option<String> {
        self.first_error.lock().expect("nobody panics with it").clone()
    }

    fn seen(&self) -> Seen {
        let ready = self.ready.load(Ordering::SeqCst);
        let times = self.tasks.iter().map(|task| task.again.load(Ordering::Relaxed)).filter(|time| *time != NOT_YET);
        let mut again: Vec<Duration> = times.map(|time| Duration::from_nanos(time.saturating_sub(ready))).collect();
        again.sort_unstable();
        Seen {
            again,
            read_errors: self.read_errors.load(Ordering::Relaxed),
            write_errors: self.write_errors.load(Ordering::Relaxed),
            first_error: self.first_error(),
        }
    }
}

async fn work(client: Client, tally: Arc<Tally>, number: u32) {
    // not all at once
    sleep(PAUSE * number / TASKS).await;
    let is_read = number.is_multiple_of(2);
    for turn in 1.. {
        let done = if is_read { client.read(number).await } else { client.write(number, turn).await };
        tally.note(number, is_read, done);
        sleep(PAUSE).await;
    }
}

/// A runtime for a column's calls.
pub(crate) fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("load").enable_all().build().expect("a runtime")
}
