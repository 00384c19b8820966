//! Outages, failover, silent paths, the retry budget, and how a replay waits for its lost attempt.
//!
//! # One outage for all clones
//!
//! All clones of an executor share one view of its server. The first call that finds that no connection can be made starts the
//! outage. Then one task probes the server, and the other calls wait for its result, each until its own deadline. So the number
//! of connection attempts depends on the length of the outage and not on the number of callers.
//!
//! | the server | the wait for the next probe, at most | |
//! |---|---|---|
//! | refuses, or its socket file is missing | 2 % of the length of the outage, from 20 ms to one [`probe_interval`](crate::ExecutorBuilder::probe_interval) (250 ms) | costs it nothing |
//! | is silent, not ready, read-only, or accepts and closes | 10 %, from 50 ms to one interval | |
//! | is full | 25 %, from one interval to 16 (4 s); half as much if the executor has no connection | probed only while a call waits that no connection of the executor's has served within 250 ms |
//!
//! Each wait is shorter than that by a random share of up to a half (full: three quarters), because the executors of a fleet lose
//! their server at the same moment. So the end of an outage is noticed within one interval, of a full server within 16. A server
//! that answers something and is slow to let a probe in is given 2 s before it is asked anew.
//!
//! **Slow start.** When the server is back, the connection of the probe serves the calls that wait, one after another. For 3 s from
//! then on a call that finds no idle connection waits for one that another call returns. It opens one when none has been returned
//! for as long as the last one took to open (at least 250 ms, at most 1 s), when it has waited for four times as long, or when so
//! many calls wait that they will not be served within twice the time that a connection takes to open: at first one at a time, and
//! one more at a time for each that succeeds. That leaves room for others of a fleet that is larger than its server. At any time an
//! executor makes at most 16 connections at once.
//!
//! **A server that is full** (1040) is shared. For 20 to 40 s after an executor has seen it full, its calls share what is open, as in
//! the slow start, however many of them wait, and it gives back what it does not use: each second it closes what is more than the mean of the connections in use
//! and a quarter, whatever the pool's minimum, and after 5 s without a call its last one. An executor that has all the connections
//! that it wants sees no refusal. So while it has more than one, and one idles, it asks the server how many connections there are
//! (`SHOW GLOBAL STATUS LIKE 'Threads_connected'`), and counts it as full from 95 % of `max_connections` on. The time between two
//! such questions grows to 20 ms for each place (150 places: 3 s; 10,000: 200 s; at least 1 s, at most 5 minutes), so that a fleet
//! that fills its server asks it at most 50 times a second. That is no promise of a share to each: where more programs than the
//! server has places keep one connection busy each, those that come last wait.
//!
//! **At any time** connections above the pool's minimum are kept for the next calls, and closed when five seconds have shown that they
//! are not needed. (The driver's pool closes them at once, so that with a minimum of 0 each call logs in. A time that you set with
//! `inactive_connection_ttl` holds as the driver describes it.)
//!
//! | what is seen | state of the server | what happens |
//! |---|---|---|
//! | refused, unreachable, no socket file, DNS failure; accepted and closed; 2003 from a router; shutting down | down | calls that need a new connection wait; idle connections that are alive are used |
//! | no answer to a connect within `connect_timeout` | down, silent | all calls that need a connection wait; a connection that was idle meanwhile is pinged before its next use |
//! | 9001, 9501 from a proxy at the login, every other number of the SQLSTATE class 08 | down | the same |
//! | 1040, 1203, 1226 at the login | full | as down; a waiting call also gets a connection that another call returns |
//! | 1047, 3032, 6400, 4094, 3781 to 3799 of Group Replication | not ready | the statement was not executed; the pooled connections to the server are dropped; calls wait until the server says that it is ready |
//! | a node of Group Replication that has lost the majority of its group, or is not ONLINE | not ready | see [Group Replication](#mysqls-group-replication) |
//! | 1815, 3168 at the login (Vitess) | not ready | calls wait, one task probes |
//! | 1290 with `read-only`, 1792, 1836, 1874, 1036 | read-only | the statement was not executed; pooled connections are dropped, because another server may answer at the address now; writes wait, reads go on |
//! | 1792 in a session or transaction that the caller made read-only | no outage | `Failed`: it is the answer to the statement |
//! | 1129, 1130 (this host is not let in) at one of several targets | not ready | another target is used; with a single target the error is returned at once |
//! | wrong password, unknown database, TLS that does not fit, a broken `init_connect` | no outage | the error is returned at once, also to the calls that wait |
//! | all connections of the pool in use | no outage | the call waits until its deadline; then it is `NotExecuted` with [`Error::is_busy`](crate::Error::is_busy), unless an attempt before was lost |
//!
//! What each number means stands in the [classification table](crate::docs::proofs#the-classification-table).
//!
//! At the deadline the error is [`NotExecuted`](crate::Outcome::NotExecuted), unless an attempt before the outage was lost. It
//! names the address, the last cause and the length of the outage ([`Error::down_for`](crate::Error::down_for)). With
//! [`fail_fast_after`](crate::ExecutorBuilder::fail_fast_after), calls fail at once when the outage has lasted that long.
//! [`RetryPolicy::none`](crate::RetryPolicy::none) never waits for the end of an outage.
//!
//! [`Event::Down`](crate::Event::Down), [`Probing`](crate::Event::Probing), [`Back`](crate::Event::Back) and
//! [`Moved`](crate::Event::Moved) are emitted once for all clones. [`Counters`](crate::Counters) has the number of calls that
//! wait, and what is left of the retry budget.
//!
//! # Several servers
//!
//! [`ExecutorBuilder::build_targets`](crate::ExecutorBuilder::build_targets) takes the servers of one logical database in order of preference:
//!
//! ```
//! use mysql_retry::{Event, Executor};
//!
//! # fn f() -> mysql_retry::Result<()> {
//! let exec = Executor::builder()
//!     .on_event(|event| match event {
//!         Event::Down { address, why, .. } => eprintln!("{address} is down: {why}"),
//!         Event::Moved { from, to, .. } => eprintln!("from {from} to {to}"),
//!         Event::Back { address, lasted, .. } => eprintln!("{address} is back after {lasted:?}"),
//!         _ => {}
//!     })
//!     .build_targets(["mysql://app:secret@db1.example/shop", "mysql://app:secret@db2.example/shop"])?;
//! # Ok(()) }
//! # f().unwrap();
//! ```
//!
//! * Statements go to the first target.
//! * When it is down, not ready or read-only, all targets are asked. The first that is up and says that it takes writes is
//!   used from then on. It is used for reads too, because a replica may lag behind what the caller has seen.
//! * While no target takes writes, reads go on at the target in use, as long as it is up.
//! * A preferred target that is back is used again when it says that it takes writes. It is asked every four probe intervals,
//!   later up to ten times less often. While nothing is wrong, nothing is asked.
//! * An executor that only reads can use a read-only server:
//!   [`ExecutorBuilder::accept_read_only`](crate::ExecutorBuilder::accept_read_only).
//!
//! A single address whose server changes behind it (a proxy, DNS, a virtual address) needs no configuration. Names are resolved
//! again for each connection, and a refusal drops the connections to the server before.
//!
//! # What a failover cannot keep
//!
//! * Before a write is replayed on another server, its old session is ended on its own server, over a connection made for that.
//!   If that server cannot be reached within four probe intervals (at least a second, at most the `connect_timeout`), the first
//!   copy may still be executed there. Then [`Event::Unfenced`](crate::Event::Unfenced) is emitted, or, with
//!   [`replay_unfenced(false)`](crate::RetryPolicyBuilder::replay_unfenced), the call ends as `Unknown`.
//! * Asynchronous replication can lose the last commits, also after their callers got `Ok`: the promoted server never had them.
//!   No client can prevent that. The guard's rows are lost with their work, so that a call with the same token does it again.
//! * With synchronous replication (a Galera cluster, [Group Replication](#mysqls-group-replication)), exactly-once work is done
//!   once across all nodes.
//! * A Galera node can abort a transaction for the change of another node, and reports that to nobody if it happens between two
//!   statements of one text (seen on MariaDB 10.11 with Galera 4, once in 900 aborts). So transactions of this crate, and a COMMIT
//!   that a session sends as text, cost one round trip more there, and two more with a payload. A text of your own that begins and
//!   commits (`BEGIN; ..; COMMIT`) has no such protection there: `Ok` may mean nothing. Use a transaction.
//! * Start the servers of a pair read-only, and make the primary writable by hand or by your failover tool. A crashed primary
//!   that comes back writable counts as one that takes writes: there are two primaries then.
//!
//! # MySQL's Group Replication
//!
//! A node of a group (InnoDB Cluster) that has lost the majority of its group goes on calling itself ONLINE and PRIMARY, and
//! so does, for some seconds, one that was stopped while the others elected a new primary. It takes logins, reads and writes,
//! and only its commits wait, without limit by default. All of this is seen on MySQL 9.7.
//!
//! | what is seen | what happens |
//! |---|---|
//! | a commit that waits for a majority | when it has received nothing for `watch_after`, the server is asked when its group last agreed on anything; after 5 s without an agreement the attempt counts as lost, with the outcome `Unknown`, and the node as not ready: another target is used, or the calls wait. A statement that only reads goes on |
//! | 3100 at COMMIT (`group_replication_unreachable_majority_timeout`) | `Unknown`: the group may commit it later, and mostly does. Replayed if idempotent, resolved with a token |
//! | a new primary holds transactions until it has applied its backlog | an attempt that is held for `watch_after` counts as lost, and the node as not ready |
//! | 3101, 1213, 1180 with error 149 (conflict, several primaries) | rolled back, and run again |
//! | 4094 (the primary is being switched), 1290 (a secondary) | not executed; the calls wait, or another target is used |
//! | 6400, 3032 at the login (offline mode of a node that was expelled) | not ready: other targets are used |
//! | 3781 to 3799 (`group_replication_consistency`) | not executed; the member is not ready |
//! | a member that is OFFLINE, RECOVERING or in ERROR | not ready, also for an executor that accepts read-only servers: what it shows is old |
//! | a preferred target that calls itself primary while the one in use does so too | not used: in a group with one primary, one of the two has not heard of the election |
//!
//! Ordinary accounts can do all of this from MySQL 8.1 on. With
//! `GRANT SELECT ON performance_schema.replication_group_members TO ..` a node is asked for its list of members too. Before 8.1,
//! the loss of a majority is seen only with that grant.
//!
//! * **`Unknown` there stays unknown for as long as the majority is away.** KILL ends the connection, not the commit: the row is
//!   committed when the majority is back. So a replay on another node is [`Unfenced::NoMajority`](crate::Unfenced::NoMajority).
//!   With [`replay_unfenced(false)`](crate::RetryPolicyBuilder::replay_unfenced) it is not made.
//! * **Exactly-once work is exact on all nodes.** Two transactions with one token are a conflict, which the group resolves when it
//!   commits. While a lost COMMIT may still be committed, a token that can be taken proves nothing, and the outcome stays `Unknown`
//!   until the COMMIT of another run is answered.
//! * `group_replication_flow_control_period` (1 s) is how often each member is heard of. A node is out of touch when nothing was
//!   agreed on for two periods and 3 s.
//! * A node that was taken out of its group and made writable by hand counts as a server of its own, for accounts without that
//!   grant only after a restart.
//!
//! **MySQL Router** needs no configuration: it refuses or closes connections while it has no primary, which is an outage, and leads to
//! the new primary after the election. Router with static addresses leads on to a primary without a majority; what is said above
//! holds through it.
//!
//! # Routers that share connections or split by statement
//!
//! ProxySQL, MaxScale and their like may send each statement of one client to another server, or to another session of a server.
//! Whether they do is found out when a connection is made: `CONNECTION_ID()` is not the id in the greeting there, or the lock that marks
//! the session is not held by the session that answers. Then nothing is believed of the session: a replay is
//! [`Unfenced::Unmarked`](crate::Unfenced::Unmarked), the watch asks only whether the server answers, and each transaction has a
//! savepoint that COMMIT releases first.
//!
//! | promise | what the router has to do |
//! |---|---|
//! | outcomes, at most once, replays | nothing |
//! | [`transaction`](crate::Executor::transaction) | keep a transaction on one session (ProxySQL: `transaction_persistent=1`, the default; MaxScale's readwritesplit does). Where it does not, the call ends as `Unknown` with [`Reason::TransactionEnded`](crate::Reason::TransactionEnded), and never as `Ok` for a part |
//! | [`exactly_once`](crate::Transaction::exactly_once) | the same. Where it does not, calls with the token end as `Unknown` |
//! | [`session`](crate::Executor::session) | keep all statements of a client on one session (ProxySQL: `multiplex=0` for the user's rule; MaxScale: `session_track` or a service without splitting). Otherwise user variables and locks belong to whichever session answers |
//! | replays that are fenced | the same, from one server |
//! | reads that see the last write | send reads to the server that took the write |
//!
//! # Silence
//!
//! A statement that takes an hour and a statement whose server has vanished look the same to the client. When an attempt has
//! received nothing for [`watch_after`](crate::ExecutorBuilder::watch_after) (10 s), a connection beside the pool asks the server
//! whether the session still exists and what it is doing. The attempt counts as lost, with the outcome `Unknown`, if
//!
//! * the server has not answered for [`give_up_after`](crate::ExecutorBuilder::give_up_after) (5 s),
//! * the server does not have the session any more,
//! * the server has lost the majority of its group and the statement does more than read, or the server holds it
//!   ([Group Replication](#mysqls-group-replication)), or
//! * the session has waited for a request for as long as `give_up_after` (at least 3 s). That happens when a firewall has
//!   dropped the connection. It does not count once the reply has begun or more than 64 KiB were sent, because such data may
//!   still be on the way.
//!
//! A session that is executing goes on for as long as it takes. Where sessions cannot be identified, or where another server
//! answers at the address, only the first condition applies. Set an
//! [`attempt_timeout`](crate::RetryPolicyBuilder::attempt_timeout) there.
//!
//! # The retry budget
//!
//! A server that is up and keeps losing connections receives each statement several times from clients that replay. A
//! [`RetryBudget`](crate::RetryBudget) bounds that: replays are at most a fifth of the statements that succeed, after a reserve
//! of 500. When it is empty, losses are returned at once with
//! [`Reason::BudgetExhausted`](crate::Reason::BudgetExhausted). Losses that belong to an outage cost nothing.
//!
//! # Replays wait for their lost attempt
//!
//! A server does not notice that its client is gone while it executes. A lost `UPDATE` that waits for a row lock goes on
//! waiting and runs when the lock is free, perhaps after its own replay and after the writes of others.
//!
//! So each new connection takes a user-level lock with a name of its own (`GET_LOCK('mysql_retry:..', 0)`). Before a write is
//! replayed, the session that holds the lock of the lost attempt is killed, and the replay waits until the lock is free. Then
//! that session has ended, and its statement was rolled back or committed. This needs no privilege. It cannot kill another
//! session, even where connection ids are reused.
//!
//! * Where it cannot be done, [`Event::Unfenced`](crate::Event::Unfenced) says why.
//!   [`replay_unfenced`](crate::RetryPolicyBuilder::replay_unfenced) decides whether the replay is made.
//! * `RELEASE_ALL_LOCKS()` also releases this lock, and counts it. A call that names that function, or that may call stored
//!   code, cannot be fenced if it is lost.
//! * Reads are replayed without waiting. Their old sessions are killed too, as are the statements of dropped futures.
