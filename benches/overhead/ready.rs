//! The library's own work: a call whose attempt is ready at once, less the pool's own checkout and return.

use std::time::{Duration, Instant};

use mysql_async::Pool;
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, median};
use tokio::task::yield_now;

use crate::{calls::PREPARED, pool_and_executor};

/// Short and many: most rounds have ended before the kernel gives the processor to somebody else.
const ROUNDS: usize = 4_000;
const CALLS: u32 = 250;

/// Nanoseconds for each call.
pub struct Figures {
    pub pool: f64,
    pub executor: f64,
    pub extra: f64,
}

pub async fn measure(server: &Server) -> Figures {
    let (pool, executor) = pool_and_executor(server, 1);
    // connects, and warms up
    checkouts(&pool).await;
    ready_calls(&executor).await;
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // either goes first in every other round
        let (bare, ours) = if round % 2 == 0 {
            let bare = checkouts(&pool).await;
            (bare, ready_calls(&executor).await)
        } else {
            let ours = ready_calls(&executor).await;
            (checkouts(&pool).await, ours)
        };
        rounds.push((nanoseconds(bare), nanoseconds(ours)));
    }
    executor.close().await.expect("an orderly end");
    pool.disconnect().await.expect("an orderly end");
    Figures {
        pool: median(rounds.iter().map(|(bare, _)| *bare)),
        executor: median(rounds.iter().map(|(_, ours)| *ours)),
        extra: median(rounds.iter().map(|(bare, ours)| ours - bare)),
    }
}

async fn checkouts(pool: &Pool) -> Duration {
    let start = Instant::now();
    for _ in 0..CALLS {
        drop(pool.get_conn().await.expect("a connection"));
        // lets the pool's own task take the connection back, else the next call would have to wait for it
        yield_now().await;
    }
    start.elapsed()
}

async fn ready_calls(executor: &Executor) -> Duration {
    let start = Instant::now();
    for _ in 0..CALLS {
        executor.ready(PREPARED).await.expect("a connection");
        yield_now().await;
    }
    start.elapsed()
}

fn nanoseconds(round: Duration) -> f64 {
    round.as_secs_f64() * 1e9 / f64::from(CALLS)
}
