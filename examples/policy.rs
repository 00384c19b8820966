//! Tuning how long and how often the executor tries, and watching it.
//!
//! A policy for the executor and another one for a single call, a classification of one's own, a hook for events,
//! counters, and what an error tells.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example policy`; it makes a table
//! `example_visit` there and drops it again.

use std::{process::ExitCode, time::Duration};

use mysql_retry::mysql_async::{self, prelude::Queryable};
use mysql_retry::{Annotate, Classification, Disconnect, Error, Event, Executor, Outcome, RetryPolicy};

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
            eprintln!("policy: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<()> {
    let policy = RetryPolicy::builder()
        .deadline(Duration::from_secs(5)) // ends waiting and retrying
        .max_replays(2) // for a statement that met a loss
        .max_delay(Duration::from_millis(100))
        .classify_with(busy_proxy)
        .build()?;
    let exec = Executor::builder().policy(policy).on_event(log).build(url)?;

    exec.query_drop("DROP TABLE IF EXISTS example_visit".idempotent()).await?;
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_visit (page VARCHAR(20))".idempotent()).await?;
    let shown = show(&exec).await;
    exec.query_drop("DROP TABLE IF EXISTS example_visit".idempotent()).await?;
    println!("in all: {:?}", exec.counters());
    exec.close().await?;
    shown
}

/// A proxy in front of our database answers 4567 when it has no room, before it passes the statement on. The built-in
/// table does not know this number and takes it for an error of the statement.
fn busy_proxy(error: &mysql_async::Error, built_in: Classification) -> Classification {
    match error {
        mysql_async::Error::Server(server) if server.code == 4567 => {
            Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted)
        }
        _ => built_in,
    }
}

/// For a log; a hook is called by the task that made the call, so it should be quick.
fn log(event: &Event<'_>) {
    match event {
        Event::ConnectionLost { error, attempt, .. } => println!("  attempt {attempt} lost: {error}"),
        Event::RetryScheduled { after, outcome, .. } => println!("  {outcome:?}, again after {after:.0?}"),
        Event::Recovered { attempts, elapsed, .. } => {
            println!("  recovered at attempt {attempts}, after {elapsed:.0?}")
        }
        Event::GaveUp { .. } => println!("  gave up"),
        _ => {}
    }
}

async fn show(exec: &Executor) -> Result<()> {
    println!("A read whose connection is killed while it runs:");
    let read = "SELECT SLEEP(1) FROM DUAL /* example_visit */".idempotent();
    let (read, killed) = tokio::join!(exec.query_drop(read), kill_while_it_runs(exec));
    killed?;
    read?;
    expect(exec.counters().recovered == 1, "the read was replayed and succeeded")?;

    println!("A visit, while our proxy has no room:");
    let busy = "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 4567, MESSAGE_TEXT = 'no room'";
    let error = failure(exec.query_drop(busy).await, "the busy proxy's error")?;
    expect(error.outcome() == Outcome::NotExecuted, "the proxy had not passed it on")?;
    expect(error.attempts() == 3, "not annotated, but proved not executed: sent again")?;

    println!("A report that must not keep anybody waiting, with a policy of its own:");
    let hasty = RetryPolicy::builder().attempt_timeout(Duration::from_millis(300)).max_replays(1).build()?;
    let report = "SELECT SLEEP(5)".idempotent();
    let error = failure(exec.with_policy(&hasty).query_drop(report).await, "the slow report")?;
    expect(error.is_timeout() && error.attempts() == 2, "cut twice by attempt_timeout")?;
    expect(error.elapsed() < Duration::from_secs(3), "cut long before its end")?;

    println!("A visit on the same executor, with no retries at all:");
    let visit = "INSERT INTO example_visit (page) VALUES (?)";
    match exec.with_policy(&RetryPolicy::none()).exec_drop(visit, ("home",)).await {
        Ok(summary) => println!("  {} row", summary.affected_rows()),
        Err(error) => match error.outcome() {
            Outcome::NotExecuted => println!("  not noted, may be tried again: {error}"),
            Outcome::Failed => println!("  not noted, the server answered with an error: {error}"),
            Outcome::Unknown => println!("  look before you try again: {error}"),
        },
    }
    let visits: Option<u64> = exec.query_first("SELECT COUNT(*) FROM example_visit".idempotent()).await?;
    expect(visits == Some(1), "the visit is there once")?;

    let counters = exec.counters();
    expect(counters.gave_up == 2 && counters.losses >= 6, "the counters have seen it all")
}

/// As an administrator would, on a raw connection.
async fn kill_while_it_runs(exec: &Executor) -> Result<()> {
    let mut conn = exec.connection().await?;
    let running = "SELECT id FROM information_schema.processlist \
                   WHERE info LIKE '%example_visit%' AND state = 'User sleep'";
    for _ in 0..100 {
        if let Some(id) = conn.query_first::<u64, _>(running).await? {
            return Ok(conn.query_drop(format!("KILL {id}")).await?);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the read was not seen running within 1 s".into())
}

/// The error that a call has to end with here.
fn failure<T>(result: mysql_retry::Result<T>, what: &str) -> Result<Error> {
    let Err(error) = result else {
        return Err(format!("{what}: should have failed").into());
    };
    println!("  outcome {:?}, code {:?}, reason: {}", error.outcome(), error.code(), error.reason());
    Ok(error)
}

fn expect(kept: bool, what: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(format!("this should hold and does not: {what}").into()) }
}
