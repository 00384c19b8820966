//! Query, work for longer than the server's `wait_timeout`, save the result.
//!
//! The server closes a connection that idles for `wait_timeout`. A program that holds a connection while it works finds
//! `2006 MySQL server has gone away` at its next statement, and its work is lost. With the executor there is nothing to
//! do about it: no keep-alive, no ping, no setting to keep in step with the server's.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example long_job`. It makes a table
//! `example_report` there and drops it again.

use std::{error::Error, time::Duration};

use mysql_retry::mysql_async::{Opts, OptsBuilder};
use mysql_retry::{Annotate, Executor, Outcome};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;
    // one second instead of the usual eight hours
    let opts = OptsBuilder::from_opts(Opts::from_url(&url)?).setup(vec!["SET SESSION wait_timeout = 1"]);
    let exec = Executor::new(opts)?;
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_report (total INT)".idempotent()).await?;
    exec.query_drop("DELETE FROM example_report".idempotent()).await?;

    let orders: Vec<u32> = exec.query("SELECT 40 UNION ALL SELECT 2".idempotent()).await?;
    let before: Option<u32> = exec.query_first("SELECT CONNECTION_ID()".idempotent()).await?;

    println!("working for 3 s; the server closes connections that idle for 1 s");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let total: u32 = orders.iter().sum();

    // Without annotation, because a second row would be wrong. It is sent again only if it certainly was not executed.
    match exec.exec_drop("INSERT INTO example_report (total) VALUES (?)", (total,)).await {
        Ok(_) => println!("saved"),
        Err(error) => match error.outcome() {
            Outcome::NotExecuted => return Err(format!("not saved, safe to try again: {error}").into()),
            Outcome::Failed => return Err(format!("not saved, the server refused it: {error}").into()),
            Outcome::Unknown => return Err(format!("look before you save it again: {error}").into()),
        },
    }

    let reports: Vec<u32> = exec.query("SELECT total FROM example_report".idempotent()).await?;
    let after: Option<u32> = exec.query_first("SELECT CONNECTION_ID()".idempotent()).await?;
    println!("reports: {reports:?}; connection {before:?} was closed, {after:?} took its place");
    assert_eq!(reports, [42]);
    assert_ne!(before, after);

    exec.query_drop("DROP TABLE IF EXISTS example_report".idempotent()).await?;
    Ok(exec.close().await?)
}
