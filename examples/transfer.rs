//! A transaction that is run again when its connection is lost half-way.
//!
//! Money moves from one account to the other: two statements that belong together. The connection is killed between
//! them. The server rolls back, and the executor runs the closure again from its start on another connection. Then a
//! transfer that the closure itself refuses: it is rolled back, and its error comes back as it was made.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example transfer`; it makes a table
//! `example_account` there and drops it again.

use std::{
    fmt,
    process::ExitCode,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use mysql_retry::mysql_async::prelude::Queryable;
use mysql_retry::{Annotate, Error, Executor, Tx, TxOpts};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ANNA: u32 = 1;
const BERT: u32 = 2;

/// An error of the program's own. Ours becomes a part of it by `From`.
#[derive(Debug)]
enum Refused {
    TooPoor(i64),
    Database(Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        eprintln!("set DATABASE_URL to a database to try this in, such as mysql://root@127.0.0.1:3306/test");
        return ExitCode::from(2);
    };
    match run(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("transfer: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<()> {
    let exec = Executor::from_url(url)?;
    exec.query_drop("DROP TABLE IF EXISTS example_account".idempotent()).await?;
    exec.query_drop(
        "CREATE TABLE IF NOT EXISTS example_account (id INT PRIMARY KEY, balance BIGINT) ENGINE=InnoDB".idempotent(),
    )
    .await?;
    exec.query_drop("REPLACE INTO example_account VALUES (1, 100), (2, 0)".idempotent()).await?;
    let shown = show(&exec).await;
    exec.query_drop("DROP TABLE IF EXISTS example_account".idempotent()).await?;
    exec.close().await?;
    shown
}

async fn show(exec: &Executor) -> Result<()> {
    println!("Anna has 100 and gives 30 to Bert; the connection is killed between the two statements:");
    let runs = AtomicU32::new(0);
    let left = exec
        .transaction(TxOpts::default(), |mut tx| {
            // whatever the closure does besides must bear being done again: counting its runs is the point here
            runs.fetch_add(1, Relaxed);
            async move {
                println!("  run {}", tx.attempt());
                take(&mut tx, ANNA, 30).await?;
                if tx.attempt() == 1 {
                    kill_connection_of(&mut tx, exec).await?;
                }
                give(&mut tx, BERT, 30).await?;
                balance(&mut tx, ANNA).await
            }
        })
        .await?;
    let (runs, balances) = (runs.into_inner(), balances(exec).await?);
    println!("  ran {runs} times, moved the money once: Anna has {left}, the balances are {balances:?}");
    expect(runs == 2, "the closure ran twice")?;
    expect(left == 70 && balances == [70, 30], "the money moved once")?;

    println!("Anna gives 500, which she has not:");
    let runs = AtomicU32::new(0);
    let refused = exec
        .transaction(TxOpts::default(), |mut tx| {
            runs.fetch_add(1, Relaxed);
            async move {
                give(&mut tx, BERT, 500).await?;
                take(&mut tx, ANNA, 500).await
            }
        })
        .await;
    let (runs, balances) = (runs.into_inner(), self::balances(exec).await?);
    match refused {
        Err(Refused::TooPoor(balance)) => println!("  refused, she has {balance}; the balances are {balances:?}"),
        other => return Err(format!("the closure's own error should come back, and it was {other:?}").into()),
    }
    expect(runs == 1, "an error of the closure's own is not run again")?;
    expect(balances == [70, 30], "what the closure had done was rolled back")
}

async fn take(tx: &mut Tx, account: u32, amount: i64) -> std::result::Result<(), Refused> {
    let balance = balance(tx, account).await?;
    if balance < amount {
        return Err(Refused::TooPoor(balance));
    }
    // no annotation: within a transaction nothing is sent again alone
    tx.exec_drop("UPDATE example_account SET balance = balance - ? WHERE id = ?", (amount, account)).await?;
    Ok(())
}

async fn give(tx: &mut Tx, account: u32, amount: i64) -> std::result::Result<(), Refused> {
    tx.exec_drop("UPDATE example_account SET balance = balance + ? WHERE id = ?", (amount, account)).await?;
    Ok(())
}

async fn balance(tx: &mut Tx, account: u32) -> std::result::Result<i64, Refused> {
    let select = "SELECT balance FROM example_account WHERE id = ? FOR UPDATE";
    Ok(tx.exec_first(select, (account,)).await?.unwrap_or_default())
}

async fn balances(exec: &Executor) -> Result<Vec<i64>> {
    Ok(exec.query("SELECT balance FROM example_account ORDER BY id".idempotent()).await?)
}

/// As an administrator would, on another connection. Returns when it is gone.
async fn kill_connection_of(tx: &mut Tx, exec: &Executor) -> std::result::Result<(), Refused> {
    let id: u64 = tx.query_first("SELECT CONNECTION_ID()").await?.unwrap_or_default();
    let mut other = exec.connection().await?;
    // it may be gone sooner than we look
    let _ = other.query_drop(format!("KILL {id}")).await;
    let alive = format!("SELECT 1 FROM information_schema.processlist WHERE id = {id}");
    for _ in 0..100 {
        if !matches!(other.query_first::<u32, _>(&alive).await, Ok(Some(_))) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("  its connection was killed");
    Ok(())
}

fn expect(kept: bool, what: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(format!("this should hold and does not: {what}").into()) }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Database(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::TooPoor(balance) => write!(f, "there are only {balance}"),
            Refused::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}
