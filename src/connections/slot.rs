//! The connection of a session, between its statements.
//!
//! A session keeps one connection, and what its statements have left on it. When that connection is lost, the state is
//! lost with it, and nobody may go on as if it were there: the slot remembers what was lost until the caller was told.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Lease, Session};
use crate::{classify::Classification, error::Result, reading::StateKinds};

/// The place of one session's connection.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Held>);

#[derive(Default)]
struct Held {
    lease: Option<(Lease, Instant)>,
    /// What statements have left on the connection: on the one that is here, or on the one that was lost.
    state: StateKinds,
    in_transaction: bool,
    /// The connection was lost, with state, and nobody has been told.
    lost: bool,
    /// Makes the state anew on another connection.
    rebuild: Option<Arc<Rebuild>>,
    /// The slot is that of a transaction: no other connection will do.
    transaction: Option<Standing>,
    /// The session that the transaction runs on: it has lost its connection if it does not get it back.
    outer: Option<Arc<Slot>>,
}

/// Works on the connection of a new slot, and gives it back with its state, if it was not lost.
pub(crate) type Rebuild = dyn Fn(Arc<Slot>) -> Rebuilding + Send + Sync;
pub(crate) type Rebuilding = Pin<Box<dyn Future<Output = Result<Option<(Lease, StateKinds)>>> + Send>>;

/// How a transaction stands, beside what its connection tells.
#[derive(Default)]
pub(crate) struct Standing {
    /// It was asked for as read-only, or runs on a session that may be.
    pub(crate) read_only: bool,
    /// A statement may have committed what came before it.
    pub(crate) doubtful: bool,
    /// An earlier run of it may have been committed on another node.
    pub(crate) lost_before: bool,
    /// It has ended: it was committed or rolled back by a statement, or by the server.
    pub(crate) over: bool,
    /// Its connection was closed under a statement whose future was dropped.
    pub(crate) abandoned: bool,
    /// Its last statement failed for a reason that running all of it again may mend.
    pub(crate) trouble: Option<Trouble>,
}

/// A statement of a transaction has failed.
pub(crate) struct Trouble {
    pub(crate) classification: Classification,
    pub(crate) error: mysql_async::Error,
    pub(crate) connection_id: u32,
    /// Where it may still be at work.
    pub(crate) session: Option<Session>,
    pub(crate) target: usize,
}

impl Slot {
    /// The slot of a session that has this connection.
    pub(crate) fn holding(lease: Lease) -> Arc<Self> {
        Arc::new(Slot(Mutex::new(Held { lease: Some((lease, Instant::now())), ..Held::default() })))
    }

    /// The slot of a transaction that has begun on this connection.
    pub(crate) fn of_transaction(mut lease: Lease) -> Arc<Self> {
        let outer = lease.leave_home();
        let read_only = outer.as_ref().is_some_and(|outer| outer.is_read_only());
        let held = Held {
            outer,
            lease: Some((lease, Instant::now())),
            in_transaction: true,
            transaction: Some(Standing { read_only, ..Standing::default() }),
            ..Held::default()
        };
        Arc::new(Slot(Mutex::new(held)))
    }

    pub(crate) fn is_of_transaction(&self) -> bool {
        self.lock().transaction.is_some()
    }

    /// Whether the caller may have made the session, or the transaction, read-only.
    pub(crate) fn is_read_only(&self) -> bool {
        let held = self.lock();
        match &held.transaction {
            Some(standing) => standing.read_only,
            None => [StateKinds::SESSION_VARIABLES, StateKinds::TRANSACTION, StateKinds::UNKNOWN]
                .into_iter()
                .any(|kind| held.state.contains(kind)),
        }
    }

