//! Calls per second, of one caller and of a crowd.

use std::{
    fmt,
    time::{Duration, Instant},
};

use mysql_async::{Conn, Pool};
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, Transport, median};

use crate::{
    calls::{Call, Caller, repeat},
    pool_and_executor,
};

/// Tasks that call at the same time, and connections for them.
pub const CROWD: usize = 16;

/// Turns in which a caller is at its steady pace, and many of them: what disturbs the machine should last longer than a turn.
const TURN_SECONDS: f64 = 0.1;
/// The turns of one line together: on a busy machine there are fewer of them, but the bench ends in time.
const LINE_TIME: Duration = Duration::from_secs(12);
/// So often all of them connect anew within a line. Whether the server's thread of a connection runs on the processor of its client
/// makes a call up to twice as fast or slow, and stays as it is for a while.
const SITTINGS: u32 = 4;
/// The pools are there for comparison: a turn in every fourth round is enough.
const GUESTS_EVERY: usize = 4;

/// One line of the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    pub call: Call,
    pub tasks: usize,
    pub transport: Transport,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = if self.transport == Transport::Tcp { "TCP" } else { "socket" };
        let tasks = if self.tasks == 1 { "task" } else { "tasks" };
        write!(f, "{}, {} {tasks}, {transport}", self.call, self.tasks)
    }
}

/// Calls per second, and ratios of what took turns in the same round.
pub struct Row {
    pub setting: Setting,
    pub pool: f64,
    pub default_pool: f64,
    pub held: f64,
    pub executor: f64,
    /// To the held connections: the mean of the medians of the sittings.
    pub ratio: f64,
}

/// Who takes turns, each with one caller for each task.
struct Contestants {
    pool: Vec<Pool>,
    default_pool: Vec<Pool>,
    held: Vec<Conn>,
    executor: Vec<Executor>,
}

/// Calls per second of each in one round.
struct Round {
    held: f64,
    executor: f64,
    guests: Option<Guests>,
}

struct Guests {
    pool: f64,
    default_pool: f64,
}

pub async fn measure(server: &Server) -> Vec<Row> {
    let mut rows = Vec::new();
    for transport in [Transport::Tcp, Transport::Unix] {
        for call in [Call::Query, Call::Exec] {
            for tasks in [1, CROWD] {
                let setting = Setting { call, tasks, transport };
                rows.push(row(server, setting).await);
            }
        }
    }
    rows
}

async fn row(server: &Server, setting: Setting) -> Row {
    let mut rounds = Vec::new();
    let mut ratio = 0.0;
    for _ in 0..SITTINGS {
        let mut contestants = Contestants::new(server, setting).await;
        let calls = contestants.warm_up(setting).await;
        let before = rounds.len();
        let start = Instant::now();
        while start.elapsed() < LINE_TIME / SITTINGS {
            rounds.push(contestants.round(setting.call, calls, rounds.len()).await);
        }
        ratio += median(rounds[before..].iter().map(|round| round.executor / round.held)) / f64::from(SITTINGS);
    }
    let guests = || rounds.iter().filter_map(|round| round.guests.as_ref());
    Row {
        setting,
        pool: median(guests().map(|guests| guests.pool)),
        default_pool: median(guests().map(|guests| guests.default_pool)),
        held: median(rounds.iter().map(|round| round.held)),
        executor: median(rounds.iter().map(|round| round.executor)),
        ratio,
    }
}

impl Contestants {
    async fn new(server: &Server, Setting { tasks, transport, .. }: Setting) -> Self {
        let opts = || server.opts_over(transport);
        let (pool, executor) = pool_and_executor(opts(), CROWD);
        let default_pool = Pool::new(opts());
        let mut held = Vec::new();
        for _ in 0..tasks {
            held.push(Conn::new(opts()).await.expect("a connection"));
        }
        Contestants {
            pool: vec![pool; tasks],
            default_pool: vec![default_pool; tasks],
            held,
            executor: vec![executor; tasks],
        }
    }

    /// Connects and prepares, and returns how many calls of each task make a turn.
    async fn warm_up(&mut self, setting: Setting) -> usize {
        let mut calls = 50;
        for _ in 0..3 {
            let round = self.round(setting.call, calls, 0).await;
            calls = ((round.held * TURN_SECONDS) as usize / setting.tasks).max(10);
        }
        calls
    }

    /// The two that matter one right after the other, and either first in every other round.
    async fn round(&mut self, call: Call, calls: usize, number: usize) -> Round {
        let guests = if number % GUESTS_EVERY == 1 {
            Some(Guests {
                pool: per_second(&mut self.pool, call, calls).await,
                default_pool: per_second(&mut self.default_pool, call, calls).await,
            })
        } else {
            None
        };
        let (held, executor);
        if number % 2 == 1 {
            held = per_second(&mut self.held, call, calls).await;
            executor = per_second(&mut self.executor, call, calls).await;
        } else {
            executor = per_second(&mut self.executor, call, calls).await;
            held = per_second(&mut self.held, call, calls).await;
        }
        Round { held, executor, guests }
    }
}

/// Each caller makes so many calls, on a task of its own.
async fn per_second<C: Caller>(callers: &mut Vec<C>, call: Call, calls: usize) -> f64 {
    let all = (callers.len() * calls) as f64;
    let start = Instant::now();
    let tasks: Vec<_> = callers
        .drain(..)
        .map(|mut caller| {
            tokio::spawn(async move {
                repeat(&mut caller, call, calls).await;
                caller
            })
        })
        .collect();
    for task in tasks {
        callers.push(task.await.expect("no call failed"));
    }
    all / start.elapsed().as_secs_f64()
}
