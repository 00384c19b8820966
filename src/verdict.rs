//! The words in which a failure is described: what was lost, what became of the statement, why the call ended.
//!
//! Enums only. The meaning of an error is in the table ([`crate::conditions`]). [`crate::classify`] applies it to an attempt,
//! and [`crate::decide`] draws the conclusion.

use std::fmt;

/// The two ways to lose a connection, by the names and codes of MySQL's C client library.
///
/// No variant will be added, so that a `match` needs no wildcard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disconnect {
    /// 2006, `MySQL server has gone away`: the connection was already dead, or could not be made, when the statement
    /// was to be sent.
    ServerGone,
    /// 2013, `Lost connection to MySQL server during query`: it died after bytes of the statement may have reached
    /// the server.
    ServerLost,
}

impl Disconnect {
    /// 2006 or 2013.
    pub const fn code(self) -> u16 {
        match self {
            Disconnect::ServerGone => 2006,
            Disconnect::ServerLost => 2013,
        }
    }
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disconnect::ServerGone => "MySQL server has gone away (2006)",
            Disconnect::ServerLost => "lost connection to MySQL server during query (2013)",
        })
    }
}

/// What became of a statement that failed.
///
/// No variant will be added, so that a `match` needs no wildcard.
///
/// ```
/// use mysql_retry::Outcome;
///
/// fn advice(outcome: Outcome) -> &'static str {
///     match outcome {
///         Outcome::NotExecuted => "nothing happened: run it again whenever you like",
///         Outcome::Failed => "the server said no: read its error",
///         Outcome::Unknown => "look whether it happened",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is proved that the statement had no effect, and will have none: the server did not execute it.
    NotExecuted,
    /// The server answered this statement with this error, and nothing was lost on the way: it is what the bare driver would
    /// have returned on a healthy connection. A duplicate key, a missing table, a bad value.
    ///
    /// A single statement on transactional tables has no effect then. Of a batch, of a text of several statements and of
    /// stored code, the part before the error was executed.
    Failed,
    /// A connection was lost, and the statement may have been executed, or not, or in part. Nothing that the client saw tells
    /// which. See [what remains `Unknown`](crate::docs::proofs#what-remains-unknown).
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::NotExecuted => "not executed",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        })
    }
}

impl Outcome {
    /// The outcome of a call after one more attempt. `self` is that of the attempts before.
    pub(crate) fn then(self, attempt: Outcome) -> Outcome {
        match (self, attempt) {
            (Outcome::Unknown, _) | (_, Outcome::Unknown) => Outcome::Unknown,
            (Outcome::NotExecuted, attempt) => attempt,
            (Outcome::Failed, Outcome::Failed) => Outcome::Failed,
            // what the answered attempt left is still there
            (Outcome::Failed, Outcome::NotExecuted) => Outcome::Unknown,
        }
    }
}

/// What an error means for its connection and for its call. See [`Classification`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The connection is lost, or none could be had. It is never used again; the call goes on with another one if
    /// the outcome and the delivery allow.
    Disconnect(Disconnect),
    /// The server refused the statement because of its own condition (read-only, node not ready). The connection is
    /// closed, the statement goes to another one.
    Refused,
    /// The server rolled the statement back (deadlock, lock wait time-out, a conflict found at COMMIT).
    RolledBack,
    /// Not a loss: the server's answer to the statement, or a mistake of the caller. It is returned at once.
    Other,
}

/// The meaning of an error: what happened, and what became of the statement in this attempt.
///
/// The fault limits the outcome. A lost connection, or a refusal, leaves `NotExecuted` (proved) or `Unknown`. What the
/// server rolled back is `NotExecuted`, or `Failed` where a part of it may have stayed. Every other error that the server
/// answers with is `Failed`, unless it proves that nothing was executed.
///
/// Made by the built-in [table](crate::docs::proofs#the-classification-table), and by a function given to
/// [`RetryPolicyBuilder::classify_with`](crate::RetryPolicyBuilder::classify_with).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classification {
    fault: Fault,
    outcome: Outcome,
}

impl Classification {
    pub(crate) const fn new(fault: Fault, outcome: Outcome) -> Self {
        Classification { fault, outcome }
    }

    /// The connection is lost.
    pub const fn disconnect(disconnect: Disconnect, outcome: Outcome) -> Self {
        Classification { fault: Fault::Disconnect(disconnect), outcome }
    }

    /// The server refused the statement because of its own condition (read-only, not ready): it is sent again on another
    /// connection if the outcome and the delivery allow.
    pub const fn refused(outcome: Outcome) -> Self {
        Classification { fault: Fault::Refused, outcome }
    }

    /// The server rolled the statement back: with `NotExecuted` it is sent again, with `Failed` or `Unknown` only if it is
    /// idempotent.
    pub const fn rolled_back(outcome: Outcome) -> Self {
        Classification { fault: Fault::RolledBack, outcome }
    }

    /// Not a loss: returned at once, never retried. Use [`Outcome::Failed`] for the server's answer to the statement.
    pub const fn other(outcome: Outcome) -> Self {
        Classification { fault: Fault::Other, outcome }
    }

