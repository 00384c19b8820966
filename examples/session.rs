//! Statements that need one connection, and what happens when it is lost.
//!
//! A nightly job holds a user-level lock, so that only one copy of it works, and notes its choice in a temporary table.
//! Its connection is killed. The job's next statement is not executed: its error names the state that is gone. The job
//! takes the lock again, rebuilds the table and goes on.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example session`. It makes a table
//! `example_item` there and drops it again.

use std::{error::Error, time::Duration};

use mysql_retry::{Annotate, Executor, Outcome, Reason, Session, StateKind};

const RESTOCK: &str = "UPDATE example_item SET stock = stock + 10 WHERE id IN (SELECT id FROM example_chosen)";

/// Takes the lock and chooses what to restock.
async fn prepare(session: &mut Session) -> Result<(), Box<dyn Error>> {
    // Waits for 5 s at most. The answer matters: another copy of the job may have the lock.
    if session.query_first("SELECT GET_LOCK('example_restock', 5)").await? != Some(1) {
        return Err("another copy of the job is at work".into());
    }
    session.query_drop("CREATE TEMPORARY TABLE example_chosen SELECT id FROM example_item WHERE stock = 0").await?;
    println!("the session has {}", session.state().map(|kind| kind.to_string()).collect::<Vec<_>>().join(", "));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;
    let exec = Executor::from_url(&url)?;
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_item (id INT PRIMARY KEY, stock INT)".idempotent()).await?;
    exec.query_drop("REPLACE INTO example_item VALUES (1, 0), (2, 5), (3, 0)".idempotent()).await?;

    let mut session = exec.session().await?;
    prepare(&mut session).await?;

    let id: Option<u32> = session.query_first("SELECT CONNECTION_ID()").await?;
    exec.query_drop(format!("KILL {}", id.unwrap_or_default())).await?;
    // A session that idled for half a second is pinged before its next statement. So the loss is found in time.
    tokio::time::sleep(Duration::from_millis(600)).await;

    let error = session.query_drop(RESTOCK).await.expect_err("the lock and the table are gone");
    println!("{error}");
    assert_eq!((error.reason(), error.outcome()), (Reason::StateLost, Outcome::NotExecuted));
    assert_eq!(error.lost_state().collect::<Vec<_>>(), [StateKind::TemporaryTables, StateKind::UserLocks]);

    // By hand here. A hook given to `session.on_reconnect` does it at each loss.
    prepare(&mut session).await?;
    session.query_drop(RESTOCK).await?;
    let stocks: Vec<i32> = session.query("SELECT stock FROM example_item ORDER BY id".idempotent()).await?;
    println!("restocked once: {stocks:?}");
    assert_eq!(stocks, [10, 5, 10]);

    drop(session);
    exec.query_drop("DROP TABLE IF EXISTS example_item".idempotent()).await?;
    Ok(exec.close().await?)
}
