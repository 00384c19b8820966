//! Compares what the callers were told with what is in the database.

use std::collections::HashMap;

use crate::{
    kinds::Kind,
    record::Record,
    tables::Found,
    transaction::{ACCOUNTS, BALANCE},
    work::{Step, Told},
};

/// One kind of statement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    pub(crate) statements: u64,
    pub(crate) done: u64,
    pub(crate) not_executed: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) wrong: u64,
    pub(crate) duplicates: u64,
    pub(crate) lost: u64,
    pub(crate) stuck: u64,
}

/// The judgment.
#[derive(Debug)]
pub(crate) struct Judgment {
    pub(crate) counts: Vec<(Kind, Count)>,
    /// Idempotent writes that ran more than once, as they may.
    pub(crate) repeated: u64,
    /// Sentences that name the statements concerned.
    pub(crate) complaints: Vec<String>,
}

enum Fault {
    Wrong,
    Duplicate,
    Lost,
    Stuck,
}

impl Judgment {
    pub(crate) fn of(steps: &[Step], found: &Found, record: &Record) -> Self {
        let counts = Kind::ALL.map(|kind| (kind, Count::default())).to_vec();
        let mut judgment = Judgment { counts, repeated: 0, complaints: Vec::new() };
        for step in steps {
            judgment.tally(step);
            if step.told == Told::Failed && step.lost_an_attempt {
                judgment.blame(Fault::Wrong, step, "an attempt before it was lost", record);
            }
            if step.told == Told::Nothing {
                judgment.blame(Fault::Stuck, step, "it did not end", record);
            }
            if let Some(misread) = &step.misread {
                judgment.blame(Fault::Lost, step, misread, record);
            }
            if !matches!(step.kind, Kind::ReadRow | Kind::ReadPage | Kind::Delete) {
                judgment.execution(step, found, record);
            }
        }
        judgment.keys(steps, found, record);
        judgment.counters(found);
        judgment.accounts(found);
        for (kind, count) in &judgment.counts {
            if count.done == 0 {
                judgment.complaints.push(format!("no {} succeeded: nothing was proved", kind.name()));
            }
        }
        judgment
    }

    /// All kinds together.
    pub(crate) fn sum(&self, of: fn(&Count) -> u64) -> u64 {
        self.counts.iter().map(|(_, count)| of(count)).sum()
    }

    fn tally(&mut self, step: &Step) {
        let count = self.count(step.kind);
        count.statements += 1;
        match step.told {
            Told::Done => count.done += 1,
            Told::NotExecuted => count.not_executed += 1,
            Told::Failed => count.failed += 1,
            Told::Unknown => count.unknown += 1,
            Told::Nothing => {}
        }
    }

    /// Compares how often the statement was executed with what its caller was told.
    fn execution(&mut self, step: &Step, found: &Found, record: &Record) {
        let times = found.times.get(&step.number).copied().unwrap_or(0);
        if step.told.says_no_effect() && times > 0 {
            self.blame(Fault::Wrong, step, "it was executed", record);
        }
        if step.told == Told::Done && times == 0 {
            self.blame(Fault::Lost, step, "it was never executed", record);
        }
        if times > 1 {
            match step.kind.is_idempotent() {
                true => self.repeated += 1,
                false => self.blame(Fault::Duplicate, step, &format!("it was executed {times} times"), record),
            }
        }
    }

