//! Replays as a burden: a server that loses every connection after 100 ms.
//!
//! Calls come at a fixed rate, as requests do, whatever became of those before. One in ten takes 300 ms, so that it never
//! ends, and each replay of it is for nothing. Each call has a number in its text, so that what replays add to the load is
//! seen at the proxy: statements sent, over calls of which any arrived. (A call that still waits for a connection at the
//! end would make the share look better than it is.)

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mysql_retry_fixture::{Fault, Kind, Proxy, Server};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    columns::{Client, Column, Way},
    load::runtime,
    stage,
};

/// A connection lives for this long.
const CUT_EVERY: Duration = Duration::from_millis(100);
/// One call after the other.
const CALL_EVERY: Duration = Duration::from_micros(2_500);
/// One call in so many is a slow one.
const SLOW_EVERY: u64 = 10;

/// What is allowed to this library: small, so that it is used up in the time of the run.
const SHARE: f64 = 0.1;
const RESERVE: u32 = 20;

/// Tells these, with their numbers behind it, from what libraries send for themselves.
const MARK: &str = "/* call ";
const SLOW: &str = "SELECT SLEEP(0.3)";
const FAST: &str = "SELECT v FROM t WHERE id = 7";

/// Who repeats statements by itself.
pub(crate) const COLUMNS: [Column; 2] = [Column::RetryLoop, Column::Ours];

/// What was measured.
pub(crate) struct Budget {
    calls: u64,
    /// Calls of which a statement was sent at least once.
    arrived: usize,
    /// Statements that were sent, replays included.
    sent: usize,
    errors: u64,
    unfinished: u64,
    successes: u64,
}

impl Budget {
    /// More was sent again than the budget allows; of this library.
    pub(crate) fn failure(&self) -> Option<String> {
        let replays = self.sent - self.arrived;
        let most = SHARE * self.successes as f64 + f64::from(RESERVE);
        (replays as f64 > most).then(|| format!("retry budget: {replays} replays, over {most:.0}"))
    }

    /// `calls=N sent=N ratio=N errors=N`
    pub(crate) fn line(&self) -> String {
        let ratio = self.sent as f64 / self.arrived.max(1) as f64;
        format!("calls={} sent={} ratio={ratio:.3} errors={}", self.calls, self.sent, self.errors)
    }

    /// What became of the calls beside that.
    pub(crate) fn rest(&self) -> String {
        let Budget { arrived, unfinished, successes, .. } = self;
        let most = SHARE * *successes as f64 + f64::from(RESERVE);
        let replays = self.sent - arrived;
        format!("{arrived} calls were sent, {replays} times again (a budget: {most:.0}), {unfinished} were unfinished")
    }
}

#[derive(Default)]
struct Tally {
    finished: AtomicU64,
    errors: AtomicU64,
}

/// Measures a column for so long.
pub(crate) async fn measure(column: Column, server: &Server, length: Duration) -> Budget {
    let proxy = stage::proxy(server).await;
    let runtime = runtime();
    let client = {
        let _inside = runtime.enter();
        column.client(&Way { budget: Some((SHARE, RESERVE)), ..Way::to(proxy.port()) })
    };
    let tally = Arc::new(Tally::default());
    let calls = tokio::join!(call(&runtime, &client, &tally, length), cut(&proxy, length)).0;
    let texts = proxy.commands().into_iter().filter(|seen| seen.kind == Kind::Query).filter_map(|seen| seen.text);
    let sent: Vec<String> = texts.filter(|text| text.contains(MARK)).collect();
    let arrived = sent.iter().collect::<HashSet<_>>().len();
    let sent = sent.len();
    let errors = tally.errors.load(Ordering::Relaxed);
    let finished = tally.finished.load(Ordering::Relaxed);
    drop(client);
    runtime.shutdown_background();
    // what succeeded after the last statement was counted pays for none of them, and can be but a few
    Budget { calls, arrived, sent, errors, unfinished: calls - finished, successes: finished - errors }
}

/// Makes calls, and returns how many.
async fn call(runtime: &tokio::runtime::Runtime, client: &Client, tally: &Arc<Tally>, length: Duration) -> u64 {
    let end = Instant::now() + length;
    let mut ticks = interval(CALL_EVERY);
    let mut calls = 0;
    while Instant::now() < end {
        ticks.tick().await;
        let text = if calls % SLOW_EVERY == 0 { SLOW } else { FAST };
        let text = format!("{text} {MARK}{calls} */");
        let (client, tally) = (client.clone(), tally.clone());
        runtime.spawn(async move {
            if client.run(&text).await.is_err() {
                tally.errors.fetch_add(1, Ordering::Relaxed);
            }
            tally.finished.fetch_add(1, Ordering::Relaxed);
        });
        calls += 1;
    }
    calls
}

async fn cut(proxy: &Proxy, length: Duration) {
    let end = Instant::now() + length;
    let mut ticks = interval(CUT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        ticks.tick().await;
        proxy.cut_all(Fault::Rst).await;
    }
}
