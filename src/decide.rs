//! What to do after a failed attempt: send again, or surface the error.
//!
//! A pure function over plain data. It has no clock and does no I/O; the loop in `call` carries out what it says.

use std::{fmt, time::Duration};

use crate::{
    classify::{Classification, Fault, Outcome},
    policy::Settings,
    statement::Delivery,
};

/// What is known of a call when one of its attempts has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Situation {
    /// What the failed attempt's error means.
    pub(crate) classification: Classification,
    /// The outcome that is true for the whole call: one unknown attempt makes it unknown.
    pub(crate) outcome: Outcome,
    pub(crate) delivery: Delivery,
    /// The statement has something that cannot be had a second time (the data of a LOCAL INFILE).
    pub(crate) once_only: bool,
    /// The statement was, or was to be, sent on a connection.
    pub(crate) reached_connection: bool,
    /// The refusal is about the server's condition, which one task watches for all.
    pub(crate) of_the_server: bool,
    /// How often the statement has been sent again so far.
    pub(crate) replays: u32,
    /// The delay that the schedule asks for.
    pub(crate) delay: Duration,
    /// The time left until the deadline.
    pub(crate) remaining: Duration,
    /// What stands in the way of another attempt, whatever the error.
    pub(crate) obstacle: Option<Obstacle>,
}

/// Why there can be no other attempt, beside what the error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Rows of a stream had been handed out.
    RowsDelivered,
    /// The session has lost state with its connection.
    StateLost,
    /// The session has state that another connection does not have.
    InSession,
    /// The transaction may have been committed in part, or the statement is one of a transaction.
    InTransaction,
    /// COMMIT had no reply, and there is no token to find out with.
    CommitLost,
    /// The transaction was ended in the middle.
    TransactionEnded,
    /// Not all that the transaction did could be rolled back.
    NotRolledBack,
    /// The session of a lost attempt is not known to have ended.
    Unfenced,
    /// The retry budget has nothing left.
    BudgetSpent,
    /// The server has been down for longer than calls are to wait.
    DownForTooLong,
    /// The server is down, and the policy does not wait for it.
    NotWaited,
    /// The deadline passed while the call waited: for a connection, for the server, for the end of an old session.
    OutOfTime,
    /// All connections of the pool were in use until the deadline.
    PoolBusy,
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

/// Why an error surfaced instead of being retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Retrying cannot fix this error: it is the server's answer to the statement (a duplicate key, a syntax error), or a mistake
    /// of the caller's.
    NotALoss,
    /// The policy has retries switched off ([`RetryPolicy::none`](crate::RetryPolicy::none)), or this kind of error.
    SwitchedOff,
    /// The statement may have been executed, in whole or in part, and is not annotated as idempotent.
    NotIdempotent,
    /// What the statement needs cannot be had twice: the data of a LOCAL INFILE.
    OnceOnly,
    /// Rows of a stream had been handed out.
    RowsDelivered,
    /// It was sent again as often as the policy allows.
    ReplaysExhausted,
    /// State of the session was lost with its connection ([`Error::lost_state`](crate::Error::lost_state)): nothing goes
    /// on as if it were there.
    StateLost,
    /// It belongs to a session that has state, or an open transaction, which another connection does not have.
    InSession,
    /// It belongs to a transaction, which is run again as a whole or not at all.
    InTransaction,
    /// The reply to COMMIT was lost: what became of the transaction is not known.
    CommitLost,
    /// The transaction was ended in the middle, by a statement (DDL, stored code that commits) or by the server: what came before
    /// may be committed, and it is not run again.
    TransactionEnded,
    /// The transaction was rolled back, but not what it did to tables without transactions (MyISAM): it is not run again.
    NotRolledBack,
    /// The session of a lost attempt may still be at work, and the policy does not replay a write then.
    Unfenced,
    /// Too many statements had been sent again of late ([`RetryBudget`](crate::RetryBudget)).
    BudgetExhausted,
    /// The server had been down for longer than [`fail_fast_after`](crate::Builder::fail_fast_after).
    FailFast,
    /// The deadline has passed, or would pass before the next attempt.
    Deadline,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::NotALoss => "retrying cannot fix it",
            Reason::SwitchedOff => "the policy does not retry it",
            Reason::NotIdempotent => "it was not sent again because it is not annotated as idempotent",
            Reason::OnceOnly => "it was not sent again because its file data cannot be had twice",
            Reason::RowsDelivered => "it was not sent again because rows had been handed out",
            Reason::ReplaysExhausted => "it was sent again as often as the policy allows",
            Reason::StateLost => "state of the session was lost with its connection",
            Reason::InSession => "it was not sent again because it depends on what its session has",
            Reason::InTransaction => "a statement of a transaction is not sent again alone",
            Reason::CommitLost => {
                "the reply to COMMIT was lost, which a guarded transaction would have found out about"
            }
            Reason::TransactionEnded => {
                "the transaction was ended before its COMMIT, by a statement of it or by the server"
            }
            Reason::NotRolledBack => "changes to tables without transactions could not be rolled back",
            Reason::Unfenced => "it was not sent again because an earlier copy of it may still be executed",
            Reason::BudgetExhausted => "it was not sent again because the retry budget is empty",
            Reason::FailFast => "nothing was tried, because the server has been down for too long",
            Reason::Deadline => "the deadline left no time to try again",
        })
    }
}

/// Sends again, or surfaces.
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
    // one dead connection says nothing about the next one
    let at_once = counts && situation.replays == 0 && matches!(fault, Fault::Disconnect(_));
    let delay = if at_once { Duration::ZERO } else { situation.delay };
    if delay >= situation.remaining {
        return Surface(Reason::Deadline);
    }
    if proved { Resend(delay) } else { Replay(delay) }
}

/// Whether sending the statement again counts as one of the policy's replays. An attempt that got no connection did the
/// server no harm, and a server that refuses for its own condition is waited for: the deadline alone bounds those.
pub(crate) fn counts_as_replay(situation: &Situation) -> bool {
    match situation.classification.fault() {
        Fault::Disconnect(_) => situation.reached_connection,
        Fault::Refused => situation.reached_connection && !situation.of_the_server,
        Fault::RolledBack | Fault::Other => false,
    }
}

/// The reason that an error names when this stands in the way.
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
/// A transaction that nobody commits has no effect, wherever it lingers, and a guard keeps two copies apart.
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
