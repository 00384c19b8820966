//! What the server did: tables in which each case leaves its effects under its number.

use std::{collections::HashMap, ops::RangeInclusive};

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::Executor;
use mysql_retry_fixture::Server;

use crate::{
    case::Case,
    work::{Effects, Work, parts_file},
};

/// The procedure's first result set has the rows 1, 2 .. up to this.
pub const ROWS_OF_CALL: u32 = 3;

/// What is on each account before its transfer.
const BALANCE: u32 = 100;

/// Numbers of transfers that belong to no case.
pub const TRIAL: RangeInclusive<u32> = 1..=4;

/// Rows of one INSERT that fills a table.
const CHUNK: usize = 5000;

pub async fn lay_out(server: &Server, cases: &[Case]) {
    let mut conn = server.connect().await;
    let statements = [
        "CREATE TABLE effect (id INT AUTO_INCREMENT PRIMARY KEY, c INT NOT NULL, part INT NOT NULL)",
        "CREATE TABLE counter (c INT PRIMARY KEY, n INT NOT NULL)",
        "CREATE TABLE doomed (c INT PRIMARY KEY)",
        "CREATE TABLE keyed (c INT PRIMARY KEY)",
        "CREATE TABLE numbers (n INT PRIMARY KEY)",
        "CREATE TABLE account (c INT, side INT, balance INT NOT NULL, PRIMARY KEY (c, side))",
        // no unique key on the number: what is done twice is there twice
        "CREATE TABLE transfer (id INT AUTO_INCREMENT PRIMARY KEY, c INT NOT NULL)",
        "CREATE PROCEDURE record(number INT, first_part INT) BEGIN
           INSERT INTO effect (c, part) VALUES (number, first_part);
           SELECT n FROM numbers WHERE n <= 3 ORDER BY n;
           INSERT INTO effect (c, part) VALUES (number, first_part + 1);
           SELECT number;
         END",
        // MySQL has to be told to ask for files
        "SET GLOBAL local_infile = 1",
    ];
    for sql in statements {
        conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    let of = |effects| cases.iter().filter(move |case| case.work.effects() == effects).map(|case| case.number);
    fill(&mut conn, "numbers (n)", (1..=10_000).map(|n| format!("({n})"))).await;
    fill(&mut conn, "counter (c, n)", of(Effects::Counter).map(|c| format!("({c}, 0)"))).await;
    fill(&mut conn, "doomed (c)", of(Effects::Absence).map(|c| format!("({c})"))).await;
    let accounts =
        TRIAL.chain(of(Effects::Transfer)).flat_map(|c| [1, 2].map(|side| format!("({c}, {side}, {BALANCE})")));
    fill(&mut conn, "account (c, side, balance)", accounts).await;
    let exec = Executor::new(server.opts()).expect("good options");
    exec.create_guard_table().await.expect("the guard's table");
    exec.close().await.expect("a goodbye");
    conn.disconnect().await.expect("a goodbye");
    std::fs::write(parts_file(), "1\n2\n").expect("a temporary file");
}

/// Adds rows to a table.
pub async fn fill(conn: &mut Conn, table: &str, rows: impl Iterator<Item = String>) {
    let rows: Vec<String> = rows.collect();
    for chunk in rows.chunks(CHUNK) {
        let sql = format!("INSERT INTO {table} VALUES {}", chunk.join(", "));
        conn.query_drop(sql).await.unwrap_or_else(|e| panic!("filling {table}: {e}"));
    }
}

/// How often each part of each case's effects has happened.
pub struct Ledger(HashMap<(u32, u32), u32>);

impl Ledger {
    /// Reads it; nothing that a case sent may still be running.
    pub async fn read(server: &Server) -> Self {
        let mut conn = server.connect().await;
        let ledger = Ledger::of(&mut conn, 0..=u32::MAX).await;
        let sum: (u64, u64) = conn
            .query_first("SELECT CAST(COALESCE(SUM(balance), 0) AS UNSIGNED), COUNT(*) FROM account")
            .await
            .expect("the sum of all accounts")
            .expect("a row");
        assert_eq!(sum.0, sum.1 * u64::from(BALANCE), "money has appeared or vanished");
        conn.disconnect().await.expect("a goodbye");
        let _ = std::fs::remove_file(parts_file());
        ledger
    }

    /// Reads what stands under these numbers.
    pub async fn of(conn: &mut Conn, numbers: RangeInclusive<u32>) -> Self {
        let there = format!("WHERE c BETWEEN {} AND {}", numbers.start(), numbers.end());
        let effects = format!("SELECT c, part, COUNT(*) FROM effect {there} GROUP BY c, part");
        let mut rows: Vec<(u32, u32, u32)> = conn.query(effects).await.expect("the effects");
        let counters = format!("SELECT c, n FROM counter {there}");
        let counters: Vec<(u32, u32)> = conn.query(counters).await.expect("the counters");
        let doomed = format!("SELECT c FROM doomed {there}");
        let doomed: Vec<u32> = conn.query(doomed).await.expect("what was not deleted");
        let transfers = format!("SELECT c, {TRANSFERRED}, COUNT(*) FROM transfer {there} GROUP BY c");
        let transfers: Vec<(u32, u32, u32)> = conn.query(transfers).await.expect("the transfers");
        let moved = format!("SELECT c, side, ABS(balance - {BALANCE}) FROM account {there}");
        let moved: Vec<(u32, u32, u32)> = conn.query(moved).await.expect("the accounts");
        let keyed = format!("SELECT c FROM keyed {there}");
        let keyed: Vec<u32> = conn.query(keyed).await.expect("the rows with a key");
        rows.extend(keyed.into_iter().map(|c| (c, 1, 1)));
        rows.extend(transfers);
        rows.extend(moved);
        rows.extend(counters.into_iter().map(|(c, n)| (c, 1, n)));
        rows.extend(doomed.into_iter().map(|c| (c, STILL_THERE, 1)));
        Ledger(rows.into_iter().map(|(c, part, times)| ((c, part), times)).collect())
    }

    /// How often each part of a case's effects has happened.
    pub fn times(&self, number: u32, work: Work) -> Vec<u32> {
        let times = |part| self.0.get(&(number, part)).copied().unwrap_or(0);
        match work.effects() {
            Effects::None => Vec::new(),
            Effects::Rows(parts) => (1..=parts).map(times).collect(),
            Effects::Counter | Effects::Key => vec![times(1)],
            Effects::Absence => vec![1 - times(STILL_THERE)],
            Effects::Transfer => vec![times(TRANSFERRED), times(1), times(2)],
        }
    }
}

/// The part under which a row of the table `doomed` is kept.
const STILL_THERE: u32 = 0;
/// The part under which the rows of the table `transfer` are kept, beside the sides of the accounts.
const TRANSFERRED: u32 = 0;
