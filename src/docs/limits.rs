//! How long a call can take, and what this crate does not promise.
//!
//! # Bounds
//!
//! Every wait of a call ends.
//!
//! | setting | default | what it bounds |
//! |---|---|---|
//! | [`deadline`](crate::RetryPolicyBuilder::deadline) | 30 s | waiting and retrying; it does not cut a statement that is running |
//! | [`max_replays`](crate::RetryPolicyBuilder::max_replays) | 3 | how often a statement is replayed |
//! | [`connect_timeout`](crate::RetryPolicyBuilder::connect_timeout) | 10 s | making, checking and resetting a connection |
//! | [`attempt_timeout`](crate::RetryPolicyBuilder::attempt_timeout) | off | one attempt; it cuts a running statement |
//! | [`watch_after`](crate::ExecutorBuilder::watch_after), [`give_up_after`](crate::ExecutorBuilder::give_up_after) | 10 s, 5 s | an attempt whose path or server is dead ([Silence](crate::docs::outages#silence)) |
//! | [`RetryBudget`](crate::RetryBudget) | a fifth, reserve 500 | replays of all calls together ([Retry budget](crate::docs::outages#the-retry-budget)) |
//!
//! A future of this crate may be dropped at any time. Its connection is then closed, so that no other statement reads its
//! reply, and its statement is ended at the server in the background.
//!
//! ```
//! use std::time::Duration;
//! use mysql_retry::RetryPolicy;
//!
//! # fn f() -> mysql_retry::Result<()> {
//! let interactive = RetryPolicy::builder()
//!     .deadline(Duration::from_secs(3))
//!     .attempt_timeout(Duration::from_secs(1))
//!     .build()?;
//! # Ok(()) }
//! # f().unwrap();
//! ```
//!
//! # Limits
//!
//! * **`Unknown` means that the result cannot be known.** Look for the effect of the statement before you run it again. Or
//!   write the statement so that it may be replayed: a key of your own with `INSERT .. ON DUPLICATE KEY UPDATE`, `REPLACE`,
//!   `SET x = 7` instead of `SET x = x + 1`.
//! * **An idempotent statement may run twice, but its first run does not follow its replay.** The session of the lost attempt
//!   is ended first ([Replays wait for their lost attempt](crate::docs::outages#replays-wait-for-their-lost-attempt)). Where
//!   that is not possible, the replay is made with [`Event::Unfenced`](crate::Event::Unfenced), or refused with
//!   [`replay_unfenced(false)`](crate::RetryPolicyBuilder::replay_unfenced).
//! * **Each call of an executor may use another connection.** So text that needs a session is refused before it is sent: `SET`,
//!   `USE`, user variables, `BEGIN` and `COMMIT`, temporary tables, locks, `LAST_INSERT_ID()`. The error names what to use
//!   instead: [`session()`](crate::Executor::session), [`transaction(..)`](crate::Executor::transaction), or the
//!   [`Summary`](crate::Summary) of the INSERT for its id. Text that brings what it needs runs (`BEGIN; ..; COMMIT` in one
//!   text, which a [Galera node](crate::docs::outages#what-a-failover-cannot-keep) may abort without a word). [`ExecutorBuilder::allow_session_text`](crate::ExecutorBuilder::allow_session_text) lets all text through. What a statement leaves
//!   on the connection is reset before its next use.
//! * **Lost session state is not restored by itself.** The statement that meets the loss fails with
//!   [`Reason::StateLost`](crate::Reason::StateLost) and names what is gone.
//!   [`Session::on_reconnect`](crate::Session::on_reconnect) can rebuild it. Which statement leaves state is decided by its
//!   text; state that a trigger or a view sets is not seen.
//! * **[`Executor::connection`](crate::Executor::connection) lends a raw connection.** None of these promises hold for what is
//!   done with it.
//! * **A transaction's closure may run several times.** It must do nothing that a rollback does not undo. What ends a
//!   transaction early (DDL, a procedure that commits) is noticed before COMMIT: the call ends in an error with the outcome
//!   `Unknown`, also if the closure returned `Ok`.
//! * **Exactly once holds for as long as the token's row** ([Guard](crate::docs::guard)).
//! * **Rows are buffered until the reply has ended**, so that a mapping closure never sees a row of a failed attempt. For
//!   results that do not fit in memory use `query_stream` or `exec_stream`. A loss after the first row of a stream is returned
//!   as an error.
//! * **The server is believed about transactional tables.** The victim of a deadlock counts as not executed unless the server
//!   warns that a part could not be undone (1196, a MyISAM table). `Failed` says that nothing was lost on the way. It does not
//!   say that no rows were written: rows of a MyISAM table before the error stay.
//! * **A failover keeps only what replication kept**
//!   ([What a failover cannot keep](crate::docs::outages#what-a-failover-cannot-keep)).
//! * **TLS.** On an encrypted connection a failed write is no proof, because the driver can return the same error for a failed
//!   TLS shutdown.
