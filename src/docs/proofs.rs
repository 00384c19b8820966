//! What each error proves about the statement, and when the outcome stays `Unknown`.
//!
//! `mysql_async` never returns 2006 or 2013, which are codes of MySQL's C client library. It returns I/O errors. Neither its
//! `is_fatal()` nor its `is_disconnected()` separates a lost connection from a mistake of the caller: both are true for a
//! wrong number of parameters.
//!
//! # The classification table
//!
//! This crate classifies every error with the table below. It applies to a statement that is one command, and to an error
//! that arrives before the reply has begun. [`classify_with`](crate::RetryPolicyBuilder::classify_with) changes single
//! classifications.
//!
//! * The column *fault* is the [`Fault`](crate::Fault), the column *outcome* the [`Outcome`](crate::Outcome).
//! * The column *while connecting* is about the same error during the making of a connection. No statement was executed
//!   then. *Surfaces*: the call returns the error at once. *Waits*: the call waits until a connection can be made, within
//!   its deadline ([Outages](crate::docs::outages)).
//! * Where several rows fit, the first one counts.
//!
//! | what arrives | what it means | fault | outcome | while connecting |
//! |---|---|---|---|---|
//! | 1184 whose message contains `init_connect` | the server's own `init_connect` fails on each connection | `ServerLost` | `Unknown` | surfaces |
//! | 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169 | the server shuts down, killed the session or lost its peer; it says so before, during and after an execution | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 2000 to 2999 | an error of a client library, relayed by a proxy that lost its server | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 9001, 9501 | a proxy (ProxySQL, RDS Proxy) had no server in time; ProxySQL may have sent the statement to one before | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 1105 with SQLSTATE 08xxx, or whose message contains `code = Unavailable` or `Seamless Scaling` | the tablet behind Vitess or PlanetScale is gone; Aurora Serverless is being scaled | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 3100 | Group Replication could not bring the transaction to its end; the group may do it later | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 1180 whose message contains `Not connected to Primary Component` | a Galera node lost the others under a COMMIT: they may have it (seen on MariaDB 10.11 with Galera 4.23) | `ServerLost` | `Unknown` | waits: it cannot be reached |
//! | 4031 whose message contains `inactivity` | the server closed the connection because it idled for too long | `ServerGone` | `NotExecuted` | waits: it cannot be reached |
//! | 1047 | a cluster node without quorum or not yet in step | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 3032, 6400 | offline mode | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 4094 whose message contains `group_replication_set_as_primary` | the primary of the group is being changed | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 3781, 3782, 3783, 3796, 3797, 3798, 3799 | a member of a group (Group Replication) that is not ONLINE, or that has not applied yet what the group committed, where `group_replication_consistency` demands it | refused | `NotExecuted` | waits: it is not ready to serve |
//! | 1290 whose message contains `read-only` or `read_only` | read-only: a demoted primary, a replica | refused | `NotExecuted` | surfaces |
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
//! | 1180 whose message contains `error 149` or `Deadlock` or `deadlock` | a conflict found at COMMIT | rolled back | `NotExecuted` | surfaces |
//! | 8002, 8022, 8028 | TiDB: the schema changed, or the transaction has to be run again | rolled back | `NotExecuted` | surfaces |
//! | 9007 whose message contains `Write conflict` or `write conflict` | TiDB: write conflict | rolled back | `NotExecuted` | surfaces |
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
//! # A proof covers one command
//!
//! The outcome of the table is changed where the error does not prove as much:
//!
//! * **While a statement is being prepared**, nothing is executed: every error is `NotExecuted`. The exception is a text that
//!   may call stored code, because MariaDB runs stored functions while it prepares.
//! * **Several commands.** A text of several statements, `CALL`, and a function that is not built in may run several commands.
//!   A batch sends several. After the first of them, or after the reply has begun, nothing proves `NotExecuted`. An error that
//!   ends the connection, or a refusal, is `Unknown` there. Any other answer of the server is `Failed`.
//! * **Rolled back** is a proof only for statements that change rows of transactional tables. After such an error this crate
//!   asks the server for its warnings. If the server warns that it could not undo everything (1196, a MyISAM table), or if the
//!   statement is DDL, the outcome is `Failed`, and only an idempotent statement is sent again.
//! * **A text that is too long.** A loss under a text that is longer than the server accepts (the larger of
//!   `max_allowed_packet` and `net_buffer_length`) is `NotExecuted`. So is a text that is longer than this client sends.
//! * **Attempts before.** [`Failed`](crate::Outcome::Failed) requires that no attempt of the call was lost after it may have
//!   reached the server. A duplicate key after a lost attempt is `Unknown`: the lost attempt may have inserted the row.
//!
//! ```
//! use mysql_retry::{Classification, Disconnect, Outcome, RetryPolicy, mysql_async::Error};
//!
//! # fn f() -> mysql_retry::Result<()> {
//! // a proxy that reports a lost server by a number of its own
//! let policy = RetryPolicy::builder()
//!     .classify_with(|error, built_in| match error {
//!         Error::Server(e) if e.code == 4321 => {
//!             Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown)
//!         }
//!         _ => built_in,
//!     })
//!     .build()?;
//! # Ok(()) }
//! # f().unwrap();
//! ```
//!
//! # What remains `Unknown`
//!
//! The request was written, and the reply is missing, incomplete, or says that the result is uncertain. Nothing that the
//! client has seen tells what became of the statement. Asking the server later does not help: the session has ended in the
//! same way whether its statement was committed, was rolled back or never arrived. Only a trace that the statement itself
//! leaves can tell, for example a row with a key of your own. [Exactly-once work](crate::docs::guard) leaves such a row.
//!
//! The fault matrix of the tests finds these cases:
//!
//! | what happened | why the result is not known |
//! |---|---|
//! | the reply is missing or incomplete: end of file, reset, no answer until the time-out | the statement may have been executed, may be executing, or may never have arrived |
//! | 1053, 1927, 3169, every other number of the SQLSTATE class 08; 2006, 2013 or 2055 from a proxy | servers and proxies send them before, during and after an execution |
//! | 9001, 9501 and similar numbers from a proxy | the proxy had no server in time, and may have sent the statement to one before |
//! | 3100, or 1180, at COMMIT | the group, or the storage engine, may still commit the transaction |
//! | a refusal (read-only, not ready) of a text of several commands or of stored code | the commands before it may have been executed |
//! | a connection dies less than 0.1 ms after it was checked | it was alive at the check, and the request had no reply |
//! | the peer of an idle unix socket has closed only its writing side | the driver's check of an idle socket does not see it, and the peer still reads |
//! | packets out of order; MySQL's 4031 that arrives while the statement is being sent, or that one read took together with the reply before it | the driver closes the connection and does not return what it read; its check of an idle connection does not look into its buffer |
//! | a reset while a long statement is being written | the driver's error is the same for a failed write and a failed read; only `BrokenPipe` comes from writes alone |
//! | a failed write over TLS | the driver can return the same error for a failed TLS shutdown |
//! | `exec_batch`, several statements in one text, `CALL`, LOCAL INFILE, lost after the first command | a part may have been executed |
//! | a prepared `CALL`, or a text with a function that is not built in, lost while it is being prepared | MariaDB runs stored functions where it folds constants |
//! | a duplicate key, or any other answer, after an attempt that was lost | the effect may be that of the lost attempt |
