//! What is known of each physical connection.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::Conn;
use mysql_common::constants::StatusFlags;

use super::{
    backend::Backend,
    introduction::{Introduction, Shape},
    parking::Parked,
};
use crate::{random, savepoint};

/// What is known of one connection.
#[derive(Debug)]
pub(super) struct Record {
    made: Instant,
    last_used: Instant,
    /// It is not used again after idling this long: the server is about to close it, or has.
    idle_limit: Duration,
    /// `max_allowed_packet` of the server.
    max_allowed_packet: Option<usize>,
    /// The largest packet that the server takes on it, if that is known.
    packet_limit: Option<usize>,
    /// The autocommit mode that it began with.
    autocommit: bool,
    /// Its session, as it can be found from another connection; `None` if it has no mark.
    pub(super) session: Option<Backend>,
    /// The state of its session when it was new; `None` if that is not known.
    shape: Option<Arc<Shape>>,
    /// Whether its server commits by certification; `None` if that is not known.
    certifies: Option<bool>,
    /// How many transactions in a row were complete, as their savepoint shows.
    whole: u8,
    /// When it is too old to be used again; `None` never.
    expires: Option<Instant>,
    new: bool,
    /// No statement of a caller has run on it since it was made or reset.
    pristine: bool,
    /// It is in use: its record must be kept.
    leased: bool,
    /// Connections of an earlier generation are not used again.
    generation: u64,
    /// The task that waits for its answer.
    pub(super) parked: Option<Parked>,
}

/// How a connection is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    AsItBegan,
    /// The server's status flags show that its session is not as it began.
    Changed,
    /// The last answer was an error, which has no status flags.
    Unseen,
    /// It is not to be used again, or nothing is known of it.
    Over,
}

/// Whether a connection is fit for use, judged by its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It has not been used yet.
    New,
    /// It has idled for this long, which is not too long.
    Idle(Duration),
    /// It is too old, has idled for too long, or nothing is known of it.
    Over,
}

/// `wait_timeout` where the server's value is not known: the default of MySQL and MariaDB.
const DEFAULT_WAIT_TIMEOUT: Duration = Duration::from_secs(28_800);

impl Record {
    fn new(max_age: Option<Duration>, generation: u64) -> Self {
        let now = Instant::now();
        Record {
            made: now,
            last_used: now,
            idle_limit: DEFAULT_WAIT_TIMEOUT,
            max_allowed_packet: None,
            packet_limit: None,
            autocommit: true,
            session: None,
            shape: None,
            certifies: None,
            whole: 0,
            expires: max_age.and_then(|age| now.checked_add(jittered(age))),
            new: true,
            pristine: true,
            leased: false,
            generation,
            parked: None,
        }
    }

    fn condition(&self, now: Instant) -> Condition {
        let idle = now.saturating_duration_since(self.last_used);
        if self.expires.is_some_and(|expires| now >= expires) || idle >= self.idle_limit {
            Condition::Over
        } else if self.new {
            Condition::New
        } else {
            Condition::Idle(idle)
        }
    }
}

/// The server's limit less a margin of a tenth, at least a second and at most a minute, but no more than half.
fn idle_limit(wait_timeout: Duration) -> Duration {
    let margin = (wait_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(60)).min(wait_timeout / 2);
    wait_timeout - margin
}

/// The age and up to a tenth more, so that connections that were made together do not end together.
fn jittered(age: Duration) -> Duration {
    age.saturating_add((age / 10).mul_f64(random::share()))
}

/// The records of all connections.
#[derive(Debug)]
pub(crate) struct Records {
    limit: usize,
    max_age: Option<Duration>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) by_connection: HashMap<Key, Record, BuildHasherDefault<Identity>>,
    generation: u64,
    /// How many statements of callers have been answered, and their connections given back.
    answers: u64,
}

/// Identifies a living connection: the driver keeps its inner part on the heap, which does not move. Ids of the
/// server cannot be used: they start again when it restarts, and two servers behind one address use the same ones.
pub(super) type Key = usize;

pub(super) fn key(conn: &Conn) -> Key {
    std::ptr::from_ref(conn.opts()) as usize
}

