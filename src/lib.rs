//! Statements that survive a lost connection, without running twice.
//!
//! A program queries, works for longer than the server's `wait_timeout`, queries again, and gets `2006 MySQL server has
//! gone away` or `2013 Lost connection to MySQL server during query`. Retrying blindly mends that and now and then books
//! a payment twice: after a lost reply nobody knows whether the statement ran.
//!
//! An [`Executor`] takes the place of a `mysql_async::Pool`. It hands each statement a connection that was alive a moment
//! ago; when that is lost all the same, it finds out what is proved, and acts on what the statement tolerates:
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
//! afterwards: write nothing. If harm, and the program has to go on by itself:
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
//! | `SET @x`, `SET SESSION`, temporary tables, `GET_LOCK`, `LOCK TABLES` | [`exec.session()`](Executor::session) | refused on an executor; needs one connection, and the next statement after a loss says what is gone |
//! | settings that every connection needs | [`Builder::setup`] | run on every new connection |
//! | `CREATE TABLE IF NOT EXISTS`, `DROP TABLE IF EXISTS` | `.idempotent()` | they say themselves what the second run does |
//! | `ALTER`, `TRUNCATE`, other DDL | nothing, outside of transactions | commits what is open; look at the schema after `Unknown` |
//! | `CALL p()` | `.idempotent()` if all of `p` is, else nothing | nobody but you knows what `p` does |
//!
//! A token names the work, not the attempt: the order's number, the id of a message. Then it holds for whoever comes
//! with it, also after a crash. [`Token::random`] holds within one call only.
//!
//! Three classic mistakes:
//!
//! **To retry an INSERT.** The reply was lost, not the row: the server may have executed it, and the retry makes a
//! second one. Give it a token; or a unique key of your own and `ON DUPLICATE KEY UPDATE id = id`, with
//! `.idempotent()`.
//!
//! **To retry a COMMIT, or the transaction around it.** COMMIT on another connection commits nothing and succeeds. The
//! whole transaction again books twice if the lost COMMIT took effect. [`Executor::transaction`] surfaces
//! [`Unknown`](Outcome::Unknown) there; with `.exactly_once(token)` it finds out.
//!
//! **To trust a lock after a reconnect.** The server freed it with the connection, and somebody else may hold it. A
//! [`Session`] never goes on: the next statement fails with [`Reason::StateLost`] and is not sent again. Take the lock
//! anew, look at the answer of `GET_LOCK`, and check what the lock protects; [`Session::on_reconnect`] is the place
//! for it.
//!
//! # What happens after a failed attempt
//!
//! | outcome of the attempts so far | [`AtMostOnce`](Delivery::AtMostOnce) | [`AtLeastOnce`](Delivery::AtLeastOnce) | [`ExactlyOnce`](Delivery::ExactlyOnce) |
//! |---|---|---|---|
//! | [`NotExecuted`](Outcome::NotExecuted) | sent again | sent again | run again |
//! | [`Failed`](Outcome::Failed) | surfaces | surfaces; replayed after a deadlock or a lock wait time-out | surfaces |
//! | [`Unknown`](Outcome::Unknown) | surfaces | replayed | run again, unless its token is there |
//!
//! within the bounds of the [`RetryPolicy`]. An error that is no loss (a syntax error, a duplicate key, a caller's bug)
//! surfaces at once and shows as the driver's own.
//!
//! A transaction has one outcome: a loss before COMMIT was sent is `NotExecuted`, one after it is `Unknown`. Where the
//! policy ends before the token has told, exactly-once work is `Unknown` too: call again with the same token. A statement that
//! the server says no to inside of it is `Failed` for the closure, which decides: what it returns is returned untouched, and
//! the transaction is rolled back.
//!
//! # The guard's table
//!
//! Exactly-once work needs a table in the same database: made by [`Executor::create_guard_table`], or by a migration of
//! yours with the statement that [`Executor::guard_ddl`] returns. [`Builder::guard_table`] gives it another name.
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
//! The token's row is written with the statement that begins the transaction, and committed with the work: no round
//! trip more. It has to be transactional (InnoDB), and so have the tables that the work writes. A row is kept until
//! [`Executor::purge_guard`] removes it: keep them for longer than anybody may come again with an old token. What the
//! closure does outside of the database, a mail say, is not guarded.
//!
//! # What is proved
//!
//! `mysql_async` never returns 2006 or 2013, codes of MySQL's C client library. It reports I/O errors, and neither its
//! `is_fatal()` nor its `is_disconnected()` tells a lost connection from a caller's bug. This is the table that does, for
//! a statement that is one command and whose reply has not begun; [`RetryPolicyBuilder::classify_with`] widens or narrows it.
//! The last column says what the same report means while a connection is being made, where nothing was executed.
//!
//! | what arrives | what it means | fault | outcome | while connecting |
//! |---|---|---|---|---|
//! | 1184 that says `init_connect` | the server's own `init_connect` fails on each connection | `ServerLost` | `Unknown` | surfaces |
//! | 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169 | the server shuts down, killed the session or lost its peer; it says so before, during and after an execution | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 2000 to 2999 | an error of a client library, relayed by a proxy that lost its server | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 9001, 9501 | a proxy (ProxySQL, RDS Proxy) had no server in time; ProxySQL may have sent the statement to one before | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 1105 with SQLSTATE 08xxx, or that says `code = Unavailable` or `Seamless Scaling` | the tablet behind Vitess or PlanetScale is gone; Aurora Serverless is being scaled | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 3100 | Group Replication could not bring the transaction to its end; the group may do it later | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 1180 that says `Not connected to Primary Component` | a Galera node lost the others under a COMMIT: they may have it (seen on MariaDB 10.11 with Galera 4.23) | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 4031 that says `inactivity` | the server closed the connection because it idled for too long | `ServerGone` | `NotExecuted` | waits: it cannot be reached |
//! | 1047 | a cluster node without quorum or not yet in step | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 3032, 6400 | offline mode | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 4094 that says `group_replication_set_as_primary` | the primary of the group is being changed | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 1290 that says `read-only` or `read_only` | read-only: a demoted primary, a replica | refused | `NotExecuted` | surfaces |
//! | 1792 | read-only: Aurora's demoted writer, `SET GLOBAL transaction_read_only`; in a session or transaction that the caller made read-only it is the answer to the statement | refused | `NotExecuted` | surfaces |
//! | 1836, 1874, 1036 | read-only: the server, its InnoDB, or the table | refused | `NotExecuted` | surfaces |
//! | 1040, 1203 | full: no connection more; from a proxy also as the answer to a statement | refused | `NotExecuted` | waits: it takes no more connections |
//! | 1243 | the server has forgotten a prepared statement; it is prepared again | refused | `NotExecuted` | surfaces |
//! | 1615 | the prepared statement has to be prepared again, which is done | refused | `NotExecuted` | surfaces |
//! | 1205 | lock wait time-out | rolled back | `NotExecuted` | surfaces |
//! | 1213 | deadlock | rolled back | `NotExecuted` | surfaces |
//! | 1020 | the record has changed since the transaction read it (`innodb_snapshot_isolation`) | rolled back | `NotExecuted` | surfaces |
//! | 1412 | the table's definition has changed since the transaction began | rolled back | `NotExecuted` | surfaces |
//! | 1206 | InnoDB has no room for more locks | rolled back | `NotExecuted` | surfaces |
//! | 3101 | Group Replication found a conflict | rolled back | `NotExecuted` | surfaces |
//! | 1180 that says `error 149` or `Deadlock` or `deadlock` | a conflict found at COMMIT | rolled back | `NotExecuted` | surfaces |
//! | 8002, 8022, 8028 | TiDB: the schema changed, or the transaction has to be run again | rolled back | `NotExecuted` | surfaces |
//! | 9007 that says `Write conflict` or `write conflict` | TiDB: write conflict | rolled back | `NotExecuted` | surfaces |
//! | 9000 to 9999 | every other error of a proxy, or of TiDB about its storage | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 1226 | the account has used up its quota | no loss | `NotExecuted` | waits: it takes no more connections |
//! | 1064 | syntax error | no loss | `NotExecuted` | surfaces |
//! | 1290 | another option forbids the statement (`--secure-file-priv`, `--skip-grant-tables`) | no loss | `NotExecuted` | surfaces |
//! | 1180 | the storage engine failed under COMMIT | no loss | `Unknown` | surfaces |
//! | 1153 | a packet larger than the server's `max_allowed_packet`, and the server closes the connection | no loss | `Unknown` | surfaces |
//! | 1317 | interrupted by a KILL, which may have been one of the connection (MySQL 9.7 after `KILL CONNECTION_ID()`) | no loss | `Unknown` | surfaces |
//! | 1815 | internal error | no loss | `Failed` | waits: it is not ready to serve |
//! | 3168 | a proxy (Vitess) has no server | `ServerLost` | `Unknown` | waits: it is not ready to serve |
//! | 1129, 1130 | this host is not let in; another target may let it in | no loss | `Failed` | another target is tried |
//! | every other number with SQLSTATE 08xxx | connection exception | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | every other number with SQLSTATE 40xxx | transaction rollback | rolled back | `NotExecuted` | surfaces |
//! | the driver finds its own connection closed | nothing was sent | `ServerGone` | `NotExecuted` | waits: it cannot be reached |
//! | the write failed (`BrokenPipe`) | the server cannot have the whole command; not over TLS, nor where a LOCAL INFILE may be under way | `ServerGone` | `NotExecuted` | waits: it cannot be reached |
//! | end of file, connection reset, every other I/O error | the connection ended after bytes of the statement may have reached the server | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | time-out | no reply in time | `ServerLost` | `Unknown` | waits: it does not answer |
//! | packets out of order or unreadable | the driver closes the connection | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | TLS or compression failed | the connection cannot be read any more | `ServerLost` | `Unknown` | surfaces |
//! | the driver's `PacketTooLarge` | the reply is larger than the client reads; a text that is larger than the client sends is `NotExecuted` | no loss | `Unknown` | surfaces |
//! | wrong parameters, a bad URL | found by the driver before it sends the command | no loss | `NotExecuted` | surfaces |
//! | every other error of the driver, or of a hook | no loss, and nobody can say what became of the statement | no loss | `Unknown` | surfaces |
//! | every other error of a server | the server's answer: a duplicate key, a missing table, a bad value, a missing right | no loss | `Failed` | surfaces |
//!
//! A proof covers the command that it arrived at:
//!
//! * While a statement is being **prepared** nothing is executed: every error is `NotExecuted`, unless the text may call
//!   stored code, which MariaDB runs there.
//! * Where one text may cause **several commands** (several statements, `CALL`, a function that is not built in), and after
//!   the reply has begun or an earlier command of the same call was answered (a batch), nothing proves `NotExecuted`. What
//!   ends the connection, and a refusal, is `Unknown` there; the server's other answers are `Failed`.
//! * **Rolled back** proves something for statements that change rows of transactional tables. After such an error the server
//!   is asked for its warnings: where it warns that it could not undo everything (1196, a MyISAM table), and for DDL, the
//!   outcome is `Failed`, and the statement is sent again only if it is idempotent.
//! * A loss under a text that is longer than the server takes (`max_allowed_packet`, `net_buffer_length`) is `NotExecuted`,
//!   and so is a text that is longer than this client sends.
//!
//! [`Failed`](Outcome::Failed) is said only where no attempt of the call was lost after it may have reached the server. A
//! duplicate key after a lost attempt is `Unknown`: that attempt may have made it.
//!
//! # What remains `Unknown`
//!
//! A request was written, and its reply is not there, or not as a whole, or says itself that it does not know: nobody can say without help from the server what
//! became of it, and the server says nothing. Asking it afterwards does not help either: a session is gone in the same
//! way whether its statement was committed, was rolled back or never arrived. Only what the statement leaves behind
//! itself can tell, a row with a key of your own, say: [exactly-once](#the-guards-table) work leaves one. These are the
//! cases, as the fault matrix of the tests finds them:
//!
//! | what happened | why it is not known |
//! |---|---|
//! | the reply is missing or broken off: end of file, reset, silence until the time-out | the statement may have been executed, may be executing, or may never have arrived |
//! | 1053, 1927, 3169, every other number of the class 08, or 2006, 2013, 2055 from a proxy | servers and proxies send them before, under and after an execution |
//! | 9001, 9501 and the like from a proxy | it had no server in time, and may have sent the statement to one before |
//! | 3100, or 1180, at COMMIT | the group, or the storage engine, may still have committed it |
//! | a refusal (read-only, not ready) of a text of several commands or of stored code | the commands before it may be done |
//! | a connection dies in the moment of its use, less than a tenth of a millisecond after it was looked at | it was found alive, and what was written to it had no reply |
//! | an idle unix socket was closed by its peer for writing alone | the driver's look at an idle socket does not see that, and the peer still reads |
//! | packets out of order; MySQL's 4031 that arrives with the statement on its way | the driver closes the connection and does not hand out what it read |
//! | reset in the middle of writing a long statement | the driver's error does not tell a write from a read; only `BrokenPipe` comes from writes alone |
//! | a failed write over TLS | the driver may report the failed farewell to a broken stream in the same way |
//! | `exec_batch`, several statements in a text, `CALL`, LOCAL INFILE, lost after the first command | a part of it may be done |
//! | a prepared `CALL`, or a text with a function that is not built in, lost while it is prepared | MariaDB runs stored functions where it folds constants |
//! | a duplicate key, or any other answer, after an attempt that was lost | the lost attempt may have made it |
//!
//! # Replays do not race their past
//!
//! A server does not notice that its client is gone while it executes: a lost `UPDATE` that waits for a row lock waits on,
//! and runs when the lock is free, perhaps after its own replay and after what others did then. So each connection takes
//! a user-level lock with a name of its own (`GET_LOCK('mysql_retry:..', 0)`) when it is made. Before a write is
//! replayed, whoever holds the lock of the lost attempt's session is killed, and the lock is seen free: then the session
//! has ended, after its statement was rolled back or committed. No privilege is needed for that, and nothing else can be
//! killed, whatever ids are reused. [`Event::Unfenced`] tells when it could not be done;
//! [`RetryPolicyBuilder::replay_unfenced`] decides what follows.
//!
//! `RELEASE_ALL_LOCKS()` releases that lock too, and counts it: a call that names it, or may call stored code, cannot be
//! fenced if it is lost.
//!
//! Reads are replayed without waiting; their old sessions are killed too, and so is what a dropped future left behind.
//!
//! # Outages and failover
//!
//! All clones of an executor share one view of its server. The first call that finds that no connection can be had tells
//! the others. From then on one task probes: at once, after 20 ms, and then at doubling times up to
//! [`probe_interval`](Builder::probe_interval) (250 ms). The other calls wait for what it finds, each until its own
//! deadline, and are released together when the server is back; no more than 16 connections are in the making at a time.
//! So the number of connection attempts in an outage depends on its length, not on the number of callers, and its end is
//! noticed within one probe interval.
//!
//! | what is seen | what it is taken for | what happens |
//! |---|---|---|
//! | refused, unreachable, no socket file, DNS failure; accepted and closed; 2003 from a router; shutting down | down | calls that need a new connection wait; idle ones that are alive are used |
//! | no answer to a connect within `connect_timeout` | down, silent | all calls that need a connection wait; what idled through it is pinged before it is used |
//! | 9001, 9501 from a proxy at the login (no server in time), every other number of the class 08 | down | the same |
//! | 1040, 1203, 1226 at the login | full | as down, probed at the interval from the start; whoever waits also gets a connection that another call gives back |
//! | 1047 (cluster node without quorum, which answers pings), 3032 and 6400 (offline mode), 4094 (the primary of a group is being changed) | not ready | the statement was not executed; the server's pooled connections are dropped, calls wait until it says that it is ready |
//! | 1815, 3168 at the login (Vitess) | not ready | calls wait, one task probes |
//! | 1290 that says read-only, 1792, 1836, 1874, 1036 | read-only | the statement was not executed; pooled connections are dropped, because another server may answer at the address now; writes wait until it takes them, reads go on |
//! | 1792 in a session or transaction that the caller made read-only | no outage | `Failed`: the server's answer to the statement |
//! | 1129, 1130 (this host is not let in) at one of several targets | not ready | another target is used; with a single target it surfaces at once |
//! | wrong password, unknown database, TLS that does not fit, a broken `init_connect` | no outage | surfaces at once; waiting calls are told by the server itself |
//! | all connections of the pool in use | no outage | the call waits until its deadline, and is then [`NotExecuted`](Outcome::NotExecuted) with [`Error::is_busy`] (unless an attempt before was lost) |
//!
//! At the deadline the error is [`NotExecuted`](Outcome::NotExecuted) (unless an attempt before the outage was lost), and
//! names the address, the last cause and how long it has lasted ([`Error::down_for`]). With
//! [`fail_fast_after`](Builder::fail_fast_after) calls fail at once when it has lasted for that long;
//! [`RetryPolicy::none`] never waits for the end of an outage.
//!
//! **Silence.** A statement that takes an hour and one whose server has vanished look the same from here. When an attempt
//! has heard nothing for [`watch_after`](Builder::watch_after) (10 s), another connection, beside the pool, asks whether
//! the server is there, whether it still has the session, and what that does. If the server has not answered for
//! [`give_up_after`](Builder::give_up_after) (5 s), or has lost the session, the attempt counts as lost: `Unknown`, replayed
//! if its delivery allows. So does one whose session has waited for a request for as long (3 s at least), which is what a
//! firewall looks like that has forgotten the connection; but not where the reply has begun or more than 64 KiB were sent,
//! which may take their time on the way. A session that is at work goes on for as long as it takes. Where sessions cannot be
//! marked, or another server answers at the address, only the server's answering counts: there an `attempt_timeout` is the
//! remedy.
//!
//! **A retry budget.** A server that is up and keeps losing its connections gets each statement several times over from
//! clients that replay. A [`RetryBudget`] bounds that: replays are a fifth of the statements that succeed at most, after a
//! reserve of 500. When it is empty, losses surface at once with [`Reason::BudgetExhausted`]. Losses that belong to an
//! outage cost nothing.
//!
//! **Several servers.** [`Builder::build_targets`] takes the servers of one logical database in order of preference.
//! Statements go to the first. When it is down, not ready or read-only, all are asked, and the first that is up and says
//! that it takes writes is used from then on, for reads too: a replica may lag behind what the caller has seen. While
//! none takes writes, reads go on at the one that was in use, as long as it is up. A preferred server that is back is
//! taken again when it says that it takes writes; it is asked every four probe intervals, and up to ten times less often
//! later. None of these questions is asked while nothing is wrong. For an executor that only reads, a read-only server
//! will do: [`Builder::accept_read_only`].
//!
//! A single address whose server changes behind it (a proxy, DNS, a virtual address) needs no configuration: names are
//! resolved anew for each connection, and a refusal drops those to the server before.
//!
//! **What a failover cannot keep.** Before a write is replayed on another server, its old session is ended on its own
//! server, from a connection made for that. If that server cannot be reached within four probe intervals (a second at
//! least; at most the `connect_timeout`), the first copy may still be executed there:
//! [`Event::Unfenced`] says so, and `replay_unfenced(false)` surfaces `Unknown` instead. With synchronous replication (a
//! Galera cluster) exactly-once work stays exactly once over all nodes. Asynchronous replication can lose what was committed
//! last, also after the caller was told that it succeeded: the promoted server never had it, and no client can mend that.
//! The guard's rows are lost with the work that they stand for, so a call with the same token does it again, which is
//! right. Start the servers of a pair read-only and make the primary writable by hand or by your failover tool: a crashed
//! primary that comes back writable is found able, as two primaries are.
//!
//! [`Event::Down`], [`Probing`](Event::Probing), [`Back`](Event::Back) and [`Moved`](Event::Moved) tell what happens, once
//! for all clones; [`Counters`] has how many calls wait at this moment, and what is left of the budget.
//!
//! # Bounds
//!
//! Nothing waits for ever. The policy's deadline ends waiting and retrying, but does not cut a statement that is running:
//! that is watched. `connect_timeout` bounds connecting and checking; `attempt_timeout`, off by default, cuts.
//!
//! A future of this crate may be dropped at any time. Its connection is closed, so that the next statement never gets
//! another one's answer, and its statement is ended at the server, in the background.
//!
//! # Features
//!
//! `tracing` emits the [`Event`]s as `tracing` events under a span that covers the whole call. All others are features
//! of `mysql_async`, forwarded by name; it needs one zlib, by default `minimal-rust`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
// a new variant of an enum has to force a decision
#![warn(clippy::wildcard_enum_match_arm)]

mod call;
mod classify;
mod conditions;
mod connection;
mod decide;
mod driver;
mod error;
mod event;
mod executor;
mod guard;
mod handle;
mod methods;
mod outage;
mod policy;
mod pool;
mod random;
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
pub use executor::{Builder, Executor};
pub use mysql_async;
pub use policy::{RetryBudget, RetryPolicy, RetryPolicyBuilder};
pub use session::Session;
pub use statement::{Annotate, AsStatement, Delivery, Guarded, Statement, Token};
pub use stream::{RowStream, SessionStream};
pub use summary::Summary;
pub use transaction::{Done, ExactlyOnce, IsolationLevel, Transaction, Tx, TxOpts};
pub use verdict::{Classification, Disconnect, Fault, Outcome, Reason, Unavailable};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
