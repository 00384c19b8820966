//! Transactions and guards on a Galera cluster, where a transaction meets its rivals at COMMIT and not before.
//!
//! Needs Galera's library beside MariaDB. Where it is missing the tests say so and pass, unless
//! `MYSQL_RETRY_GALERA=required`.

mod certification;
mod faults;
mod lag;
mod once;
mod quorum;
mod support;
