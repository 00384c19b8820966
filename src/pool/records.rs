//! The records of all connections to one target.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    time::{Duration, Instant},
};

use mysql_async::Conn;

use super::record::{Key, Record, key};

/// The records of all connections.
#[derive(Debug)]
pub(crate) struct Records {
    limit: usize,
    max_age: Option<Duration>,
    by_connection: Mutex<ByConnection>,
    generation: AtomicU64,
    /// How many statements of callers were answered on connections whose records were dropped.
    answers_before: AtomicU64,
}

type ByConnection = HashMap<Key, Arc<Record>, BuildHasherDefault<Identity>>;

impl Records {
    /// For a pool of at most `connections`, each to be retired at `max_age`.
    pub(crate) fn new(connections: usize, max_age: Option<Duration>) -> Self {
        Records {
            limit: connections.saturating_mul(2).max(32),
            max_age,
            by_connection: Mutex::default(),
            generation: AtomicU64::new(0),
            answers_before: AtomicU64::new(0),
        }
    }

    /// Makes the record of a new connection. Replaces a record that a dead connection may have left at its address.
    pub(crate) fn insert_new(&self, conn: &Conn) {
        self.insert(Record::new(key(conn), self.max_age, self.generation()));
    }

    /// The record of a connection that leaves the driver's pool.
    pub(super) fn find(&self, conn: &Conn) -> Arc<Record> {
        let found = self.lock().get(&key(conn)).cloned();
        found.unwrap_or_else(|| Arc::new(Record::unknown(key(conn))))
    }

    /// Whether it was just made, and has not introduced itself.
    pub(super) fn is_new(&self, conn: &Conn) -> bool {
        self.find(conn).lock().new
    }

    /// How many statements of callers have been answered, and their connections given back. Each connection counts its own: a
    /// counter of all would be what the threads of a busy program wait for.
    pub(super) fn answers(&self) -> u64 {
        let records = self.lock();
        let present: u64 = records.values().map(|record| record.lock().answers).sum();
        self.answers_before.load(Relaxed) + present
    }

    /// Keeps what is counted of a record that was dropped.
    fn keep_count(&self, dropped: Option<Arc<Record>>) {
        if let Some(record) = dropped {
            self.answers_before.fetch_add(record.lock().answers, Relaxed);
        }
    }

    /// The present connections will not be used again.
    pub(super) fn renounce(&self) {
        self.generation.fetch_add(1, AcqRel);
    }

    /// Which connections are used: those that were made since the last ones were given up.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    /// A connection has left without its lease: it is not used again if it comes back.
    pub(super) fn disown(&self, record: &Record) {
        self.remove(record.key);
    }

    /// The connection is about to be closed.
    pub(super) fn forget(&self, conn: &Conn) {
        self.remove(key(conn));
    }

    fn remove(&self, key: Key) {
        let mut records = self.lock();
        self.keep_count(records.remove(&key));
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Record>> {
        self.lock().values().cloned().collect()
    }

    fn insert(&self, record: Record) {
        let records = &mut *self.lock();
        if records.len() >= self.limit {
            // The pool does not report the dead connections that it drops. Their records are the oldest of those that are not in
            // use. At most half of these are dropped here. A living connection that loses its record is replaced
            // before it is used again.
            let is_in_use = |record: &Arc<Record>| Arc::strong_count(record) > 1;
            let idle = records.values().filter(|record| !is_in_use(record));
            let mut times: Vec<Instant> = idle.map(|record| record.lock().last_used).collect();
            times.sort_unstable();
            if let Some(&middle) = times.get(times.len() / 2) {
                let is_old = |record: &&Arc<Record>| !is_in_use(record) && record.lock().last_used <= middle;
                let old: Vec<Key> = records.values().filter(is_old).map(|record| record.key).collect();
                old.iter().for_each(|key| self.keep_count(records.remove(key)));
            }
        }
        self.keep_count(records.insert(record.key, Arc::new(record)));
    }

    fn lock(&self) -> MutexGuard<'_, ByConnection> {
        // no foreign code runs under the lock, and each change is one call
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
mod tests;
