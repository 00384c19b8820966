//! A transaction that runs again when its connection is lost half-way.
//!
//! Money moves between two accounts. The connection is killed between the two statements: the server rolls back, and the
//! executor runs the closure again on another connection. In the second transfer the closure itself refuses: its work is
//! rolled back, and its error comes back unchanged.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example transfer`. It makes a table
//! `example_account` there and drops it again.

use mysql_retry::{Annotate, Error, Executor, TxOpts};

/// An error of the program's own. The executor's becomes a part of it by `From`.
#[derive(Debug)]
enum Refused {
    TooPoor { missing: i64 },
    Database(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Database(error)
    }
}

/// Moves money from Anna (1) to Bert (2), and returns what Anna has left.
async fn transfer(exec: &Executor, amount: i64) -> Result<i64, Refused> {
    let change = "UPDATE example_account SET balance = balance + ? WHERE id = ?";
    exec.transaction(TxOpts::default(), |mut tx| async move {
        // The closure may run more than once, so it should do nothing that a rollback does not undo.
        println!("  run {}", tx.attempt());
        tx.exec_drop(change, (-amount, 1)).await?;
        if tx.attempt() == 1 {
            // as an administrator would; the next statement meets the loss
            let id: Option<u32> = tx.query_first("SELECT CONNECTION_ID()").await?;
            exec.query_drop(format!("KILL {}", id.unwrap_or_default())).await?;
        }
        tx.exec_drop(change, (amount, 2)).await?;
        match tx.query_first("SELECT balance FROM example_account WHERE id = 1").await?.unwrap_or_default() {
            left @ 0.. => Ok(left),
            debt => Err(Refused::TooPoor { missing: -debt }),
        }
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;
    let exec = Executor::from_url(&url)?;
    let create = "CREATE TABLE IF NOT EXISTS example_account (id INT PRIMARY KEY, balance BIGINT) ENGINE=InnoDB";
    exec.query_drop(create.idempotent()).await?;
    exec.query_drop("REPLACE INTO example_account VALUES (1, 100), (2, 0)".idempotent()).await?;
    let balances = "SELECT balance FROM example_account ORDER BY id".idempotent();

    println!("Anna has 100 and gives 30 to Bert:");
    match transfer(&exec, 30).await {
        Ok(left) => assert_eq!(left, 70),
        Err(Refused::TooPoor { missing }) => return Err(format!("{missing} are missing").into()),
        Err(Refused::Database(error)) => return Err(error.into()),
    }
    println!("  balances {:?}", exec.query::<i64, _>(balances).await?);

    println!("Anna gives 500:");
    let refused = transfer(&exec, 500).await;
    println!("  {refused:?}");
    assert!(matches!(refused, Err(Refused::TooPoor { missing: 430 })));
    let balances: Vec<i64> = exec.query(balances).await?;
    println!("  balances {balances:?}");
    assert_eq!(balances, [70, 30]);

    exec.query_drop("DROP TABLE IF EXISTS example_account".idempotent()).await?;
    Ok(exec.close().await?)
}
