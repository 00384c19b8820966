//! Statements that survive a lost connection, without running twice.
//!
//! A program queries, works for longer than the server's `wait_timeout`, queries again, and gets `2006 MySQL server has
//! gone away` or `2013 Lost connection to MySQL server during query`. A blind retry fixes that, and now and then books
//! a payment twice: after a lost reply the client does not know whether the statement was executed.
//!
//! An [`Executor`] takes the place of a `mysql_async::Pool`. It runs each statement on a connection that was alive a moment
//! ago. When that connection is lost, the executor finds out what is proved about the statement, and sends it again only if
//! the statement tolerates that:
//!
//! ```no_run
//! use std::time::Duration;
//! use mysql_retry::{Annotate, Executor, Outcome, RetryPolicy, Statement};
//! use mysql_retry::mysql_async::prelude::*;
//!
//! const FIND: Statement = Statement::new("SELECT stock FROM item WHERE id = :id").idempotent();
//!
//! # async fn f() -> mysql_retry::Result<()> {
//! let exec = Executor::builder()
//!     .policy(RetryPolicy::builder().deadline(Duration::from_secs(10)).build()?)
//!     .build("mysql://app:secret@db.example/shop")?;
//!
//! // at least once: replayed until it succeeds or the policy ends
//! let stock: Option<u32> = exec.exec_first(FIND, params! { "id" => 7 }).await?;
//! exec.exec_drop("UPDATE item SET seen = 1 WHERE id = ?".idempotent(), (7,)).await?;
//!
//! // at most once, the default: sent again only while it is proved that it was not executed
//! match exec.exec_drop("INSERT INTO sale (item) VALUES (?)", (7,)).await {
//!     Ok(summary) => println!("sale {:?}", summary.last_insert_id()),
//!     Err(e) => match e.outcome() {
//!         Outcome::NotExecuted => println!("certainly no sale: {e}"),
//!         Outcome::Failed => println!("the server said no: {e}"),
//!         Outcome::Unknown => println!("look before you sell it again: {e}"),
//!     },
//! }
//! # Ok(()) }
//! ```
//!
//! # Which delivery do I need?
//!
//! Ask what a second run would do. If nothing: [`idempotent`](Annotate::idempotent). If harm, and you can look
//! afterwards: no annotation. If harm, and the program has to go on by itself:
//! [`exactly_once`](Annotate::exactly_once).
//!
//! | statement | write | why |
//! |---|---|---|
//! | `SELECT ..` | `.idempotent()` | a read may be repeated |
//! | `UPDATE .. SET x = 7 WHERE id = 3` | `.idempotent()` | the second run leaves what the first one left |
//! | `UPDATE .. SET x = x + 1` | `.exactly_once(token)`, or nothing | run twice it adds 2 |
//! | `INSERT ..` | `.exactly_once(token)`, or nothing | run twice it makes two rows, or fails with a duplicate key |
//! | `INSERT .. ON DUPLICATE KEY UPDATE x = 7`, `REPLACE ..` | `.idempotent()` | the key is yours; but not with `x = x + 1`, nor where the key is generated |
//! | `DELETE .. WHERE id = 3` | `.idempotent()` | gone is gone; a replay may report 0 rows. With `LIMIT`: as `INSERT` |
//! | several that belong together | [`exec.transaction(..)`](Executor::transaction) | run again from the start while it was certainly rolled back |
//! | a payment with an order number | [`exec.transaction(..).exactly_once(number)`](Transaction::exactly_once) | committed once, also when COMMIT's reply is lost or the program restarts |
//! | `SET @x`, `SET SESSION`, temporary tables, `GET_LOCK`, `LOCK TABLES` | [`exec.session()`](Executor::session) | they need one connection, so that an executor refuses them; after a loss the next statement fails and names what is gone |
//! | settings that every connection needs | [`ExecutorBuilder::setup`] | run on every new connection |
//! | `CREATE TABLE IF NOT EXISTS`, `DROP TABLE IF EXISTS` | `.idempotent()` | the second run does nothing |
//! | `ALTER`, `TRUNCATE`, other DDL | nothing, outside of transactions | commits what is open; look at the schema after `Unknown` |
//! | `CALL p()` | `.idempotent()` if all of `p` is, else nothing | only you know what `p` does |
//!
//! A token names the work, not the attempt: an order number, the id of a message. Every caller that comes with it gets the
//! same answer, also after a crash.
//!
//! # Three classic mistakes
//!
//! **To retry an INSERT.** The reply was lost, and the row may be there: the retry inserts a second one. Use a token; or a
//! unique key of your own and `ON DUPLICATE KEY UPDATE id = id`, with `.idempotent()`.
//!
//! **To retry a COMMIT, or the transaction around it.** COMMIT on another connection commits nothing and succeeds. The
//! whole transaction books twice if the lost COMMIT took effect. [`Executor::transaction`] returns
//! [`Unknown`](Outcome::Unknown) there; with `.exactly_once(token)` it finds out.
//!
//! **To trust a lock after a reconnect.** The server released it with the connection, and another client may hold it. A
//! [`Session`] never goes on: the next statement fails with [`Reason::StateLost`] and is not sent again. Take the lock
//! again, check the answer of `GET_LOCK`, and check what the lock protects. [`Session::on_reconnect`] is the place for it.
//!
//! # What happens after a failed attempt
//!
//! | outcome of the attempts so far | [`AtMostOnce`](Delivery::AtMostOnce) | [`AtLeastOnce`](Delivery::AtLeastOnce) | [`ExactlyOnce`](Delivery::ExactlyOnce) |
//! |---|---|---|---|
//! | [`NotExecuted`](Outcome::NotExecuted) | sent again | sent again | run again |
//! | [`Failed`](Outcome::Failed) | returned | returned; replayed after a deadlock or a lock wait time-out | returned |
//! | [`Unknown`](Outcome::Unknown) | returned | replayed | run again, unless its token is there |
//!
//! within the bounds of the [`RetryPolicy`]. An error that is no loss (a syntax error, a duplicate key, a mistake of the
//! caller) is returned at once, and displays as the driver's own.
//!
//! A transaction has one outcome. A loss before COMMIT was sent is `NotExecuted`, a loss after that is `Unknown`. If a statement
//! inside of it is answered with an error, that error is `Failed` for the closure. The closure decides what follows: an error
//! that it returns is returned unchanged, and the transaction is rolled back.
//!
//! # More
//!
//! | page | what it explains |
//! |---|---|
//! | [Proofs](docs::proofs) | what each error proves: the classification table; what remains `Unknown` |
//! | [Outages](docs::outages) | servers that are down, full or read-only; failover; silent paths; the retry budget; how a replay waits for its lost attempt |
//! | [Guard](docs::guard) | exactly once: how a lost COMMIT is resolved, and the guard's table |
//! | [Limits](docs::limits) | how long a call can take, and what is not promised |
//! | [Moving](docs::moving) | from `mysql_async`, item by item |
//!
//! # Features
//!
//! `tracing` emits each [`Event`] as a `tracing` event under a span that covers the whole call. The span's fields have the names of
//! OpenTelemetry's conventions for database clients: `db.system.name`, `db.namespace`, `db.operation.name`, `server.address`,
//! `server.port`, and at the end `db.response.status_code` and `error.type`. No text of a statement and no value is in them, but
//! [`trace_text`](ExecutorBuilder::trace_text) adds the text without its values as `db.query.text`.
//! `driver-tracing` adds the driver's own spans and events, which do have texts.
//!
//! `metrics` tells the recorder of the crate of that name what happens, if the program has installed one before its first call
//! (`examples/prometheus.rs` does). OpenTelemetry's names, with `db.system.name`, `server.address`, `server.port` and `db.namespace`:
//!
//! | metric | |
//! |---|---|
//! | `db.client.operation.duration` | s; of a call with all its attempts, of a stream until its first row. `db.operation.name` is the first word of the text (`_OTHER` for a rare one), `TRANSACTION` for a closure with its statements; `error.type` is the server's number or a [`Reason`] |
//! | `db.client.connection.count` | `state` is `used` or `idle`; as of the last call that took or gave back a connection |
//! | `db.client.connection.pending_requests` | attempts that wait for a connection, also for a server that is down |
//! | `db.client.connection.timeouts` | attempts that found none before their deadline |
//! | `db.client.connection.wait_time`, `.create_time` | s; until an attempt had its connection; to make one |
//! | `mysql_retry.losses`, `resends`, `replays`, `unfenced`, `recovered`, `gave_up`, `retired`, `resets`, `outages`, `probes`, `moves` | as the [`Counters`] of these names, of all executors |
//! | `mysql_retry.budget_left` | statements that may be sent again |
//!
//! All other features are those of `mysql_async`, forwarded by name. The driver needs one zlib, by default `minimal-rust`.
//!
//! # Versions
//!
//! Types of the driver are part of this API: `Opts`, `Params`, `FromRow`, `TxOpts`, its errors. A release that moves to the
//! next minor version of `mysql_async` (0.37 to 0.38) is a breaking one of this crate. Use the driver as
//! [`mysql_retry::mysql_async`](mysql_async), and both always agree. The enums that say what became of a statement
//! ([`Outcome`], [`Disconnect`]) are exhaustive and stay as they are; the others may get new variants in any release.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// a new variant of an enum has to force a decision
#![warn(clippy::wildcard_enum_match_arm)]

