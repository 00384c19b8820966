//! Calls that are bound to one connection: those of a session, and those of a transaction.
//!
//! No other connection has the state of a session, and a statement of a transaction has no meaning without the statements
//! before it. So such a statement is sent again only if the session has no state, and never within a transaction.

use std::{io, sync::Arc, time::Instant};

use super::{Call, Failed};
use crate::{
    classify::{Context, Stage, classify},
    decide::reason_of,
    driver::{copy, own},
    error::{Error, Failure, Kind},
    meter::CallMeter,
    pool::{Backend, Broken, End, Lease, Rebuild, Slot, Trouble},
    sql::StateKinds,
    statement::Delivery,
    verdict::{Classification, Disconnect, Fault, Obstacle, Outcome},
};

/// What a call belongs to, and so which connection its statement has to run on.
#[derive(Clone)]
pub(crate) enum Binding {
    /// Nothing: it can run on any connection of the pool.
    Free,
    /// A session: it runs on its connection, or on another one if no state was lost.
    Session(Arc<Slot>),
    /// A transaction: it runs on its connection only.
    Transaction(Arc<Slot>),
}

impl Binding {
    pub(crate) fn slot(&self) -> Option<&Arc<Slot>> {
        match self {
            Binding::Free => None,
            Binding::Session(slot) | Binding::Transaction(slot) => Some(slot),
        }
    }

    pub(super) fn is_transaction(&self) -> bool {
        matches!(self, Binding::Transaction(_))
    }
}

/// What a transaction asks of its call.
impl<'c> Call<'c> {
    /// The call is a whole transaction.
    pub(crate) fn of_transaction(mut self, delivery: Delivery) -> Self {
        self.facts.transaction = true;
        self.facts.delivery = delivery;
        self.facts.meter = CallMeter::of_transaction();
        self
    }

    pub(crate) fn attempts(&self) -> u32 {
        self.facts.attempts
    }

    /// The lease, made to return to the session that the call runs on, if any.
    pub(crate) fn at_home(&self, lease: Lease) -> Lease {
        match self.binding.slot() {
            Some(slot) => lease.at_home(slot),
            None => lease,
        }
    }

    /// The transaction could not be begun: nothing was done in it.
    pub(crate) fn begin_failed(&mut self, lease: Lease, error: mysql_async::Error) -> Failed {
        let failed = self.failed(error, self.context(Stage::Command), Some(lease.connection_id()));
        self.note_refusal(&failed, lease.target_index());
        // its session may hold the token's row, for which the next run would wait
        if self.facts.delivery == Delivery::ExactlyOnce && matches!(failed.classification.fault(), Fault::Disconnect(_))
        {
            self.past.add(&lease);
        }
        lease.end(End::Broken);
        let classification = failed.classification.with_outcome(Outcome::NotExecuted);
        self.with_state_lost(Failed { classification, ..failed })
    }

    /// Whether all attempts that may have had an effect were on the server of this connection.
    pub(crate) fn was_lost_on_the_server_of(&self, lease: &Lease) -> bool {
        self.past.was_on_the_server_of(lease)
    }

    /// It is proved that no attempt so far has had an effect or will have one.
    pub(crate) fn came_to_nothing(&mut self) {
        self.facts.outcome = Outcome::NotExecuted;
        self.past.came_to_nothing();
    }

