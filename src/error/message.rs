//! An error in words: what happened, what became of the statement, what to do.

use std::fmt;

use super::{Failure, Kind};
use crate::{
    statement::Delivery,
    verdict::{Fault, Outcome, Reason},
};

/// The driver's error without the words that its wrappers repeat.
pub(crate) struct Cause<'a>(pub(crate) Option<&'a mysql_async::Error>);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(mysql_async::Error::Io(mysql_async::IoError::Io(io))) => io.fmt(f),
            Some(error) => error.fmt(f),
            None => f.write_str("no error of the driver"),
        }
    }
}

/// The sentence for the person who reads the log: what happened, what became of the statement, what to do.
pub(super) struct Sentence<'a>(pub(super) &'a Failure);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sentence(failure) = self;
        let fault = match &failure.kind {
            Kind::Config(message) => return f.write_str(message),
            Kind::Conversion { wanted } => {
                return write!(
                    f,
                    "the statement was executed, but a row does not fit the type {wanted}: ask for a type that has \
                     its columns, or for mysql_async::Row"
                );
            }
            Kind::Busy { size } => {
                write!(
                    f,
                    "the pool is busy: all {size} connections were in use until the deadline, of other calls, or of a stream, \
                     session or transaction that this call is made within: give one back first, or let the pool have more"
                )?;
                return self.tail(f);
            }
            Kind::Unsendable { limit } => {
                write!(
                    f,
                    "the request is larger than max_allowed_packet of this client ({limit} bytes, \
                     OptsBuilder::max_allowed_packet): {}",
                    Cause(failure.source.as_ref())
                )?;
                return self.tail(f);
            }
            Kind::Deadline => {
                f.write_str("the deadline passed before the statement could be sent")?;
                return self.tail(f);
            }
            Kind::Classified(classification) => classification.fault(),
        };
        match fault {
            Fault::Other => {
                Cause(failure.source.as_ref()).fmt(f)?;
                if failure.lost_before {
                    // it may be the cause of this error, for example of a duplicate key
                    f.write_str("; an earlier attempt was lost")?;
                } else if failure.outcome != Outcome::Unknown {
                    return Ok(());
                }
            }
            Fault::Disconnect(disconnect) => {
                write!(f, "{disconnect}: {}: {}", failure.address, Cause(failure.source.as_ref()))?;
                if let Some(lasted) = failure.down_for {
                    write!(f, " (down for {:.3} s)", lasted.as_secs_f64())?;
                }
            }
            Fault::Refused => {
                write!(f, "the server {} refused the statement: {}", failure.address, Cause(failure.source.as_ref()))?;
                if let Some(lasted) = failure.down_for {
                    write!(f, " (for {:.3} s)", lasted.as_secs_f64())?;
                }
            }
            Fault::RolledBack => {
                write!(f, "the server rolled the statement back: {}", Cause(failure.source.as_ref()))?;
            }
        }
        self.tail(f)
    }
}

impl Sentence<'_> {
    fn tail(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sentence(failure) = self;
        f.write_str(match (failure.outcome, failure.delivery) {
            (Outcome::NotExecuted, _) if !failure.lost_state.is_neutral() => {
                "; nothing was executed, and what it may depend on is gone"
            }
            (Outcome::NotExecuted, _) if failure.transaction => {
                "; the transaction was not committed, it is safe to run it again"
            }
            // the message of the bare driver
            (Outcome::Failed, _) => "; this is the server's answer, and nothing was lost on the way",
            (Outcome::Unknown, Delivery::ExactlyOnce) => {
                "; it may have been committed, call again with the same token to find out"
            }
            (Outcome::Unknown, _) if failure.transaction => {
                "; the transaction may have been committed, check its effect before you run it again"
            }
            (Outcome::NotExecuted, _) => "; the statement was not executed, it is safe to run it again",
            (Outcome::Unknown, Delivery::AtMostOnce) => {
                "; the statement may have been executed, check its effect before you run it again"
            }
            (Outcome::Unknown, Delivery::AtLeastOnce) => {
                "; the statement may have been executed, it is idempotent and can be run again"
            }
        })?;
        if failure.rows > 0 {
            write!(f, "; {} rows had been returned", failure.rows)?;
        }
        if !failure.lost_state.is_neutral() {
            f.write_str("; lost with the connection: ")?;
            for (index, kind) in failure.lost_state.kinds().enumerate() {
                write!(f, "{}{kind}", if index == 0 { "" } else { ", " })?;
            }
        }
        // the advice to use a guard is only for unguarded work
        let is_told = failure.reason == Reason::CommitLost && failure.delivery == Delivery::ExactlyOnce;
        if !matches!(failure.kind, Kind::Deadline | Kind::Busy { .. }) && !is_told {
            write!(f, "; {}", failure.reason)?;
        }
        let plural = if failure.attempts == 1 { "" } else { "s" };
        write!(
            f,
            " ({} attempt{plural} in {:.3} s, delivery {})",
            failure.attempts,
            failure.elapsed.as_secs_f64(),
            failure.delivery
        )
    }
}
