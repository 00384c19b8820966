//! What is known of the physical connections, kept beside them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::Conn;

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) last_used: Instant,
    /// It is not used again after idling this long: the server is about to close it, or has.
    pub(crate) idle_limit: Duration,
    /// The largest packet that the server takes on it, if it told.
    pub(crate) packet_limit: Option<usize>,
    /// The autocommit mode that it began with.
    pub(crate) autocommit: bool,
    /// When it is too old to be used again; `None` never.
    pub(crate) expires: Option<Instant>,
    new: bool,
}

/// `wait_timeout` where the server does not tell: the default of MySQL and MariaDB.
const DEFAULT_WAIT_TIMEOUT: Duration = Duration::from_secs(28_800);

impl Record {
    fn new(max_age: Option<Duration>) -> Self {
        let now = Instant::now();
        Record {
            last_used: now,
            idle_limit: DEFAULT_WAIT_TIMEOUT,
            packet_limit: None,
            autocommit: true,
            expires: max_age.and_then(|age| now.checked_add(jittered(age))),
            new: true,
        }
    }

    /// The connection has just answered, and perhaps told its `wait_timeout` in seconds and its `max_allowed_packet`.
    pub(crate) fn check(&mut self, wait_timeout: Option<u64>, packet_limit: Option<usize>, autocommit: bool) {
        self.idle_limit = idle_limit(wait_timeout.map_or(DEFAULT_WAIT_TIMEOUT, Duration::from_secs));
        self.packet_limit = packet_limit;
        self.autocommit = autocommit;
        self.new = false;
    }

    pub(crate) fn is_new(&self) -> bool {
        self.new
    }

    /// Whether it is too old, or has idled for too long, to be used.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| now >= expires) || self.idle(now) >= self.idle_limit
    }

    pub(crate) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_used)
    }
}

/// The server's limit less a margin of a tenth, at least a second and at most a minute, but no more than half.
fn idle_limit(wait_timeout: Duration) -> Duration {
    let margin = (wait_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(60)).min(wait_timeout / 2);
    wait_timeout - margin
}

/// The age and up to a tenth more, so that connections that were made together do not end together.
fn jittered(age: Duration) -> Duration {
    // the only randomness of the standard library: the keys of its hash maps
    let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64;
    age + (age / 10).mul_f64(random)
}

/// The records of the connections that are in the pool. A leased connection's record travels with its lease.
#[derive(Debug)]
pub(crate) struct Records {
    limit: usize,
    max_age: Option<Duration>,
    by_connection: Mutex<HashMap<Key, Record, BuildHasherDefault<Identity>>>,
}

/// Identifies a living connection: the driver keeps its inner part on the heap, which does not move. Ids of the
/// server would not do: they start again when it restarts, and two servers behind one address share them.
type Key = usize;

fn key(conn: &Conn) -> Key {
    std::ptr::from_ref(conn.opts()) as usize
}

impl Records {
    /// For a pool of at most `connections`, each to be retired at `max_age`.
    pub(crate) fn new(connections: usize, max_age: Option<Duration>) -> Self {
        Records { limit: connections.saturating_mul(2).max(32), max_age, by_connection: Mutex::default() }
    }

    /// Of a connection that has just been made. Replaces what a dead connection may have left at its place.
    pub(crate) fn insert_new(&self, conn: &Conn) {
        self.insert(key(conn), Record::new(self.max_age));
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
    fn ages_differ_by_up_to_a_tenth() {
        let age = Duration::from_secs(1000);
        let ages: Vec<Duration> = (0..100).map(|_| jittered(age)).collect();
        assert!(ages.iter().all(|&it| it >= age && it <= age + age / 10), "{ages:?}");
        assert!(ages.iter().max() > ages.iter().min(), "{ages:?}");
    }

    #[test]
    fn a_connection_is_over_at_its_age_whatever_its_use() {
        let record = Record::new(Some(Duration::from_secs(100)));
        let after = |seconds| record.last_used + Duration::from_secs(seconds);
        assert!(!record.is_over(after(99)));
        assert!(record.is_over(after(110)));
        assert!(!Record::new(None).is_over(after(110)));
    }

    #[test]
    fn records_of_connections_that_died_in_the_pool_do_not_pile_up() {
        let records = Records::new(4, None);
        for key in 0..10_000 {
            records.insert(key * 64, Record::new(None));
            assert!(records.lock().len() <= records.limit);
        }
        let newest = records.lock().contains_key(&(9_999 * 64));
        assert!(newest, "the record of the newest connection was dropped");
    }
}
