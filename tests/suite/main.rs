//! The behaviours that users rely on, tested on real servers, through a proxy that loses connections on purpose.
//!
//! One folder for each hazard:
//!
//! | folder | what can go wrong |
//! |---|---|
//! | `finding_out` | a connection has died, aged or idled before the next statement is sent on it |
//! | `replaying` | the connection is lost with a statement under way: what is sent again, what is not |
//! | `verdicts` | what the caller is told: `NotExecuted`, `Failed` or `Unknown`, and what the error says |
//! | `bounds` | attempts, deadlines, time-outs, the wait for a connection, the retry budget, silent paths |
//! | `fence` | a replay runs beside the lost attempt of the same statement |
//! | `outage` | the server is down, full, read-only, or does not let the caller in |
//! | `session` | a pinned connection is lost with the state on it; texts that need a session |
//! | `transaction` | a transaction is lost, rolled back, or ended by something else than its COMMIT |
//! | `guard` | exactly once: the token and its table |
//! | `cancel` | a future is dropped half-way, or panics |
//! | `leaks` | the next caller sees what an earlier one left on the connection |
//! | `setup` | a connection is not made as the user's options say |
//! | `events` | hooks, counters, `tracing` |
//! | `methods` | a method gives something else than the driver's method of that name |
//!
//! `support` has what they share. "Case 12" in a comment, and `case_12` in a name, is number 12 in the list of behaviours in
//! ARCHITECTURE.md.

mod bounds;
mod cancel;
mod events;
mod fence;
mod finding_out;
mod guard;
mod leaks;
mod methods;
mod outage;
mod replaying;
mod session;
mod setup;
mod support;
mod transaction;
mod verdicts;
