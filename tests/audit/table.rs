//! What a run has found: a row for each area of the corpus, and the sum.

use std::{collections::BTreeMap, fmt};

use mysql_retry_fixture::each::Tally;

use crate::judge::Crime;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Forms that the server knows.
    pub forms: u64,
    pub states: u64,
    pub transactions: u64,
    pub errors: u64,
    pub prepared: u64,
    pub leaks: u64,
    pub half: u64,
    pub wrong: u64,
    pub duplicates: u64,
    pub panics: u64,
    /// `Unknown` of work that has a token, after a second call.
    pub unknown: u64,
    /// What triggers and views have left, which no text shows.
    pub unseen: u64,
}

impl Tally for Findings {
    fn counts(&mut self) -> Vec<&mut u64> {
        let Findings { forms, states, transactions, errors, prepared, leaks, half, wrong, .. } = self;
        let Findings { duplicates, panics, unknown, unseen, .. } = self;
        vec![forms, states, transactions, errors, prepared, leaks, half, wrong, duplicates, panics, unknown, unseen]
    }
}

impl Findings {
    pub fn add(&mut self, other: Findings) {
        Tally::add(self, other);
    }

    pub fn note(&mut self, crime: &Crime) {
        match crime {
            Crime::Leak(_) => self.leaks += 1,
            Crime::Half(_) => self.half += 1,
            Crime::Wrong(_) => self.wrong += 1,
            Crime::Duplicate(_) => self.duplicates += 1,
            Crime::Panic(_) => self.panics += 1,
        }
    }

    pub fn is_good(&self) -> bool {
        let played = self.states + self.transactions + self.errors + self.prepared;
        [self.leaks, self.half, self.wrong, self.duplicates, self.panics] == [0; 5] && played > 0
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings { forms, states, transactions, errors, leaks, half, wrong, duplicates, panics, .. } = self;
        write!(
            f,
            "audit: forms={forms} states={states} transactions={transactions} errors={errors} leaks={leaks} half={half} \
             wrong={wrong} duplicates={duplicates} panics={panics}"
        )
    }
}

pub fn print_head() {
    println!(
        "{:<18} {:<22} {:>5} {:>6} {:>12} {:>8} {:>6} {:>7} {:>6} {:>5} {:>4} {:>5} {:>10} {:>6}",
        "server",
        "area",
        "forms",
        "states",
        "transactions",
        "prepared",
        "errors",
        "Unknown",
        "unseen",
        "leaks",
        "half",
        "wrong",
        "duplicates",
        "panics"
    );
}

pub fn print_rows(server: &str, rows: &BTreeMap<&'static str, Findings>) {
    for (area, findings) in rows {
        let Findings { forms, states, transactions, errors, prepared, leaks, half, wrong, .. } = findings;
        let Findings { duplicates, panics, unknown, unseen, .. } = findings;
        println!(
            "{server:<18} {area:<22} {forms:>5} {states:>6} {transactions:>12} {prepared:>8} {errors:>6} {unknown:>7} {unseen:>6} {leaks:>5} \
             {half:>4} {wrong:>5} {duplicates:>10} {panics:>6}"
        );
    }
}
