//! A switchover under load: the primary is made read-only, its replica takes over, and no caller notices.
//!
//! Statements go to the first of several targets that is up and takes writes. When the primary refuses writes (1290), all
//! who want to write wait while one task asks both servers; when the replica has been promoted, they are released and go
//! there. An INSERT that was refused was certainly not executed, so that each order is there once, without any annotation.
//!
//! Run it with `cargo run --example failover`; it starts a primary and a replica of its own.

use std::{error::Error, process::ExitCode, time::Duration};

use mysql_retry::{Event, Executor};
use mysql_retry_fixture::Pair;

const CLERKS: u32 = 8;
const ORDERS: u32 = 100;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failover: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    println!("starting a primary and its replica ...");
    let pair = Pair::start().await;
    pair.first().query_drop("CREATE TABLE placed (clerk INT, number INT, PRIMARY KEY (clerk, number))").await;
    let exec = Executor::builder().on_event(tell).build_targets([pair.opts(0), pair.opts(1)])?;

    let clerks: Vec<_> = (0..CLERKS).map(|clerk| tokio::spawn(work(exec.clone(), clerk))).collect();
    tokio::time::sleep(Duration::from_millis(300)).await;

    println!("the primary takes no more writes, the replica catches up and is promoted");
    pair.demote(0).await;
    pair.catch_up(1).await;
    pair.promote(1).await;

    let mut placed = 0;
    for clerk in clerks {
        placed += clerk.await??;
    }
    let found: Option<u32> = pair.second().query_first("SELECT COUNT(*) FROM placed").await;
    println!("{placed} orders were placed, and the new primary has {found:?}; {:?}", exec.counters());
    exec.close().await?;
    if (placed, found) != (CLERKS * ORDERS, Some(CLERKS * ORDERS)) {
        return Err("an order is missing, or there twice".into());
    }
    Ok(())
}

/// Places orders one after the other, and returns how many.
async fn work(exec: Executor, clerk: u32) -> mysql_retry::Result<u32> {
    for number in 0..ORDERS {
        exec.exec_drop("INSERT INTO placed VALUES (?, ?)", (clerk, number)).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(ORDERS)
}

/// Prints what happens to the servers, which is told once, however many callers there are.
fn tell(event: &Event<'_>) {
    match event {
        Event::Down { address, why, .. } => println!("  {address}: {why}"),
        Event::Moved { from, to, .. } => println!("  from {from} to {to}"),
        Event::Back { address, lasted, waiting, .. } => {
            println!("  {address} is in use after {lasted:.0?}; {waiting} calls had waited");
        }
        _ => {}
    }
}
