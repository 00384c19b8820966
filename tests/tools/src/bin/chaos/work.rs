//! What each task does: statements of all kinds, one after the other, on keys of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mysql_async::{Params, Row, Value};
use mysql_retry::{Annotate, Executor, Outcome};
use mysql_retry_fixture::Random;

use crate::{
    kinds::Kind,
    record::{Record, with_story},
    tables::{PAGE, SHARE},
    transaction::{self, ACCOUNTS},
};

/// How many tasks there are.
pub(crate) const TASKS: u64 = 64;
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Shorter than many faults, so that frozen servers and black holes are left.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1500);
/// A call that takes longer breaks the promise that every call ends.
pub(crate) const STUCK: Duration = DEADLINE.saturating_add(ATTEMPT_TIMEOUT).saturating_add(Duration::from_secs(5));

/// What the caller was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    Done,
    NotExecuted,
    /// The server answered with an error, and nothing was lost.
    Failed,
    Unknown,
    /// The call did not end in time.
    Nothing,
}

impl Told {
    /// Whether it must have had no effect. Every call of the run is a single statement or a transaction.
    pub(crate) fn says_no_effect(self) -> bool {
        match self {
            Told::NotExecuted | Told::Failed => true,
            Told::Done | Told::Unknown | Told::Nothing => false,
        }
    }
}

/// One statement, and what the caller was told of it.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) task: u64,
    /// No other statement of the run has it.
    pub(crate) number: u64,
    pub(crate) key: u64,
    pub(crate) told: Told,
    pub(crate) at: Duration,
    pub(crate) took: Duration,
    /// What is wrong with the rows that were read.
    pub(crate) misread: Option<String>,
    pub(crate) error: Option<String>,
    /// The error was neither a lost connection nor a deadline. No such error is expected.
    pub(crate) odd: bool,
    /// An attempt was lost on the way that may have been executed.
    pub(crate) lost_an_attempt: bool,
    /// The events on the way.
    pub(crate) story: Vec<String>,
}

/// A task.
pub(crate) struct Worker {
    exec: Executor,
    record: Arc<Record>,
    random: Random,
    task: u64,
    sent: u64,
    /// How often a key was given up, by kind of write.
    generations: [u64; 3],
    /// What the row that is upserted holds.
    upserted: Option<u64>,
    steps: Vec<Step>,
}

impl Worker {
    pub(crate) fn new(exec: Executor, record: Arc<Record>, seed: u64, task: u64) -> Self {
        let random = Random::new(seed, 100 + task);
        Worker { exec, record, random, task, sent: 0, generations: [0; 3], upserted: None, steps: Vec::new() }
    }

    /// Works until `end`, and finishes its last statement.
    pub(crate) async fn work(mut self, end: Instant) -> Vec<Step> {
        while Instant::now() < end {
            let kind = self.random.one_of(&Kind::MIX);
            // a DELETE has something to delete, an UPDATE a row
            let possible = match kind {
                Kind::Delete => self.upserted.is_some(),
                Kind::Update => self.generations[1] < PAGE,
                _ => true,
            };
            if possible {
                self.step(kind).await;
            }
            tokio::time::sleep(self.random.millis(5, 25)).await;
        }
        self.steps
    }

    async fn step(&mut self, kind: Kind) {
        self.sent += 1;
        let number = self.task * SHARE + self.sent;
        let key = match kind {
            Kind::Increment => self.task,
            Kind::Transfer => {
                let payer = self.random.below(ACCOUNTS);
                let payee = (payer + 1 + self.random.below(ACCOUNTS - 1)) % ACCOUNTS;
                transaction::key(payer, payee)
            }
            Kind::Update => self.task * SHARE + self.generations[1],
            Kind::Replace => self.task * SHARE + self.generations[2],
            _ => self.task * SHARE + self.generations[0],
        };
        let prepared = self.random.below(2) == 0;
        let at = self.record.now();
        self.record.begun();
        let call = tokio::time::timeout(STUCK, run(&self.exec, kind, (key, number), prepared));
        let (result, story) = with_story(call).await;
        let (mut told, mut misread, mut error) = (Told::Nothing, None, None);
        let (mut odd, mut lost_an_attempt) = (false, false);
        match result {
            Err(_) => {}
            Ok(Ok(rows)) => {
                told = Told::Done;
                misread = self.misread(kind, rows);
            }
            Ok(Err(e)) => {
                told = match e.outcome() {
                    Outcome::NotExecuted => Told::NotExecuted,
                    Outcome::Failed => Told::Failed,
                    Outcome::Unknown => Told::Unknown,
                };
                // only the Debug form shows it
                lost_an_attempt = format!("{e:?}").contains("lost_before: true");
                odd = !(e.is_disconnect() || e.is_deadline() || e.is_refused());
                error = Some(e.to_string());
            }
        }
        self.record.ended(told == Told::Done);
        self.go_on(kind, number, told);
        let took = self.record.now().saturating_sub(at);
        let task = self.task;
        self.steps.push(Step { kind, task, number, key, told, at, took, misread, error, odd, lost_an_attempt, story });
    }

    /// Updates what the task knows of its keys. A key in doubt is given up: a write with the outcome 'unknown' may still be
    /// under way, so that the result of the next write of this key could not be predicted.
    fn go_on(&mut self, kind: Kind, number: u64, told: Told) {
        let in_doubt = matches!(told, Told::Unknown | Told::Nothing);
        match kind {
            Kind::Upsert if told == Told::Done => self.upserted = Some(number),
            Kind::Upsert if in_doubt => self.leave_row(),
            // also if it failed: the judge then expects the row in the end
            Kind::Delete => self.leave_row(),
            Kind::Update if in_doubt => self.generations[1] += 1,
            Kind::Replace if in_doubt => self.generations[2] += 1,
            _ => {}
        }
    }

    fn leave_row(&mut self) {
        self.upserted = None;
        self.generations[0] += 1;
    }

    fn misread(&self, kind: Kind, rows: Vec<Row>) -> Option<String> {
        let read: Vec<u64> = rows.iter().filter_map(|row| row.get(0)).collect();
        let wanted: Vec<u64> = match kind {
            Kind::ReadRow => self.upserted.into_iter().collect(),
            Kind::ReadPage => (0..PAGE).collect(),
            _ => return None,
        };
        (read != wanted).then(|| format!("it read {read:?}, not {wanted:?}"))
    }
}

async fn run(exec: &Executor, kind: Kind, (key, number): (u64, u64), prepared: bool) -> mysql_retry::Result<Vec<Row>> {
    match kind {
        Kind::Transfer => return transaction::transfer(exec, key, number, prepared).await,
        Kind::GuardedInsert => return transaction::guarded_insert(exec, number, prepared).await,
        _ => {}
    }
    let params = kind.params(key, number);
    if !prepared {
        let text = params.iter().fold(kind.sql().to_owned(), |sql, value| sql.replacen('?', &value.to_string(), 1));
        return match kind.is_idempotent() {
            true => exec.query(text.idempotent()).await,
            false => exec.query(text).await,
        };
    }
    let params = match params.is_empty() {
        true => Params::Empty,
        false => Params::Positional(params.into_iter().map(Value::from).collect()),
    };
    match kind.is_idempotent() {
        true => exec.exec(kind.sql().idempotent(), params).await,
        false => exec.exec(kind.sql(), params).await,
    }
}
