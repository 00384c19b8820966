//! Transactions, guards and failover on a Galera cluster, where a transaction meets its rivals at COMMIT and not before.
//!
//! Needs Galera's library beside MariaDB. Where it is missing the tests say so and pass, unless
//! `MYSQL_RETRY_GALERA=required`.

mod aborted;
mod certification;
mod failover;
mod faults;
mod lag;
// that of the failover tests, of which not all is needed here
#[allow(dead_code)]
#[path = "../failover/load/mod.rs"]
mod load;
mod once;
mod quorum;
mod support;
