//! What to do after a failed attempt: send again, or return the error (surface it).
//!
//! A pure function over plain data. It has no clock and does no I/O; the loop in `call` carries out what it says.

use std::time::Duration;

use crate::{
    policy::Settings,
    statement::Delivery,
    verdict::{Classification, Fault, Obstacle, Outcome, Reason},
};

/// What is known of a call when one of its attempts has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// What the failed attempt's error means.
    pub(crate) classification: Classification,
    /// The outcome that is true for the whole call: one unknown attempt makes it unknown.
    pub(crate) outcome: Outcome,
    pub(crate) delivery: Delivery,
    /// The statement sends data that can be read only once (LOCAL INFILE).
    pub(crate) once_only: bool,
    /// The statement was, or was to be, sent on a connection.
    pub(crate) reached_connection: bool,
    /// The refusal is about the server's condition, which one task probes for all calls.
    pub(crate) of_the_server: bool,
    /// How often the statement has been sent again so far.
    pub(crate) replays: u32,
    /// The delay that the schedule asks for.
    pub(crate) delay: Duration,
    /// The time left until the deadline.
    pub(crate) remaining: Duration,
    /// What prevents another attempt, whatever the error.
    pub(crate) obstacle: Option<Obstacle>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It was not executed: send it again, after the delay.
    Resend(Duration),
    /// It may have been executed and tolerates that: send it again, after the delay.
    Replay(Duration),
    /// Return the error.
    Surface(Reason),
}

/// The decision.
pub(crate) fn decide(situation: &Situation, policy: &Settings) -> Decision {
    use Decision::{Replay, Resend, Surface};

    if let Some(obstacle) = situation.obstacle {
        return Surface(reason_of(obstacle));
    }
    let fault = situation.classification.fault();
    match fault {
        Fault::Other => return Surface(Reason::NotALoss),
        Fault::RolledBack if !policy.resend_rolled_back => return Surface(Reason::SwitchedOff),
        Fault::Disconnect(_) | Fault::Refused | Fault::RolledBack => {}
    }
    if !policy.retries {
        return Surface(Reason::SwitchedOff);
    }
    let proved = match situation.outcome {
        Outcome::NotExecuted => true,
        Outcome::Failed | Outcome::Unknown => {
            match situation.delivery {
                Delivery::AtMostOnce => return Surface(Reason::NotIdempotent),
                Delivery::AtLeastOnce | Delivery::ExactlyOnce => {}
            }
            if situation.once_only {
                return Surface(Reason::OnceOnly);
            }
            false
        }
    };
    let counts = counts_as_replay(situation);
    if counts && situation.replays >= policy.max_replays {
        return Surface(Reason::ReplaysExhausted);
    }
    // one dead connection proves nothing about the next one
    let at_once = counts && situation.replays == 0 && matches!(fault, Fault::Disconnect(_));
    let delay = if at_once { Duration::ZERO } else { situation.delay };
    if delay >= situation.remaining {
        return Surface(Reason::Deadline);
    }
    if proved { Resend(delay) } else { Replay(delay) }
}

/// Whether sending the statement again counts as one of the policy's replays. An attempt that got no connection does
/// not load the server, and a server that refuses because of its own condition is waited for: only the deadline bounds those.
pub(crate) fn counts_as_replay(situation: &Situation) -> bool {
    match situation.classification.fault() {
        Fault::Disconnect(_) => situation.reached_connection,
        Fault::Refused => situation.reached_connection && !situation.of_the_server,
        Fault::RolledBack | Fault::Other => false,
    }
}

/// The reason that an error names for this obstacle.
pub(crate) const fn reason_of(obstacle: Obstacle) -> Reason {
    match obstacle {
        Obstacle::RowsDelivered => Reason::RowsDelivered,
        Obstacle::StateLost => Reason::StateLost,
        Obstacle::InSession => Reason::InSession,
        Obstacle::InTransaction => Reason::InTransaction,
        Obstacle::CommitLost => Reason::CommitLost,
        Obstacle::TransactionEnded => Reason::TransactionEnded,
        Obstacle::NotRolledBack => Reason::NotRolledBack,
        Obstacle::Unfenced => Reason::Unfenced,
        Obstacle::BudgetSpent => Reason::BudgetExhausted,
        Obstacle::DownForTooLong => Reason::FailFast,
        Obstacle::NotWaited => Reason::SwitchedOff,
        Obstacle::OutOfTime | Obstacle::PoolBusy => Reason::Deadline,
    }
}

/// Whether a statement may be replayed although the session of its lost attempt is not known to have ended.
///
/// A transaction whose COMMIT was not sent has no effect, even if it is still open at the server. In guarded work the token
/// keeps two copies apart.
pub(crate) fn may_go_unfenced(outcome: Outcome, delivery: Delivery, policy: &Settings) -> bool {
    let matters = match outcome {
        Outcome::NotExecuted => false,
        Outcome::Failed | Outcome::Unknown => match delivery {
            Delivery::AtMostOnce | Delivery::AtLeastOnce => true,
            Delivery::ExactlyOnce => false,
        },
    };
    policy.replay_unfenced || !matters
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
