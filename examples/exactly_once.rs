//! One order, though the program is killed between COMMIT and its reply and started again.
//!
//! Nothing that the program remembers survives that: only what it wrote in the same transaction does. So the order
//! has a key of its own, and the guard's table tells the second start that the first one's COMMIT took effect.
//!
//! The program starts itself as the shop. The first shop stops after it has sent COMMIT, without having read the reply,
//! and is killed there; the second one is told to place the same order.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example exactly_once`; it makes the tables
//! `example_order` and `example_guard` there and drops them again.

use std::{
    env,
    future::{IntoFuture, poll_fn},
    process::{Child, Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use mysql_retry::{Annotate, Done, Error, Executor, TxOpts};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The order's key: the customer's browser made it, and sends it again with the same order.
const KEY: &str = "order 4711";

#[tokio::main]
async fn main() -> ExitCode {
    let Ok(url) = env::var("DATABASE_URL") else {
        eprintln!("set DATABASE_URL to a database to try this in, such as mysql://root@127.0.0.1:3306/test");
        return ExitCode::from(2);
    };
    let done = match env::args().nth(1).as_deref() {
        None => run(&url).await,
        Some("shop") => shop(&url, false).await,
        Some("shop-that-stops") => shop(&url, true).await,
        Some(other) => Err(format!("no argument is needed, and {other} is not known").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("exactly_once: {error}");
            ExitCode::FAILURE
        }
    }
}

fn executor(url: &str) -> Result<Executor> {
    Ok(Executor::builder().guard_table("example_guard").build(url)?)
}

/// Places the order and prints what became of it.
async fn shop(url: &str, stops: bool) -> Result<()> {
    let exec = executor(url)?;
    let written = AtomicBool::new(false);
    let placing = exec
        .transaction(TxOpts::default(), |mut tx| {
            let written = &written;
            async move {
                let placed = tx.exec_drop("INSERT INTO example_order (item) VALUES (?)", ("a lamp",)).await?;
                written.store(true, Relaxed);
                Ok::<_, Error>(placed.last_insert_id().unwrap_or_default())
            }
        })
        .exactly_once(KEY)
        // what a later call with this key is told
        .payload(|number| number.to_string().into_bytes());

    if stops {
        let mut placing = placing.into_future();
        // Once the closure has returned, the same poll sends COMMIT and begins to wait for the reply.
        poll_fn(|cx| match placing.as_mut().poll(cx) {
            Poll::Pending if written.load(Relaxed) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(Err("the reply to COMMIT was there before it could be left unread")),
        })
        .await?;
        // Nobody reads that reply. We are killed here; not by the end of main, should nobody do it.
        tokio::time::sleep(Duration::from_secs(20)).await;
        std::process::exit(3);
    }

    match placing.await? {
        Done::Now(number) => println!("now {number}"),
        Done::Before { payload } => println!("before {}", String::from_utf8_lossy(&payload.unwrap_or_default())),
    }
    exec.close().await?;
    Ok(())
}

async fn run(url: &str) -> Result<()> {
    let exec = executor(url)?;
    drop_tables(&exec).await?;
    exec.query_drop(
        "CREATE TABLE IF NOT EXISTS example_order (number INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(20)) \
         ENGINE=InnoDB"
            .idempotent(),
    )
    .await?;
    exec.create_guard_table().await?;
    let shown = show(&exec).await;
    drop_tables(&exec).await?;
    exec.close().await?;
    shown
}

async fn drop_tables(exec: &Executor) -> Result<()> {
    exec.query_drop("DROP TABLE IF EXISTS example_order, example_guard".idempotent()).await?;
    Ok(())
}

async fn show(exec: &Executor) -> Result<()> {
    println!("The shop places an order, and is killed after COMMIT was executed and before it reads the reply:");
    let mut first = start("shop-that-stops")?;
    let committed = wait_for_order(exec).await;
    first.kill()?;
    let ended = first.wait()?;
    committed?;
    println!("  killed ({ended}); orders in the table: {:?}", orders(exec).await?);
    expect(ended.code().is_none(), "the first shop was killed and did not end by itself")?;

    println!("It is started again with the same order:");
    let answer = start("shop")?.wait_with_output()?;
    let said = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    let orders = orders(exec).await?;
    println!("  it says \"{said}\"; orders in the table: {orders:?}");
    expect(answer.status.success(), "the second shop ended well")?;
    expect(orders.len() == 1, "there is one order")?;
    expect(said == format!("before {}", orders[0]), "the second shop knows that it was placed, and its number")
}

/// This program again, in another process.
fn start(role: &str) -> Result<Child> {
    Ok(Command::new(env::current_exe()?).arg(role).stdout(Stdio::piped()).spawn()?)
}

/// Waits until the order is seen from another connection: it has been committed.
async fn wait_for_order(exec: &Executor) -> Result<()> {
    for _ in 0..500 {
        if !orders(exec).await?.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err("the first shop had placed no order within 10 s".into())
}

async fn orders(exec: &Executor) -> Result<Vec<u64>> {
    Ok(exec.query("SELECT number FROM example_order".idempotent()).await?)
}

fn expect(kept: bool, what: &str) -> Result<()> {
    if kept { Ok(()) } else { Err(format!("this should hold and does not: {what}").into()) }
}
