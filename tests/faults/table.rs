//! The table: what became of the cases, by server and statement.

use std::{collections::BTreeMap, fmt};

use mysql_retry_fixture::each::Tally;

use crate::{
    judge::Crime,
    play::{Played, Told},
    work::Work,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub cases: u64,
    pub success: u64,
    pub not_executed: u64,
    pub failed: u64,
    pub unknown: u64,
    pub wrong: u64,
    pub duplicates: u64,
    pub lost: u64,
    pub stuck: u64,
    /// `Unknown` of a plain statement that the client could know not to have been executed.
    pub avoidable: u64,
    /// The fault did not happen.
    pub unharmed: u64,
    /// `Unknown` of guarded work, which can be found out.
    pub undecided: u64,
}

impl Tally for Counts {
    fn counts(&mut self) -> Vec<&mut u64> {
        let Counts { cases, success, not_executed, failed, unknown, wrong, duplicates, lost, stuck, .. } = self;
        let Counts { avoidable, unharmed, undecided, .. } = self;
        vec![
            cases,
            success,
            not_executed,
            failed,
            unknown,
            wrong,
            duplicates,
            lost,
            stuck,
            avoidable,
            unharmed,
            undecided,
        ]
    }
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        Tally::add(self, other);
    }

    pub fn note(&mut self, Played { case, told, struck }: &Played, crime: Option<Crime>) {
        self.cases += 1;
        self.unharmed += u64::from(!*struck);
        match told {
            Told::Success => self.success += 1,
            Told::NotExecuted(_) => self.not_executed += 1,
            Told::Failed(_) => self.failed += 1,
            Told::Unknown(_) => {
                self.unknown += 1;
                self.avoidable += u64::from(case.is_knowable());
                self.undecided += u64::from(case.is_decidable());
            }
            Told::WrongAnswer(_) | Told::Nothing(_) => {}
        }
        match crime {
            Some(Crime::Wrong) => self.wrong += 1,
            Some(Crime::Duplicate) => self.duplicates += 1,
            Some(Crime::Lost) => self.lost += 1,
            Some(Crime::Stuck) => self.stuck += 1,
            None => {}
        }
    }

    pub fn is_good(&self) -> bool {
        [self.wrong, self.duplicates, self.lost, self.stuck, self.avoidable, self.undecided] == [0; 6]
    }
}

/// What a run has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub all: Counts,
    /// Those of `all` whose work was guarded.
    pub guarded: Counts,
    /// What a guard costs while nothing is lost, on the server where it costs most.
    pub extra_round_trips: u64,
}

impl Tally for Findings {
    fn counts(&mut self) -> Vec<&mut u64> {
        let Findings { all, guarded, extra_round_trips } = self;
        all.counts().into_iter().chain(guarded.counts()).chain([extra_round_trips]).collect()
    }

    fn add(&mut self, other: Findings) {
        self.all.add(other.all);
        self.guarded.add(other.guarded);
        self.extra_round_trips = self.extra_round_trips.max(other.extra_round_trips);
    }
}

impl Findings {
    pub fn add(&mut self, other: Findings) {
        Tally::add(self, other);
    }

    pub fn is_good(&self) -> bool {
        self.all.is_good() && self.all.cases > 0 && self.extra_round_trips == 0
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // of `Unknown` those count that a token could have decided
        let Counts { cases, wrong, duplicates, lost, stuck, undecided, .. } = self.guarded;
        // no answer is no better than a wrong one
        let (wrong, extra) = (wrong + stuck, self.extra_round_trips);
        writeln!(
            f,
            "guard: cases={cases} wrong={wrong} duplicates={duplicates} lost={lost} unknown={undecided} \
             extra_round_trips={extra}"
        )?;
        self.all.fmt(f)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { cases, wrong, duplicates, lost, stuck, unknown, failed, .. } = self;
        write!(
            f,
            "faults: cases={cases} wrong={wrong} duplicates={duplicates} lost={lost} stuck={stuck} unknown={unknown} \
             failed={failed}"
        )
    }
}

pub fn print_head() {
    println!(
        "{:<24} {:<26} {:>6} {:>8} {:>11} {:>6} {:>8} {:>6} {:>10} {:>5} {:>6}",
        "server",
        "statement",
        "cases",
        "success",
        "NotExecuted",
        "Failed",
        "Unknown",
        "wrong",
        "duplicates",
        "lost",
        "stuck"
    );
}

pub fn print_rows(server: &str, rows: &BTreeMap<Work, Counts>) {
    for (work, counts) in rows {
        let Counts { cases, success, not_executed, failed, unknown, wrong, duplicates, lost, stuck, .. } = counts;
        println!(
            "{server:<24} {work:<26} {cases:>6} {success:>8} {not_executed:>11} {failed:>6} {unknown:>8} {wrong:>6} {duplicates:>10} \
             {lost:>5} {stuck:>6}"
        );
    }
}
