//! What is counted, and does not depend on the machine's mood: allocations and instructions of a call, over those of the same
//! call on a connection in the hand.

use crate::calls::Call;

/// What the counts were when this file was written, built as `make counts` builds it.
const COMMITTED: &str = include_str!("counts.txt");
/// How much more is accepted.
const GROWTH: f64 = 1.03;

// Instructions have two figures. Callgrind makes the calls so slow that on a slow machine they miss the warm lane, which holds a
// connection for 0.1 ms; so only what is more than calls without it take is an error.

/// What is counted for each call, by who makes it.
pub struct Row {
    pub name: Call,
    pub pool: f64,
    pub held: f64,
    pub executor: f64,
}

impl Row {
    /// What the executor takes more than a connection in the hand.
    pub fn extra(&self) -> f64 {
        self.executor - self.held
    }

    /// The executor's share of what a connection in the hand takes.
    pub fn ratio(&self) -> f64 {
        self.executor / self.held
    }
}

pub struct Counts {
    allocations: Vec<Row>,
    /// Empty where valgrind is missing.
    instructions: Vec<Row>,
}

impl Counts {
    pub fn new(allocations: Vec<Row>, instructions: Option<Vec<Row>>) -> Self {
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
        self.allocations.iter().map(Row::extra).fold(f64::NEG_INFINITY, f64::max)
    }

    /// The most instructions over those of a held connection.
    pub fn instructions_ratio(&self) -> f64 {
        self.instructions.iter().map(Row::ratio).fold(f64::NAN, f64::max)
    }

    /// What may have grown: to be measured again where nothing else runs.
    pub fn suspects(&self) -> String {
        self.more_instructions("instructions").map(|line| format!("note: {line}\n")).collect()
    }

    /// What has grown since the counts were committed.
    pub fn grown(&self) -> String {
        let allocations = self.allocations.iter().filter_map(|row| {
            let (now, then) = (row.extra(), committed(row.name, "allocations"));
            let line =
                || format!("{}: {} allocations over a held connection, committed are {then}", row.name, shown(now));
            (now > then + 0.01).then(line)
        });
        let instructions = self.more_instructions("instructions without the warm lane");
        allocations.chain(instructions).map(|line| line + "\n").collect()
    }

    /// A line for each call that takes more of them than this figure of the file allows.
    fn more_instructions(&self, figure: &str) -> impl Iterator<Item = String> {
        self.instructions.iter().filter_map(move |row| {
            let (now, then) = (row.ratio(), committed(row.name, figure));
            let line = || format!("{}: {now:.3} of a held connection's instructions, committed are {then}", row.name);
            (now > then * GROWTH).then(line)
        })
    }
}

fn committed(call: Call, what: &str) -> f64 {
    let name = format!("{call} {what}");
    let mut figures = COMMITTED.lines().filter_map(|line| line.rsplit_once(' '));
    let figure = figures.find(|(of, _)| *of == name).and_then(|(_, figure)| figure.parse().ok());
    figure.unwrap_or_else(|| panic!("counts.txt has no figure for {name}"))
}

/// A whole number without decimals, anything else with two: what happens at every call is a whole number.
pub fn shown(number: f64) -> String {
    let hundredths = (number * 100.0).round();
    // not -0
    let number = hundredths / 100.0 + 0.0;
    if hundredths % 100.0 == 0.0 { format!("{number:.0}") } else { format!("{number:.2}") }
}