    /// A closure has failed in a run that was made to find out whether an earlier COMMIT took effect.
    pub(crate) fn left_in_doubt(&self) -> Error {
        let what = "the closure failed, and whether an earlier COMMIT took effect is not known";
        let kind = Kind::Classified(Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown));
        self.surface(self.failure(kind, reason_of(Obstacle::CommitLost), Some(own(io::ErrorKind::Other, what))))
    }

    /// The token's row says that its work was ended in the middle.
    pub(crate) fn done_in_part(&self, message: String) -> Error {
        let kind = Kind::Classified(Classification::other(Outcome::Unknown));
        let failure =
            self.failure(kind, reason_of(Obstacle::TransactionEnded), Some(own(io::ErrorKind::Other, message)));
        self.surface(failure).with_outcome(Outcome::Unknown)
    }

    /// The outcome that is true for the whole call so far.
    pub(crate) fn outcome(&self) -> Outcome {
        self.facts.outcome
    }

    /// A statement failed, and the transaction was rolled back. `doubtful`: a part of it may have been committed before.
    pub(crate) fn troubled(&mut self, trouble: Trouble, doubtful: bool) -> Failed {
        let Trouble { mut classification, error, connection_id, session, target, obstacle } = trouble;
        if matches!(classification.fault(), Fault::Disconnect(_)) {
            self.past.add_session(session);
        }
        if doubtful {
            classification = classification.with_outcome(Outcome::Unknown);
        }
        let obstacle = obstacle.or(doubtful.then_some(Obstacle::InTransaction));
        let connection_id = Some(connection_id);
        let failed = Failed { connection_id, obstacle, told: true, ..Failed::known(error, classification) };
        self.note_refusal(&failed, target);
        self.with_state_lost(failed)
    }

    /// A block of a session has failed, and these sessions of its connections were lost.
    pub(crate) fn block_lost(&mut self, connection_id: u32, lost: Vec<Option<Backend>>) -> Failed {
        for session in lost {
            self.past.add_session(session);
        }
        let what = "the connection of a block of statements was lost";
        let classification = Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown);
        let failed = Failed::known(own(io::ErrorKind::Other, what), classification);
        Failed { connection_id: Some(connection_id), told: true, ..failed }
    }

    /// The connection was lost during COMMIT. `doubtful`: a part may have been committed before.
    pub(crate) fn commit_lost(&mut self, lease: Lease, error: mysql_async::Error, doubtful: bool) -> Failed {
        let context = Context { several: false, infile: false, ..self.context(Stage::Command) };
        let mut failed = self.failed(error, context, Some(lease.connection_id()));
        self.note_refusal(&failed, lease.target_index());
        // even if COMMIT was not sent: the next run would wait for its locks
        if matches!(failed.classification.fault(), Fault::Disconnect(_)) || failed.is_in_doubt() {
            self.past.add(&lease);
        }
        if failed.classification.outcome() == Outcome::Unknown {
            match (self.facts.delivery, doubtful) {
                // another run finds out by the token
                (Delivery::ExactlyOnce, false) => {
                    failed.classification = Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown);
                }
                (Delivery::ExactlyOnce, true) => failed.obstacle = Some(Obstacle::InTransaction),
                (Delivery::AtMostOnce | Delivery::AtLeastOnce, _) => failed.obstacle = Some(Obstacle::CommitLost),
            }
        } else if doubtful {
            failed.classification = failed.classification.with_outcome(Outcome::Unknown);
            failed.obstacle = Some(Obstacle::InTransaction);
        }
        lease.end(End::Broken);
        self.with_state_lost(failed)
    }

    /// The server answered the text that commits with an error. `outcome` is that of the transaction.
    pub(crate) fn commit_refused(
        &mut self,
        error: mysql_async::Error,
        (connection_id, target): (u32, usize),
        outcome: Outcome,
        obstacle: Option<Obstacle>,
    ) -> Failed {
        let context = Context { several: false, infile: false, ..self.context(Stage::Command) };
        let mut failed = self.failed(error, context, Some(connection_id));
        self.note_refusal(&failed, target);
        // an answer, and no loss of a connection
        failed.told = failed.classification.fault() != Fault::Refused;
        failed.classification = match failed.classification.fault() {
            // another run finds out by the token
            Fault::Other if outcome == Outcome::Unknown && obstacle.is_none() => Classification::refused(outcome),
            Fault::Disconnect(_) | Fault::Refused | Fault::RolledBack | Fault::Other => {
                failed.classification.with_outcome(outcome)
            }
        };
        self.with_state_lost(Failed { obstacle, ..failed })
    }

    /// The transaction was ended before its COMMIT.
    pub(crate) fn ended_before_commit(&self) -> Failed {
        let what = "the transaction was ended by a statement of its closure (DDL, stored code that commits or rolls back, \
                    or any statement that a router sent to another session): what came before may be committed, check \
                    its effect before you run it again";
        let obstacle = Some(Obstacle::TransactionEnded);
        let failed = Failed::known(own(io::ErrorKind::Other, what), Classification::other(Outcome::Unknown));
        self.with_state_lost(Failed { obstacle, ..failed })
    }

    /// COMMIT on a session whose transaction is known to be gone: nothing is sent.
    pub(crate) fn cannot_commit(&self, broken: Broken) -> Error {
        let (what, outcome, obstacle, lost_state) = match broken {
            Broken::RolledBack => (
                "the transaction that this statement belongs to was lost or rolled back: ROLLBACK, or begin another one",
                Outcome::NotExecuted,
                Obstacle::StateLost,
                StateKinds::TRANSACTION,
            ),
            Broken::Ended => (
                "the transaction that this COMMIT is meant for was ended by an earlier statement, and what came before that may \
                 be committed: ROLLBACK, or begin another one",
                Outcome::Unknown,
                Obstacle::TransactionEnded,
                StateKinds::NONE,
            ),
        };
        let kind = Kind::Classified(Classification::other(outcome));
        let failure = self.failure(kind, reason_of(obstacle), Some(own(io::ErrorKind::NotConnected, what)));
        self.surface(Failure { outcome, lost_state, ..failure })
    }

    /// The connection is about to be closed, and its transaction may still be open at the server.
    pub(crate) fn leaves_behind(&mut self, lease: &Lease) {
        self.past.add(lease);
    }

    /// What prevents another run when it is not known whether COMMIT took effect: without a token, everything.
    pub(crate) fn cannot_find_out(&self) -> Option<Obstacle> {
        match self.facts.delivery {
            Delivery::ExactlyOnce => None,
            Delivery::AtMostOnce | Delivery::AtLeastOnce => Some(Obstacle::CommitLost),
        }
    }

    /// Whether the table of conditions classifies the error as a lost connection.
    pub(crate) fn is_a_loss(&self, error: &mysql_async::Error) -> bool {
        matches!(classify(error, self.context(Stage::Command)).fault(), Fault::Disconnect(_))
    }

    /// The closure has returned, and its transaction has no connection, because of the closure itself. `abandoned`: it dropped
    /// the future of a statement. Otherwise something that it spawned still uses the connection.
    pub(crate) fn without_connection(&self, abandoned: bool, doubtful: bool) -> Failed {
        let (what, classification, obstacle) = if abandoned {
            let outcome = if doubtful { Outcome::Unknown } else { Outcome::NotExecuted };
            let lost = Classification::disconnect(Disconnect::ServerLost, outcome);
            (
                "the future of a statement of the transaction was dropped",
                lost,
                doubtful.then_some(Obstacle::InTransaction),
            )
        } else {
            let what = "the transaction was still in use when its closure returned";
            (what, Classification::other(Outcome::Unknown), Some(Obstacle::InTransaction))
        };
        let error = own(io::ErrorKind::Other, what);
        self.with_state_lost(Failed { obstacle, ..Failed::known(error, classification) })
    }

    fn with_state_lost(&self, failed: Failed) -> Failed {
        let misses = self.binding.slot().is_some_and(|slot| slot.is_at_a_loss());
        let obstacle = if misses { failed.obstacle.or(Some(Obstacle::StateLost)) } else { failed.obstacle };
        Failed { obstacle, ..failed }
    }
}

