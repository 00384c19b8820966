//! The books that are closed over what callers were told.
//!
//! Each number is used once. What was told `Ok` has to be there exactly once, what was told `NotExecuted` or `Failed` not at all,
//! and what was told `Unknown` at most once. `Failed` after a lost attempt is wrong, whatever is there.

use std::{
    collections::{HashMap, HashSet},
    sync::PoisonError,
};

use mysql_async::prelude::Queryable as _;
use mysql_retry_fixture::Server;

use super::{ACCOUNTS, Answer, BALANCE, KINDS, Kind, Shared, Told, tables};

/// What was told, held against what is there.
pub struct Books {
    pub(super) line: String,
    wrong: Vec<String>,
    duplicates: Vec<u32>,
    /// Told `Ok`, and not there.
    lost: Vec<(Kind, u32)>,
    /// What surfaced.
    errors: Vec<(Kind, Told, String)>,
    pub calls: usize,
    numbers: HashSet<u32>,
}

impl Books {
    pub(super) async fn close(load: &Shared, server: &Server) -> Books {
        let [row, value, account, transfer] = tables(load.scenario);
        let mut conn = server.connect().await;
        let count = |table: &str| format!("SELECT n, COUNT(*) FROM {table} GROUP BY n");
        let rows: HashMap<u32, u32> =
            conn.query_fold(count(&row), HashMap::new(), put).await.expect("the numbers of the INSERTs");
        let transfers: HashMap<u32, u32> =
            conn.query_fold(count(&transfer), HashMap::new(), put).await.expect("the numbers of the transfers");
        let values: HashMap<u32, u32> = conn
            .query_fold(format!("SELECT id, v FROM {value}"), HashMap::new(), put)
            .await
            .expect("the callers' own rows");
        let balances: Vec<(u32, i64, i64)> = conn
            .query(format!(
                "SELECT id, balance, {BALANCE} - (SELECT COUNT(*) FROM {transfer} WHERE a = id) + (SELECT COUNT(*) FROM \
                 {transfer} WHERE b = id) FROM {account} AS it"
            ).replace("a = id", "a = it.id").replace("b = id", "b = it.id"))
            .await
            .expect("the accounts");
        conn.disconnect().await.expect("a goodbye");

        let answers = load.answers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut books = Books {
            line: String::new(),
            wrong: Vec::new(),
            duplicates: Vec::new(),
            lost: Vec::new(),
            errors: Vec::new(),
            calls: answers.iter().filter(|answer| answer.number > 0).count(),
            numbers: answers.iter().map(|answer| answer.number).collect(),
        };
        for (id, balance, wanted) in &balances {
            if balance != wanted {
                books.wrong.push(format!("account {id} holds {balance} instead of {wanted}"));
            }
        }
        let sum: i64 = balances.iter().map(|(_, balance, _)| balance).sum();
        if sum != i64::from(ACCOUNTS) * BALANCE {
            books.wrong.push(format!("all accounts hold {sum}"));
        }
        for number in rows.keys().chain(transfers.keys()) {
            if !books.numbers.contains(number) {
                books.wrong.push(format!("nobody was told anything about {number}"));
            }
        }
        for answer in &answers {
            books.judge(answer, &rows, &transfers);
        }
        for (caller, value) in &values {
            books.judge_value(*caller, *value, &answers);
        }
        let unknown = books.errors.iter().filter(|(_, told, _)| *told == Told::Unknown).count();
        books.line = format!(
            "failover: scenario={} calls={} wrong={} duplicates={} lost={} unknown={unknown} errors={}",
            load.scenario,
            books.calls,
            books.wrong.len(),
            books.duplicates.len(),
            books.lost.len(),
            books.errors.len(),
        );
        books
    }

    fn judge(&mut self, answer: &Answer, rows: &HashMap<u32, u32>, transfers: &HashMap<u32, u32>) {
        let Answer { kind, number, told, words, .. } = answer;
        match told {
            Told::Ok => {}
            Told::Nonsense => self.wrong.push(words.clone()),
            Told::NotExecuted | Told::Failed | Told::Unknown => self.errors.push((*kind, *told, words.clone())),
        }
        let times = match kind {
            Kind::Insert => rows.get(number).copied().unwrap_or(0),
            Kind::Transfer | Kind::Guarded => transfers.get(number).copied().unwrap_or(0),
            Kind::Set | Kind::Read => return,
        };
        match (told, times) {
            (_, 2..) => self.duplicates.push(*number),
            (Told::Ok, 0) if *number > 0 => self.lost.push((*kind, *number)),
            (Told::NotExecuted | Told::Failed, 1) => {
                self.wrong.push(format!("{kind:?} {number} was executed: {words}"));
            }
            (Told::Ok | Told::NotExecuted | Told::Failed | Told::Unknown | Told::Nonsense, _) => {}
        }
    }

    /// The last value that was told `Ok`, or a later one that is not known of.
    fn judge_value(&mut self, caller: u32, value: u32, answers: &[Answer]) {
        let sets = answers.iter().filter(|answer| answer.caller == caller && answer.kind == Kind::Set);
        let (mut allowed, mut last) = (vec![0], 0);
        for set in sets {
            match set.told {
                Told::Ok => (allowed, last) = (vec![set.number], set.number),
                Told::Unknown => allowed.push(set.number),
                Told::NotExecuted | Told::Failed | Told::Nonsense => {}
            }
        }
        if !allowed.contains(&value) {
            match value < last {
                true => self.lost.push((Kind::Set, last)),
                false => self.wrong.push(format!("row {caller} holds {value}, allowed are {allowed:?}")),
            }
        }
    }

    /// Every verdict was true, and nothing was lost or done twice.
    #[track_caller]
    pub fn assert_true(&self) {
        assert!(self.lost.is_empty(), "{}: lost {:?}", self.line, self.lost);
        self.assert_true_but_for_the_lost();
    }

    #[track_caller]
    pub fn assert_true_but_for_the_lost(&self) {
        assert!(self.wrong.is_empty(), "{}: {:#?}", self.line, self.wrong);
        assert!(self.duplicates.is_empty(), "{}: twice {:?}", self.line, self.duplicates);
        assert!(self.calls > 0);
    }

    /// No caller of these kinds was told of an error.
    #[track_caller]
    pub fn assert_nothing_surfaced_to(&self, kinds: &[Kind]) {
        let theirs: Vec<_> = self.errors.iter().filter(|(kind, ..)| kinds.contains(kind)).collect();
        assert!(theirs.is_empty(), "{}: {theirs:#?}", self.line);
    }

    #[track_caller]
    pub fn assert_nothing_surfaced(&self) {
        self.assert_nothing_surfaced_to(&KINDS);
    }

    /// Told `Ok`, and not there.
    pub fn lost(&self) -> &[(Kind, u32)] {
        &self.lost
    }
}

fn put(mut all: HashMap<u32, u32>, (number, times): (u32, u32)) -> HashMap<u32, u32> {
    all.insert(number, times);
    all
}
