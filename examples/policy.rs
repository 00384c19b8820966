//! Tuning how long and how often the executor tries.
//!
//! An executor has a policy. `with_policy` gives single calls another one. The printed events show what happens.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example policy`.

use std::{error::Error, time::Duration};

use mysql_retry::{Annotate, Event, Executor, Outcome, RetryPolicy};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;

    println!("No server listens on port 1. The call waits for one until its deadline:");
    let patient = RetryPolicy::builder().deadline(Duration::from_secs(1)).build()?;
    let nowhere = Executor::builder().policy(patient).on_event(log).build("mysql://root@127.0.0.1:1/test")?;
    let error = nowhere.query_drop("INSERT INTO visit (page) VALUES ('home')").await.expect_err("there is no server");
    println!("  {error}");
    assert_eq!(error.outcome(), Outcome::NotExecuted);

    println!("A report that must keep nobody waiting: two attempts of 300 ms");
    let exec = Executor::builder().on_event(log).build(&*url)?;
    let hasty = RetryPolicy::builder().attempt_timeout(Duration::from_millis(300)).max_replays(1).build()?;
    let report = "SELECT SLEEP(5)".idempotent();
    let error = exec.with_policy(&hasty).query_drop(report).await.expect_err("it takes 5 s");
    println!("  {error}");
    assert!(error.is_timeout());
    assert_eq!(error.attempts(), 2);

    println!("The same executor, and a call without any retries:");
    let one: Option<u8> = exec.with_policy(&RetryPolicy::none()).query_first("SELECT 1").await?;
    println!("  {one:?}");

    nowhere.close().await?;
    Ok(exec.close().await?)
}

/// Called by the task that makes the call, so it has to be quick.
fn log(event: &Event<'_>) {
    match event {
        Event::Down { address, why, .. } => println!("  {address} is down: {why}"),
        Event::ConnectionLost { attempt, error, .. } => println!("  attempt {attempt}: {error}"),
        Event::GaveUp { .. } => println!("  gave up"),
        _ => {}
    }
}
