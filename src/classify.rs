//! From a driver's error to what it means: is the connection lost, and was the statement executed?
//!
//! 2006 and 2013 are codes of MySQL's C client library. `mysql_async` reports I/O errors instead, and neither its
//! `is_fatal()` nor its `is_disconnected()` tells a lost connection from a caller's bug (both are true for a wrong
//! number of parameters). So this module maps what really arrives to the two names that people search for.
//!
//! Everything here is a pure function of the error and of how far the attempt had come. What an error means by itself
//! stands in the table ([`crate::conditions`]); here is what the attempt makes of it. In doubt the outcome is
//! [`Outcome::Unknown`]; [`Outcome::NotExecuted`] is a proof.

use std::fmt;

use mysql_async::Error;

use crate::conditions::{self, Condition, Holds, condition};

/// The two ways to lose a connection, by the names and codes of MySQL's C client library.
///
/// These two are all there will be, so that a `match` needs no wildcard.
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
/// These three are all there will be, so that a `match` needs no wildcard.
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
    /// have said on a healthy connection. A duplicate key, a missing table, a bad value.
    ///
    /// What the server did before it said so is what it always does: a single statement on transactional tables has no
    /// effect; of a batch, of a text of several statements and of stored code, what came before the error is done.
    Failed,
    /// A connection was lost, and the statement may have been executed, or not, or in part; nothing that the client saw
    /// tells.
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
    /// The outcome of a call whose attempts so far came to this, and the next one to `attempt`.
    pub(crate) fn then(self, attempt: Outcome) -> Outcome {
        match (self, attempt) {
            (Outcome::Unknown, _) | (_, Outcome::Unknown) => Outcome::Unknown,
            (Outcome::NotExecuted, attempt) => attempt,
            (Outcome::Failed, Outcome::Failed) => Outcome::Failed,
            // what an answered attempt left is not undone by one that did nothing
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
    /// Not a loss: the server's answer to the statement, or a mistake of the caller. Surfaces at once.
    Other,
}

/// The meaning of an error: what happened, and what became of the statement in this attempt.
///
/// The outcome goes with the fault. A lost connection, or a refusal, leaves `NotExecuted` (proved) or `Unknown`. What the
/// server rolled back is `NotExecuted`, or `Failed` where a part of it may have stayed. Every other error that the server
/// answers with is `Failed`, unless it proves that nothing was executed.
///
/// Made by the built-in table (the crate's documentation shows it), and by a function given to
/// [`RetryPolicyBuilder::classify_with`](crate::RetryPolicyBuilder::classify_with).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Classification {
    fault: Fault,
    outcome: Outcome,
}

impl Classification {
    /// The connection is lost.
    pub const fn disconnect(disconnect: Disconnect, outcome: Outcome) -> Self {
        Classification { fault: Fault::Disconnect(disconnect), outcome }
    }

    /// The server refused the statement because of its own condition (read-only, not ready): it is sent again on another
    /// connection if the outcome and the delivery allow.
    pub const fn refused(outcome: Outcome) -> Self {
        Classification { fault: Fault::Refused, outcome }
    }

    /// The server rolled the statement back: with `NotExecuted` it is sent again, with `Failed` or `Unknown` only if it
    /// tolerates that.
    pub const fn rolled_back(outcome: Outcome) -> Self {
        Classification { fault: Fault::RolledBack, outcome }
    }

    /// Not a loss: surfaces at once, is never retried. [`Outcome::Failed`] for the server's answer to the statement.
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

/// How far an attempt had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A connection was being made, or checked. Nothing of the statement was sent.
    Connect,
    /// The statement was being prepared. Preparing executes nothing.
    Prepare,
    /// The first command that executes something was to be sent, or its reply was awaited.
    Command,
    /// The reply had begun, or an earlier command of the same call had been answered.
    Reply,
}

/// What is known of an attempt, beside its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Situation {
    pub(crate) stage: Stage,
    /// The text may cause several commands with effects of their own.
    pub(crate) several: bool,
    /// The statement changes rows and nothing else, and the server warned of no row that it could not roll back.
    pub(crate) rolls_back: bool,
    /// The text names a statement of SQL's own `PREPARE`.
    pub(crate) names_prepared: bool,
    /// The text is larger than any packet that the server takes: it is never executed, whatever ends the connection.
    pub(crate) oversized: bool,
    /// The request is larger than any packet that the client sends.
    pub(crate) unsendable: bool,
    /// A LOCAL INFILE may have been under way, whose data are written after the command.
    pub(crate) infile: bool,
    /// The connection is encrypted. There a `BrokenPipe` can also come from the closing of a broken stream, after
    /// the reply: the driver's `routine` returns the error of the close in place of the first one.
    pub(crate) tls: bool,
    /// There are other targets than the one of this attempt.
    pub(crate) several_targets: bool,
}

/// What the table says of an error in this situation.
pub(crate) fn classify(error: &Error, situation: Situation) -> Classification {
    let row = condition(error);
    if situation.stage == Stage::Connect {
        return at_connect(row, situation.several_targets);
    }
    // the server closes the connection, mostly before its answer can be read; sending it again cannot help
    let unread = situation.oversized && matches!(row.fault, Fault::Disconnect(_));
    let unsent = situation.unsendable && conditions::is_packet_too_large(error);
    if (unread || unsent) && situation.stage != Stage::Reply {
        return Classification::other(Outcome::NotExecuted);
    }
    // preparing executes nothing, but MariaDB runs stored functions where it folds constants
    if situation.stage == Stage::Prepare && !situation.several {
        return while_preparing(row);
    }
    let proved = row.outcome == Outcome::NotExecuted && situation.stage != Stage::Reply && holds(row.holds, situation);
    // what the server has answered on a connection that is whole
    let answered = if matches!(error, Error::Server(_)) { Outcome::Failed } else { Outcome::Unknown };
    match row.fault {
        _ if proved => row.classification(),
        Fault::Disconnect(_) => lost(),
        Fault::Refused if row.holds == Holds::PreparedByDriver => Classification::other(answered),
        Fault::Refused => Classification::refused(Outcome::Unknown),
        Fault::RolledBack => Classification::rolled_back(answered),
        Fault::Other if row.outcome == Outcome::NotExecuted => Classification::other(answered),
        Fault::Other => row.classification(),
    }
}

/// Whether a proof of this kind is one in this situation.
fn holds(holds: Holds, situation: Situation) -> bool {
    match holds {
        Holds::Always => true,
        Holds::OneCommand => !situation.several,
        Holds::RowsOfTransactionalTables => !situation.several && situation.rolls_back,
        Holds::PreparedByDriver => !situation.several && !situation.names_prepared,
        Holds::PlainWrite => !situation.infile && !situation.tls,
    }
}

impl Condition {
    const fn classification(&self) -> Classification {
        Classification { fault: self.fault, outcome: self.outcome }
    }
}

const fn not_sent() -> Classification {
    Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted)
}

const fn lost() -> Classification {
    Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown)
}

/// Nothing was sent, so that nothing was executed. The question is only whether trying again can help.
fn at_connect(row: &Condition, several_targets: bool) -> Classification {
    match row.connect.unavailable(several_targets) {
        Some(_) => not_sent(),
        None => Classification::other(Outcome::NotExecuted),
    }
}

fn while_preparing(row: &Condition) -> Classification {
    match row.fault {
        Fault::Disconnect(_) => not_sent(),
        Fault::Refused | Fault::RolledBack | Fault::Other => row.classification().with_outcome(Outcome::NotExecuted),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
