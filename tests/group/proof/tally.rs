//! What was found.

use std::{fmt, ops::AddAssign, time::Duration};

use mysql_retry_fixture::failover::Books;

use crate::scenario::Way;

/// How many findings of a scenario are printed.
const PRINTED: usize = 5;

/// The findings of one scenario, or the sum of several.
#[derive(Default)]
pub struct Tally {
    scenarios: usize,
    calls: usize,
    wrong: usize,
    duplicates: usize,
    lost: usize,
    stuck: usize,
    longest: Duration,
    findings: Vec<String>,
}

impl Tally {
    /// Nothing yet, of one scenario.
    pub fn of_a_scenario() -> Self {
        Tally { scenarios: 1, ..Tally::default() }
    }

    /// Adds what was found with the callers of a way, none of whose calls may take longer than `limit`.
    pub fn add(&mut self, way: Way, books: &Books, limit: Duration) {
        let few = |all: Vec<String>| all.into_iter().take(PRINTED).collect::<Vec<_>>();
        self.findings.extend(few(books.wrong().iter().map(|it| format!("{way:?}: wrong: {it}")).collect()));
        self.findings.extend(few(books.duplicates().iter().map(|it| format!("{way:?}: twice: {it}")).collect()));
        self.findings.extend(few(books.lost().iter().map(|it| format!("{way:?}: lost: {it:?}")).collect()));
        let stuck = books.longer_than(limit);
        self.stuck += stuck.len();
        self.findings.extend(few(stuck.iter().map(|it| format!("{way:?}: stuck: {it}")).collect()));
        self.calls += books.took().len();
        self.wrong += books.wrong().len();
        self.duplicates += books.duplicates().len();
        self.lost += books.lost().len();
        self.longest = self.longest.max(books.longest());
    }

    /// A scenario that did not come to its end.
    pub fn stuck(problem: String) -> Self {
        Tally { scenarios: 1, stuck: 1, findings: vec![problem], ..Tally::default() }
    }

    /// The first findings, to be printed.
    pub fn findings(&self) -> &[String] {
        &self.findings
    }

    /// Whether there were calls, and nothing was found.
    pub fn is_good(&self) -> bool {
        self.calls > 0 && self.wrong + self.duplicates + self.lost + self.stuck == 0
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, one: Self) {
        self.scenarios += one.scenarios;
        self.calls += one.calls;
        self.wrong += one.wrong;
        self.duplicates += one.duplicates;
        self.lost += one.lost;
        self.stuck += one.stuck;
        self.longest = self.longest.max(one.longest);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { scenarios, calls, wrong, duplicates, lost, stuck, longest, .. } = self;
        let longest = longest.as_millis();
        write!(
            f,
            "scenarios={scenarios} calls={calls} wrong={wrong} duplicates={duplicates} lost={lost} stuck={stuck} \
             longest_ms={longest}"
        )
    }
}