    pub(crate) const fn with_outcome(self, outcome: Outcome) -> Self {
        Classification { outcome, ..self }
    }

    /// What happened.
    pub const fn fault(self) -> Fault {
        self.fault
    }

    /// What became of the statement.
    pub const fn outcome(self) -> Outcome {
        self.outcome
    }
}

/// Why a server is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unavailable {
    /// No connection can be made, or an accepted one is closed at once: refused, no route, no socket file, DNS, a proxy
    /// without a server, shutting down.
    Unreachable,
    /// It does not answer: a path that drops packets, a stopped process.
    Silent,
    /// It has reached its maximum of connections. Open connections work.
    Full,
    /// It is up and does not serve: a cluster node without quorum, offline mode, a host that is not let in.
    NotReady,
    /// It takes no writes: a demoted primary, a replica.
    ReadOnly,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unavailable::Unreachable => "it cannot be reached",
            Unavailable::Silent => "it does not answer",
            Unavailable::Full => "it takes no more connections",
            Unavailable::NotReady => "it is not ready to serve",
            Unavailable::ReadOnly => "it is read-only",
        })
    }
}

impl Unavailable {
    /// It answers.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Unavailable::Full | Unavailable::NotReady | Unavailable::ReadOnly => true,
            Unavailable::Unreachable | Unavailable::Silent => false,
        }
    }

    /// Only writes are refused.
    pub(crate) fn serves_reads(self) -> bool {
        match self {
            Unavailable::ReadOnly => true,
            Unavailable::Unreachable | Unavailable::Silent | Unavailable::Full | Unavailable::NotReady => false,
        }
    }

    /// Open connections can still be used.
    pub(crate) fn spares_open_connections(self) -> bool {
        match self {
            Unavailable::Unreachable | Unavailable::Full | Unavailable::ReadOnly => true,
            Unavailable::Silent | Unavailable::NotReady => false,
        }
    }
}

/// Why there can be no other attempt, apart from what the error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Rows of a stream had been returned.
    RowsDelivered,
    /// The session has lost state with its connection.
    StateLost,
    /// The session has state that another connection does not have.
    InSession,
    /// The transaction may have been committed in part, or the statement is one of a transaction.
    InTransaction,
    /// COMMIT had no reply, and there is no token that could resolve it.
    CommitLost,
    /// The transaction was ended in the middle.
    TransactionEnded,
    /// Not all that the transaction did could be rolled back.
    NotRolledBack,
    /// The session of a lost attempt is not known to have ended.
    Unfenced,
    /// The retry budget has nothing left.
    BudgetSpent,
    /// The server has been down for longer than `fail_fast_after`.
    DownForTooLong,
    /// The server is down, and the policy does not wait for it.
    NotWaited,
    /// The deadline passed while the call waited: for a connection, for the server, for the end of an old session.
    OutOfTime,
    /// All connections of the pool were in use until the deadline.
    PoolBusy,
}

/// Why an error surfaced instead of being retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Retrying cannot fix this error: it is the server's answer to the statement (a duplicate key, a syntax error), or a
    /// mistake of the caller's.
    NotALoss,
    /// The policy has retries switched off ([`RetryPolicy::none`](crate::RetryPolicy::none)), or this kind of error.
    SwitchedOff,
    /// The statement may have been executed, in whole or in part, and is not annotated as idempotent.
    NotIdempotent,
    /// The data that the statement sends can be read only once: LOCAL INFILE.
    OnceOnly,
    /// Rows of a stream had been returned.
    RowsDelivered,
    /// It was sent again as often as the policy allows.
    ReplaysExhausted,
    /// State of the session was lost with its connection ([`Error::lost_state`](crate::Error::lost_state)), and the
    /// statement may depend on it.
    StateLost,
    /// It belongs to a session that has state, or an open transaction, which another connection does not have.
    InSession,
    /// It belongs to a transaction, which is run again as a whole or not at all.
    InTransaction,
    /// The reply to COMMIT was lost: what became of the transaction is not known.
    CommitLost,
    /// The transaction was ended in the middle, by a statement (DDL, stored code that commits) or by the server: what came
    /// before may be committed, and it is not run again.
    TransactionEnded,
    /// The transaction was rolled back, but not what it did to tables without transactions (MyISAM): it is not run again.
    NotRolledBack,
    /// The session of a lost attempt may still be executing, and the policy does not replay a write then.
    Unfenced,
    /// The retry budget is empty ([`RetryBudget`](crate::RetryBudget)).
    BudgetExhausted,
    /// The server had been down for longer than [`fail_fast_after`](crate::ExecutorBuilder::fail_fast_after).
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
            Reason::OnceOnly => "it was not sent again because its file data cannot be read twice",
            Reason::RowsDelivered => "it was not sent again because rows had been returned",
            Reason::ReplaysExhausted => "it was sent again as often as the policy allows",
            Reason::StateLost => "state of the session was lost with its connection",
            Reason::InSession => "it was not sent again because it depends on the state of its session",
            Reason::InTransaction => "a statement of a transaction is not sent again alone",
            Reason::CommitLost => {
                "the reply to COMMIT was lost: with a token (exactly_once) the call would have found out what became of it"
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