impl Call<'_> {
    /// The connection of the session or transaction, alive. `None` if a session has no connection and has lost no state.
    pub(super) async fn bound_lease(&self, slot: &Arc<Slot>, now: Instant) -> Result<Option<Lease>, Failed> {
        let no_more = |what: &str| own(io::ErrorKind::NotConnected, what);
        if slot.with_standing(|standing| standing.over) == Some(true) {
            let error = no_more("the transaction was ended by an earlier statement, or by the server");
            return Err(self.ended_in(slot, error));
        }
        match slot.take(now) {
            Some((mut lease, idle)) => {
                if lease.is_alive(idle, self.limits()).await {
                    return Ok(Some(lease));
                }
                if self.binding.is_transaction() {
                    let error = no_more("the connection was lost between two statements of a transaction");
                    let mut failed = self.ended_in(slot, error);
                    self.bind(slot, &mut failed, &lease);
                    return Err(failed);
                }
                self.shared.listeners.counting.retired.add_one();
                lease.end(End::Broken);
            }
            None if self.binding.is_transaction() => {
                return Err(self.ended_in(slot, no_more("the connection of the transaction was lost")));
            }
            None => {}
        }
        if slot.missing().is_neutral() {
            return Ok(None);
        }
        if let Some(rebuild) = slot.rebuild() {
            return self.rebuilt(slot, &*rebuild, now).await.map(Some);
        }
        Err(self.ended(no_more("the connection of the session was lost"), Obstacle::StateLost))
    }

    /// Another connection, on which the user's hook has rebuilt the state of the session.
    async fn rebuilt(&self, slot: &Arc<Slot>, rebuild: &Rebuild, now: Instant) -> Result<Lease, Failed> {
        let lease = self.pooled_lease(now).await?;
        match rebuild(Slot::holding(lease)).await {
            Ok(Some((lease, state))) => {
                slot.begin_anew(state);
                Ok(lease.at_home(slot))
            }
            Ok(None) => {
                let error =
                    own(io::ErrorKind::ConnectionAborted, "the connection was lost while the session was rebuilt");
                Err(self.failed(error, self.context(Stage::Connect), None))
            }
            Err(error) => {
                let classification = match error.disconnect() {
                    Some(disconnect) => Classification::disconnect(disconnect, Outcome::NotExecuted),
                    None => Classification::other(Outcome::NotExecuted),
                };
                let error = own(io::ErrorKind::Other, format!("the session could not be rebuilt: {error}"));
                Err(Failed::known(error, classification))
            }
        }
    }

    fn ended_in(&self, slot: &Slot, error: mysql_async::Error) -> Failed {
        let failed = self.ended(error, Obstacle::InTransaction);
        let outcome = in_doubt(slot, failed.classification.outcome());
        Failed { classification: failed.classification.with_outcome(outcome), ..failed }
    }

    /// A statement on this connection has failed. Notes what prevents that it is sent again: the transaction that it belongs
    /// to, or the state of its session.
    pub(super) fn bind(&self, slot: &Slot, failed: &mut Failed, lease: &Lease) {
        let fault = failed.classification.fault();
        failed.classification = failed.classification.with_outcome(in_doubt(slot, failed.classification.outcome()));
        if fault == Fault::Other {
            return;
        }
        let noted = slot.with_standing(|standing| {
            standing.trouble = Some(Trouble {
                classification: failed.classification,
                error: copy(&failed.error),
                connection_id: lease.connection_id(),
                session: lease.session(),
                target: lease.target_index(),
                obstacle: None,
            });
        });
        if noted.is_some() {
            failed.obstacle = Some(Obstacle::InTransaction);
        } else if !matches!(fault, Fault::Disconnect(_)) && !slot.state().is_neutral() {
            failed.obstacle = Some(Obstacle::InSession);
        }
    }
}

/// The outcome that a statement of a transaction reports: that of the transaction if its closure returns the error. Then it is
/// rolled back, unless a part of it or an earlier run may have been committed.
pub(crate) fn in_doubt(slot: &Slot, own: Outcome) -> Outcome {
    let of_transaction = slot.with_standing(|standing| match own {
        _ if standing.lost_before => Outcome::Unknown,
        // the server's answer to this statement, whatever becomes of the transaction
        Outcome::Failed => Outcome::Failed,
        Outcome::NotExecuted | Outcome::Unknown if standing.doubtful => Outcome::Unknown,
        Outcome::NotExecuted | Outcome::Unknown => Outcome::NotExecuted,
    });
    of_transaction.unwrap_or(own)
}
