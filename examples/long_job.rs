//! Query, work for longer than the server's `wait_timeout`, save the result.
//!
//! The server closes a connection that idles for `wait_timeout`. A program that works for longer than that between
//! two statements finds `2006 MySQL server has gone away` at the second one, and its work is lost. With the executor
//! there is nothing to do about it: no keep-alive, no ping, no number to keep in step with the server's.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example long_job`; it makes a table
//! `example_report` there and drops it again.

use std::{process::ExitCode, time::Duration};

use mysql_retry::mysql_async::{Opts, OptsBuilder};
use mysql_retry::{Annotate, Executor, Outcome};

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
            eprintln!("long_job: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<()> {
    // The usual wait_timeout is eight hours. One second, so that nobody has to wait that long here.
    let opts = OptsBuilder::from_opts(Opts::from_url(url)?).setup(vec!["SET SESSION wait_timeout = 1"]);
    let exec = Executor::new(opts)?;

    exec.query_drop("DROP TABLE IF EXISTS example_report".idempotent()).await?;
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_report (day DATE, orders INT)".idempotent()).await?;
    let done = job(&exec).await;
    exec.query_drop("DROP TABLE IF EXISTS example_report".idempotent()).await?;
    exec.close().await?;
    done
}

async fn job(exec: &Executor) -> Result<()> {
    let before: Option<u32> = exec.query_first("SELECT CONNECTION_ID()".idempotent()).await?;
    let orders: Vec<u32> = exec.query("SELECT 40 UNION ALL SELECT 2".idempotent()).await?;

    let total = work(orders).await;

    // Not annotated: a second row would be wrong. It is sent again only if it is proved that it was not executed.
    let saved = exec.exec_drop("INSERT INTO example_report (day, orders) VALUES ('2026-01-31', ?)", (total,)).await;
    match saved {
        Ok(_) => println!("saved"),
        Err(error) => {
            let told = match error.outcome() {
                Outcome::NotExecuted => "not saved, and may be saved again",
                Outcome::Failed => "not saved, because the server answered with an error",
                Outcome::Unknown => "look whether it was saved",
            };
            return Err(format!("{told}: {error}").into());
        }
    }

    let reports: Vec<u32> = exec.query("SELECT orders FROM example_report".idempotent()).await?;
    let after: Option<u32> = exec.query_first("SELECT CONNECTION_ID()".idempotent()).await?;
    println!("in the table: {reports:?}; connection {before:?} had been closed meanwhile, {after:?} took its place");
    if reports != [42] {
        return Err(format!("the report is there as {reports:?}, not once as 42").into());
    }
    if before == after {
        return Err("the connection was still the first one: wait_timeout did not strike".into());
    }
    Ok(())
}

/// The work: over in a moment in this example, were it not for the sleep.
async fn work(orders: Vec<u32>) -> u32 {
    println!("working for 3 s on {} numbers, and the server closes connections that idle for 1 s ...", orders.len());
    tokio::time::sleep(Duration::from_secs(3)).await;
    orders.iter().sum()
}
