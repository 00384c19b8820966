//! A switchover under load: the replica takes over from the primary, and no caller notices.
//!
//! Statements go to the first of several targets that is up and takes writes. When the primary refuses writes (1290), all
//! callers that want to write wait while one task asks both servers. When the replica is the primary, they go on there. An
//! INSERT that was refused was certainly not executed, so each order is there once, without any annotation.
//!
//! Run it with `cargo run --example failover`. It starts a primary and a replica of its own.

use std::{error::Error, time::Duration};

use mysql_retry::{Event, Executor};
use mysql_retry_fixture::Pair;
use tokio::time::sleep;

const CLERKS: u32 = 8;
const ORDERS: u32 = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("starting a primary and its replica ...");
    let pair = Pair::start().await;
    pair.first().query_drop("CREATE TABLE placed (clerk INT, number INT, PRIMARY KEY (clerk, number))").await;
    let exec = Executor::builder().on_event(log).build_targets([pair.opts(0), pair.opts(1)])?;

    let clerks: Vec<_> = (0..CLERKS).map(|clerk| tokio::spawn(place_orders(exec.clone(), clerk))).collect();
    sleep(Duration::from_millis(300)).await;
    println!("the primary takes no more writes, the replica catches up and is promoted");
    pair.demote(0).await;
    pair.catch_up(1).await;
    pair.promote(1).await;
    for clerk in clerks {
        clerk.await??;
    }

    let placed: Option<u32> = pair.second().query_first("SELECT COUNT(*) FROM placed").await;
    println!("{} orders were placed, and the new primary has {placed:?}", CLERKS * ORDERS);
    assert_eq!(placed, Some(CLERKS * ORDERS));
    Ok(exec.close().await?)
}

/// One clerk's orders, one after the other.
async fn place_orders(exec: Executor, clerk: u32) -> mysql_retry::Result<()> {
    for number in 0..ORDERS {
        exec.exec_drop("INSERT INTO placed VALUES (?, ?)", (clerk, number)).await?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// What happens to the servers is an event once, however many callers there are.
fn log(event: &Event<'_>) {
    match event {
        Event::Down { address, why, .. } => println!("  {address} is down: {why}"),
        Event::Moved { from, to, .. } => println!("  moved from {from} to {to}"),
        Event::Back { address, lasted, waiting, .. } => {
            println!("  {address} is in use after {lasted:.0?}; {waiting} calls had waited");
        }
        _ => {}
    }
}
