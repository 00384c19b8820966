//! The connection of a session, between its statements.
//!
//! A session keeps one connection, and the state that its statements leave on it. When that connection is lost, the state is
//! lost with it. The slot remembers what was lost until the caller has got an error that names it.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Backend, Lease};
use crate::{
    error::Result,
    sql::{Effect, StateKinds},
    summary::Summary,
};

mod transaction;

pub(crate) use transaction::{Broken, Rider, Standing, Trouble};

/// The place of one session's connection.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Held>);

#[derive(Default)]
struct Held {
    lease: Option<(Lease, Instant)>,
    /// What statements have left on the connection: the present one, or the lost one if `lost`.
    state: StateKinds,
    /// What the present connection knows of the session's statements, such as the last insert id.
    told: StateKinds,
    /// What lost connections knew, until a statement replaces it on the present one.
    forgotten: StateKinds,
    /// What the last statement has told, if it was guarded.
    guarded: Option<Summary>,
    in_transaction: bool,
    /// The transaction that is open has our savepoint: it was begun by a text that sets it.
    has_savepoint: bool,
    /// What the statement under way does to the transaction by its text.
    effect: Effect,
    /// The statement under way was answered with an error.
    erred: bool,
    /// What became of the transaction that the caller has begun by text, and has not ended yet.
    broken: Option<Broken>,
    /// The server has rolled it back, and no error has reported that yet.
    untold: bool,
    /// The connection was lost, with state, and no error has reported that yet.
    lost: bool,
    /// The sessions that were lost, if somebody wants to know. `None` in it: one that was never marked.
    losses: Option<Vec<Option<Backend>>>,
    /// Rebuilds the state on another connection.
    rebuild: Option<Arc<Rebuild>>,
    /// The slot belongs to a transaction, which cannot continue on another connection.
    transaction: Option<Standing>,
    /// The session that the transaction runs on. If the connection does not return to it, the session has lost it.
    outer: Option<Arc<Slot>>,
}

/// Works on the connection of a new slot. Returns it with its state, unless it was lost.
pub(crate) type Rebuild = dyn Fn(Arc<Slot>) -> Rebuilding + Send + Sync;
pub(crate) type Rebuilding = Pin<Box<dyn Future<Output = Result<Option<(Lease, StateKinds)>>> + Send>>;

