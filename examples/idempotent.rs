//! Saying which statements may run twice: in place, and once for all in a `const`.
//!
//! Only the author of a statement knows whether running it twice does harm. Here the connection is killed while a
//! statement runs: an annotated one is replayed and succeeds, one that is not annotated fails, and the error says
//! what became of it.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example idempotent`; it makes a table
//! `example_rate` there and drops it again.

use std::{process::ExitCode, time::Duration};

use mysql_retry::mysql_async::{Conn, prelude::Queryable};
use mysql_retry::{Annotate, Executor, Outcome, Statement};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A read. Takes two seconds, so that there is time to kill its connection.
const RATE: Statement =
    Statement::new("SELECT rate FROM example_rate WHERE currency = ? AND SLEEP(2) = 0").idempotent();

/// Run twice it leaves what it left the first time: the key is given, and so is the value.
const SET_RATE: Statement =
    Statement::new("INSERT INTO example_rate (currency, rate) VALUES (?, ?) ON DUPLICATE KEY UPDATE rate = ?")
        .idempotent();

/// Run twice it would raise the rate twice. So there is no annotation, and it is delivered at most once.
const RAISE_RATE: Statement =
    Statement::new("UPDATE example_rate SET rate = rate + 1 WHERE currency = ? AND SLEEP(2) = 0");

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = std::env::var("DATABASE_URL") else {
        eprintln!("set DATABASE_URL to a database to try this in, such as mysql://root@127.0.0.1:3306/test");
        return ExitCode::from(2);
    };
    match run(&url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idempotent: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str) -> Result<()> {
    let exec = Executor::from_url(url)?;
    // annotated in place; DROP and CREATE say themselves what is to happen the second time
    exec.query_drop("DROP TABLE IF EXISTS example_rate".idempotent()).await?;
    exec.query_drop("CREATE TABLE IF NOT EXISTS example_rate (currency CHAR(3) PRIMARY KEY, rate INT)".idempotent())
        .await?;
    let shown = show(&exec, url).await;
    exec.query_drop("DROP TABLE IF EXISTS example_rate".idempotent()).await?;
    exec.close().await?;
    shown
}

async fn show(exec: &Executor, url: &str) -> Result<()> {
    exec.exec_drop(SET_RATE, ("EUR", 7, 7)).await?;

    let (rate, killed) = tokio::join!(exec.exec_first::<i32, _, _>(RATE, ("EUR",)), kill_while_it_runs(url));
    killed?;
    let replays = exec.counters().replays;
    println!("annotated: the rate is {:?}; the connection was killed, the statement replayed {replays} time", rate?);
    if replays != 1 {
        return Err("the annotated statement was not replayed once".into());
    }

    let (raised, killed) = tokio::join!(exec.exec_drop(RAISE_RATE, ("EUR",)), kill_while_it_runs(url));
    killed?;
    match raised {
        Ok(_) => return Err("the UPDATE succeeded though its connection was killed".into()),
        Err(error) => match error.outcome() {
            // its connection was killed: neither a proof nor an answer of the server is to be had
            Outcome::NotExecuted | Outcome::Failed => return Err(error.into()),
            Outcome::Unknown => {
                println!("not annotated: {error}");
                // what to do with 'unknown': look
                let rate: Option<i32> =
                    exec.exec_first("SELECT rate FROM example_rate WHERE currency = ?".idempotent(), ("EUR",)).await?;
                println!("so it looks: the rate is {rate:?}");
                if rate != Some(7) && rate != Some(8) {
                    return Err("the rate was raised more than once".into());
                }
            }
        },
    }
    Ok(())
}

/// Waits until a statement of ours sleeps in the server, and kills its connection, as an administrator would.
async fn kill_while_it_runs(url: &str) -> Result<()> {
    let mut conn = Conn::from_url(url).await?;
    for _ in 0..100 {
        let running: Option<u64> = conn
            .query_first(
                "SELECT id FROM information_schema.processlist \
                 WHERE info LIKE '%example_rate%' AND state = 'User sleep'",
            )
            .await?;
        if let Some(id) = running {
            conn.query_drop(format!("KILL {id}")).await?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the statement was not seen running within 2 s".into())
}
