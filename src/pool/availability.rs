//! What is done when a server goes, and when it is back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::tasks::{probe::probe, retake::retake};
use super::{Backend, End, Fate, Lease, Limits, NoConnection, Shared};
use crate::{
    conditions::{unavailable_at_connect, unavailable_at_statement},
    event::Event,
    outage::{Need, Recovery},
    verdict::Unavailable,
};

/// A time-out that came sooner was caused by a short deadline of the caller, and proves nothing about the server.
const SILENCE: Duration = Duration::from_secs(1);

impl Shared {
    /// Waits until a connection may be asked for.
    pub(super) async fn pass(self: &Arc<Self>, need: Need, limits: Limits) -> Result<(), NoConnection> {
        let (idle, has_open, attend) = (|| self.has_idle(), || self.current().1.open() > 0, || self.attend());
        let passing = self.outage.pass(need, limits.deadline, !limits.waits, idle, has_open, attend);
        passing.await.map_err(NoConnection::Closed)
    }

    /// Whether no connection may be asked for at the moment.
    pub(super) fn is_shut(&self, need: Need) -> bool {
        self.outage.is_troubled() && !self.outage.is_open(need, self.has_idle())
    }

    /// Starts the probe task if there is an outage and no probe task.
    fn attend(self: &Arc<Self>) {
        // without a runtime the program is about to end
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && self.outage.is_wrong()
            && self.probing.begins()
        {
            runtime.spawn(probe(Arc::downgrade(self)));
        }
    }

    /// Notes that no connection could be made, for a reason that can end. Other calls then wait instead of trying.
    pub(crate) fn note_failure(
        self: &Arc<Self>,
        target: usize,
        error: &mysql_async::Error,
        started: Instant,
        limits: Limits,
    ) {
        // the table calls it no loss, and the user's classification a loss
        let why = unavailable_at_connect(error, self.targets.len() > 1).unwrap_or(Unavailable::NotReady);
        if why != Unavailable::Silent || started.elapsed() >= limits.connect_within(SILENCE) {
            self.note(target, why, error, started);
        }
    }

    /// A call has got a connection while another one could not make any.
    pub(super) fn note_connection(self: &Arc<Self>, lease: &Lease) {
        let target = lease.target_index();
        if self.outage.is_refuted_by(target, lease.made()) {
            self.back(target, true, Some(Duration::ZERO));
        }
    }

    /// A server has refused a statement because of its own condition: its connections are not used any more.
    pub(crate) fn note_refusal(self: &Arc<Self>, target: usize, error: &mysql_async::Error, started: Instant) {
        if let Some(why) = unavailable_at_statement(error) {
            self.note_and_leave(target, why, error, started);
        }
    }

    /// The server of a target answers, and cannot commit: it has lost its group.
    pub(crate) fn note_unready(self: &Arc<Self>, target: usize, error: &mysql_async::Error, started: Instant) {
        self.note_and_leave(target, Unavailable::NotReady, error, started);
    }

    fn note_and_leave(self: &Arc<Self>, target: usize, why: Unavailable, error: &mysql_async::Error, started: Instant) {
        if self.note(target, why, error, started) {
            // another server may answer at the address now
            self.leave(target);
        }
    }

    /// The server of a target has fallen silent.
    pub(crate) fn note_silence(self: &Arc<Self>, target: usize, error: &mysql_async::Error, started: Instant) {
        self.note(target, Unavailable::Silent, error, started);
    }

    /// The server of the current target has no room for all who want to be there.
    pub(super) fn note_crowd(self: &Arc<Self>) {
        self.slow_start.note_crowd();
        self.trim();
    }

    fn note(self: &Arc<Self>, target: usize, why: Unavailable, error: &mysql_async::Error, started: Instant) -> bool {
        if why == Unavailable::Full && target == self.outage.current() {
            self.note_crowd();
        }
        let is_news = self.outage.note(target, why, error, started);
        if is_news {
            let address = &self.targets[target].address;
            self.listeners.emit(&Event::Down { address, why, error });
            self.attend();
        }
        is_news
    }

    pub(crate) fn tell_probing(&self, target: usize, number: u64) {
        self.listeners.emit(&Event::Probing { address: &self.targets[target].address, number });
    }

    /// A target can be used: `true` if that changes anything.
    ///
    /// `took`: how long it took to open a connection that is there already.
    pub(crate) fn back(self: &Arc<Self>, target: usize, read_only: bool, took: Option<Duration>) -> bool {
        let waiting = self.outage.waiting();
        if self.outage.is_down() {
            self.targets[target].doubt();
            self.slow_start.begin(took);
        }
        let Some(Recovery { lasted, left, refused }) = self.outage.end(target, read_only) else {
            return false;
        };
        // connections that reads were given meanwhile may lead to the server before
        if refused && left.is_none() {
            self.leave(target);
        }
        let address = &self.targets[target].address;
        if let Some(left) = left {
            self.leave(left);
            self.listeners.emit(&Event::Moved { from: &self.targets[left].address, to: address });
            if target > 0 && self.retaking.begins() {
                tokio::spawn(retake(Arc::downgrade(self)));
            }
        }
        if !lasted.is_zero() {
            self.listeners.emit(&Event::Back { address, lasted, waiting });
        }
        true
    }

    /// The pooled connections to a target are not used again. Closes the idle ones in the background.
    fn leave(self: &Arc<Self>, target: usize) {
        self.targets[target].records.renounce();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let shared = self.clone();
            runtime.spawn(async move { shared.close_idle(target).await });
        }
    }

    async fn close_idle(self: Arc<Self>, index: usize) {
        let target = &self.targets[index];
        self.lane.clear();
        self.take_in(index).await;
        while target.has_idle()
            && let Ok(Ok(conn)) = tokio::time::timeout(SILENCE, target.pool.get_conn()).await
        {
            let lease = Lease::new(conn, &self, index);
            if lease.is_current() {
                // this one was made since: all older ones are closed
                lease.end(End::Unused);
                return;
            }
            lease.end(End::Broken);
        }
    }

    /// Ends a session that is on another target than the one in use, from a connection made for it.
    pub(crate) async fn end_elsewhere(&self, session: &Backend, wait: bool, limits: Limits) -> Fate {
        let target = &self.targets[session.target()];
        // the replay waits for this, and the server may be gone for good
        let limit = limits.connect_within(self.outage.tuning.patience());
        let hurried = Limits { connect_timeout: Some(limit), ..limits };
        let ending = session.end_from_outside(target.opts.clone(), wait, hurried);
        ending.await.unwrap_or(Fate::Unreachable)
    }

    /// Pays for sending a statement again; `false` if the budget is empty.
    pub(crate) fn pay(&self) -> bool {
        self.budget.as_ref().is_none_or(|budget| budget.take(self.successes()))
    }

    pub(crate) fn budget_left(&self) -> Option<u32> {
        self.budget.as_ref().map(|budget| budget.left(self.successes()))
    }

    pub(super) fn successes(&self) -> u64 {
        self.targets.iter().map(|target| target.records.answers()).sum()
    }
}
