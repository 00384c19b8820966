//! What the library costs while nothing is lost, beside the same calls on a bare `mysql_async::Pool`.
//!
//! Everything that is compared is measured in one run, in short rounds that take turns, so that the machine's drift
//! hits both sides; a figure is the median over the rounds. The last line is for machines:
//!
//! * `extra_allocs`: allocations of a whole call, less those of the bare pool's; the worse of `query_first` and
//!   `exec_first`.
//! * `query_ratio`, `exec_ratio`: throughput over that of a bare pool that does not reset its connections either; the
//!   worse of one caller and 16.
//! * `exec_vs_default_pool`: throughput of 16 callers over that of a pool as it is by default, with its resets.

use mysql_async::{Opts, Pool};
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, pool_without_resets};
use tokio::runtime;

mod allocations;
mod calls;
mod throughput;

use throughput::{Row, Setting};

fn main() {
    // `cargo bench` says so; without it (`cargo test --benches`) nobody wants to wait for figures
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("overhead: nothing is measured without --bench (cargo bench --bench overhead)");
        return;
    }
    // one thread, so that nothing but what is measured runs between two looks at the clock
    let single = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let server = single.block_on(start_server());
    let allocations = single.block_on(allocations::measure(&server));
    // as a program has it
    let multi = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let rows = multi.block_on(throughput::measure(&server));
    report(&allocations, &rows);
}

async fn start_server() -> Server {
    let server = Server::builder().flag("--innodb-buffer-pool-size=16M").start().await;
    server.query_drop("CREATE TABLE kv (id INT PRIMARY KEY, v VARCHAR(40) NOT NULL)").await;
    let rows: Vec<String> = (0..calls::KEYS).map(|id| format!("({id}, 'the value of {id}')")).collect();
    server.query_drop(&format!("INSERT INTO kv VALUES {}", rows.join(", "))).await;
    server
}

/// The two that are compared.
fn pool_and_executor(server: &Server, connections: usize) -> (Pool, Executor) {
    let opts: Opts = pool_without_resets(connections, server.opts()).into();
    (Pool::new(opts.clone()), Executor::new(opts).expect("good options"))
}

fn report(allocations: &[allocations::Row], rows: &[Row]) {
    println!();
    line(["per call", "bare pool", "default pool", "held Conn", "executor", "executor - bare"]);
    for row in allocations {
        line([
            &format!("{}, allocations", row.name),
            &shown(row.pool),
            "",
            "",
            &shown(row.executor),
            &shown(row.extra()),
        ]);
    }
    println!();
    line(["calls per second", "bare pool", "default pool", "held Conn", "executor", "executor / bare"]);
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
    println!();
    println!("wanted:   extra_allocs<=0 query_ratio>=0.97 exec_ratio>=0.97 exec_vs_default_pool>=2");
    println!("{}", summary(allocations, rows));
}

fn line(cells: [&str; 6]) {
    let [name, pool, default_pool, held, executor, compared] = cells;
    println!("{name:<28}{pool:>12}{default_pool:>14}{held:>12}{executor:>12}{compared:>17}");
}

fn summary(allocations: &[allocations::Row], rows: &[Row]) -> String {
    let worst_ratio = |call| {
        let ratios = rows.iter().filter(|row| row.setting.call == call).map(|row| row.ratio);
        ratios.fold(f64::INFINITY, f64::min)
    };
    let crowded = Setting { call: calls::Call::Exec, tasks: throughput::CROWD };
    let against_default = rows.iter().find(|row| row.setting == crowded).map_or(f64::NAN, |row| row.ratio_to_default);
    format!(
        "overhead: extra_allocs={} query_ratio={:.3} exec_ratio={:.3} exec_vs_default_pool={against_default:.2}",
        shown(allocations.iter().map(allocations::Row::extra).fold(f64::NEG_INFINITY, f64::max)),
        worst_ratio(calls::Call::Query),
        worst_ratio(calls::Call::Exec),
    )
}

/// A whole number without decimals, anything else with two: what happens at every call is a whole number.
fn shown(number: f64) -> String {
    let hundredths = (number * 100.0).round();
    // not -0
    let number = hundredths / 100.0 + 0.0;
    if hundredths % 100.0 == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
