//! What a side was told in scene (c), compared with what is in its tables.

use std::collections::{HashMap, HashSet};

use mysql_async::prelude::Queryable;
use mysql_retry_fixture::Server;

use crate::{
    Problem,
    ledger::{BOOK, NOTE, SET_BALANCE},
    load::{ROUNDS, Step, Told},
};

/// What is really in a side's tables.
pub(crate) struct Found {
    ledger: HashMap<u64, u64>,
    balances: HashMap<u64, u64>,
    notes: HashSet<(u64, u64)>,
}

impl Found {
    pub(crate) async fn look(server: &Server, database: &str) -> Result<Self, Problem> {
        let mut conn = server.connect().await;
        let ledger: Vec<(u64, u64)> =
            conn.query(format!("SELECT number, COUNT(*) FROM {database}.ledger GROUP BY number")).await?;
        let balances: Vec<(u64, u64)> = conn.query(format!("SELECT id, balance FROM {database}.account")).await?;
        let notes: Vec<(u64, u64)> =
            conn.query(format!("SELECT account, step FROM {database}.progress WHERE state = step")).await?;
        Ok(Found {
            ledger: ledger.into_iter().collect(),
            balances: balances.into_iter().collect(),
            notes: notes.into_iter().collect(),
        })
    }
}

/// What a side was told, compared with what is there.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) statements: u64,
    pub(crate) failed: u64,
    pub(crate) first_error: String,
    pub(crate) repeatable_done: u64,
    pub(crate) repeatable_failed: u64,
    pub(crate) booked: u64,
    pub(crate) not_booked: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) unknown_there: u64,
    pub(crate) wrong_verdicts: u64,
    pub(crate) stale_reads: u64,
    pub(crate) duplicates: u64,
    bookings_lost: u64,
    pub(crate) lost: u64,
    pub(crate) other_errors: u64,
}

impl Judged {
    pub(crate) fn of(steps: &[Step], found: &Found) -> Self {
        let mut judged = Judged::default();
        let (mut account, mut balance) = (None, 0);
        for step in steps {
            if account != Some(step.account) {
                (account, balance) = (Some(step.account), 0);
            }
            judged.statements += 1;
            if let Some(error) = &step.error {
                judged.failed += 1;
                judged.other_errors += u64::from(!step.lost_connection);
                if judged.first_error.is_empty() {
                    judged.first_error.clone_from(error);
                }
            }
            if step.statement == BOOK {
                judged.insert(step, found.ledger.get(&step.number()).copied().unwrap_or(0));
                continue;
            }
            if step.told != Told::Done {
                judged.repeatable_failed += 1;
                continue;
            }
            judged.repeatable_done += 1;
            match step.statement {
                SET_BALANCE => {
                    balance = step.round;
                    let overwritten = step.round < ROUNDS;
                    judged.lost += u64::from(!overwritten && found.balances.get(&step.account) != Some(&ROUNDS));
                }
                NOTE => judged.lost += u64::from(!found.notes.contains(&(step.account, step.round))),
                _ => judged.stale_reads += u64::from(step.value != Some(balance)),
            }
        }
        judged
    }

    /// In words, how the ledger agrees with what was told.
    pub(crate) fn ledger(&self) -> String {
        let failed_there = self.unknown_there + self.wrong_verdicts;
        format!(
            "{} of the done are missing, {} are there twice, {failed_there} of the failed are there",
            self.bookings_lost, self.duplicates
        )
    }

    fn insert(&mut self, step: &Step, times: u64) {
        self.duplicates += times.saturating_sub(1);
        let there = u64::from(times > 0);
        match step.told {
            Told::Done => {
                self.booked += 1;
                self.lost += 1 - there;
                self.bookings_lost += 1 - there;
            }
            Told::NotExecuted => {
                self.not_booked += 1;
                self.wrong_verdicts += there;
            }
            // the server answered with an error: nothing is there
            Told::Failed => {
                self.refused += 1;
                self.wrong_verdicts += there;
            }
            Told::Unknown => {
                self.unknown += 1;
                self.unknown_there += there;
            }
        }
    }
}
