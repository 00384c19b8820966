//! Moving a program from `mysql_async`: what each item of the driver's API is here.
//!
//! # The move
//!
//! 1. In `Cargo.toml`: `mysql-retry` beside, or in place of, `mysql_async`. Types of the driver come from
//!    [`mysql_retry::mysql_async`](mysql_async), so that there is one version of it.
//! 2. `Executor::from_url(url)?` for `Pool::from_url(url)?`; the type in the program's state is [`Executor`](crate::Executor).
//! 3. `use mysql_retry::prelude::*` for `use mysql_async::prelude::*`.
//! 4. `let mut conn = pool.get_conn().await?` stays, and is a [`Session`](crate::Session). Where a statement stands alone, leave
//!    it out: `pool.query(..)` is quicker, and survives more.
//! 5. Transactions stay ([`start_transaction`](crate::Session::start_transaction)), or become closures that are run again after a loss,
//!    [`Executor::transaction`](crate::Executor::transaction).
//! 6. [`replay_reads`](crate::RetryPolicyBuilder::replay_reads) in the policy; annotate writes at your own pace.
//!
//! ```
//! use mysql_retry::{Executor, Result, RetryPolicy, prelude::*};
//!
//! // takes `&pool`, a session or a transaction, as it took a `&mut Conn`
//! async fn rename(mut conn: impl Queryable, id: u64, name: &str) -> Result<()> {
//!     "UPDATE item SET name = ? WHERE id = ?".idempotent().with((name, id)).ignore(&mut conn).await
//! }
//!
//! # async fn f() -> Result<()> {
//! let policy = RetryPolicy::builder().replay_reads(true).build()?;
//! let pool = Executor::builder().policy(policy).build("mysql://app:secret@db.example/shop")?;
//! rename(&pool, 7, "lamp").await?;
//!
//! let mut conn = pool.get_conn().await?;
//! let mut result = conn.query_iter("SELECT id, name FROM item").await?;
//! println!("{} columns", result.columns_ref().len());
//! let items: Vec<(u64, String)> = result.collect().await?;
//! # Ok(()) }
//! ```
//!
//! Three programs in `examples/migrated` (an actor with a reconnect of its own, a store with temporary tables and transactions, the
//! handlers of a web service) are there on the bare driver and moved: two or three lines of about sixty are other ones.
//!
//! # Errors
//!
//! `?` turns an [`Error`](crate::Error) into a `mysql_async::Error` and back, so that a function may keep its type. An answer of
//! the server is the driver's `Error::Server` then; everything else is `Error::Other` with this crate's error inside.
//!
//! Code that is generic over the driver's `AsQuery` or `StatementLike` takes [`Unguarded`](crate::Unguarded) instead.
//!
//! # What the compiler says
//!
//! A transaction's closure may run several times, and its future outlives the call of the closure. So:
//!
//! * **"type annotations needed"** (E0283): nothing says which error the closure returns. Name it where it ends.
//!
//! ```compile_fail,E0283
//! # use mysql_retry::{Executor, TxOpts};
//! # async fn f(exec: Executor) -> mysql_retry::Result<()> {
//! exec.transaction(TxOpts::default(), |mut tx| async move {
//!     tx.query_drop("DELETE FROM basket").await?;
//!     Ok(())
//! })
//! .await?;
//! # Ok(()) }
//! ```
//!
//! ```
//! # use mysql_retry::{Executor, TxOpts};
//! # async fn f(exec: Executor) -> mysql_retry::Result<()> {
//! exec.transaction(TxOpts::default(), |mut tx| async move {
//!     tx.query_drop("DELETE FROM basket").await?;
//!     Ok::<_, mysql_retry::Error>(())
//! })
//! .await?;
//! # Ok(()) }
//! ```
//!
//! * **"cannot move out of `names`, a captured variable in an `FnMut` closure"** (E0507): `async move` takes what the next run needs.
//!   Borrow it first.
//!
//! ```compile_fail,E0507
//! # use mysql_retry::{Executor, TxOpts};
//! # async fn f(exec: Executor, names: Vec<String>) -> mysql_retry::Result<()> {
//! exec.transaction(TxOpts::default(), |mut tx| async move {
//!     for name in names.iter() {
//!         tx.exec_drop("INSERT INTO item (name) VALUES (?)", (name,)).await?;
//!     }
//!     Ok::<_, mysql_retry::Error>(())
//! })
//! .await
//! # }
//! ```
//!
//! ```
//! # use mysql_retry::{Executor, TxOpts};
//! # async fn f(exec: Executor, names: Vec<String>) -> mysql_retry::Result<()> {
//! let names = &names;
//! exec.transaction(TxOpts::default(), |mut tx| async move {
//!     for name in names.iter() {
//!         tx.exec_drop("INSERT INTO item (name) VALUES (?)", (name,)).await?;
//!     }
//!     Ok::<_, mysql_retry::Error>(())
//! })
//! .await
//! # }
//! ```
//!
//! * **"captured variable cannot escape `FnMut` closure body"**: the closure changes something outside, which a rollback would not
//!   undo. Return it.
//!
//! ```compile_fail
//! # use mysql_retry::{Executor, TxOpts};
//! # async fn f(exec: Executor) -> mysql_retry::Result<()> {
//! let mut rows = 0;
//! exec.transaction(TxOpts::default(), |mut tx| {
//!     let rows = &mut rows;
//!     async move {
//!         tx.query_drop("DELETE FROM basket").await?;
//!         *rows += tx.affected_rows();
//!         Ok::<_, mysql_retry::Error>(())
//!     }
//! })
//! .await
//! # }
//! ```
//!
//! ```
//! # use mysql_retry::{Executor, TxOpts};
//! # async fn f(exec: Executor) -> mysql_retry::Result<u64> {
//! exec.transaction(TxOpts::default(), |mut tx| async move {
//!     tx.query_drop("DELETE FROM basket").await?;
//!     Ok::<_, mysql_retry::Error>(tx.affected_rows())
//! })
//! .await
//! # }
//! ```
//!
//! * **"expected `()`, found `Summary`"** (E0308): an executor's `_drop` methods return what the statement has changed, because its next
//!   statement may run on another connection, which could not be asked. Drop that, or call the method of the trait, as code that is
//!   generic does. A session's and a transaction's return `()`.
//!
//! ```compile_fail,E0308
//! # use mysql_retry::Executor;
//! async fn empty(exec: &Executor) -> mysql_retry::Result<()> {
//!     exec.query_drop("DELETE FROM basket").await
//! }
//! ```
//!
//! ```
//! # use mysql_retry::Executor;
//! async fn empty(exec: &Executor) -> mysql_retry::Result<()> {
//!     exec.query_drop("DELETE FROM basket").await.map(drop)
//! }
//! ```
//!
//! # Item by item
//!
//! "The same": name, arguments and meaning are the driver's.
//!
//! | driver | here |
//! |---|---|
//! | `Pool::new`, `Pool::from_url` | [`Executor::new`](crate::Executor::new), [`from_url`](crate::Executor::from_url), [`builder`](crate::Executor::builder); wrong options are an error, no panic |
//! | `Pool::get_conn` | [`Executor::get_conn`](crate::Executor::get_conn): a session; a `Conn` of the driver is borrowed with [`connection`](crate::Executor::connection) |
//! | `Pool::start_transaction`, and that of a connection | the same, with an [`OpenTransaction`](crate::OpenTransaction), which nothing runs again; better [`Executor::transaction`](crate::Executor::transaction), a closure that can be run again |
//! | `Pool::disconnect` | [`close`](crate::Executor::close), [`close_within`](crate::Executor::close_within) |
//! | `Pool::metrics` | not there; [`counters`](crate::Executor::counters) has connections, losses, replays, outages, and the feature `metrics` more |
//! | `Queryable::ping` | the same on executor and session |
//! | `Queryable::query`, `Queryable::query_first`, `Queryable::query_map`, `Queryable::query_fold` | the same; all rows have arrived when a closure of `query_map` is called, or that of a fold of an idempotent statement; a row that does not fit is an error, no panic |
//! | `Queryable::exec`, `Queryable::exec_first`, `Queryable::exec_map`, `Queryable::exec_fold` | the same |
//! | `Queryable::query_drop`, `Queryable::exec_drop` | the same; those of the [`Executor`](crate::Executor) itself return a [`Summary`](crate::Summary), not `()` |
//! | `Queryable::query_iter`, `Queryable::exec_iter` | the same, with a [`QueryResult`](crate::QueryResult) that is in memory |
//! | `Queryable::query_stream`, `Queryable::exec_stream` | the same; a loss after the first row surfaces |
//! | `Queryable::exec_batch` | the same; replayed as a whole, and only if annotated |
//! | `Queryable::prep`, `Queryable::close` | the same, with a [`Prepared`](crate::Prepared) that is bound to no connection; not needed, as the methods take text too, and each connection keeps what it has prepared |
//! | `Query::run`, `Query::first`, `Query::fetch`, `Query::reduce`, `Query::map`, `Query::ignore` | the same, on [`Query`](crate::prelude::Query); `with` and `batch` too |
//! | `Query::stream` | `query_stream`, `exec_stream` |
//! | `QueryResult::is_empty`, `QueryResult::columns`, `QueryResult::columns_ref` | the same |
//! | `QueryResult::affected_rows`, `QueryResult::last_insert_id`, `QueryResult::warnings`, `QueryResult::info` | the same; known before the rows were read |
//! | `QueryResult::collect`, `QueryResult::try_collect`, `QueryResult::for_each`, `QueryResult::map`, `QueryResult::reduce`, each with `_and_drop`, `QueryResult::drop_result` | the same; a row that does not fit is an error, no panic |
//! | `QueryResult::new`, `QueryResult::next` | not there |
//! | `Conn::new`, `Conn::from_url` | the executor connects; [`get_conn`](crate::Executor::get_conn) |
//! | `Conn::id`, `Conn::affected_rows`, `Conn::last_insert_id`, `Conn::get_warnings`, `Conn::info` | the same on a session and in a transaction |
//! | `Conn::is_disconnected` | not needed: a connection is looked at before each statement; [`Error::disconnect`](crate::Error::disconnect) tells of a loss |
//! | `Conn::reset`, `Conn::reset_connection`, `Conn::change_user` | done where it is needed; on a borrowed connection by the driver |
//! | `Conn::disconnect` | drop the session: its connection goes back |
//! | `Conn::opts`, `Conn::server_version`, `Conn::last_ok_packet` | on a borrowed connection |
//! | `Conn::set_infile_handler` | the handler in the options, for all connections; for one statement on a [`connection`](crate::Executor::connection) of the driver |
//! | `Transaction::commit`, `Transaction::rollback` | the same; in a closure it returns `Ok`, or an error |
//! | `TxOpts` and its methods | the same type |
//!
//! # What is not possible
//!
//! An owned `Conn`, for a binary log stream or for another crate that wants one: make it with the driver itself, from
//! [`Opts`](mysql_async::Opts). Such a connection is none of the executor's.
