//! The load of scene (c): what each task runs, and how on each side.

use std::time::Duration;

use mysql_async::{Params, Pool, prelude::Queryable};
use mysql_retry::{Executor, Outcome, Statement};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Problem,
    ledger::{ACCOUNTS, BALANCE, BOOK, NOTE, SET_BALANCE},
    screen,
};

/// Rounds of each task; a round is one of each statement.
pub(crate) const ROUNDS: u64 = 30;
/// What a task runs in each round.
pub(crate) const EACH_ROUND: [Statement; 4] = [SET_BALANCE, BALANCE, BOOK, NOTE];
/// A task's rest after each statement.
const PAUSE: Duration = Duration::from_millis(10);

/// What became of a statement, as its side was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Told {
    Done,
    NotExecuted,
    Failed,
    Unknown,
}

/// A statement of a task, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) statement: Statement,
    pub(crate) account: u64,
    pub(crate) round: u64,
    pub(crate) told: Told,
    /// The row that came back, if any.
    pub(crate) value: Option<u64>,
    pub(crate) error: Option<String>,
    /// The error was that of a lost connection.
    pub(crate) lost_connection: bool,
}

impl Step {
    fn new(statement: Statement, account: u64, round: u64) -> Self {
        Step { statement, account, round, told: Told::Unknown, value: None, error: None, lost_connection: false }
    }

    /// A number that no other step has.
    pub(crate) fn number(&self) -> u64 {
        1000 + self.account * ROUNDS + self.round
    }

    fn params(&self) -> Params {
        let (account, round) = (self.account, self.round);
        match self.statement {
            BOOK => (self.number(), 100).into(),
            SET_BALANCE => (round, account).into(),
            NOTE => (account, round, round, round).into(),
            _ => (account,).into(),
        }
    }
}

/// One of the sides.
pub(crate) trait Run: Clone + Send + 'static {
    /// Runs a step and notes what came of it.
    fn run(&self, step: &mut Step) -> impl Future<Output = ()> + Send;
}

impl Run for Pool {
    async fn run(&self, step: &mut Step) {
        let run = async {
            let mut conn = self.get_conn().await?;
            conn.exec_first(*step.statement.sql(), step.params()).await
        };
        let result: mysql_async::Result<Option<u64>> = run.await;
        match result {
            Ok(value) => (step.told, step.value) = (Told::Done, value),
            Err(error) => step.error = Some(screen::brief(&error)),
        }
    }
}

impl Run for Executor {
    async fn run(&self, step: &mut Step) {
        match self.exec_first(step.statement, step.params()).await {
            Ok(value) => (step.told, step.value) = (Told::Done, value),
            Err(error) => {
                step.lost_connection = error.is_disconnect();
                step.error = Some(error.to_string());
                step.told = match error.outcome() {
                    Outcome::NotExecuted => Told::NotExecuted,
                    Outcome::Failed => Told::Failed,
                    Outcome::Unknown => Told::Unknown,
                };
            }
        }
    }
}

/// Runs all tasks of a side to their end. Each writes to an account of its own.
pub(crate) async fn work<R: Run>(side: &R, progress: &watch::Sender<u64>) -> Result<Vec<Step>, Problem> {
    let mut tasks = JoinSet::new();
    for account in 0..ACCOUNTS {
        let (side, progress) = (side.clone(), progress.clone());
        tasks.spawn(async move {
            let mut steps = Vec::new();
            for round in 1..=ROUNDS {
                for turn in 0..EACH_ROUND.len() {
                    // the tasks are not all at the same statement when the server dies
                    let statement = EACH_ROUND[(turn + account as usize) % EACH_ROUND.len()];
                    let mut step = Step::new(statement, account, round);
                    side.run(&mut step).await;
                    steps.push(step);
                    progress.send_modify(|done| *done += 1);
                    tokio::time::sleep(PAUSE).await;
                }
            }
            steps
        });
    }
    let mut all = Vec::new();
    while let Some(steps) = tasks.join_next().await {
        all.extend(steps?);
    }
    Ok(all)
}
