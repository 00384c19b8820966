//! How a call ends in an error.

use std::time::Duration;

use super::{Call, Mismatch};
use crate::{
    classify::Stage,
    decide::{Decision, decide, reason_of},
    error::{Error, Failure, Kind},
    event::Event,
    pool::{End, Lease},
    sql::StateKinds,
    verdict::{Classification, Fault, Obstacle, Outcome, Reason},
};

impl Call<'_> {
    pub(super) fn surface(&self, failure: Failure) -> Error {
        let error = Error::new(failure);
        self.span.fails(&error);
        self.facts.meter.failed(self.shared.meters(), error.elapsed(), &error);
        // the transaction of a statement may be run again, so its error is not the end of a call
        let of_transaction = self.binding.is_transaction();
        if !of_transaction && (error.reason() != Reason::NotALoss || self.facts.attempts > 1) {
            self.shared.listeners.emit(&Event::GaveUp { error: &error });
        }
        error
    }

    /// A stream lost its connection after it had returned rows.
    pub(crate) fn stream_broke(mut self, error: mysql_async::Error, lease: Lease, rows: u64) -> Error {
        let mut failed = self.failed(error, self.context(Stage::Reply), Some(lease.connection_id()));
        // the transaction is gone with the connection, even if the closure ignores the error
        if let Some(slot) = self.binding.slot() {
            self.bind(slot, &mut failed, &lease);
        }
        lease.end(End::Broken);
        if failed.classification.fault() != Fault::Other {
            failed.obstacle = Some(Obstacle::RowsDelivered);
        }
        self.facts.outcome = self.facts.outcome.then(failed.classification.outcome());
        self.report(&failed);
        let reason = match decide(&self.weighed(&failed, Duration::ZERO), self.settings) {
            Decision::Surface(reason) => reason,
            Decision::Resend(_) | Decision::Replay(_) => reason_of(Obstacle::RowsDelivered),
        };
        let failure = self.failure(Kind::Classified(failed.classification), reason, Some(failed.error));
        let lost_state = self.lost_state();
        self.surface(Failure { rows, lost_state, ..failure })
    }

    /// What the error reports as lost: the state of the session, and what the statement asks for.
    pub(super) fn lost_state(&self) -> StateKinds {
        self.binding
            .slot()
            .map_or(StateKinds::NONE, |slot| slot.acknowledge().union(slot.forgotten(self.facts.reading.needs())))
    }

    /// The statement succeeded, but a row does not fit the type asked for.
    pub(crate) fn mismatch(&self, mismatch: Mismatch) -> Error {
        let kind = Kind::Conversion { wanted: mismatch.wanted };
        Error::new(Failure { outcome: Outcome::Unknown, ..self.failure(kind, Reason::NotALoss, None) })
    }

    /// The pool could not be closed in order.
    pub(crate) fn closing_failed(&self, error: mysql_async::Error) -> Error {
        let kind = Kind::Classified(Classification::other(Outcome::NotExecuted));
        Error::new(self.failure(kind, Reason::NotALoss, Some(error)))
    }

    pub(super) fn failure(&self, kind: Kind, reason: Reason, source: Option<mysql_async::Error>) -> Failure {
        Failure {
            kind,
            outcome: self.facts.outcome,
            delivery: self.facts.delivery,
            attempts: self.facts.attempts,
            elapsed: self.facts.started.elapsed(),
            reason,
            rows: 0,
            lost_before: false,
            lost_state: StateKinds::NONE,
            down_for: None,
            transaction: self.facts.transaction,
            address: self.shared.address().to_owned(),
            source,
        }
    }
}
