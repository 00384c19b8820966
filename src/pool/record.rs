//! What is known of one physical connection.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::{Conn, Statement};
use mysql_common::constants::StatusFlags;

use super::{
    backend::Backend,
    introduction::{Introduction, Shape},
    parking::Parked,
    prepared::Statements,
    records::Records,
};
use crate::{random, savepoint};

/// What is known of one connection. It goes with the connection through leases and the warm lane; while the connection is in the
/// driver's pool, [`Records`] keep it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(super) key: Key,
    made: Instant,
    /// When it is too old to be used again; `None` never.
    expires: Option<Instant>,
    /// Connections of an earlier generation are not used again.
    generation: u64,
    known: Mutex<Known>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) last_used: Instant,
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
    pub(super) new: bool,
    /// No statement of a caller has run on it since it was made or reset.
    pristine: bool,
    /// How many statements of callers have been answered on it, and the connection given back.
    pub(super) answers: u64,
    /// The task that waits for its answer.
    pub(super) parked: Option<Parked>,
    statements: Statements,
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
    /// It has idled since then, which is not too long.
    Idle(Instant),
    /// It is too old, has idled for too long, or nothing is known of it.
    Over,
}

/// `wait_timeout` where the server's value is not known: the default of MySQL and MariaDB.
const DEFAULT_WAIT_TIMEOUT: Duration = Duration::from_secs(28_800);

impl Record {
    pub(super) fn new(key: Key, max_age: Option<Duration>, generation: u64) -> Self {
        let now = Instant::now();
        let known = Known {
            last_used: now,
            idle_limit: DEFAULT_WAIT_TIMEOUT,
            max_allowed_packet: None,
            packet_limit: None,
            autocommit: true,
            session: None,
            shape: None,
            certifies: None,
            whole: 0,
            new: true,
            pristine: true,
            answers: 0,
            parked: None,
            statements: Statements::default(),
        };
        let expires = max_age.and_then(|age| now.checked_add(jittered(age)));
        Record { key, made: now, expires, generation, known: Mutex::new(known) }
    }

    /// Of a connection whose record was dropped. It is not used again.
    pub(super) fn unknown(key: Key) -> Self {
        let mut record = Record::new(key, None, UNKNOWN);
        let known = record.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        (known.new, known.pristine) = (false, false);
        record
    }

    /// Whether it is the record of this connection.
    pub(super) fn is_of(&self, conn: &Conn) -> bool {
        self.key == key(conn)
    }

    /// Called before a connection is returned to the pool, after `answers` statements of a caller.
    pub(super) fn give_back(&self, records: &Records, conn: &Conn, now: Instant, answers: u64) -> Returned {
        let status = Status::of(conn);
        let mut known = self.lock();
        known.answers += answers;
        known.last_used = now;
        known.pristine &= answers == 0;
        let parked = known.parked.take();
        let returned = match status {
            _ if !self.is_current(records) => Returned::Over,
            None => Returned::Unseen,
            Some(it) if !it.in_transaction && it.autocommit == known.autocommit => Returned::AsItBegan,
            Some(_) => Returned::Changed,
        };
        // the waker is dropped outside the lock: its `Drop` may run foreign code
        drop(known);
        drop(parked);
        returned
    }

    /// Whether a connection is fit for use.
    pub(super) fn condition(&self, records: &Records, now: Instant) -> Condition {
        let known = self.lock();
        let idle = now.saturating_duration_since(known.last_used);
        if self.is_too_old(records, now) || idle >= known.idle_limit {
            Condition::Over
        } else if known.new {
            Condition::New
        } else {
            Condition::Idle(known.last_used)
        }
    }

    /// Whether its connection is not to be used again, however short a time it has idled.
    pub(super) fn is_too_old(&self, records: &Records, now: Instant) -> bool {
        !self.is_current(records) || self.expires.is_some_and(|expires| now >= expires)
    }

    /// Whether the connection is of the present generation.
    pub(super) fn is_current(&self, records: &Records) -> bool {
        self.generation == records.generation()
    }

