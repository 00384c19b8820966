//! What is known of the physical connections, kept beside them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::Conn;

use super::session::{Introduction, Session};

/// What is known of one connection.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) last_used: Instant,
    /// It is not used again after idling this long: the server is about to close it, or has.
    pub(crate) idle_limit: Duration,
    /// The largest packet that the server takes on it, if it told.
    pub(crate) packet_limit: Option<usize>,
    /// The autocommit mode that it began with.
    pub(crate) autocommit: bool,
    /// Its session as others can find it; `None` if the server did not go along.
    pub(crate) session: Option<Session>,
    new: bool,
}

/// `wait_timeout` where the server does not tell: the default of MySQL and MariaDB.
const DEFAULT_WAIT_TIMEOUT: Duration = Duration::from_secs(28_800);

impl Record {
    pub(crate) fn new() -> Self {
        Record {
            last_used: Instant::now(),
            idle_limit: DEFAULT_WAIT_TIMEOUT,
            packet_limit: None,
            autocommit: true,
            session: None,
            new: true,
        }
    }

    /// Of a connection that has just introduced itself.
    pub(crate) fn checked(introduction: Introduction, autocommit: bool) -> Self {
        let wait_timeout = introduction.wait_timeout.map_or(DEFAULT_WAIT_TIMEOUT, Duration::from_secs);
        Record {
            idle_limit: idle_limit(wait_timeout),
            autocommit,
            packet_limit: introduction.packet_limit,
            session: introduction.session,
            new: false,
            ..Record::new()
        }
    }

    pub(crate) fn is_new(&self) -> bool {
        self.new
    }
}

/// The server's limit less a margin of a tenth, at least a second and at most a minute, but no more than half.
fn idle_limit(wait_timeout: Duration) -> Duration {
    let margin = (wait_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(60)).min(wait_timeout / 2);
    wait_timeout - margin
}

/// The records of the connections that are in the pool. A leased connection's record travels with its lease.
#[derive(Debug)]
pub(crate) struct Records {
    limit: usize,
    by_connection: Mutex<HashMap<Key, Record, BuildHasherDefault<Identity>>>,
}

/// Identifies a living connection: the driver keeps its inner part on the heap, which does not move. Ids of the
/// server would not do: they start again when it restarts, and two servers behind one address share them.
type Key = usize;

fn key(conn: &Conn) -> Key {
    std::ptr::from_ref(conn.opts()) as usize
}

impl Records {
    /// For a pool of at most `connections`.
    pub(crate) fn new(connections: usize) -> Self {
        Records { limit: connections.saturating_mul(2).max(32), by_connection: Mutex::default() }
    }

    /// Of a connection that has just been made. Replaces what a dead connection may have left at its place.
    pub(crate) fn insert_new(&self, conn: &Conn) {
        self.insert(key(conn), Record::new());
    }

    /// Takes the record of a connection that leaves the pool. `None` if it was forgotten: treat the connection as
    /// too old.
    pub(crate) fn take(&self, conn: &Conn) -> Option<Record> {
        self.lock().remove(&key(conn))
    }

    /// Of a connection that goes back to the pool.
    pub(crate) fn put(&self, conn: &Conn, record: Record) {
        self.insert(key(conn), record);
    }

    fn insert(&self, key: Key, record: Record) {
        let mut records = self.lock();
        if records.len() >= self.limit {
            // The pool drops dead connections without a word. Their records are the oldest.
            let mut times: Vec<Instant> = records.values().map(|record| record.last_used).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            records.retain(|_, record| record.last_used > middle);
        }
        records.insert(key, record);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Record, BuildHasherDefault<Identity>>> {
        // no code of a user runs under the lock, and each change is one call
        self.by_connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses of heap blocks are spread well enough once their low bits, zero by alignment, are mixed away.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(byte.into());
        }
    }

    fn write_usize(&mut self, value: usize) {
        // Fibonacci hashing; the table uses the high bits too
        self.0 = (self.0 ^ value as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_limit_stays_below_the_servers_wait_timeout() {
        let seconds = Duration::from_secs_f64;
        for (wait_timeout, limit) in
            [(28_800.0, 28_740.0), (600.0, 540.0), (30.0, 27.0), (2.0, 1.0), (1.0, 0.5), (0.0, 0.0)]
        {
            assert_eq!(idle_limit(seconds(wait_timeout)), seconds(limit), "{wait_timeout}");
        }
    }

    #[test]
    fn records_of_connections_that_died_in_the_pool_do_not_pile_up() {
        let records = Records::new(4);
        for key in 0..10_000 {
            records.insert(key * 64, Record::new());
            assert!(records.lock().len() <= records.limit);
        }
        let newest = records.lock().contains_key(&(9_999 * 64));
        assert!(newest, "the record of the newest connection was dropped");
    }
}
