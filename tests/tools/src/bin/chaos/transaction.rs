//! Work of more than one statement: transfers between accounts that all tasks share, and INSERTs with a token.

use mysql_async::Row;
use mysql_retry::{Annotate, Error, Executor, Outcome, Result, Tx, TxOpts};

use crate::kinds::Kind;

/// How many accounts there are, and what is on each of them at first.
pub(crate) const ACCOUNTS: u64 = 200;
pub(crate) const BALANCE: u64 = 1_000_000;

const CHANGE: &str = "UPDATE account SET balance = balance + ? WHERE id = ?";

/// How many calls with one token are made to find out what became of it.
const CALLS: u32 = 5;

/// The key of a transfer is both its accounts.
pub(crate) fn key(payer: u64, payee: u64) -> u64 {
    payer * ACCOUNTS + payee
}

pub(crate) fn accounts(key: u64) -> (u64, u64) {
    (key / ACCOUNTS, key % ACCOUNTS)
}

/// Moves one from an account to another.
pub(crate) async fn transfer(exec: &Executor, key: u64, number: u64, prepared: bool) -> Result<Vec<Row>> {
    let (payer, payee) = accounts(key);
    let mut changes = [(payer, -1), (payee, 1)];
    // all transfers in the same order, so that there is no deadlock
    changes.sort_unstable();
    let transfer = exec.transaction(TxOpts::default(), |mut tx| async move {
        for (account, amount) in changes {
            write(&mut tx, CHANGE, &[amount, account as i64], prepared).await?;
        }
        write(&mut tx, Kind::Transfer.sql(), &[number as i64, payer as i64, payee as i64], prepared).await
    });
    transfer.await.map(|()| Vec::new())
}

async fn write(tx: &mut Tx, sql: &str, values: &[i64], prepared: bool) -> Result<()> {
    if prepared {
        return tx.exec_drop(sql, values.to_vec()).await;
    }
    let text = values.iter().fold(sql.to_owned(), |sql, value| sql.replacen('?', &value.to_string(), 1));
    tx.query_drop(text).await
}

/// Inserts with the number as token. While the outcome is in doubt, it calls again with the same token.
pub(crate) async fn guarded_insert(exec: &Executor, number: u64, prepared: bool) -> Result<Vec<Row>> {
    let sql = Kind::GuardedInsert.sql();
    for call in 1.. {
        let done = if prepared {
            exec.exec_drop(sql.exactly_once(number), (number,)).await
        } else {
            exec.query_drop(sql.replace('?', &number.to_string()).exactly_once(number)).await
        };
        match done {
            Err(error) if in_doubt(&error) && call < CALLS => {}
            Err(error) => return Err(error),
            Ok(done) => {
                assert!(call > 1 || !done.was_done_before(), "nobody has done {number} before");
                break;
            }
        }
    }
    Ok(Vec::new())
}

fn in_doubt(error: &Error) -> bool {
    match error.outcome() {
        Outcome::Unknown => true,
        Outcome::NotExecuted | Outcome::Failed => false,
    }
}
