//! Instructions of a whole call, in the steady state: what callgrind counts for 300 calls, less what it counts for 100.
//!
//! They do not depend on the machine's mood, and hardly on its kind. A program that callgrind runs is about fifty times slower.

use std::{
    env,
    process::{Command, Stdio},
};

use mysql_async::{Conn, Opts, OptsBuilder, Pool};
use mysql_retry::{Executor, mysql_async};
use mysql_retry_fixture::{Server, pool_without_resets};
use tokio::runtime;

use crate::{
    calls::{Call, repeat},
    counts::Row,
};

/// What the counted program does, such as `executor query_first 100 mysql://..`.
const ORDER: &str = "OVERHEAD_COUNTED";

const FEW: usize = 100;
const MANY: usize = 300;
/// The program is slow, and its timers are not, so that it may miss the warm lane: the fewest of some runs is what calls take.
const RUNS: usize = 4;

/// Instructions for each call; `None` if there is no valgrind here.
pub fn measure(server: &Server) -> Option<Vec<Row>> {
    let there =
        Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    there.then(|| {
        let row = |name| Row {
            name,
            pool: per_call(server, "pool", name),
            held: per_call(server, "held", name),
            executor: per_call(server, "executor", name),
        };
        vec![row(Call::Query), row(Call::Exec)]
    })
}

fn per_call(server: &Server, caller: &str, call: Call) -> f64 {
    let runs = if caller == "executor" { RUNS } else { 1 };
    let fewest = |times| (0..runs).map(|_| counted(server, caller, call, times)).min().expect("a run");
    fewest(MANY).saturating_sub(fewest(FEW)) as f64 / (MANY - FEW) as f64
}

/// The instructions of a program that makes so many calls.
fn counted(server: &Server, caller: &str, call: Call, times: usize) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .env(ORDER, format!("{caller} {call} {times} {}", server.url()))
        .output()
        .expect("valgrind");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let total = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    total
        .and_then(|total| total.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind did not say what it counted: {said}"))
}

/// Does what it is told, if this is the program that is counted. Returns whether it is.
pub fn counted_here() -> bool {
    let Ok(order) = env::var(ORDER) else { return false };
    let [caller, call, times, url] = order.split(' ').collect::<Vec<_>>()[..] else { panic!("no order: {order}") };
    let call = if call == Call::Query.to_string() { Call::Query } else { Call::Exec };
    let times = times.parse().expect("a number");
    let single = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    single.block_on(async {
        let opts: Opts = pool_without_resets(1, OptsBuilder::from_opts(Opts::from_url(url).expect("a URL"))).into();
        match caller {
            "pool" => repeat(&mut Pool::new(opts), call, times).await,
            "held" => repeat(&mut Conn::new(opts).await.expect("a connection"), call, times).await,
            _ => repeat(&mut Executor::new(opts).expect("good options"), call, times).await,
        }
    });
    true
}