impl Records {
    /// For a pool of at most `connections`, each to be retired at `max_age`.
    pub(crate) fn new(connections: usize, max_age: Option<Duration>) -> Self {
        Records { limit: connections.saturating_mul(2).max(32), max_age, inner: Mutex::default() }
    }

    /// Makes the record of a new connection. Replaces a record that a dead connection may have left at its address.
    pub(crate) fn insert_new(&self, conn: &Conn) {
        let generation = self.lock().generation;
        self.insert(key(conn), Record::new(self.max_age, generation));
    }

    /// Whether a connection that leaves the pool is fit for use.
    pub(super) fn condition(&self, conn: &Conn, now: Instant) -> Condition {
        let mut inner = self.lock();
        let generation = inner.generation;
        inner.by_connection.get_mut(&key(conn)).map_or(Condition::Over, |record| {
            record.leased = true;
            if record.generation == generation { record.condition(now) } else { Condition::Over }
        })
    }

    /// Notes what a connection has said about itself in its first answer.
    pub(super) fn introduce(&self, conn: &Conn, introduction: Introduction) {
        let autocommit = Status::of(conn).is_none_or(|status| status.autocommit);
        if let Some(record) = self.lock().by_connection.get_mut(&key(conn)) {
            let wait_timeout = introduction.wait_timeout.map_or(DEFAULT_WAIT_TIMEOUT, Duration::from_secs);
            record.idle_limit = idle_limit(wait_timeout);
            record.max_allowed_packet = introduction.max_allowed_packet;
            record.packet_limit = introduction.packet_limit;
            record.session = introduction.session;
            record.certifies = introduction.certifies;
            record.shape = introduction.shape.map(Arc::new);
            record.autocommit = autocommit;
            record.new = false;
        }
    }

    /// Called before a connection is returned to the pool, after `answers` statements of a caller.
    pub(super) fn give_back(&self, conn: &Conn, now: Instant, answers: u64) -> Returned {
        let status = Status::of(conn);
        let mut inner = self.lock();
        inner.answers += answers;
        let Inner { by_connection, generation, .. } = &mut *inner;
        let Some(record) = by_connection.get_mut(&key(conn)) else {
            return Returned::Over;
        };
        record.last_used = now;
        record.leased = false;
        record.pristine &= answers == 0;
        let parked = record.parked.take();
        let returned = match status {
            _ if record.generation != *generation => Returned::Over,
            None => Returned::Unseen,
            Some(it) if !it.in_transaction && it.autocommit == record.autocommit => Returned::AsItBegan,
            Some(_) => Returned::Changed,
        };
        // the waker is dropped outside the lock: its `Drop` may run foreign code
        drop(inner);
        drop(parked);
        returned
    }

    /// Whether the status flags alone show what becomes of a transaction on it (see [`savepoint`]).
    pub(super) fn is_known_well(&self, conn: &Conn) -> bool {
        self.lock().by_connection.get(&key(conn)).is_some_and(|record| {
            record.certifies == Some(false) && record.session.is_some() && record.whole >= savepoint::TRIALS
        })
    }

    /// Whether its server may commit by certification.
    pub(super) fn may_certify(&self, conn: &Conn) -> bool {
        self.lock().by_connection.get(&key(conn)).is_none_or(|record| record.certifies != Some(false))
    }

    /// Notes whether a transaction was complete, as its savepoint shows.
    pub(super) fn note_transaction(&self, conn: &Conn, whole: bool) {
        if let Some(record) = self.lock().by_connection.get_mut(&key(conn)) {
            record.whole = if whole { record.whole.saturating_add(1) } else { 0 };
        }
    }

    /// Whether it was just made, and has not introduced itself.
    pub(super) fn is_new(&self, conn: &Conn) -> bool {
        self.lock().by_connection.get(&key(conn)).is_some_and(|record| record.new)
    }

    /// Whether no statement of a caller has run on the connection since it was made or reset.
    pub(super) fn is_pristine(&self, conn: &Conn) -> bool {
        self.lock().by_connection.get(&key(conn)).is_some_and(|record| record.pristine)
    }

