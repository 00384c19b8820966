//! A machine that looks for what servers do with SQL that breaks a promise of the executor.
//!
//! Each statement form of a corpus is run on a connection that goes back to the pool (does it leave anything for the next caller?),
//! within a transaction (is what was called committed there, as a whole?) and as a prepared statement that is cut before its execution;
//! and each error number that the servers know is said in place of, and after, an execution. What the caller was told is compared with
//! what the server has. `cargo test` plays a thin selection on the server of the run. `AUDIT=all` plays everything on all servers
//! there are, `AUDIT_CASE=n` one case on the server of the run, `make audit` either. `AUDIT_SHARE=n` plays one of n cases on the server
//! of the run, and `AUDIT_VERBOSE=1` prints times and the forms that a server does not know.

mod calibrate;
mod cases;
mod corpus;
mod errors;
mod field;
mod judge;
mod ledger;
mod numbers;
mod prepared;
mod proofs;
mod snapshot;
mod stage;
mod state;
mod table;
mod told;
mod transactions;

use std::{env, process::ExitCode, time::Instant};

use cases::Selection;
use mysql_retry_fixture::each::{self, Tally as _};
use table::Findings;

/// One of so many cases runs with the other tests.
const THIN: usize = 61;

fn main() -> ExitCode {
    if !each::is_asked_for("audit") {
        return ExitCode::SUCCESS;
    }
    judge::assert_that_it_can_fail();
    let one = each::number_from("AUDIT_CASE");
    let share = env::var("AUDIT_SHARE").ok().and_then(|share| share.parse().ok()).unwrap_or(THIN);
    let all = env::var("AUDIT").is_ok_and(|which| which == "all");
    let started = Instant::now();
    let findings = match (one, all) {
        (Some(number), _) => on_this_server(Selection::One(number)),
        (None, false) => on_this_server(Selection::Thin(share)),
        (None, true) if each::is_child() => on_this_server(Selection::All),
        (None, true) => {
            table::print_head();
            each::on_all()
        }
    };
    if each::is_child() {
        println!("{}", findings.to_line());
    } else {
        println!("{:.0} s", started.elapsed().as_secs_f64());
        println!("{findings}");
    }
    if findings.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_this_server(selection: Selection) -> Findings {
    if !each::is_child() {
        table::print_head();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(field::play(selection))
}
