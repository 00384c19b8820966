//! A machine that tries to prove the executor's verdicts wrong on a group whose nodes die, freeze, switch and come back.
//!
//! Sixteen callers go on through each scenario: INSERTs by number, idempotent writes, reads, transactions, and guarded ones.
//! When the group is whole again, what they were told is compared with what it holds. `cargo test` plays one scenario,
//! `GROUP=all` all, `GROUP_SCENARIO=name` those whose name begins so, `make group` either.
//!
//! The callers of `router-..` come through MySQL Router, with a user who may not look at the group; there only those events
//! are played that Router answers in a way of its own. The others know all three nodes, and who is a member.

mod scenario;
mod tally;

use std::{env, process::ExitCode, time::Instant};

use mysql_retry_fixture::{Group, each, skip::is_available};
use scenario::{ALL, Scenario};
use tally::Tally;

/// The scenario that is played with the other tests.
const THIN: &str = "switched-in-time";

fn main() -> ExitCode {
    if !each::is_asked_for("group-proof") || !is_available(Group::is_available(), "MYSQL_RETRY_GROUP") {
        return ExitCode::SUCCESS;
    }
    let named = env::var("GROUP_SCENARIO").ok().filter(|name| !name.is_empty());
    let all = env::var("GROUP").is_ok_and(|which| which == "all");
    let chosen: Vec<&Scenario> = ALL
        .iter()
        .filter(|scenario| match &named {
            Some(begin) => scenario.name.starts_with(begin.as_str()),
            None => all || scenario.name == THIN,
        })
        .filter(|scenario| scenario.is_possible())
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let sum = runtime.expect("a runtime").block_on(play(&chosen));
    println!("group: {sum}");
    if sum.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Plays scenarios one after the other, on one group for as long as it can be made whole.
async fn play(scenarios: &[&'static Scenario]) -> Tally {
    let mut sum = Tally::default();
    let mut group: Option<&'static Group> = None;
    for scenario in scenarios {
        let begun = Instant::now();
        let ready = match group.filter(|group| group.is_single_primary() == scenario.is_single_primary()) {
            Some(group) => group,
            None => start(scenario).await,
        };
        // a task of its own: one that panics is a finding
        let played = tokio::spawn(scenario.play(ready)).await;
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