    /// Notes what a connection has said about itself in its first answer.
    pub(super) fn introduce(&self, conn: &Conn, introduction: Introduction) {
        let autocommit = Status::of(conn).is_none_or(|status| status.autocommit);
        let wait_timeout = introduction.wait_timeout.map_or(DEFAULT_WAIT_TIMEOUT, Duration::from_secs);
        let mut known = self.lock();
        known.idle_limit = idle_limit(wait_timeout);
        known.max_allowed_packet = introduction.max_allowed_packet;
        known.packet_limit = introduction.packet_limit;
        known.session = introduction.session;
        known.certifies = introduction.certifies;
        known.shape = introduction.shape.map(Arc::new);
        known.autocommit = autocommit;
        known.new = false;
    }

    /// Whether the status flags alone show what becomes of a transaction on it (see [`savepoint`]).
    pub(super) fn is_known_well(&self) -> bool {
        let known = self.lock();
        known.certifies == Some(false) && known.session.is_some() && known.whole >= savepoint::TRIALS
    }

    /// Whether its server may commit by certification.
    pub(super) fn may_certify(&self) -> bool {
        self.lock().certifies != Some(false)
    }

    /// Notes whether a transaction was complete, as its savepoint shows.
    pub(super) fn note_transaction(&self, whole: bool) {
        let mut known = self.lock();
        known.whole = if whole { known.whole.saturating_add(1) } else { 0 };
    }

    /// Whether no statement of a caller has run on the connection since it was made or reset.
    pub(super) fn is_pristine(&self) -> bool {
        self.lock().pristine
    }

    /// The autocommit mode that the connection began with.
    pub(super) fn autocommit(&self) -> bool {
        self.lock().autocommit
    }

    /// When the connection was made; `None` if that is not known.
    pub(super) fn made(&self) -> Option<Instant> {
        (self.generation != UNKNOWN).then_some(self.made)
    }

    /// `max_allowed_packet` of the server, if it is known.
    pub(super) fn max_allowed_packet(&self) -> Option<usize> {
        self.lock().max_allowed_packet
    }

    /// The largest packet that the server takes on this connection, if it is known.
    pub(super) fn packet_limit(&self) -> Option<usize> {
        self.lock().packet_limit
    }

    /// The session of the connection, as it can be found from another one.
    pub(super) fn session(&self) -> Option<Backend> {
        self.lock().session.clone()
    }

    /// The state of the session when it was new.
    pub(super) fn shape(&self) -> Option<Arc<Shape>> {
        self.lock().shape.clone()
    }

    /// The session is being restored: the server forgets what was prepared.
    pub(super) fn forget_statements(&self) {
        self.lock().statements = Statements::default();
    }

    /// The session was restored, and marked again.
    pub(super) fn remark(&self, session: Option<Backend>) {
        let mut known = self.lock();
        known.session = session;
        known.pristine = true;
    }

    /// A statement may have released the lock that marks the session.
    pub(super) fn doubt_mark(&self) {
        if let Some(session) = &mut self.lock().session {
            session.doubtful = true;
        }
    }

    /// What the driver has prepared for this text, if it is certain that it has it still.
    pub(crate) fn statement(&self, text: &[u8]) -> Option<Statement> {
        self.lock().statements.get(text)
    }

    /// The driver has prepared this text, and keeps at most so many.
    pub(crate) fn note_statement(&self, text: &[u8], statement: &Statement, kept: usize) {
        self.lock().statements.put(text, statement, kept);
    }

    /// The driver is about to prepare a text, or to look for it among what it has prepared.
    pub(crate) fn note_preparing(&self) {
        self.lock().statements.touch();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        // no foreign code runs under the lock, and each change is one call
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The generation of records that were dropped.
const UNKNOWN: u64 = u64::MAX;

/// The server's limit less a margin of a tenth, at least a second and at most a minute, but no more than half.
fn idle_limit(wait_timeout: Duration) -> Duration {
    let margin = (wait_timeout / 10).clamp(Duration::from_secs(1), Duration::from_secs(60)).min(wait_timeout / 2);
    wait_timeout - margin
}

/// The age and up to a tenth more, so that connections that were made together do not end together.
fn jittered(age: Duration) -> Duration {
    age.saturating_add((age / 10).mul_f64(random::share()))
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

/// Identifies a living connection: the driver keeps its inner part on the heap, which does not move. Ids of the
/// server cannot be used: they start again when it restarts, and two servers behind one address use the same ones.
pub(super) type Key = usize;

pub(super) fn key(conn: &Conn) -> Key {
    std::ptr::from_ref(conn.opts()) as usize
}

#[cfg(test)]
mod tests;
