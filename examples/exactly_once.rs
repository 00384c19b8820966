//! An order that is placed exactly once, though the caller never got the reply to COMMIT.
//!
//! The order has a key of its own, which the guard writes to its table in the same transaction. The first call is given up
//! after COMMIT was executed and before the reply arrived. The second call, with the same key, learns from the guard's
//! table that the order has been placed, and its number. So does a program that was killed and started again.
//!
//! Run it with `cargo run --example exactly_once`. It starts a server of its own.

use mysql_retry::{Annotate, Done, Error, Executor, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When};

async fn place_order(exec: &Executor) -> Result<Done<u64>, Error> {
    exec.transaction(TxOpts::default(), |mut tx| async move {
        tx.exec_drop("INSERT INTO placed (item) VALUES (?)", ("a lamp",)).await?;
        Ok(tx.last_insert_id().unwrap_or_default())
    })
    // The customer's browser made the key, and sends it again with the same order.
    .exactly_once("order 4711")
    // What a later call with this key gets.
    .payload(|number| number.to_string().into_bytes())
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start().await;
    let proxy = Proxy::start(&server).await;
    let exec = Executor::new(proxy.opts())?;
    let create = "CREATE TABLE IF NOT EXISTS placed (number INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(20))";
    exec.query_drop(create.idempotent()).await?;
    exec.create_guard_table().await?;

    // The proxy forwards COMMIT, and keeps the reply to itself.
    proxy.rule(Rule::new(When::text("COMMIT"), Place::AfterRequestWhenAnswered, Fault::Silence));
    tokio::select! {
        done = place_order(&exec) => return Err(format!("a reply arrived: {done:?}").into()),
        () = proxy.wait_fired(1) => println!("the first call is given up while it waits for the reply"),
    }

    match place_order(&exec).await? {
        Done::Now(number) => return Err(format!("the order was placed twice, now as {number}").into()),
        Done::Before { payload, .. } => {
            let number = String::from_utf8(payload.unwrap_or_default())?;
            println!("the second call: it had been placed before, as number {number}");
            assert_eq!(number, "1");
        }
    }

    let placed: Vec<u64> = exec.query("SELECT number FROM placed".idempotent()).await?;
    println!("orders in the table: {placed:?}");
    assert_eq!(placed, [1]);
    Ok(exec.close().await?)
}
