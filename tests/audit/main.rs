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
use mysql_retry_fixture::each;
use table::Findings;

/// One of so many cases runs with the other tests.
const THIN: usize = 61;

fn main() -> ExitCode {
    // the harness of the other targets would look for a test of this name, or list them
    let mut arguments = env::args().skip(1);
    if arguments.any(|argument| argument == "--list" || !(argument.starts_with('-') || "audit".contains(&*argument))) {
        return ExitCode::SUCCESS;
    }
    judge::assert_that_it_can_fail();
    let one = env::var("AUDIT_CASE").ok().filter(|number| !number.is_empty());
    let one = one.map(|number| number.parse().unwrap_or_else(|_| panic!("AUDIT_CASE is `{number}`, and no number")));
    let share = env::var("AUDIT_SHARE").ok().and_then(|share| share.parse().ok()).unwrap_or(THIN);
    let all = env::var("AUDIT").is_ok_and(|which| which == "all");
    let started = Instant::now();
    let findings = match (one, all) {
        (Some(number), _) => on_this_server(Selection::One(number)),
        (None, false) => on_this_server(Selection::Thin(share)),
        (None, true) if each::is_child() => on_this_server(Selection::All),
        (None, true) => on_each(),
    };
    if each::is_child() {
        println!("{}", findings.to_line());
    } else {
        println!("{:.0} s", started.elapsed().as_secs_f64());
        println!("{findings}");
    }
    if findings.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays everything on each server, one after the other, and adds up.
fn on_each() -> Findings {
    table::print_head();
    let mut sum = Findings::default();
    for server in each::chosen() {
        sum.add(each::on(server.as_deref(), Findings::from_line));
    }
    sum
}

fn on_this_server(selection: Selection) -> Findings {
    if !each::is_child() {
        table::print_head();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(field::play(selection))
}
