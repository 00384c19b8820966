//! One measurement: a column, a form, an outage.

use std::time::{Duration, Instant};

use mysql_async::Conn;
use tokio::time::{sleep, sleep_until};

use crate::{
    attempts,
    columns::Column,
    form::Form,
    load::{Load, Seen, TASKS},
    stage::{Stage, sessions},
};

/// Sessions are counted for this long after the server is ready, every so often.
const PEAK_FOR: Duration = Duration::from_secs(1);
const PEAK_EVERY: Duration = Duration::from_millis(10);

/// Whoever has no success in this time, and that of the outage once more, is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was measured.
pub(crate) struct Cell {
    pub(crate) form: Form,
    pub(crate) column: Column,
    /// As it was asked for; zero where the form takes its own time.
    pub(crate) asked: Duration,
    /// From the fault to "the server is ready".
    pub(crate) outage: Duration,
    /// Connection attempts in that time.
    pub(crate) attempts: u64,
    /// Other programs failed to connect before the outage, so that some of the attempts may be theirs.
    pub(crate) is_disturbed: bool,
    pub(crate) peak: usize,
    pub(crate) seen: Seen,
    /// After this time nobody was waited for.
    pub(crate) limit: Duration,
}

impl Cell {
    /// From "the server is ready" until one task, and so many of a hundred, had a success; `None` if that was not waited for.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.seen.again.first().copied()
    }

    pub(crate) fn share(&self, percent: usize) -> Option<Duration> {
        let count = (TASKS as usize * percent).div_ceil(100);
        self.seen.again.get(count - 1).copied()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.seen.read_errors + self.seen.write_errors
    }
}

/// Measures. `settle`: how long the load runs before the outage.
pub(crate) async fn measure(
    column: Column,
    form: Form,
    asked: Duration,
    settle: Duration,
    mut stage: Stage<'_>,
) -> Cell {
    let load = Load::start(column, &stage.way());
    load.warm_up().await;
    let quiet = attempts::refused();
    sleep(settle).await;
    let is_disturbed = stage.counts_all_programs() && attempts::refused() > quiet;

    let before = stage.attempts();
    load.outage_begins();
    let began = Instant::now();
    stage.begin().await;
    sleep_until((began + asked).into()).await;
    stage.end(!column.knows_targets()).await;
    let outage = began.elapsed();
    load.server_is_ready();
    let attempts = stage.attempts() - before;

    let limit = asked + PATIENCE;
    let mut admin = stage.server().connect().await;
    let (peak, ()) = tokio::join!(peak(&mut admin), load.recover(limit));
    let seen = load.end();
    until_gone(&mut admin).await;
    let _ = admin.disconnect().await;
    Cell { form, column, asked, outage, attempts, is_disturbed, peak, seen, limit }
}

/// The most sessions of the columns that there were at a time.
async fn peak(admin: &mut Conn) -> usize {
    let end = Instant::now() + PEAK_FOR;
    let mut peak = 0;
    while Instant::now() < end {
        peak = peak.max(sessions(admin).await.len());
        sleep(PEAK_EVERY).await;
    }
    peak
}

/// Waits until the sessions of a load that ended are gone, so that the next one begins alone.
async fn until_gone(admin: &mut Conn) {
    let end = Instant::now() + Duration::from_secs(5);
    while !sessions(admin).await.is_empty() && Instant::now() < end {
        sleep(PEAK_EVERY).await;
    }
}