    /// Checks the order of the writes of each key, and its row in the end.
    fn keys(&mut self, steps: &[Step], found: &Found, record: &Record) {
        let by_number: HashMap<u64, &Step> = steps.iter().map(|step| (step.number, step)).collect();
        // the last of each key that may have been executed
        let mut last: HashMap<(&'static str, u64), &Step> = HashMap::new();
        for step in steps {
            if let Some(table) = step.kind.keyed_table().filter(|_| !step.told.says_no_effect()) {
                last.insert((table, step.key), step);
            }
        }
        // a DELETE is the last statement of its key, whatever was told
        for step in steps.iter().filter(|step| step.kind == Kind::Delete && step.told.says_no_effect()) {
            if found.deletes("upserted", step.key) > 0 {
                self.blame(Fault::Wrong, step, "the row was deleted", record);
            }
        }
        for ((table, key), step) in last {
            let trail = found.trail.get(&(table.to_owned(), key)).map(Vec::as_slice).unwrap_or_default();
            let now = found.now.get(&(table, key)).copied();
            let mut latest = 0;
            for (index, number) in trail.iter().enumerate() {
                let late = number.and_then(|number| by_number.get(&number));
                match (late, number) {
                    (Some(late), Some(number)) if *number < latest || trail[..index].contains(&None) => {
                        let around = &trail[index.saturating_sub(5)..(index + 3).min(trail.len())];
                        let after = format!("it ran once more, after what followed it: .. {around:?} ..");
                        self.blame(Fault::Lost, late, &after, record);
                    }
                    _ => latest = latest.max(number.unwrap_or(0)),
                }
            }
            let wanted = (step.kind != Kind::Delete).then_some(step.number);
            if step.told == Told::Done && now != wanted {
                let what = format!("it is the last write of key {key}, and there is {now:?}, not {wanted:?}");
                self.blame(Fault::Lost, step, &what, record);
            }
            if now != trail.last().copied().flatten() {
                let what = format!("{table} has {now:?}, its trail ends with {:?}", trail.last());
                self.blame(Fault::Lost, step, &what, record);
            }
        }
    }

    /// Compares the counters with the executions of their increments. `execution` judges each increment.
    fn counters(&mut self, found: &Found) {
        for (task, n) in &found.counters {
            let executed = found.trail.get(&("counter".to_owned(), *task)).map_or(0, Vec::len) as u64;
            if *n != executed {
                let count = self.count(Kind::Increment);
                count.duplicates += n.saturating_sub(executed);
                count.lost += executed.saturating_sub(*n);
                self.complaints.push(format!("the counter of task {task} is {n} after {executed} increments"));
            }
        }
    }

    /// Compares the balances, and their sum, with the transfers. `execution` judges each transfer.
    fn accounts(&mut self, found: &Found) {
        let mut wanted: HashMap<u64, i64> = (0..ACCOUNTS).map(|account| (account, BALANCE as i64)).collect();
        for (payer, payee) in &found.transfers {
            *wanted.entry(*payer).or_default() -= 1;
            *wanted.entry(*payee).or_default() += 1;
        }
        for (account, balance) in &found.balances {
            let wanted = wanted.get(account).copied().unwrap_or_default();
            if *balance != wanted {
                self.count(Kind::Transfer).wrong += 1;
                self.complaints.push(format!("account {account} has {balance}, and its transfers say {wanted}"));
            }
        }
        let sum: i64 = found.balances.values().sum();
        if sum != (ACCOUNTS * BALANCE) as i64 {
            self.count(Kind::Transfer).wrong += 1;
            self.complaints.push(format!("the sum of all accounts is {sum}, not {}", ACCOUNTS * BALANCE));
        }
    }

    fn blame(&mut self, fault: Fault, step: &Step, what: &str, record: &Record) {
        let (count, word) = match fault {
            Fault::Wrong => (&mut self.count(step.kind).wrong, "WRONG VERDICT"),
            Fault::Duplicate => (&mut self.count(step.kind).duplicates, "DUPLICATE"),
            Fault::Lost => (&mut self.count(step.kind).lost, "LOST"),
            Fault::Stuck => (&mut self.count(step.kind).stuck, "STUCK"),
        };
        *count += 1;
        let (task, number, told) = (step.task, step.number, step.told);
        self.complaints.push(format!(
            "{word}: statement {number} of task {task} ({}, key {}), sent at {:.3} s, ended after {:.3} s as {told:?}: \
             {what}\n    error: {}\n    events: {}\n    faults meanwhile: {}",
            step.kind.sql(),
            step.key,
            step.at.as_secs_f64(),
            step.took.as_secs_f64(),
            step.error.as_deref().unwrap_or("none"),
            step.story.join("\n            "),
            record.faults_between(step.at, step.at + step.took),
        ));
    }

    fn count(&mut self, kind: Kind) -> &mut Count {
        let known = Kind::ALL.iter().position(|other| *other == kind);
        &mut self.counts[known.expect("all kinds are counted")].1
    }
}

impl Found {
    /// How often a row of this key was deleted.
    fn deletes(&self, table: &str, key: u64) -> usize {
        let trail = self.trail.get(&(table.to_owned(), key));
        trail.map_or(0, |trail| trail.iter().filter(|number| number.is_none()).count())
    }
}