    /// Whether a transaction is open on the connection.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.lock().in_transaction
    }

    /// How the transaction stands; only of a slot that is one's.
    pub(crate) fn with_standing<T>(&self, look: impl FnOnce(&mut Standing) -> T) -> Option<T> {
        self.lock().transaction.as_mut().map(look)
    }

    /// Ends the use of a transaction's slot: how it stands, and its connection with what is on it, unless that was lost or
    /// is in use.
    pub(crate) fn end_transaction(&self) -> (Standing, Option<(Lease, StateKinds)>) {
        let mut held = self.lock();
        let over = Standing { over: true, ..Standing::default() };
        let standing = held.transaction.replace(over).unwrap_or_default();
        let lease = held.lease.take().map(|(lease, _)| lease);
        let outer = held.outer.take();
        let taken = lease.map(|lease| (lease, mem::take(&mut held.state)));
        drop(held);
        if let (Some(outer), None) = (outer, &taken) {
            outer.lost();
        }
        (standing, taken)
    }

    /// Takes the connection out for a statement, with the time that it has idled.
    pub(crate) fn take(self: &Arc<Self>, now: Instant) -> Option<(Lease, Duration)> {
        let (lease, used) = self.lock().lease.take()?;
        Some((lease.at_home(self), now.saturating_duration_since(used)))
    }

    /// Puts the connection back after a statement, which may have left this.
    pub(crate) fn put_back(&self, lease: Lease, leaves: StateKinds) {
        let status = lease.status();
        let began_with = lease.began_with_autocommit();
        let mut held = self.lock();
        held.state = held.state.union(leaves);
        // after an error of the server there are no flags: then all is as it was, as far as anybody knows
        if let Some(status) = status {
            if status.in_transaction || status.autocommit != began_with {
                held.state = held.state.union(StateKinds::TRANSACTION);
            } else if held.in_transaction {
                held.state = held.state.without(StateKinds::TRANSACTION);
            }
            held.in_transaction = status.in_transaction;
            if let Some(standing) = &mut held.transaction {
                standing.over |= !status.in_transaction;
                standing.doubtful |= standing.over;
                standing.trouble = None;
            }
        }
        held.lease = Some((lease, Instant::now()));
    }

    /// The connection will not come back.
    pub(crate) fn lost(&self) {
        let mut held = self.lock();
        held.lost = !held.state.is_neutral();
        held.in_transaction = false;
        if let Some(standing) = &mut held.transaction {
            standing.abandoned = true;
        }
        let outer = held.outer.take();
        drop(held);
        if let Some(outer) = outer {
            outer.lost();
        }
    }

    /// What was lost and not yet told; nothing if nothing was.
    pub(crate) fn missing(&self) -> StateKinds {
        let held = self.lock();
        if held.lost { held.state } else { StateKinds::NONE }
    }

    /// Whether there is state missing that nobody will make anew.
    pub(crate) fn is_at_a_loss(&self) -> bool {
        let held = self.lock();
        held.lost && held.rebuild.is_none()
    }

    /// What is to be done on another connection.
    pub(crate) fn rebuild(&self) -> Option<Arc<Rebuild>> {
        self.lock().rebuild.clone()
    }

    pub(crate) fn on_reconnect(&self, rebuild: Arc<Rebuild>) {
        self.lock().rebuild = Some(rebuild);
    }

    /// There is another connection, with this state.
    pub(crate) fn begin_anew(&self, state: StateKinds) {
        let mut held = self.lock();
        (held.lost, held.state) = (false, state);
    }

    /// Tells the caller what was lost, if anything was and nobody will make it anew: the session begins without it.
    pub(crate) fn acknowledge(&self) -> StateKinds {
        let mut held = self.lock();
        if held.rebuild.is_some() {
            return StateKinds::NONE;
        }
        if mem::take(&mut held.lost) { mem::take(&mut held.state) } else { StateKinds::NONE }
    }

    /// Takes the connection away for good, with what is on it.
    pub(crate) fn vacate(&self) -> Option<(Lease, StateKinds)> {
        let mut held = self.lock();
        let (lease, _) = held.lease.take()?;
        Some((lease, mem::take(&mut held.state)))
    }

    /// What statements have left on the connection.
    pub(crate) fn state(&self) -> StateKinds {
        self.lock().state
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // no code of a user runs under the lock
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let held = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(outer) = held.outer.take() {
            outer.lost();
        }
    }
}
