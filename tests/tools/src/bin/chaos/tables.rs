//! The tables, and what is really in them.
//!
//! Every statement has a number of its own. Triggers write it to a trail, in the transaction of the statement, so that
//! each execution is known, also where a later statement has overwritten its effect.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_retry_fixture::Server;

use crate::{
    Problem,
    transaction::{ACCOUNTS, BALANCE},
    work::TASKS,
};

/// The numbers and keys of a task begin at a multiple of this.
pub(crate) const SHARE: u64 = 1_000_000;
/// Rows of the table that is read as a whole.
pub(crate) const PAGE: u64 = 200;

pub(crate) async fn set_up(server: &Server) {
    let filler = "x".repeat(100);
    let page: Vec<String> = (0..PAGE).map(|n| format!("({n}, '{filler}')")).collect();
    let counters: Vec<String> = (0..TASKS).map(|task| format!("({task}, 0, 0)")).collect();
    let trail = |table: &str, event: &str, key: &str, number: &str| {
        format!(
            "CREATE TRIGGER {table}_{event} AFTER {event} ON {table} FOR EACH ROW \
             INSERT INTO trail (place, k, number) VALUES ('{table}', {key}, {number})"
        )
    };
    let keyed = |table: &str| format!("CREATE TABLE {table} (k BIGINT PRIMARY KEY, v BIGINT NOT NULL)");
    for sql in [
        "CREATE TABLE page (n INT PRIMARY KEY, filler VARCHAR(100) NOT NULL)".to_owned(),
        format!("INSERT INTO page (n, filler) VALUES {}", page.join(", ")),
        // no unique key on the number, so that what is inserted twice has two rows
        "CREATE TABLE ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, number BIGINT NOT NULL)".to_owned(),
        "CREATE TABLE counter (task BIGINT PRIMARY KEY, n BIGINT NOT NULL, number BIGINT NOT NULL)".to_owned(),
        format!("INSERT INTO counter (task, n, number) VALUES {}", counters.join(", ")),
        "CREATE TABLE account (id BIGINT PRIMARY KEY, balance BIGINT NOT NULL)".to_owned(),
        format!("INSERT INTO account (id, balance) SELECT n, {BALANCE} FROM page WHERE n < {ACCOUNTS}"),
        "CREATE TABLE transfer (id BIGINT AUTO_INCREMENT PRIMARY KEY, number BIGINT NOT NULL, payer BIGINT NOT NULL, \
         payee BIGINT NOT NULL)"
            .to_owned(),
        keyed("upserted"),
        keyed("updated"),
        keyed("replaced"),
        // an UPDATE needs rows: `PAGE` keys for each task
        format!(
            "INSERT INTO updated (k, v) SELECT task.n * {SHARE} + generation.n, 0 FROM page AS task, page AS generation \
             WHERE task.n < {TASKS}"
        ),
        "CREATE TABLE trail (id BIGINT AUTO_INCREMENT PRIMARY KEY, place VARCHAR(10) NOT NULL, k BIGINT NOT NULL, \
         number BIGINT)"
            .to_owned(),
        trail("upserted", "INSERT", "NEW.k", "NEW.v"),
        trail("upserted", "UPDATE", "NEW.k", "NEW.v"),
        trail("upserted", "DELETE", "OLD.k", "NULL"),
        trail("updated", "UPDATE", "NEW.k", "NEW.v"),
        trail("replaced", "INSERT", "NEW.k", "NEW.v"),
        trail("counter", "UPDATE", "NEW.task", "NEW.number"),
    ] {
        server.query_drop(&sql).await;
    }
}

/// What is really there.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How often each number was executed.
    pub(crate) times: HashMap<u64, u64>,
    /// By table and key: the numbers in the order of their execution, `None` for a DELETE.
    pub(crate) trail: HashMap<(String, u64), Vec<Option<u64>>>,
    /// By table and key: the number that is there now.
    pub(crate) now: HashMap<(&'static str, u64), u64>,
    /// How high each task's counter is.
    pub(crate) counters: HashMap<u64, u64>,
    /// What is on each account.
    pub(crate) balances: HashMap<u64, i64>,
    /// The transfers that happened: payer and payee.
    pub(crate) transfers: Vec<(u64, u64)>,
}

impl Found {
    pub(crate) async fn look(server: &Server) -> Result<Self, Problem> {
        let mut conn = server.connect().await;
        let mut found = Found::default();
        let ledger: Vec<(u64, u64)> = conn.query("SELECT number, COUNT(*) FROM ledger GROUP BY number").await?;
        found.times.extend(ledger);
        let trail: Vec<(String, u64, Option<u64>)> =
            conn.query("SELECT place, k, number FROM trail ORDER BY id").await?;
        for (place, key, number) in trail {
            if let Some(number) = number {
                *found.times.entry(number).or_default() += 1;
            }
            found.trail.entry((place, key)).or_default().push(number);
        }
        for table in ["upserted", "updated", "replaced"] {
            let rows: Vec<(u64, u64)> = conn.query(format!("SELECT k, v FROM {table} WHERE v > 0")).await?;
            found.now.extend(rows.into_iter().map(|(key, number)| ((table, key), number)));
        }
        let counters: Vec<(u64, u64)> = conn.query("SELECT task, n FROM counter").await?;
        found.counters.extend(counters);
        let transfers: Vec<(u64, u64, u64)> = conn.query("SELECT number, payer, payee FROM transfer").await?;
        for (number, payer, payee) in transfers {
            *found.times.entry(number).or_default() += 1;
            found.transfers.push((payer, payee));
        }
        let balances: Vec<(u64, i64)> = conn.query("SELECT id, balance FROM account").await?;
        found.balances.extend(balances);
        conn.disconnect().await?;
        Ok(found)
    }
}
