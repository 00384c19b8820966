//! How long callers wait: in a crowd that has to share connections, and for a session.

use std::time::Instant;

use mysql_async::Pool;
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, median};

use crate::{
    calls::{Call, Caller, TEXT, repeat},
    pool_and_executor,
};

/// Tasks that call at the same time, and connections for them.
const TASKS: usize = 256;
const CONNECTIONS: usize = 32;
/// Calls of each task in a turn.
const CALLS: usize = 40;
/// Sessions one after the other in a turn.
const SESSIONS: usize = 200;
/// Rounds in which both take turns.
const ROUNDS: usize = 31;

/// The executor's time over the bare pool's.
pub struct Row {
    pub name: &'static str,
    pub ratio: f64,
}

pub async fn measure(server: &Server) -> Vec<Row> {
    let (pool, exec) = pool_and_executor(server.opts(), CONNECTIONS);
    let (mut of_crowd, mut of_session) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (theirs, ours);
        if round % 2 == 0 {
            theirs = (slow(&pool).await, one_by_one(&pool).await);
            ours = (slow(&exec).await, sessions(&exec).await);
        } else {
            ours = (slow(&exec).await, sessions(&exec).await);
            theirs = (slow(&pool).await, one_by_one(&pool).await);
        }
        // the first one warms up
        if round > 0 {
            of_crowd.push(ours.0 / theirs.0);
            of_session.push(ours.1 / theirs.1);
        }
    }
    vec![
        Row { name: "p99, 256 tasks over 32 connections", ratio: median(of_crowd) },
        Row { name: "session and one statement", ratio: median(of_session) },
    ]
}

/// The time, in seconds, that 99 % of a crowd's calls do not exceed.
async fn slow<C: Caller + Clone>(caller: &C) -> f64 {
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let mut caller = caller.clone();
            tokio::spawn(async move {
                let mut times = Vec::with_capacity(CALLS);
                for _ in 0..CALLS {
                    let start = Instant::now();
                    repeat(&mut caller, Call::Query, 1).await;
                    times.push(start.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await.expect("no call failed"));
    }
    times.sort_unstable();
    times[times.len() * 99 / 100].as_secs_f64()
}

/// Each call has a connection of the pool.
async fn one_by_one(pool: &Pool) -> f64 {
    let start = Instant::now();
    repeat(&mut pool.clone(), Call::Query, SESSIONS).await;
    start.elapsed().as_secs_f64()
}

async fn sessions(exec: &Executor) -> f64 {
    let start = Instant::now();
    for _ in 0..SESSIONS {
        let mut conn = exec.get_conn().await.expect("a connection");
        let value: Option<String> = conn.query_first(TEXT).await.expect("a reply");
        assert!(value.is_some(), "the row is there");
    }
    start.elapsed().as_secs_f64()
}
