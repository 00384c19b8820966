//! The tables that the scenes write to, and what is really in them.
//!
//! Each side has a database of its own with the same tables, so that both run the same statements. The ledger has no
//! unique key on its numbers, so what is booked twice has two rows.

use mysql_async::prelude::Queryable;
use mysql_retry::Statement;
use mysql_retry_fixture::Server;

use crate::Problem;

/// The databases of the two sides.
pub(crate) const BARE: &str = "bare";
pub(crate) const RETRY: &str = "retry";

/// Books a number. Twice would be wrong, so it is not annotated: delivered at most once.
pub(crate) const BOOK: Statement = Statement::new("INSERT INTO ledger (number, amount) VALUES (?, ?)");

/// Sets a balance to a value. Twice is the same as once: delivered at least once.
pub(crate) const SET_BALANCE: Statement = Statement::new("UPDATE account SET balance = ? WHERE id = ?").idempotent();

/// Reads are idempotent.
pub(crate) const BALANCE: Statement = Statement::new("SELECT balance FROM account WHERE id = ?").idempotent();
pub(crate) const BOOKED: Statement = Statement::new("SELECT COUNT(*) FROM ledger WHERE number = ?").idempotent();

/// Notes how far a task has come, under a key: one row, however often it runs.
pub(crate) const NOTE: Statement =
    Statement::new("INSERT INTO progress (account, step, state) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE state = ?")
        .idempotent();

/// How many accounts there are, numbered from 0.
pub(crate) const ACCOUNTS: u64 = 50;

pub(crate) async fn set_up(server: &Server) {
    let accounts: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, 0)")).collect();
    let accounts = accounts.join(", ");
    for database in [BARE, RETRY] {
        for sql in [
            format!("CREATE DATABASE {database}"),
            format!(
                "CREATE TABLE {database}.ledger (id INT AUTO_INCREMENT PRIMARY KEY, number INT NOT NULL, \
                 amount INT NOT NULL, KEY (number))"
            ),
            format!("CREATE TABLE {database}.account (id INT PRIMARY KEY, balance INT NOT NULL)"),
            format!("INSERT INTO {database}.account (id, balance) VALUES {accounts}"),
            format!(
                "CREATE TABLE {database}.progress (account INT, step INT, state INT NOT NULL, \
                 PRIMARY KEY (account, step))"
            ),
        ] {
            server.query_drop(&sql).await;
        }
    }
}

/// How often a number is really in the ledger.
pub(crate) async fn times(server: &Server, database: &str, number: u64) -> Result<u64, Problem> {
    let mut conn = server.connect().await;
    let times = conn.query_first(format!("SELECT COUNT(*) FROM {database}.ledger WHERE number = {number}")).await?;
    Ok(times.unwrap_or_default())
}

/// The balance that is really in an account.
pub(crate) async fn balance(server: &Server, database: &str, account: u64) -> Result<u64, Problem> {
    let mut conn = server.connect().await;
    let balance = conn.query_first(format!("SELECT balance FROM {database}.account WHERE id = {account}")).await?;
    balance.ok_or_else(|| format!("account {account} is not there").into())
}

/// In words, how often it is there.
pub(crate) fn in_words(times: u64) -> String {
    match times {
        0 => "not there".to_owned(),
        1 => "there once".to_owned(),
        2 => "there TWICE".to_owned(),
        more => format!("there {more} times"),
    }
}