    /// How many statements of callers have been answered.
    pub(super) fn answers(&self) -> u64 {
        self.lock().answers
    }

    /// The present connections will not be used again.
    pub(super) fn renounce(&self) {
        self.lock().generation += 1;
    }

    /// Whether the connection is of the present generation.
    pub(super) fn is_current(&self, conn: &Conn) -> bool {
        let inner = self.lock();
        inner.by_connection.get(&key(conn)).is_some_and(|record| record.generation == inner.generation)
    }

    /// The autocommit mode that the connection began with.
    pub(super) fn autocommit(&self, conn: &Conn) -> bool {
        self.lock().by_connection.get(&key(conn)).is_none_or(|record| record.autocommit)
    }

    /// When the connection was made.
    pub(super) fn made(&self, conn: &Conn) -> Option<Instant> {
        self.lock().by_connection.get(&key(conn)).map(|record| record.made)
    }

    /// `max_allowed_packet` of the server, if it is known.
    pub(super) fn max_allowed_packet(&self, conn: &Conn) -> Option<usize> {
        self.lock().by_connection.get(&key(conn))?.max_allowed_packet
    }

    /// The largest packet that the server takes on this connection, if it is known.
    pub(super) fn packet_limit(&self, conn: &Conn) -> Option<usize> {
        self.lock().by_connection.get(&key(conn))?.packet_limit
    }

    /// The session of a connection, as it can be found from another one.
    pub(super) fn session(&self, conn: &Conn) -> Option<Backend> {
        self.lock().by_connection.get(&key(conn))?.session.clone()
    }

    /// The state of the session when it was new.
    pub(super) fn shape(&self, conn: &Conn) -> Option<Arc<Shape>> {
        self.lock().by_connection.get(&key(conn))?.shape.clone()
    }

    /// The session was restored, and marked again.
    pub(super) fn remark(&self, conn: &Conn, session: Option<Backend>) {
        if let Some(record) = self.lock().by_connection.get_mut(&key(conn)) {
            record.session = session;
            record.pristine = true;
        }
    }

    /// A statement may have released the lock that marks the session.
    pub(super) fn doubt_mark(&self, conn: &Conn) {
        if let Some(record) = self.lock().by_connection.get_mut(&key(conn))
            && let Some(session) = &mut record.session
        {
            session.doubtful = true;
        }
    }

    /// A connection has left without its lease: it is not used again if it comes back.
    pub(super) fn disown(&self, key: Key) {
        let record = self.lock().by_connection.remove(&key);
        drop(record);
    }

    /// The connection is about to be closed.
    pub(super) fn forget(&self, conn: &Conn) {
        let record = self.lock().by_connection.remove(&key(conn));
        drop(record);
    }

    fn insert(&self, key: Key, record: Record) {
        let records = &mut self.lock().by_connection;
        if records.len() >= self.limit {
            // The pool does not report the dead connections that it drops. Their records are the oldest of those that are not
            // leased. At most half of these are dropped here. A living connection that loses its record is replaced
            // before it is used again.
            let idle = records.values().filter(|record| !record.leased);
            let mut times: Vec<Instant> = idle.map(|record| record.last_used).collect();
            times.sort_unstable();
            if let Some(&middle) = times.get(times.len() / 2) {
                records.retain(|_, record| record.leased || record.last_used > middle);
            }
        }
        records.insert(key, record);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // no foreign code runs under the lock, and each change is one call
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status flags of the server's last OK packet. MySQL and MariaDB send them with each one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) autocommit: bool,
    pub(crate) in_transaction: bool,
}

impl Status {
    /// `None` after an error of the server.
    pub(crate) fn of(conn: &Conn) -> Option<Self> {
        let flags = conn.last_ok_packet()?.status_flags();
        Some(Status {
            autocommit: flags.contains(StatusFlags::SERVER_STATUS_AUTOCOMMIT),
            in_transaction: flags.contains(StatusFlags::SERVER_STATUS_IN_TRANS),
        })
    }
}

/// Addresses of heap blocks are spread well enough once their low bits, zero by alignment, are mixed away.
#[derive(Default)]
pub(super) struct Identity(u64);

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
