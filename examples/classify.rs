//! Teaching the executor an error number.
//!
//! The proxy in front of this database answers 4567 when it has no room, before it passes the statement on. The built-in
//! table does not know the number and takes it for an error of the statement. `classify_with` says what it means: no
//! connection, and nothing executed. So even a statement without annotation is sent again.
//!
//! Run it with `DATABASE_URL=mysql://root@127.0.0.1:3306/test cargo run --example classify`.

use mysql_retry::{Classification, Disconnect, Executor, Outcome, RetryPolicy, mysql_async};

/// Gets each error of the driver, and what the built-in table makes of it.
fn busy_proxy(error: &mysql_async::Error, built_in: Classification) -> Classification {
    match error {
        mysql_async::Error::Server(server) if server.code == 4567 => {
            Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted)
        }
        _ => built_in,
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to the URL of a database to try this in")?;
    // the server plays the proxy
    let busy = "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 4567, MESSAGE_TEXT = 'no room'";

    let built_in = Executor::from_url(&url)?;
    let error = built_in.query_drop(busy).await.expect_err("there is no room");
    println!("built-in table: {error}");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::Failed, 1));

    let policy = RetryPolicy::builder().max_replays(2).classify_with(busy_proxy).build()?;
    let taught = Executor::builder().policy(policy).build(&*url)?;
    let error = taught.query_drop(busy).await.expect_err("there is still no room");
    println!("classify_with:  {error}");
    assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 3));

    built_in.close().await?;
    Ok(taught.close().await?)
}
