//! A cluster of Group Replication (InnoDB Cluster) whose primary changes under load.
//!
//! The executor is given all nodes. It asks them which one takes writes, and works there. Here an administrator makes another
//! node the primary. The old one ends open transactions and refuses writes, so calls wait until a node takes writes again. An
//! order that was on its way is sent again, as its statement is annotated: twice it gives the same row.
//!
//! From MySQL 8.1 on any user will do. Before, a node that has lost its group is noticed only with
//! `GRANT SELECT ON performance_schema.replication_group_members TO app`.
//!
//! Run it with `DATABASE_URLS=mysql://root@one/test,mysql://root@two/test,mysql://root@three/test cargo run --example cluster`.
//! It makes a table `example_order` there and drops it again, and the primary stays where it was moved to.

use std::{error::Error, time::Duration};

use mysql_retry::mysql_async::{Conn, Opts, prelude::Queryable};
use mysql_retry::{Annotate, Event, Executor, Statement};
use tokio::time::sleep;

const CLERKS: u32 = 8;
const ORDERS: u32 = 100;

const PLACE: Statement = Statement::new("REPLACE INTO example_order (clerk, number) VALUES (?, ?)").idempotent();

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let urls = std::env::var("DATABASE_URLS").map_err(|_| "set DATABASE_URLS to the URLs of the nodes, with commas")?;
    let nodes = urls.split(',').map(Opts::from_url).collect::<Result<Vec<_>, _>>()?;
    let exec = Executor::builder().on_event(log).build_targets(nodes.clone())?;
    let table = "CREATE TABLE IF NOT EXISTS example_order (clerk INT, number INT, PRIMARY KEY (clerk, number))";
    exec.query_drop(table.idempotent()).await?;

    let clerks: Vec<_> = (0..CLERKS).map(|clerk| tokio::spawn(place_orders(exec.clone(), clerk))).collect();
    sleep(Duration::from_millis(300)).await;
    switch(&nodes).await?;
    for clerk in clerks {
        clerk.await??;
    }

    let placed: Option<u32> = exec.query_first("SELECT COUNT(*) FROM example_order".idempotent()).await?;
    println!("{} orders were placed, and the new primary has {placed:?}", CLERKS * ORDERS);
    assert_eq!(placed, Some(CLERKS * ORDERS));
    exec.query_drop("DROP TABLE IF EXISTS example_order".idempotent()).await?;
    Ok(exec.close().await?)
}

/// One clerk's orders, one after the other.
async fn place_orders(exec: Executor, clerk: u32) -> mysql_retry::Result<()> {
    for number in 0..ORDERS {
        exec.exec_drop(PLACE, (clerk, number)).await?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Makes the first secondary the primary, as an administrator would before the maintenance of a node.
async fn switch(nodes: &[Opts]) -> Result<(), Box<dyn Error>> {
    for node in nodes {
        let mut conn = Conn::new(node.clone()).await?;
        if conn.query_first("SELECT @@super_read_only").await? == Some(1) {
            println!("{}:{} becomes the primary", node.ip_or_hostname(), node.tcp_port());
            // transactions that are open after a second are ended
            conn.query_drop("SELECT group_replication_set_as_primary(@@server_uuid, 1)").await?;
            return Ok(conn.disconnect().await?);
        }
    }
    Err("no node is a secondary".into())
}

/// What happens to the nodes is an event once, however many callers there are.
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
