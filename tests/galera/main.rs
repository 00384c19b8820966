//! Transactions, guards and failover on a Galera cluster, where a transaction meets its rivals at COMMIT and not before.
//!
//! Needs Galera's library beside MariaDB. Where that is missing the tests are skipped, unless `MYSQL_RETRY_GALERA=required`.

mod aborted;
mod certification;
mod failover;
mod faults;
mod lag;
mod once;
mod quorum;
mod support;
