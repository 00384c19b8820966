//! What happened when: statements, losses and faults; and the events of the statement that a task is running.

use std::{
    cell::RefCell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_retry::Event;

/// The width of a column of the picture.
pub(crate) const BIN: Duration = Duration::from_millis(250);

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Lane {
    Server,
    Path,
    Command,
}

/// A fault, from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    pub(crate) lane: Lane,
    pub(crate) what: &'static str,
    pub(crate) from: Duration,
    /// `None` while it lasts.
    pub(crate) to: Option<Duration>,
}

/// Written by all tasks, read by the live line, the judge and the picture.
#[derive(Debug)]
pub(crate) struct Record {
    started: Instant,
    done: Mutex<Vec<u64>>,
    losses: Mutex<Vec<u64>>,
    bands: Mutex<Vec<Band>>,
    pub(crate) outstanding: AtomicU64,
    pub(crate) statements: AtomicU64,
}

tokio::task_local! {
    static STORY: RefCell<Vec<String>>;
}

/// Runs a call. Returns its result and its events, which are emitted on the task of the call.
pub(crate) async fn with_story<F: Future>(call: F) -> (F::Output, Vec<String>) {
    STORY.scope(RefCell::default(), async { (call.await, STORY.with(RefCell::take)) }).await
}

impl Record {
    pub(crate) fn new() -> Self {
        Record {
            started: Instant::now(),
            done: Mutex::default(),
            losses: Mutex::default(),
            bands: Mutex::default(),
            outstanding: AtomicU64::new(0),
            statements: AtomicU64::new(0),
        }
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn begun(&self) {
        self.outstanding.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, done: bool) {
        self.outstanding.fetch_sub(1, Relaxed);
        self.statements.fetch_add(1, Relaxed);
        if done {
            self.count(&self.done);
        }
    }

    /// The hook of the executor.
    pub(crate) fn hear(&self, event: &Event<'_>) {
        if let Event::ConnectionLost { .. } = event {
            self.count(&self.losses);
        }
        let told = || format!("{:.3} s: {event:?}", self.now().as_secs_f64());
        // what the executor does in the background belongs to no statement
        let _ = STORY.try_with(|story| story.borrow_mut().push(told()));
    }

    /// A fault begins; `end` gets what this returns.
    pub(crate) fn begin(&self, lane: Lane, what: &'static str) -> usize {
        let mut bands = lock(&self.bands);
        bands.push(Band { lane, what, from: self.now(), to: None });
        bands.len() - 1
    }

    pub(crate) fn end(&self, band: usize) {
        lock(&self.bands)[band].to = Some(self.now());
    }

    pub(crate) fn bands(&self) -> Vec<Band> {
        lock(&self.bands).clone()
    }

    /// The faults that had begun by then and not ended before, in words.
    pub(crate) fn faults_between(&self, from: Duration, to: Duration) -> String {
        let bands = lock(&self.bands);
        let during = bands.iter().filter(|band| band.from <= to && band.to.is_none_or(|end| end >= from));
        let mut names: Vec<&str> = Vec::new();
        for band in during {
            if !names.contains(&band.what) {
                names.push(band.what);
            }
        }
        if names.is_empty() { "none".to_owned() } else { names.join(" + ") }
    }

    /// Statements done and losses, by column.
    pub(crate) fn columns(&self) -> (Vec<u64>, Vec<u64>) {
        (lock(&self.done).clone(), lock(&self.losses).clone())
    }

    fn count(&self, columns: &Mutex<Vec<u64>>) {
        let column = (self.now().as_millis() / BIN.as_millis()) as usize;
        let mut columns = lock(columns);
        if columns.len() <= column {
            columns.resize(column + 1, 0);
        }
        columns[column] += 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
