//! A machine that tries to prove the executor's verdicts wrong on a group whose nodes die, freeze, switch and come back.
//!
//! Callers go on through each scenario: INSERTs by number, idempotent writes, reads, transactions, and guarded ones. Eight of
//! them know all three nodes, and who is a member. Eight come through MySQL Router with a user who may not look at the group,
//! where Router is installed and there is one primary. When the group is whole again, what they were told is compared with
//! what it holds.
//!
//! `cargo test` plays one scenario, `GROUP=all` all, `GROUP=ci` those that find the most in the least time, and
//! `GROUP_SCENARIO=name,name` those whose names begin so. `make group` plays either.

mod scenario;
mod tally;

use std::{env, process::ExitCode, time::Instant};

use mysql_retry_fixture::{Group, Router, each, skip::is_available};
use scenario::{ALL, Scenario};
use tally::Tally;

/// The scenario that is played with the other tests.
const THIN: [&str; 1] = ["switched-in-time"];

/// Those of `GROUP=ci`.
const CI: [&str; 4] = ["killed", "majority", "switched-in-time", "conflicts"];

fn main() -> ExitCode {
    if !each::is_asked_for("group-proof") || !is_available(Group::is_available(), "MYSQL_RETRY_GROUP") {
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<&Scenario> = ALL.iter().filter(|scenario| is_chosen(scenario.name)).collect();
    let with_router = is_available(Router::is_available(), "MYSQL_RETRY_GROUP");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let sum = runtime.expect("a runtime").block_on(play(&chosen, with_router));
    println!("group: {sum}");
    if sum.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_chosen(name: &str) -> bool {
    let named = env::var("GROUP_SCENARIO").ok().filter(|names| !names.is_empty());
    match (named, env::var("GROUP").as_deref()) {
        (Some(begins), _) => begins.split(',').any(|begin| name.starts_with(begin.trim())),
        (None, Ok("all")) => true,
        (None, Ok("ci")) => CI.contains(&name),
        (None, _) => THIN.contains(&name),
    }
}

/// Plays scenarios one after the other, on one group for as long as it can be made whole.
async fn play(scenarios: &[&'static Scenario], with_router: bool) -> Tally {
    let mut sum = Tally::default();
    let mut group: Option<&'static Group> = None;
    for scenario in scenarios {
        let begun = Instant::now();
        let ready = match group.filter(|group| group.is_single_primary() == scenario.is_single_primary()) {
            Some(group) => group,
            None => start(scenario).await,
        };
        // a task of its own: one that panics is a finding
        let played = tokio::spawn(scenario.play(ready, with_router)).await;
        group = played.is_ok().then_some(ready);
        let tally = played.unwrap_or_else(|problem| Tally::stuck(problem.to_string()));
        println!("group: {:24} {tally} ({:.0} s)", scenario.name, begun.elapsed().as_secs_f64());
        for finding in tally.findings() {
            println!("    {finding}");
        }
        sum += tally;
    }
    sum
}

/// A group that lives as long as the process: what is played on it may outlive a scenario that panics.
async fn start(scenario: &Scenario) -> &'static Group {
    let builder = Group::builder();
    let builder = if scenario.is_single_primary() { builder } else { builder.multi_primary() };
    Box::leak(Box::new(builder.start().await))
}