impl Slot {
    /// The slot of a session that has this connection.
    pub(crate) fn holding(lease: Lease) -> Arc<Self> {
        Arc::new(Slot(Mutex::new(Held { lease: Some((lease, Instant::now())), ..Held::default() })))
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

    /// Takes the connection out for a statement, with the time that it has idled.
    pub(crate) fn take(self: &Arc<Self>, now: Instant) -> Option<(Lease, Duration)> {
        let (lease, used) = self.lock().lease.take()?;
        Some((lease.at_home(self), now.saturating_duration_since(used)))
    }

    /// The same for one that was used a moment ago. Not if it has to be looked at, or its transaction is over.
    pub(crate) fn take_at_hand(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        let mut held = self.lock();
        if held.transaction.as_ref().is_some_and(|standing| standing.over) {
            return None;
        }
        let (lease, _) = held.lease.take_if(|(_, used)| Lease::is_fresh(now.saturating_duration_since(*used)))?;
        Some(lease.at_home(self))
    }

    /// Puts the connection back after a statement that may have left this state.
    pub(crate) fn put_back(&self, lease: Lease, leaves: StateKinds) {
        let status = lease.status();
        let began_with = lease.began_with_autocommit();
        let mut held = self.lock();
        held.guarded = None;
        held.state = held.state.union(leaves.lasting());
        held.note_told(leaves.told(), lease.connection().last_insert_id().is_some());
        let (erred, effect) = (mem::take(&mut held.erred), mem::take(&mut held.effect));
        // an ERR packet has no flags; where they were not asked for, nothing has changed
        if let Some(status) = status {
            if status.in_transaction || status.autocommit != began_with {
                held.state = held.state.union(StateKinds::TRANSACTION);
            } else if held.in_transaction {
                held.state = held.state.without(StateKinds::TRANSACTION);
            }
            let was_open = mem::replace(&mut held.in_transaction, status.in_transaction);
            match &mut held.transaction {
                Some(standing) => {
                    standing.over |= !status.in_transaction;
                    if !erred {
                        standing.doubtful |= standing.over;
                        standing.trouble = None;
                    }
                }
                None => held.note_end(was_open, erred, effect),
            }
        }
        held.lease = Some((lease, Instant::now()));
    }

    /// A statement with this effect is about to be sent on a session.
    pub(crate) fn announce(&self, effect: Effect) {
        self.lock().effect = effect;
    }

    /// From now on the sessions that are lost are kept, for a fence.
    pub(crate) fn remember_losses(&self) {
        self.lock().losses = Some(Vec::new());
    }

    /// The sessions that were lost since then.
    pub(crate) fn take_losses(&self) -> Vec<Option<Backend>> {
        self.lock().losses.take().unwrap_or_default()
    }

    /// The connection, to this session of the server, will not come back.
    pub(crate) fn lost(&self, session: Option<Backend>) {
        let mut held = self.lock();
        if let Some(losses) = &mut held.losses {
            losses.push(session.clone());
        }
        held.lost = !held.state.is_neutral();
        held.forgotten = held.forgotten.union(mem::take(&mut held.told));
        if mem::take(&mut held.in_transaction) {
            held.broken = Some(Broken::RolledBack);
        }
        (held.has_savepoint, held.erred, held.guarded) = (false, false, None);
        if let Some(standing) = &mut held.transaction {
            standing.abandoned = true;
        }
        let outer = held.outer.take();
        drop(held);
        if let Some(outer) = outer {
            outer.lost(session);
        }
    }

    /// The state that was lost and not reported yet.
    pub(crate) fn missing(&self) -> StateKinds {
        let held = self.lock();
        if held.lost { held.state } else { StateKinds::NONE }
    }

    /// Whether state was lost that no hook will rebuild.
    pub(crate) fn is_at_a_loss(&self) -> bool {
        let held = self.lock();
        held.lost && held.rebuild.is_none()
    }

    /// The hook that rebuilds the state on another connection.
    pub(crate) fn rebuild(&self) -> Option<Arc<Rebuild>> {
        self.lock().rebuild.clone()
    }

    pub(crate) fn on_reconnect(&self, rebuild: Arc<Rebuild>) {
        self.lock().rebuild = Some(rebuild);
    }

    /// Another connection has taken the place of the lost one. It has this state.
    pub(crate) fn begin_anew(&self, state: StateKinds) {
        let mut held = self.lock();
        (held.lost, held.state) = (false, state.lasting());
        held.note_told(state.told(), true);
    }

    /// What was lost and no hook will rebuild, for the error that reports it. The session begins without it.
    pub(crate) fn acknowledge(&self) -> StateKinds {
        let mut held = self.lock();
        // no hook rebuilds what the server has rolled back
        let rolled_back = match mem::take(&mut held.untold) {
            true => StateKinds::TRANSACTION,
            false => StateKinds::NONE,
        };
        if held.rebuild.is_some() || !mem::take(&mut held.lost) {
            return rolled_back;
        }
        mem::take(&mut held.state).union(rolled_back)
    }

    /// Takes the connection away for good, with what is on it.
    pub(crate) fn vacate(&self) -> Option<(Lease, StateKinds)> {
        let mut held = self.lock();
        let (lease, _) = held.lease.take()?;
        Some((lease, held.take_state()))
    }

    /// Puts a connection back on which no statement has run.
    pub(crate) fn keep(&self, mut lease: Lease) {
        lease.leave_home();
        self.lock().lease = Some((lease, Instant::now()));
    }

    /// Whether what the present connection knows of this kind comes from statements of this session.
    pub(crate) fn can_tell(&self, kind: StateKinds) -> bool {
        self.lock().told.contains(kind)
    }

    /// The insert id of an earlier user of the connection was cleared.
    pub(crate) fn note_own_insert_id(&self) {
        let mut held = self.lock();
        held.told = held.told.union(StateKinds::INSERT_ID);
    }

    /// What the last statement has told: never that of another caller's on the same connection.
    pub(crate) fn summary(&self) -> Summary {
        let held = self.lock();
        let on_connection = || {
            let (lease, _) = held.lease.as_ref().filter(|_| held.told.contains(StateKinds::DIAGNOSTICS))?;
            Some(Summary::of(lease.connection()))
        };
        held.guarded.clone().or_else(on_connection).unwrap_or_default()
    }

    /// The last statement was guarded: what the connection tells is that of the COMMIT behind it.
    pub(crate) fn note_guarded(&self, summary: Summary) {
        self.lock().guarded = Some(summary);
    }

    /// The server's id of the connection, unless it was lost.
    pub(crate) fn connection_id(&self) -> Option<u32> {
        self.lock().lease.as_ref().map(|(lease, _)| lease.connection_id())
    }

    /// Which of these kinds a lost connection knew, and the present one does not.
    pub(crate) fn forgotten(&self, needs: StateKinds) -> StateKinds {
        self.lock().forgotten.intersection(needs)
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

impl Held {
    /// A statement of a session was answered, and the server's flags are known.
    fn note_end(&mut self, was_open: bool, erred: bool, effect: Effect) {
        // not where the text itself says that it ends or begins a transaction
        let is_surprise = match effect {
            Effect::Keeps | Effect::MayDoAnything => true,
            // a `CREATE TABLE` within a transaction commits it, as its user knows; one that failed may have done so
            Effect::CommitsImplicitly => erred,
            Effect::Begins(_) | Effect::Commits(_) | Effect::RollsBack | Effect::Shapes | Effect::Several => false,
        };
        if was_open && !self.in_transaction && is_surprise {
            self.broken = self.broken.or(Some(Broken::Ended));
        }
        if !erred {
            match effect {
                Effect::Begins(_) | Effect::RollsBack | Effect::Shapes | Effect::Several => self.broken = None,
                Effect::Keeps | Effect::Commits(_) | Effect::CommitsImplicitly | Effect::MayDoAnything => {}
            }
        }
        self.has_savepoint &= self.in_transaction && !effect.is_explicit();
    }

    /// A statement has run that leaves this knowledge on the connection.
    fn note_told(&mut self, given: StateKinds, has_insert_id: bool) {
        self.told = self.told.union(given);
        if !self.forgotten.is_empty() {
            // an INSERT into a table that numbers no rows leaves the last id as it was
            let anew = if has_insert_id { given } else { given.without(StateKinds::INSERT_ID) };
            self.forgotten = self.forgotten.without(anew);
        }
    }

    /// The state of the connection that is being taken away.
    fn take_state(&mut self) -> StateKinds {
        mem::take(&mut self.state).union(mem::take(&mut self.told))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let held = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(outer) = held.outer.take() {
            outer.lost(None);
        }
    }
}
