//! From a driver's error to what it means: is the connection lost, and was the statement executed?
//!
//! 2006 and 2013 are codes of MySQL's C client library. `mysql_async` reports I/O errors instead, and neither its
//! `is_fatal()` nor its `is_disconnected()` separates a lost connection from a mistake of the caller (both are true for a
//! wrong number of parameters). So this module maps the driver's errors to the two codes that users know.
//!
//! Everything here is a pure function of the error and of how far the attempt had come. The meaning of an error by itself is
//! in the table ([`crate::conditions`]); this module adds what is known of the attempt. In doubt the outcome is
//! [`Outcome::Unknown`]; [`Outcome::NotExecuted`] is a proof.

use mysql_async::Error;

use crate::{
    conditions::{self, Condition, Holds, condition},
    verdict::{Classification, Disconnect, Fault, Outcome},
};

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

/// What is known of an attempt, apart from its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
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

/// The classification of an error in this context.
pub(crate) fn classify(error: &Error, context: Context) -> Classification {
    let row = condition(error);
    if context.stage == Stage::Connect {
        return at_connect(row, context.several_targets);
    }
    // the server closes the connection, mostly before its answer can be read; sending it again cannot help
    let unread = context.oversized && matches!(row.fault, Fault::Disconnect(_));
    let unsent = context.unsendable && conditions::is_packet_too_large(error);
    if (unread || unsent) && context.stage != Stage::Reply {
        return Classification::other(Outcome::NotExecuted);
    }
    // preparing executes nothing, but MariaDB runs stored functions where it folds constants
    if context.stage == Stage::Prepare && !context.several {
        return while_preparing(row);
    }
    let proved = row.outcome == Outcome::NotExecuted && context.stage != Stage::Reply && holds(row.holds, context);
    // the server has answered, on a connection that works
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

/// Whether a proof of this kind is one in this context.
fn holds(holds: Holds, context: Context) -> bool {
    match holds {
        Holds::Always => true,
        Holds::OneCommand => !context.several,
        Holds::RowsOfTransactionalTables => !context.several && context.rolls_back,
        Holds::PreparedByDriver => !context.several && !context.names_prepared,
        Holds::PlainWrite => !context.infile && !context.tls,
    }
}

impl Condition {
    const fn classification(&self) -> Classification {
        Classification::new(self.fault, self.outcome)
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
