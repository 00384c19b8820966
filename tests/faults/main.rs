//! A machine that tries to prove the executor's verdicts wrong.
//!
//! Each case runs one statement through a proxy that loses the connection at an exact place, and compares what the caller
//! was told with what the server did. `cargo test` plays a thin selection on the server of the run. `FAULTS=all` plays
//! everything on all servers there are, `FAULTS_CASE=n` one case on the server of the run, `make faults` either.
//! `FUZZ_SECONDS=n` plays random scripts of many faults and many statements for so long instead, as `make fuzz` does.

mod case;
mod executors;
mod field;
mod fuzz;
mod judge;
mod ledger;
mod matrix;
mod opaque;
mod places;
mod play;
mod statement;
mod table;
mod transactions;
mod transfer;
mod ways;
mod wire;
mod work;

use std::{env, process::ExitCode, time::Instant};

use field::Selection;
use mysql_retry_fixture::each::{self, Tally as _};
use table::{Counts, Findings};

/// The cases that run with the other tests.
const THIN: usize = 1500;

fn main() -> ExitCode {
    if !each::is_asked_for("faults") {
        return ExitCode::SUCCESS;
    }
    if fuzz::is_asked_for() {
        return if fuzz::run() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let one = each::number_from("FAULTS_CASE");
    let all = env::var("FAULTS").is_ok_and(|which| which == "all");
    let started = Instant::now();
    let findings = match (one, all) {
        (Some(number), _) => on_this_server(Selection::One(number)),
        (None, false) => on_this_server(Selection::Thin(THIN)),
        (None, true) if each::is_child() => on_this_server(Selection::All),
        (None, true) => {
            table::print_head();
            each::on_all()
        }
    };
    if each::is_child() {
        println!("{}", findings.to_line());
    } else {
        let Counts { avoidable, unharmed, .. } = findings.all;
        println!(
            "{:.0} s; Unknown though nothing was sent: {avoidable}; faults that did not happen: {unharmed}",
            started.elapsed().as_secs_f64()
        );
        println!("{findings}");
    }
    if findings.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_this_server(selection: Selection) -> Findings {
    if !each::is_child() {
        table::print_head();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let server = field::start_server().await;
        let cases = field::select(selection, server.flavour());
        field::play(server, cases).await
    })
}
