//! What the server has: rows under the numbers of the cases.

use std::collections::{BTreeSet, HashMap};

use mysql_async::{Conn, Error, Row, prelude::Queryable as _};

use crate::stage::Stage;

/// How often the parts of a case are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub a: u32,
    pub b: u32,
    /// Rows of the form's own.
    pub effects: u32,
    pub token: u32,
}

/// The ledger of all workers.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: HashMap<u32, Rows>,
    /// Names of tables, routines and accounts.
    names: BTreeSet<String>,
}

impl Ledger {
    /// Reads it; nothing that a case sent may still be running.
    pub async fn read(conn: &mut Conn, databases: &[String]) -> Ledger {
        let mut ledger = Ledger::default();
        for database in databases {
            ledger.add(conn, database, "").await;
        }
        for question in [
            "SELECT CONCAT(TABLE_NAME) FROM information_schema.TABLES",
            "SELECT CONCAT(ROUTINE_NAME) FROM information_schema.ROUTINES",
            "SELECT CONCAT(SCHEMA_NAME) FROM information_schema.SCHEMATA",
            "SELECT CONCAT(EVENT_NAME) FROM information_schema.EVENTS",
            "SELECT CONCAT(User) FROM mysql.user",
        ] {
            let names: Vec<Option<String>> = conn.query(question).await.unwrap_or_else(|e| panic!("{question}: {e}"));
            ledger.names.extend(names.into_iter().flatten());
        }
        ledger
    }

    async fn add(&mut self, conn: &mut Conn, database: &str, only: &str) {
        for (column, question) in [
            (0, format!("SELECT n, COUNT(*) FROM {database}.a {only} GROUP BY n")),
            (1, format!("SELECT n, COUNT(*) FROM {database}.b {only} GROUP BY n")),
            (2, format!("SELECT n, COUNT(*) FROM {database}.e {only} GROUP BY n")),
        ] {
            let rows: Vec<(i64, u32)> = conn.query(question).await.expect("the rows of the cases");
            for (number, count) in rows {
                let Ok(number) = u32::try_from(number) else { continue };
                let rows = self.rows.entry(number).or_default();
                *[&mut rows.a, &mut rows.b, &mut rows.effects][column] += count;
            }
        }
        let tokens: Vec<Row> =
            conn.query(format!("SELECT token FROM {database}.mysql_retry_guard")).await.expect("the tokens");
        for row in tokens {
            let token: Vec<u8> = row.get(0).expect("a token");
            if let Some(number) = String::from_utf8(token).ok().and_then(|token| token.parse().ok()) {
                self.rows.entry(number).or_default().token += 1;
            }
        }
    }

    pub fn of(&self, number: u32) -> Rows {
        self.rows.get(&number).copied().unwrap_or_default()
    }

    /// Whether something bears the case's number in its name.
    pub fn names_one(&self, number: u32) -> bool {
        let number = number.to_string();
        let is_its = |name: &String| {
            name.strip_suffix(&number).is_some_and(|rest| !rest.ends_with(|last: char| last.is_ascii_digit()))
        };
        self.names.iter().any(is_its)
    }
}

/// What is there of a case by now. Waits for those who have locked the tables.
pub async fn now(stage: &mut Stage, number: u32) -> Rows {
    let database = &stage.database;
    let question = format!(
        "SELECT (SELECT COUNT(*) FROM {database}.a WHERE n = {number}), (SELECT COUNT(*) FROM {database}.b WHERE n = {number}), \
         (SELECT COUNT(*) FROM {database}.e WHERE n = {number}), \
         (SELECT COUNT(*) FROM {database}.mysql_retry_guard WHERE token = '{number}')"
    );
    loop {
        match stage.own.query_first(&question).await {
            Ok(row) => {
                let (a, b, effects, token) = row.expect("a row");
                return Rows { a, b, effects, token };
            }
            // a session that has lost its client ends in a moment
            Err(Error::Server(error)) if error.code == 1205 => {}
            Err(error) => panic!("the rows of a case: {error}"),
        }
    }
}