mod call;
mod classify;
mod conditions;
mod connection;
mod decide;
pub mod docs;
mod driver;
mod error;
mod event;
mod executor;
mod guard;
mod handle;
mod meter;
mod methods;
mod outage;
mod policy;
mod pool;
mod query;
mod queryable;
mod random;
mod result;
mod savepoint;
mod session;
mod span;
mod sql;
mod statement;
mod statements;
mod stream;
mod summary;
mod transaction;
mod verdict;

pub use connection::Connection;
pub use error::{Error, Result};
pub use event::{Counters, Event, Unfenced};
pub use executor::{Executor, ExecutorBuilder};
pub use mysql_async;
pub use policy::{RetryBudget, RetryPolicy, RetryPolicyBuilder};
pub use query::QueryWithParams;
pub use result::QueryResult;
pub use session::{OpenTransaction, Session};
pub use sql::StateKind;
pub use statement::{Annotate, AsStatement, Delivery, Guarded, Prepared, Statement, Token, Unguarded};
pub use stream::{RowStream, SessionStream};
pub use summary::Summary;
pub use transaction::{Done, ExactlyOnce, IsolationLevel, Transaction, Tx, TxOpts};
pub use verdict::{Classification, Disconnect, Fault, Outcome, Reason, Unavailable};

/// The traits, for `use mysql_retry::prelude::*` in place of the driver's prelude. Most have the names of the driver's: a module
/// that uses both preludes has to name the one that it means.
pub mod prelude {
    pub use mysql_async::prelude::{AsQuery, FromRow, FromValue, ToValue};

    pub use crate::{
        Annotate,
        query::{BatchQuery, Query, WithParams},
        queryable::Queryable,
    };
}

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
