//! What a transaction costs while nothing is lost: with the driver, with the executor, and guarded with a token, by the
//! executor and by hand.
//!
//! Each is one INSERT between its beginning and COMMIT. All are measured in one run, in short rounds in which they take
//! turns, so that the machine's drift hits all of them; a figure is the median over the rounds. Round trips are counted
//! by a proxy, in a pass that is not timed. The last line is for machines:
//!
//! * `transaction_ratio`: throughput of `exec.transaction` over that of the driver's own `start_transaction` ..
//!   `commit`.
//! * `guarded_ratio`: throughput of the same with `.exactly_once(token)` over that of `exec.transaction` without. What
//!   it costs is the server's work: a row of the guard's table, with its two keys. The table shows beside it what the
//!   driver alone reaches that writes such a row by hand, in the text that begins the transaction.
//! * `extra_round_trips`: of a guarded call, over the same without a guard.
//!
//! The ratios are the worse of one caller and 16.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use mysql_async::{Opts, OptsBuilder, Pool, prelude::Queryable};
use mysql_retry::{Done, Error, Executor, TxOpts, mysql_async};
use mysql_retry_fixture::{Kind, Proxy, Server, median, pool_without_resets};
use tokio::runtime;

/// Tasks that call at the same time, and connections for them.
const CROWD: usize = 16;
/// Turns in which a caller is at its steady pace, and many of them: what disturbs the machine should last longer than a turn.
const TURN_SECONDS: f64 = 0.1;
/// The turns of one line together: on a busy machine there are fewer of them, but the bench ends in time.
const LINE_TIME: Duration = Duration::from_secs(12);
/// Calls whose round trips are counted.
const COUNTED: usize = 20;

const INSERT: &str = "INSERT INTO payment (amount) VALUES (?)";

fn main() {
    // `cargo bench` says so; without it (`cargo test --benches`) nobody wants to wait for figures
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("guard: nothing is measured without --bench (cargo bench --bench guard)");
        return;
    }
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = Server::builder().flag("--innodb-buffer-pool-size=64M").start().await;
        server.query_drop("CREATE TABLE payment (id INT AUTO_INCREMENT PRIMARY KEY, amount INT NOT NULL)").await;
        let round_trips = count(&server).await;
        let mut rows = Vec::new();
        for tasks in [1, CROWD] {
            rows.push(measure(&server, tasks).await);
        }
        report(&round_trips, &rows);
    });
}

/// Who makes the calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Driver,
    Transaction,
    Guarded,
    /// The driver, with a row for the token that the user writes. Who loses the reply to COMMIT is on his own.
    ByHand,
}

const WAYS: [Way; 4] = [Way::Driver, Way::Transaction, Way::Guarded, Way::ByHand];
/// What each way has a figure for.
type Each = [f64; WAYS.len()];

/// All of them, on pools of as many connections.
#[derive(Clone)]
struct Contestants {
    pool: Pool,
    executor: Executor,
    /// Numbers for tokens, each given once.
    tokens: Arc<AtomicU64>,
}

impl Contestants {
    async fn new(opts: OptsBuilder, connections: usize, first_token: u64) -> Self {
        let opts: Opts = pool_without_resets(connections, opts).into();
        let executor = Executor::new(opts.clone()).expect("good options");
        executor.create_guard_table().await.expect("created");
        Contestants { pool: Pool::new(opts), executor, tokens: Arc::new(AtomicU64::new(first_token)) }
    }

    /// An error ends the bench: nothing is lost here.
    async fn call(&self, way: Way) {
        match way {
            Way::Driver => {
                let mut tx = self.pool.start_transaction(TxOpts::default()).await.expect("begun");
                tx.exec_drop(INSERT, (100,)).await.expect("inserted");
                tx.commit().await.expect("committed");
            }
            Way::Transaction => {
                let done: Result<(), Error> = self
                    .executor
                    .transaction(TxOpts::default(), |mut tx| async move { tx.exec_drop(INSERT, (100,)).await })
                    .await;
                done.expect("committed");
            }
            Way::Guarded => {
                let done: Result<Done<()>, Error> = self
                    .executor
                    .transaction(TxOpts::default(), |mut tx| async move { tx.exec_drop(INSERT, (100,)).await })
                    .exactly_once(self.tokens.fetch_add(1, Relaxed))
                    .await;
                assert!(done.expect("committed").is_now(), "the token is new");
            }
            Way::ByHand => {
                let token = self.tokens.fetch_add(1, Relaxed);
                let begin = format!(
                    "START TRANSACTION; INSERT INTO mysql_retry_guard (token, owner) \
                     VALUES (x'{token:016x}', x'00112233445566778899aabbccddeeff')"
                );
                let mut conn = self.pool.get_conn().await.expect("a connection");
                conn.query_drop(begin).await.expect("begun");
                conn.exec_drop(INSERT, (100,)).await.expect("inserted");
                conn.query_drop("COMMIT").await.expect("committed");
            }
        }
    }

