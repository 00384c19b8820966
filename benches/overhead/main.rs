//! What the library costs while nothing is lost, beside the same calls on a `mysql_async::Conn` in the hand, and on a bare pool.
//!
//! Everything that is compared is measured in one run, in short rounds that take turns, so that the machine's drift
//! hits both sides; a figure is the median over the rounds. The last line is for machines:
//!
//! * `held_ratio_1`, `held_ratio_16`: throughput of one caller, and of 16, over that of a connection in the hand of each; the
//!   lowest of `query_first` and `exec_first`, TCP and unix socket.
//! * `instructions_ratio`, `extra_allocs`: of a whole call, over one on a held connection; the higher of `query_first` and
//!   `exec_first`.
//! * `stream_ratio`, `batch_ratio`: time over the driver's; the highest of `query_stream`, `exec_stream` and `query_fold` of a
//!   million rows, and `exec_batch` of a hundred thousand.
//!
//! With `OVERHEAD=counts` (`make counts`) only what does not depend on the machine's mood is measured and compared with
//! `counts.txt`; it fails if there is more of it.

use std::process::ExitCode;

use mysql_async::{Opts, OptsBuilder, Pool};
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, pool_without_resets};
use tokio::runtime;

mod allocations;
mod bulk;
mod calls;
mod counts;
mod instructions;
mod latency;
mod throughput;

use counts::Counts;
use throughput::Row;

fn main() -> ExitCode {
    if instructions::counted_here() {
        return ExitCode::SUCCESS;
    }
    // `cargo bench` says so; without it (`cargo test --benches`) nobody wants to wait for figures
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("overhead: nothing is measured without --bench (cargo bench --bench overhead)");
        return ExitCode::SUCCESS;
    }
    // one thread, so that nothing but what is measured runs between two looks at the clock
    let single = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = single.block_on(start_server());
    let counts = Counts::new(single.block_on(allocations::measure(&server)), instructions::measure(&server));
    counts.report();
    if std::env::var("OVERHEAD").is_ok_and(|part| part == "counts") {
        let grown = counts.grown();
        print!("\n{}", counts.suspects());
        println!("{}", if grown.is_empty() { "counts: ok\n" } else { &grown });
        return if grown.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // as a program has it
    let multi = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let rows = multi.block_on(throughput::measure(&server));
    let latencies = multi.block_on(latency::measure(&server));
    let bulk = multi.block_on(bulk::measure(&server));
    report(&counts, &rows, &latencies, &bulk);
    ExitCode::SUCCESS
}

async fn start_server() -> Server {
    let server = Server::builder().flag("--innodb-buffer-pool-size=64M").start().await;
    server.query_drop("CREATE TABLE kv (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL)").await;
    let rows: Vec<String> = (0..calls::KEYS).map(|id| format!("({id}, 'the value of {id}')")).collect();
    server.query_drop(&format!("INSERT INTO kv VALUES {}", rows.join(", "))).await;
    server
}

/// The two that give connections to callers.
fn pool_and_executor(opts: OptsBuilder, connections: usize) -> (Pool, Executor) {
    let opts: Opts = pool_without_resets(connections, opts).into();
    (Pool::new(opts.clone()), Executor::new(opts).expect("good options"))
}

fn report(counts: &Counts, rows: &[Row], latencies: &[latency::Row], bulk: &[bulk::Row]) {
    println!();
    line(["calls per second", "bare pool", "default pool", "held Conn", "executor", "executor / held"]);
    for row in rows {
        line([
            &row.setting.to_string(),
            &format!("{:.0}", row.pool),
            &format!("{:.0}", row.default_pool),
            &format!("{:.0}", row.held),
            &format!("{:.0}", row.executor),
            &format!("{:.3}", row.ratio),
        ]);
    }
    println!("\n{:<40}{:>17}", "waits", "time / bare pool");
    for row in latencies {
        println!("{:<40}{:>17.3}", row.name, row.ratio);
    }
    println!("\n{:<28}{:>17}", "many rows", "time / driver's");
    for row in bulk {
        println!("{:<28}{:>17.3}", row.name, row.ratio);
    }
    println!(
        "\nwanted:   held_ratio_1>=0.97 held_ratio_16>=0.97 instructions_ratio<=1.12 extra_allocs<=0 stream_ratio<=1.05 \
         batch_ratio<=1.05"
    );
    let of_batch = |row: &&bulk::Row| row.name == "exec_batch";
    let of_all_rows = |row: &&bulk::Row| !of_batch(row) && row.name != bulk::DROPPED_STREAM;
    let lowest = |tasks| {
        let ratios = rows.iter().filter(|row| row.setting.tasks == tasks).map(|row| row.ratio);
        ratios.fold(f64::INFINITY, f64::min)
    };
    println!(
        "overhead: held_ratio_1={:.3} held_ratio_16={:.3} instructions_ratio={:.3} extra_allocs={} stream_ratio={:.3} \
         batch_ratio={:.3}",
        lowest(1),
        lowest(throughput::CROWD),
        counts.instructions_ratio(),
        counts::shown(counts.extra_allocations()),
        bulk.iter().filter(of_all_rows).map(|row| row.ratio).fold(0.0, f64::max),
        bulk.iter().filter(of_batch).map(|row| row.ratio).fold(0.0, f64::max),
    );
}

fn line(cells: [&str; 6]) {
    let [name, pool, default_pool, held, executor, compared] = cells;
    println!("{name:<32}{pool:>12}{default_pool:>14}{held:>12}{executor:>12}{compared:>17}");
}
