//! Scene (c): the server is killed and restarted while many tasks work.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mysql_async::{OptsBuilder, Pool};
use mysql_retry::{Event, Executor};
use mysql_retry_fixture::Server;
use tokio::sync::watch;

use crate::{
    Problem,
    figures::{Figures, Side},
    judge::{Found, Judged},
    ledger::{ACCOUNTS, BARE, RETRY},
    load::{self, EACH_ROUND, ROUNDS},
    screen::{self, Row},
};

/// How long the server stays away, beside the time that it takes to start.
const AWAY: Duration = Duration::from_millis(500);

/// (c) Fifty tasks on each side, one crash for both.
pub(crate) async fn while_tasks_work(server: &Server) -> Result<Figures, Problem> {
    let each = EACH_ROUND.len() as u64 * ROUNDS;
    screen::scene(
        "(c) The server crashes while 50 tasks work",
        &format!(
            "On each side 50 tasks run {each} statements each: reads, UPDATEs and keyed upserts, annotated as \
             idempotent, and INSERTs into a ledger, not annotated. In the midst of it the server is killed (SIGKILL) \
             and started again. An INSERT that is under way just then may fail as 'Unknown'. Both sides meet the same \
             crash; the bare side uses mysql_async's pool."
        ),
    );
    let mut figures = Figures::new("(c) server killed, restarted");
    let of = |database: &str| OptsBuilder::db_name(server.opts(), Some(database));
    let pool = Pool::new(of(BARE));
    let losses = Arc::new(Losses::default());
    let heard = losses.clone();
    let exec = Executor::builder().on_event(move |event| heard.note(event)).build(of(RETRY))?;

    let (progress, mut done) = watch::channel(0);
    let crash = async {
        let a_third = 2 * ACCOUNTS * each / 3;
        done.wait_for(|done| *done >= a_third).await?;
        server.kill().await;
        tokio::time::sleep(AWAY).await;
        server.start_again().await;
        Ok::<_, watch::error::RecvError>(())
    };
    let (bare, retry, crash) = tokio::join!(load::work(&pool, &progress), load::work(&exec, &progress), crash);
    crash?;
    let bare = Judged::of(&bare?, &Found::look(server, BARE).await?);
    let retry = Judged::of(&retry?, &Found::look(server, RETRY).await?);
    figures.bare = side(&bare);
    figures.retry = side(&retry);

    let counters = exec.counters();
    let (cut_off, no_server) = (losses.cut_off.load(Ordering::Relaxed), losses.no_server.load(Ordering::Relaxed));
    screen::side_by_side(
        ("bare mysql_async, a pool", "mysql-retry"),
        &[
            Row(
                "all",
                told(bare.statements - bare.failed, bare.failed),
                told(retry.statements - retry.failed, retry.failed),
            ),
            Row(
                "idempotent",
                told(bare.repeatable_done, bare.repeatable_failed),
                told(retry.repeatable_done, retry.repeatable_failed),
            ),
            Row(
                "INSERTs",
                told(bare.booked, bare.not_booked + bare.refused + bare.unknown),
                told(retry.booked, retry.not_booked + retry.refused + retry.unknown),
            ),
            Row(
                "verdict",
                "none: the errors do not say what ran".to_owned(),
                format!("{} 'NotExecuted', {} 'Failed', {} 'Unknown'", retry.not_booked, retry.refused, retry.unknown),
            ),
            Row("ledger", bare.ledger(), retry.ledger()),
            Row(
                "on the way",
                "nothing is tried again".to_owned(),
                format!(
                    "{cut_off} statements cut off: {} replayed, {} proved not executed and resent; {no_server} \
                     attempts to connect found no server",
                    counters.replays, counters.resends
                ),
            ),
        ],
    );

    figures.promise(bare.failed > 0, "no statement of bare mysql_async failed, though the server was killed");
    figures.promise(counters.losses > 0, "mysql-retry met no loss, though the server was killed");
    figures.promise(
        counters.losses == cut_off + no_server,
        format!("the counters say {} losses, the events {}", counters.losses, cut_off + no_server),
    );
    figures.promise(
        retry.repeatable_failed == 0,
        format!("{} idempotent statements of mysql-retry failed: {}", retry.repeatable_failed, retry.first_error),
    );
    figures.promise(
        retry.other_errors == 0,
        format!("{} statements of mysql-retry failed for another reason: {}", retry.other_errors, retry.first_error),
    );
    figures.promise(
        retry.wrong_verdicts == 0,
        format!("{} INSERTs reported as not executed or failed are in the ledger", retry.wrong_verdicts),
    );
    figures.promise(
        retry.stale_reads == 0,
        format!("{} reads did not see what the same task had written before", retry.stale_reads),
    );
    pool.disconnect().await?;
    Ok(figures.end(exec).await?)
}

fn told(done: u64, failed: u64) -> String {
    format!("{done} done, {failed} FAILED")
}

fn side(judged: &Judged) -> Side {
    Side { statements: judged.statements, failed: judged.failed, duplicates: judged.duplicates, lost: judged.lost }
}

/// The losses of the executor, by its events.
#[derive(Default)]
struct Losses {
    cut_off: AtomicU64,
    no_server: AtomicU64,
}

impl Losses {
    fn note(&self, event: &Event<'_>) {
        if let Event::ConnectionLost { connection_id, .. } = event {
            let count = if connection_id.is_some() { &self.cut_off } else { &self.no_server };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