    /// Each task makes so many calls. Calls per second.
    async fn per_second(&self, way: Way, tasks: usize, calls: usize) -> f64 {
        let start = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let contestants = self.clone();
                tokio::spawn(async move {
                    for _ in 0..calls {
                        contestants.call(way).await;
                    }
                })
            })
            .collect();
        let all = (tasks.len() * calls) as f64;
        for task in tasks {
            task.await.expect("no call failed");
        }
        all / start.elapsed().as_secs_f64()
    }

    async fn close(self) {
        self.executor.close().await.expect("an orderly end");
        self.pool.disconnect().await.expect("an orderly end");
    }
}

/// Round trips of one call of each.
async fn count(server: &Server) -> Each {
    let proxy = Proxy::start(server).await;
    let contestants = Contestants::new(proxy.opts(), 1, 0).await;
    let answered = |kind| !matches!(kind, Kind::LongData | Kind::CloseStatement | Kind::Quit);
    let so_far = || proxy.commands().into_iter().filter(|seen| answered(seen.kind)).count();
    let mut counts = [0.0; WAYS.len()];
    for (way, count) in WAYS.into_iter().zip(&mut counts) {
        // connects, prepares, and looks at the guard's table
        contestants.call(way).await;
        let before = so_far();
        for _ in 0..COUNTED {
            contestants.call(way).await;
        }
        *count = (so_far() - before) as f64 / COUNTED as f64;
    }
    contestants.close().await;
    counts
}

/// One line of the comparison: calls per second, and ratios of what took turns in the same round.
struct Row {
    tasks: usize,
    rates: Each,
    transaction_ratio: f64,
    guarded_ratio: f64,
    by_hand_ratio: f64,
}

async fn measure(server: &Server, tasks: usize) -> Row {
    server.query_drop("TRUNCATE payment").await;
    server.query_drop("TRUNCATE mysql_retry_guard").await;
    let contestants = Contestants::new(server.opts(), CROWD, 0).await;
    let mut calls = 20;
    for _ in 0..3 {
        let mut slowest = f64::INFINITY;
        for way in WAYS {
            slowest = slowest.min(contestants.per_second(way, tasks, calls).await);
        }
        calls = ((slowest * TURN_SECONDS) as usize / tasks).max(5);
    }
    let mut rounds: Vec<Each> = Vec::new();
    let start = Instant::now();
    while start.elapsed() < LINE_TIME {
        let mut round = [0.0; WAYS.len()];
        for turn in 0..WAYS.len() {
            // each goes first in every fourth round, and the neighbours change
            let (number, ways) = (rounds.len(), WAYS.len());
            let index = if number % 2 == 1 { (number + turn) % ways } else { (number + ways - turn) % ways };
            round[index] = contestants.per_second(WAYS[index], tasks, calls).await;
        }
        rounds.push(round);
    }
    contestants.close().await;
    Row {
        tasks,
        rates: std::array::from_fn(|index| median(rounds.iter().map(|round| round[index]))),
        transaction_ratio: median(rounds.iter().map(|[driver, transaction, ..]| transaction / driver)),
        guarded_ratio: median(rounds.iter().map(|[_, transaction, guarded, _]| guarded / transaction)),
        by_hand_ratio: median(rounds.iter().map(|[driver, _, _, by_hand]| by_hand / driver)),
    }
}

fn report(round_trips: &Each, rows: &[Row]) {
    println!();
    line([&"", &"driver", &"transaction", &"guarded", &"by hand"]);
    let [driver, transaction, guarded, by_hand] = round_trips;
    line([&"round trips per call", driver, transaction, guarded, by_hand]);
    for row in rows {
        let tasks = if row.tasks == 1 { "sequential".to_owned() } else { format!("{} tasks", row.tasks) };
        let [driver, transaction, guarded, by_hand] = row.rates.map(|rate| format!("{rate:.0}"));
        line([&format!("per second, {tasks}"), &driver, &transaction, &guarded, &by_hand]);
        let ratio = |ratio| format!("{ratio:.3}");
        line([&"  over the driver", &"", &ratio(row.transaction_ratio), &"", &ratio(row.by_hand_ratio)]);
        line([&"  over the transaction", &"", &"", &ratio(row.guarded_ratio), &""]);
    }
    let worst = |ratio: fn(&Row) -> f64| rows.iter().map(ratio).fold(f64::INFINITY, f64::min);
    println!();
    println!("wanted: extra_round_trips<=1");
    println!(
        "guard: transaction_ratio={:.3} guarded_ratio={:.3} extra_round_trips={}",
        worst(|row| row.transaction_ratio),
        worst(|row| row.guarded_ratio),
        guarded - transaction,
    );
}

fn line([name, driver, transaction, guarded, by_hand]: [&dyn fmt::Display; 5]) {
    println!("{name:<26}{driver:>10}{transaction:>14}{guarded:>10}{by_hand:>10}");
}
