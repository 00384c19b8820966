//! Exactly once: how it works, its table, and what it needs.
//!
//! A transaction or statement with a [`Token`](crate::Token) is executed once, also when the reply to COMMIT is lost or the
//! program is killed and started again:
//!
//! ```no_run
//! use mysql_retry::{Done, Executor, TxOpts};
//!
//! # async fn f(exec: &Executor) -> mysql_retry::Result<()> {
//! let paid = exec
//!     .transaction(TxOpts::default(), |mut tx| async move {
//!         tx.exec_drop("UPDATE account SET balance = balance - ? WHERE id = ?", (100, 3)).await?;
//!         tx.exec_drop("INSERT INTO payment (account, amount) VALUES (?, ?)", (3, 100)).await
//!     })
//!     .exactly_once("order 4711")
//!     .await?;
//! match paid {
//!     Done::Now(_) => println!("paid"),
//!     Done::Before { .. } => println!("had been paid before"),
//! }
//! # Ok(()) }
//! ```
//!
//! # How a lost COMMIT is resolved
//!
//! 1. The text that begins the transaction also inserts a row with the token. The row is committed with the work. It costs no
//!    additional round trip.
//! 2. If the reply to COMMIT is lost, the transaction is run again from its start, and inserts the token again.
//! 3. A duplicate key proves that the lost COMMIT took effect. The call returns [`Done::Before`](crate::Done::Before), or
//!    `Done::Now` where the row is that of the call itself.
//! 4. Success proves that the lost COMMIT did not take effect and never will: the unique key makes the insert wait for a
//!    transaction that still holds the same token.
//!
//! The fourth step holds on the server of the lost COMMIT. On another server, and on a Galera node, a token that can be taken
//! proves nothing yet: there the work is decided by the COMMIT of the new run, and an error before it is `Unknown`.
//!
//! No clock is needed for that, and no privilege but those on the table. If the policy ends before the answer is known, the
//! outcome is [`Unknown`](crate::Outcome::Unknown): call again with the same token.
//!
//! A token names the work, not the attempt: an order number, the id of a message. Then every caller that comes with it gets
//! the same answer, also after a crash. [`Token::random`](crate::Token::random) holds within one call only.
//!
//! # The table
//!
//! The table lives in the same database as the work. [`Executor::create_guard_table`](crate::Executor::create_guard_table)
//! creates it; or create it in a migration, with the statement that [`Executor::guard_ddl`](crate::Executor::guard_ddl)
//! returns. [`ExecutorBuilder::guard_table`](crate::ExecutorBuilder::guard_table) sets its name.
//!
//! ```
//! # fn f() -> mysql_retry::Result<()> {
//! let exec = mysql_retry::Executor::from_url("mysql://app:secret@db.example/shop")?;
//! assert_eq!(
//!     exec.guard_ddl(),
//!     "CREATE TABLE IF NOT EXISTS `mysql_retry_guard` (\
//!      token VARBINARY(255) NOT NULL PRIMARY KEY, \
//!      owner BINARY(16) NOT NULL, \
//!      payload VARBINARY(4096), \
//!      created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
//!      KEY created (created)) ENGINE=InnoDB"
//! );
//! # Ok(()) }
//! # f().unwrap();
//! ```
//!
//! * The table must be transactional (InnoDB), and so must the tables that the work writes.
//! * The user needs the rights to select, insert and update in it, to delete for `purge_guard`, and to create it for
//!   `create_guard_table`.
//!
//! # Purging old tokens
//!
//! A row stays until [`Executor::purge_guard`](crate::Executor::purge_guard) removes it. Keep rows for longer than any caller
//! may come back with an old token: without its row, the work is done again.
//!
//! # What is not guarded
//!
//! * Effects outside of the database. A mail that the closure sends is sent again when the closure runs again.
//! * Commits that asynchronous replication loses in a failover. The token's row is lost with its work, so that a call with the
//!   same token does the work again ([Outages](crate::docs::outages#what-a-failover-cannot-keep)). With synchronous replication
//!   (a Galera cluster) the work is done once across all nodes.
