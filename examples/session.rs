//! Statements that need one connection: a lock, a temporary table, and what happens when they are lost with it.
//!
//! A nightly job holds a user-level lock, so that only one copy of it is at work, and notes in a temporary table what
//! it has chosen. The connection is killed, and another copy of the job takes the lock. The first one's next statement
//! is not executed: it fails and names what is gone. The job gets the lock again when it is free, rebuilds the table,
//! and goes on.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example session`; it makes a table
//! `example_item` there and drops it again.

use std::{process::ExitCode, time::Duration};

use mysql_retry::mysql_async::prelude::Queryable;
use mysql_retry::{Annotate, Executor, Outcome, Reason, Session};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        eprintln!("set DATABASE_URL to a database to try this in, such as mysql://root@127.0.0.1:3306/test");
        return ExitCode::from(2);
    };
    match run(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("session: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<()> {
    let exec = Executor::from_url(url)?;
    exec.query_drop("DROP TABLE IF EXISTS example_item".idempotent()).await?;
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_item (id INT PRIMARY KEY, stock INT)".idempotent()).await?;
    exec.query_drop("REPLACE INTO example_item VALUES (1, 0), (2, 5), (3, 0)".idempotent()).await?;
    let shown = show(&exec).await;
    exec.query_drop("DROP TABLE IF EXISTS example_item".idempotent()).await?;
    exec.close().await?;
    shown
}

/// Restocks what was chosen. Not to be done twice, and not by two at once.
const RESTOCK: &str = "UPDATE example_item SET stock = stock + 10 WHERE id IN (SELECT id FROM example_chosen)";

async fn show(exec: &Executor) -> Result<()> {
    let mut session = exec.session().await?;
    expect(lock(&mut session).await?, "the lock is free at the start")?;
    choose(&mut session).await?;
    let held: Vec<&str> = session.state().collect();
    println!("the session has {}", held.join(", "));
    expect(held == ["temporary tables", "user-level locks"], "the session knows what it has")?;

    kill_connection_of(&mut session, exec).await?;
    let mut rival = exec.session().await?;
    expect(lock(&mut rival).await?, "the server has freed the lock")?;
    println!("its connection was killed, and another session has taken the lock");

    // After half a second of idling it is pinged first, so that the loss is found out before the statement is sent.
    tokio::time::sleep(Duration::from_millis(600)).await;
    match session.query_drop(RESTOCK).await {
        Err(error) if error.reason() == Reason::StateLost => {
            let gone: Vec<&str> = error.lost_state().collect();
            println!("{:?}: {error}", error.outcome());
            expect(gone == held, "the error names what is gone")?;
            expect(error.outcome() == Outcome::NotExecuted, "the loss was found out before")?;
        }
        other => return Err(format!("the loss of the lock should be told, and there was {other:?}").into()),
    }
    expect(stocks(exec).await? == [0, 5, 0], "nothing was done without the lock")?;
    expect(!lock(&mut session).await?, "the lock is the other session's")?;

    // the other one is done
    drop(rival);
    rebuild(&mut session).await?;
    println!("rebuilt: {}", session.state().collect::<Vec<_>>().join(", "));
    session.query_drop(RESTOCK).await?;
    let stocks = stocks(exec).await?;
    println!("done once, under the lock: {stocks:?}");
    expect(stocks == [10, 5, 10], "what was chosen was restocked once")
}

/// What the job needs, again: by hand here. Given to `session.on_reconnect(..)` it is done at each loss.
async fn rebuild(session: &mut Session) -> Result<()> {
    for _ in 0..250 {
        // it has to be asked for, and the answer to be looked at: it may be somebody else's now
        if lock(session).await? {
            return Ok(choose(session).await?);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the lock was not free within 5 s".into())
}

async fn lock(session: &mut Session) -> mysql_retry::Result<bool> {
    Ok(session.query_first("SELECT GET_LOCK('example_restock', 0)").await? == Some(1))
}

async fn choose(session: &mut Session) -> mysql_retry::Result<()> {
    session.query_drop("CREATE TEMPORARY TABLE example_chosen SELECT id FROM example_item WHERE stock = 0").await?;
    Ok(())
}

async fn stocks(exec: &Executor) -> mysql_retry::Result<Vec<i32>> {
    exec.query("SELECT stock FROM example_item ORDER BY id".idempotent()).await
}

/// As an administrator would, on another connection. Returns when it is gone.
async fn kill_connection_of(session: &mut Session, exec: &Executor) -> Result<()> {
    let id: u64 = session.query_first("SELECT CONNECTION_ID()").await?.unwrap_or_default();
    let mut other = exec.connection().await?;
    other.query_drop(format!("KILL {id}")).await?;
    let alive = format!("SELECT 1 FROM information_schema.processlist WHERE id = {id}");
    for _ in 0..100 {
        if other.query_first::<u32, _>(&alive).await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the connection was still there 1 s after it was killed".into())
}

fn expect(kept: bool, what: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(format!("this should hold and does not: {what}").into()) }
}
