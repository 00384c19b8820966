//! What a run has found: a row for each area of the corpus, and the sum.

use std::{collections::BTreeMap, fmt};

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

const COUNTS: &str = "counts: ";

impl Findings {
    fn numbers(&mut self) -> [&mut u64; 12] {
        let Findings {
            forms,
            states,
            transactions,
            errors,
            prepared,
            leaks,
            half,
            wrong,
            duplicates,
            panics,
            unknown,
            unseen,
        } = self;
        [forms, states, transactions, errors, prepared, leaks, half, wrong, duplicates, panics, unknown, unseen]
    }

    pub fn add(&mut self, mut other: Findings) {
        for (mine, more) in self.numbers().into_iter().zip(other.numbers()) {
            *mine += *more;
        }
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

    /// For another process to read.
    pub fn to_line(mut self) -> String {
        let numbers = self.numbers().map(|count| count.to_string());
        format!("{COUNTS}{}", numbers.join(" "))
    }

    pub fn from_line(line: &str) -> Option<Findings> {
        let numbers = line.strip_prefix(COUNTS)?.split(' ').map(|number| number.parse().ok());
        let mut findings = Findings::default();
        for (count, number) in findings.numbers().into_iter().zip(numbers) {
            *count = number?;
        }
        Some(findings)
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
        let Findings {
            forms,
            states,
            transactions,
            errors,
            prepared,
            leaks,
            half,
            wrong,
            duplicates,
            panics,
            unknown,
            unseen,
        } = findings;
        println!(
            "{server:<18} {area:<22} {forms:>5} {states:>6} {transactions:>12} {prepared:>8} {errors:>6} {unknown:>7} {unseen:>6} {leaks:>5} \
             {half:>4} {wrong:>5} {duplicates:>10} {panics:>6}"
        );
    }
}
