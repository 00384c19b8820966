//! The transaction on a slot's connection: one of a closure, or one that a session has begun by text.

use std::{
    mem,
    sync::{Arc, Mutex},
    time::Instant,
};

use super::{Held, Slot};
use crate::{
    pool::{Backend, Lease},
    sql::{Effect, StateKinds},
    verdict::{Classification, Obstacle},
};

/// Why a transaction of a session, begun by text, can no longer be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Its connection was lost, or the server has rolled it back.
    RolledBack,
    /// A statement has ended it, and whether that committed what came before is not known.
    Ended,
}

/// The state of a transaction that the status flags of its connection do not show.
#[derive(Default)]
pub(crate) struct Standing {
    /// It was asked for as read-only, or runs on a session that may be.
    pub(crate) read_only: bool,
    /// A statement may have committed what came before it.
    pub(crate) doubtful: bool,
    /// An earlier run of it may have been committed on another node.
    pub(crate) lost_before: bool,
    /// The row of its token is marked: a statement that may commit was to be sent.
    pub(crate) marked: bool,
    /// It has ended: it was committed or rolled back by a statement, or by the server.
    pub(crate) over: bool,
    /// Its connection was closed under a statement whose future was dropped.
    pub(crate) abandoned: bool,
    /// Its last statement failed, and a rerun of the whole transaction may succeed.
    pub(crate) trouble: Option<Trouble>,
}

/// A statement of a transaction has failed.
pub(crate) struct Trouble {
    pub(crate) classification: Classification,
    pub(crate) error: mysql_async::Error,
    pub(crate) connection_id: u32,
    /// Where it may still be at work.
    pub(crate) session: Option<Backend>,
    pub(crate) target: usize,
    /// The transaction is not to be run again, for this reason.
    pub(crate) obstacle: Option<Obstacle>,
}

/// What is sent along with a statement of a session, in the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rider {
    None,
    /// The command that begins a transaction ends at this byte: the savepoint is set behind it.
    Begins(usize),
    /// The savepoint is released before the command that commits.
    Commits,
    /// The same in a text of its own, which is answered before that of the command is sent.
    CommitsApart,
}

impl Slot {
    /// The slot of a transaction that has begun on this connection, `read_only` if that was asked for, and with our savepoint
    /// if it is `watched`.
    pub(crate) fn of_transaction(mut lease: Lease, read_only: bool, watched: bool) -> Arc<Self> {
        let outer = lease.leave_home();
        let read_only = read_only || outer.as_ref().is_some_and(|outer| outer.is_read_only());
        let (told, forgotten) = outer.as_ref().map_or_else(Default::default, |outer| {
            let outer = outer.lock();
            (outer.told, outer.forgotten)
        });
        let held = Held {
            outer,
            told,
            forgotten,
            lease: Some((lease, Instant::now())),
            in_transaction: true,
            has_savepoint: watched,
            transaction: Some(Standing { read_only, ..Standing::default() }),
            ..Held::default()
        };
        Arc::new(Slot(Mutex::new(held)))
    }

    /// Looks at the state of the transaction; `None` if the slot does not belong to one.
    pub(crate) fn with_standing<T>(&self, look: impl FnOnce(&mut Standing) -> T) -> Option<T> {
        self.lock().transaction.as_mut().map(look)
    }

    /// Ends the use of a transaction's slot. Returns the state of the transaction, and its connection with the state on that,
    /// unless the connection was lost or is in use.
    pub(crate) fn end_transaction(&self) -> (Standing, Option<(Lease, StateKinds)>) {
        let mut held = self.lock();
        let over = Standing { over: true, ..Standing::default() };
        let standing = held.transaction.replace(over).unwrap_or_default();
        let lease = held.lease.take().map(|(lease, _)| lease);
        let outer = held.outer.take();
        let taken = lease.map(|lease| (lease, held.take_state()));
        let forgotten = held.forgotten;
        drop(held);
        match (outer, &taken) {
            (Some(outer), None) => outer.lost(None),
            // the session knows what the transaction's statements have left
            (Some(outer), Some(_)) => outer.lock().forgotten = forgotten,
            (None, _) => {}
        }
        (standing, taken)
    }

    /// What is sent together with the statement under way, which is sent as text.
    pub(crate) fn rider(&self) -> Rider {
        let held = self.lock();
        match held.effect {
            Effect::Begins(Some(end)) if held.transaction.is_none() => Rider::Begins(end),
            Effect::Commits(true) if held.has_savepoint => {
                let apart = held.lease.as_ref().is_none_or(|(lease, _)| lease.may_certify());
                if apart { Rider::CommitsApart } else { Rider::Commits }
            }
            Effect::Begins(_)
            | Effect::Commits(_)
            | Effect::Keeps
            | Effect::RollsBack
            | Effect::Shapes
            | Effect::CommitsImplicitly
            | Effect::Several
            | Effect::MayDoAnything => Rider::None,
        }
    }

    /// The text that sets our savepoint was answered.
    pub(crate) fn note_savepoint(&self) {
        let mut held = self.lock();
        held.has_savepoint = held.in_transaction;
    }

    /// The statement under way was answered with an error.
    pub(crate) fn note_error(&self) {
        self.lock().erred = true;
    }

    /// Whether the open transaction has our savepoint.
    pub(crate) fn has_savepoint(&self) -> bool {
        self.lock().has_savepoint
    }

    /// Why the transaction that the caller has begun can no longer be committed, if it cannot.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.lock().broken
    }

    /// The server has rolled the transaction back. The error under way reports that.
    pub(crate) fn rolled_back(&self) {
        let mut held = self.lock();
        held.untold = true;
        held.broken = Some(Broken::RolledBack);
    }

    /// A statement has ended the transaction of the session.
    pub(crate) fn ended(&self) {
        self.lock().broken = Some(Broken::Ended);
    }

    /// The transaction that the session has open is given up: its connection is closed, and its session ended at the server.
    pub(crate) fn give_up_transaction(&self) {
        let mut held = self.lock();
        held.state = held.state.without(StateKinds::TRANSACTION);
        held.lost &= !held.state.is_neutral();
        (held.broken, held.untold) = (None, false);
        if !mem::take(&mut held.in_transaction) {
            return;
        }
        let lease = held.lease.take();
        drop(held);
        self.lost(lease.as_ref().and_then(|(lease, _)| lease.session()));
        if let Some((mut lease, _)) = lease {
            lease.sending();
        }
    }

    /// Another transaction is begun, not by text.
    pub(crate) fn begin_transaction(&self) {
        self.lock().broken = None;
    }
}
