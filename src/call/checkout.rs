//! The connection of an attempt: from the pool or of a session, and fenced against earlier attempts.

use std::{io, mem, sync::Arc, time::Instant};

use mysql_async::prelude::Queryable;

use super::{Binding, Call, Failed};
use crate::{
    call::fence::Settled,
    classify::Stage,
    conditions::unavailable_at_statement,
    decide::may_go_unfenced,
    driver::{own, timed_out},
    error::Kind,
    event::Event,
    outage::Closed,
    pool::{End, Lease, NoConnection, Slot},
    sql::StateKinds,
    verdict::{Classification, Disconnect, Fault, Obstacle, Outcome},
};

impl Call<'_> {
    /// The connection of the first attempt, if one is at hand.
    pub(super) fn lease_at_hand(&mut self) -> Option<Lease> {
        if self.facts.attempts > 0 || !self.past.is_empty() {
            return None;
        }
        let now = self.facts.started;
        let lease = match self.binding {
            Binding::Free => {
                let lease = self.shared.warm_lease(now)?;
                self.shared.meters().wait(now).served();
                self.shared.measure();
                lease
            }
            // it may ask for what the present connection does not know
            Binding::Session(_) | Binding::Transaction(_) if !self.facts.reading.needs().is_empty() => return None,
            Binding::Session(slot) | Binding::Transaction(slot) => slot.take_at_hand(now)?,
        };
        self.epoch = self.shared.outage.epoch();
        self.facts.attempts = 1;
        Some(lease)
    }

    /// The connection of the next attempt: alive a moment ago, paid for from the budget, and fenced against earlier attempts.
    pub(super) async fn next_lease(&mut self, now: Instant) -> std::result::Result<Lease, Failed> {
        let lease = match self.checkout(now).await {
            Ok(lease) if !self.pays() => {
                match self.binding {
                    // a session keeps the connection that it got, with what was rebuilt on it
                    Binding::Session(_) | Binding::Transaction(_) => lease.end(End::Answered(StateKinds::NONE)),
                    Binding::Free => lease.end(End::Unused),
                }
                return Err(self.too_expensive());
            }
            lease => lease,
        };
        self.facts.attempts += 1;
        let mut lease = lease?;
        if !self.past.is_empty() {
            Box::pin(self.fence(&mut lease)).await?;
        }
        if mem::take(&mut self.resends) {
            self.shared.listeners.counting.resends.add_one();
        }
        Ok(lease)
    }

    /// A connection, from the pool or of the session, alive a moment ago.
    async fn checkout(&mut self, now: Instant) -> std::result::Result<Lease, Failed> {
        self.began = now;
        let before = self.shared.outage.epoch();
        // the rare case is boxed, which keeps the future of the others small
        let lease = match self.binding {
            Binding::Free => self.pooled_lease(now).await,
            Binding::Session(slot) | Binding::Transaction(slot) => Box::pin(self.lease_of_session(slot, now)).await,
        };
        if self.shared.outage.epoch() != before {
            // it waited for the end of an outage: what it finds is newer than that
            self.began = Instant::now();
        }
        lease
    }

    /// Pays for the attempt that is about to be made, if it owes anything; `false` if the budget is empty.
    fn pays(&mut self) -> bool {
        let epoch = self.shared.outage.epoch();
        // what belongs to an outage costs nothing
        let is_of_an_outage = mem::replace(&mut self.epoch, epoch) != epoch;
        !mem::take(&mut self.owes) || is_of_an_outage || self.shared.pay()
    }

    /// The last attempt is not followed by another one: too many statements have been sent again.
    fn too_expensive(&mut self) -> Failed {
        let (error, classification) = self.last.take().map(|last| *last).unwrap_or_else(|| {
            let unknown = Classification::disconnect(Disconnect::ServerLost, self.facts.outcome);
            (own(io::ErrorKind::Other, "the connection was lost"), unknown)
        });
        Failed { obstacle: Some(Obstacle::BudgetSpent), told: true, ..Failed::known(error, classification) }
    }

    pub(super) async fn pooled_lease(&self, now: Instant) -> std::result::Result<Lease, Failed> {
        let checkout = {
            let waiting = self.shared.meters().wait(now);
            let checkout = self.shared.checkout(now, self.limits(), self.facts.need()).await;
            match &checkout {
                Ok(_) => waiting.served(),
                Err(NoConnection::Busy { .. } | NoConnection::Closed(_)) => waiting.timed_out(),
                Err(NoConnection::Shut(_) | NoConnection::Failed { .. }) => {}
            }
            checkout
        };
        self.shared.measure();
        checkout.map_err(|none| self.not_connected(none))
    }

    fn not_connected(&self, none: NoConnection) -> Failed {
        let failed = |error| self.failed(error, self.context(Stage::Connect), None);
        match none {
            NoConnection::Busy { size } => {
                let error = timed_out(format!("all {size} connections of the pool were in use until the deadline"));
                let nothing_sent = Classification::other(Outcome::NotExecuted);
                Failed {
                    obstacle: Some(Obstacle::PoolBusy),
                    kind: Some(Kind::Busy { size }),
                    ..Failed::known(error, nothing_sent)
                }
            }
            NoConnection::Shut(error) => failed(error),
            NoConnection::Failed { error, target, started } => {
                let failed = failed(error);
                // a user's own classification may see it otherwise
                if matches!(failed.classification.fault(), Fault::Disconnect(_)) {
                    self.shared.note_failure(target, &failed.error, started, self.limits());
                }
                failed
            }
            NoConnection::Closed(Closed { obstacle, why, error, lasted }) => {
                let classification = match why.serves_reads() {
                    true => Classification::refused(Outcome::NotExecuted),
                    false => Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted),
                };
                Failed {
                    obstacle: Some(obstacle),
                    told: true,
                    down_for: Some(lasted),
                    ..Failed::known(error, classification)
                }
            }
        }
    }

    /// A statement has failed on a connection to this target: tells the others if that is about the server's condition.
    pub(super) fn note_refusal(&mut self, failed: &Failed, target: usize) {
        // 1290 also stands for what has nothing to do with that
        if failed.classification.fault() == Fault::Refused && unavailable_at_statement(&failed.error).is_some() {
            self.facts.refused = true;
            self.shared.note_refusal(target, &failed.error, self.began);
        }
    }

    /// The connection of the session, or another one in its place.
    async fn lease_of_session(&self, slot: &Arc<Slot>, now: Instant) -> std::result::Result<Lease, Failed> {
        if self.misses(slot) {
            return Err(self.forgotten());
        }
        let lease = self.bound_lease(slot, now).await?;
        if self.misses(slot) {
            if let Some(lease) = lease {
                slot.keep(lease);
            }
            return Err(self.forgotten());
        }
        let mut lease = match lease {
            Some(lease) => lease,
            None => self.pooled_lease(now).await?.at_home(slot),
        };
        let needs = self.facts.reading.needs();
        if needs.contains(StateKinds::INSERT_ID) && !slot.can_tell(StateKinds::INSERT_ID) && !lease.is_pristine() {
            self.forget_insert_id(slot, &mut lease).await?;
        }
        // there is no statement that makes a connection forget the last values of sequences: only a reset does
        if needs.contains(StateKinds::SEQUENCE) && !slot.can_tell(StateKinds::SEQUENCE) && !lease.is_pristine() {
            let may_be_reset = slot.state().is_neutral();
            if !may_be_reset || !lease.forget_callers(self.limits()).await {
                lease.end(End::Broken);
                return Err(self.forgotten());
            }
        }
        Ok(lease)
    }

    /// The statement asks for the last insert id, and the session has inserted nothing. The connection may still have the id of
    /// its last user. A new connection would return 0.
    async fn forget_insert_id(&self, slot: &Slot, lease: &mut Lease) -> std::result::Result<(), Failed> {
        match self.exchange(lease, true, async |conn| conn.query_drop("SET last_insert_id = 0").await).await {
            Ok(()) => {
                slot.note_own_insert_id();
                Ok(())
            }
            Err(error) => Err(self.failed(error, self.context(Stage::Connect), Some(lease.connection_id()))),
        }
    }

    /// Whether the text asks for what a lost connection of the session knew, such as its last insert id. Another connection would
    /// answer with a value of another caller.
    pub(super) fn misses(&self, slot: &Slot) -> bool {
        let needs = self.facts.reading.needs();
        !needs.is_empty() && !slot.forgotten(needs).is_empty()
    }

    fn forgotten(&self) -> Failed {
        let what = "the connection that knew what the statement asks for was lost";
        self.ended(own(io::ErrorKind::NotConnected, what), Obstacle::StateLost)
    }

    /// Fences: what lost attempts left at the server must not happen after the replay that is about to be sent.
    ///
    /// A write waits until their sessions are known to have ended. A read does not wait. Its lost sessions are killed too, so that
    /// abandoned scans do not pile up.
    async fn fence(&mut self, lease: &mut Lease) -> std::result::Result<(), Failed> {
        let reading = self.facts.reading;
        loop {
            let (wait, hidden) = (!reading.reads_only(), self.facts.hides_its_session);
            let settled = self.past.settle(lease, wait, hidden, self.limits()).await;
            match settled {
                Ok(Settled::All) => return Ok(()),
                Ok(Settled::Late) => {
                    let error = timed_out("the session of the lost attempt did not end in time".into());
                    return Err(self.ended(error, Obstacle::OutOfTime));
                }
                Ok(Settled::Unfenced(why)) => {
                    self.shared.listeners.emit(&Event::Unfenced { why, attempt: self.facts.attempts });
                    if !may_go_unfenced(self.facts.outcome, self.facts.delivery, self.settings) {
                        let what = format!("the lost attempt may still be at work: {why}");
                        return Err(self.ended(own(io::ErrorKind::Other, what), Obstacle::Unfenced));
                    }
                }
                Err(error) => return Err(self.failed(error, self.context(Stage::Connect), None)),
            }
        }
    }

    pub(super) fn ended(&self, error: mysql_async::Error, obstacle: Obstacle) -> Failed {
        Failed { obstacle: Some(obstacle), ..self.failed(error, self.context(Stage::Connect), None) }
    }
}
