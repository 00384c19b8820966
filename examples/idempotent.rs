//! Annotating the statements that may run twice.
//!
//! Only the author of a statement knows whether running it twice does harm. Here the connection of a running statement is
//! killed. The annotated one is replayed and succeeds. The one without annotation fails, and its error says that nobody
//! can know whether it was executed.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example idempotent`. It makes a table
//! `example_rate` there and drops it again.

use std::{error::Error, time::Duration};

use mysql_retry::mysql_async::{Conn, prelude::Queryable};
use mysql_retry::{Annotate, Executor, Outcome, Statement};

/// A read changes nothing. This one takes a second, so that there is time to kill its connection.
const RATE: Statement =
    Statement::new("SELECT rate FROM example_rate WHERE currency = ? AND SLEEP(1) = 0").idempotent();

/// A write that gives the same result the second time.
const SET_RATE: Statement = Statement::new("REPLACE INTO example_rate (currency, rate) VALUES (?, ?)").idempotent();

/// Run twice, this would raise the rate twice. Without annotation it is delivered at most once.
const RAISE_RATE: Statement =
    Statement::new("UPDATE example_rate SET rate = rate + 1 WHERE currency = ? AND SLEEP(1) = 0");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;
    let exec = Executor::from_url(&url)?;
    // annotated in place
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_rate (currency CHAR(3) PRIMARY KEY, rate INT)".idempotent())
        .await?;
    exec.exec_drop(SET_RATE, ("EUR", 7)).await?;

    let (rate, killed) = tokio::join!(exec.exec_first::<i32, _, _>(RATE, ("EUR",)), kill_while_it_runs(&url));
    killed?;
    let (rate, replays) = (rate?, exec.counters().replays);
    println!("annotated: the rate is {rate:?}, after {replays} replay");
    assert_eq!((rate, replays), (Some(7), 1));

    let (raised, killed) = tokio::join!(exec.exec_drop(RAISE_RATE, ("EUR",)), kill_while_it_runs(&url));
    killed?;
    let error = raised.expect_err("its connection was killed");
    println!("not annotated: {error}");
    assert_eq!(error.outcome(), Outcome::Unknown);

    // After `Unknown` the program has to look.
    let rate = exec.exec_first::<i32, _, _>(RATE, ("EUR",)).await?;
    println!("now the rate is {rate:?}");
    assert!(rate == Some(7) || rate == Some(8));

    exec.query_drop("DROP TABLE IF EXISTS example_rate".idempotent()).await?;
    Ok(exec.close().await?)
}

/// Waits until the statement sleeps in the server, and kills its connection, as an administrator would.
async fn kill_while_it_runs(url: &str) -> Result<(), Box<dyn Error>> {
    let mut conn = Conn::from_url(url).await?;
    let sleeping =
        "SELECT id FROM information_schema.processlist WHERE state = 'User sleep' AND info LIKE '%example_rate%'";
    for _ in 0..100 {
        if let Some(id) = conn.query_first::<u64, _>(sleeping).await? {
            return Ok(conn.query_drop(format!("KILL {id}")).await?);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the statement was not seen running".into())
}
