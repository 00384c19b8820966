//! What is counted, and does not depend on the machine's mood: allocations and instructions of a call, over those of the same
//! call on a connection in the hand.

use std::fmt::Write as _;

use crate::{allocations, calls::Call, instructions};

/// What the counts were when this file was written, built as `make counts` builds it.
const COMMITTED: &str = include_str!("counts.txt");
/// How much more is accepted.
const GROWTH: f64 = 1.03;

// Instructions have two figures. Callgrind makes the calls so slow that on a slow machine they miss the warm lane, which holds a
// connection for 0.1 ms; so only what is more than calls without it take is an error.

pub struct Counts {
    allocations: Vec<allocations::Row>,
    /// Empty where valgrind is missing.
    instructions: Vec<instructions::Row>,
}

impl Counts {
    pub fn new(allocations: Vec<allocations::Row>, instructions: Option<Vec<instructions::Row>>) -> Self {
        Counts { allocations, instructions: instructions.unwrap_or_default() }
    }

    pub fn report(&self) {
        println!("\n{:<28}{:>12}{:>12}{:>12}{:>17}", "per call", "bare pool", "held Conn", "executor", "over held");
        for row in &self.allocations {
            let (name, [pool, held, executor]) = (row.name, [row.pool, row.held, row.executor].map(shown));
            println!("{name}, allocations{pool:>13}{held:>12}{executor:>12}{:>17}", shown(row.extra()));
        }
        for row in &self.instructions {
            let (name, ratio) = (row.name, row.ratio());
            println!("{name}, instructions{:>12.0}{:>12.0}{:>12.0}{ratio:>17.3}", row.pool, row.held, row.executor);
        }
        if self.instructions.is_empty() {
            println!("instructions are not counted: valgrind is not installed");
        }
    }

    /// The most allocations over those of a held connection.
    pub fn extra_allocations(&self) -> f64 {
        self.allocations.iter().map(allocations::Row::extra).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The most instructions over those of a held connection.
    pub fn instructions_ratio(&self) -> f64 {
        self.instructions.iter().map(instructions::Row::ratio).fold(f64::NAN, f64::max)
    }

    /// What may have grown: to be measured again where nothing else runs.
    pub fn suspects(&self) -> String {
        let mut suspects = String::new();
        for row in &self.instructions {
            let (now, then) = (row.ratio(), committed(row.name, "instructions"));
            if now > then * GROWTH {
                let _ = writeln!(
                    suspects,
                    "note: {}: {now:.3} of a held connection's instructions, usual are {then}",
                    row.name
                );
            }
        }
        suspects
    }

    /// What has grown since the counts were committed.
    pub fn grown(&self) -> String {
        let mut grown = String::new();
        for row in &self.allocations {
            let (now, then) = (row.extra(), committed(row.name, "allocations"));
            if now > then + 0.01 {
                let _ = writeln!(
                    grown,
                    "{}: {} allocations over a held connection, committed are {then}",
                    row.name,
                    shown(now)
                );
            }
        }
        for row in &self.instructions {
            let (now, then) = (row.ratio(), committed(row.name, "instructions without the warm lane"));
            if now > then * GROWTH {
                let _ =
                    writeln!(grown, "{}: {now:.3} of a held connection's instructions, committed are {then}", row.name);
            }
        }
        grown
    }
}

fn committed(call: Call, what: &str) -> f64 {
    let line = COMMITTED.lines().find_map(|line| line.strip_prefix(&format!("{call} {what} ")));
    line.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("counts.txt has no figure for {call} {what}"))
}

/// A whole number without decimals, anything else with two: what happens at every call is a whole number.
pub fn shown(number: f64) -> String {
    let hundredths = (number * 100.0).round();
    // not -0
    let number = hundredths / 100.0 + 0.0;
    if hundredths % 100.0 == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
