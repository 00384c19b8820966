//! The one error type: what was lost, what became of the statement, and what to do.

use std::{fmt, time::Duration};

use crate::{
    conditions::is_time_out,
    sql::{StateKind, StateKinds},
    statement::Delivery,
    verdict::{Classification, Disconnect, Fault, Outcome, Reason},
};

mod convert;
mod message;

pub(crate) use message::Cause;
use message::Sentence;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed, and what became of its statement.
///
/// Ask it with the predicates: [`outcome`](Error::outcome) first. The driver's own error, where there is one, is
/// `source()` and [`driver_error`](Error::driver_error); an error that is no loss (a syntax error, a duplicate key)
/// displays as the driver's. Neither `Display` nor `Debug` of this type adds a password, a parameter or a row to a message.
///
/// ```
/// use mysql_retry::Outcome;
///
/// # async fn f(exec: mysql_retry::Executor) {
/// match exec.exec_drop("INSERT INTO payment (amount) VALUES (?)", (100,)).await {
///     Ok(_) => println!("booked"),
///     Err(e) => match e.outcome() {
///         Outcome::NotExecuted => println!("not booked: {e}"),
///         Outcome::Failed => println!("the server said no: {e}"),
///         Outcome::Unknown => println!("look before you book again: {e}"),
///     },
/// }
/// # }
/// ```
#[derive(thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub struct Error(Box<Failure>);

/// What an [`Error`] says.
#[derive(thiserror::Error)]
#[error("{}", Sentence(self))]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
    pub(crate) delivery: Delivery,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) reason: Reason,
    pub(crate) rows: u64,
    /// An attempt before the last one may have executed the statement.
    pub(crate) lost_before: bool,
    /// How long the outage has lasted that the call waited for, or would have had to wait for.
    pub(crate) down_for: Option<Duration>,
    /// Session state that was lost with the connection.
    pub(crate) lost_state: StateKinds,
    /// It is the error of a whole transaction.
    pub(crate) transaction: bool,
    /// The address of the server, without user and password.
    pub(crate) address: String,
    #[source]
    pub(crate) source: Option<mysql_async::Error>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The meaning of the driver's error.
    Classified(Classification),
    /// The deadline had passed before anything was sent.
    Deadline,
    /// All connections of the pool were in use until the deadline. `size` is their number.
    Busy { size: usize },
    /// The request is larger than the largest packet that this client sends.
    Unsendable { limit: usize },
    /// The statement succeeded, but a row does not fit the type that the caller asked for.
    Conversion { wanted: &'static str },
    /// Options or settings are invalid.
    Config(String),
}

/// A statement of the set-up was refused. Its text is not shown, because it may contain a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) struct SetupFailed {
    pub(crate) number: usize,
    pub(crate) of: usize,
    #[source]
    pub(crate) error: mysql_async::ServerError,
}

impl fmt::Display for SetupFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SetupFailed { number, of, error } = self;
        write!(f, "set-up statement {number} of {of} failed on a new connection: {error}")
    }
}

impl Error {
    pub(crate) fn new(failure: Failure) -> Self {
        Error(Box::new(failure))
    }

    /// The same error with another outcome.
    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Bad options or settings; nothing was sent.
    pub(crate) fn config(message: String, source: Option<mysql_async::Error>) -> Self {
        Error::new(Failure {
            kind: Kind::Config(message),
            outcome: Outcome::NotExecuted,
            delivery: Delivery::AtMostOnce,
            attempts: 0,
            elapsed: Duration::ZERO,
            reason: Reason::NotALoss,
            rows: 0,
            lost_before: false,
            down_for: None,
            lost_state: StateKinds::NONE,
            transaction: false,
            address: String::new(),
            source,
        })
    }

    /// What became of the statement. [`NotExecuted`](Outcome::NotExecuted) is a proof, and holds for the whole call,
    /// all its attempts together. [`Failed`](Outcome::Failed) says that no attempt of the call was lost after it may have
    /// reached the server.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Which loss it was; `None` if no connection was lost.
    pub fn disconnect(&self) -> Option<Disconnect> {
        match self.fault()? {
            Fault::Disconnect(disconnect) => Some(disconnect),
            Fault::Refused | Fault::RolledBack | Fault::Other => None,
        }
    }

    /// Whether a connection was lost, or none could be had (2006, 2013).
    pub fn is_disconnect(&self) -> bool {
        self.disconnect().is_some()
    }

    /// Whether the server refused the statement because of its own condition (read-only, node not ready).
    pub fn is_refused(&self) -> bool {
        self.fault() == Some(Fault::Refused)
    }

    /// Whether the call ended because its deadline left no time.
    pub fn is_deadline(&self) -> bool {
        self.0.kind == Kind::Deadline || self.0.reason == Reason::Deadline
    }

    /// Whether the last attempt was cut by a time-out (of the attempt, of connecting, or of the wait for a connection of the
    /// pool).
    pub fn is_timeout(&self) -> bool {
        self.0.source.as_ref().is_some_and(is_time_out)
    }

    /// Whether the call ended because all connections of the pool were in use until its deadline. Nothing was lost; if the
    /// caller held a stream, a session or a transaction meanwhile, the call may have waited for its own caller.
    pub fn is_busy(&self) -> bool {
        matches!(self.0.kind, Kind::Busy { .. })
    }

    /// Whether the statement succeeded but a row did not fit the type asked for.
    pub fn is_conversion(&self) -> bool {
        matches!(self.0.kind, Kind::Conversion { .. })
    }

    /// Whether options or settings were refused; nothing was sent.
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config(_))
    }

    /// 2006 or 2013 for a lost connection, else the number of the server's error, if it was one.
    pub fn code(&self) -> Option<u16> {
        if let Some(disconnect) = self.disconnect() {
            return Some(disconnect.code());
        }
        self.server_error().map(|error| error.code)
    }

    /// The server's own error, if the last attempt ended with one.
    pub fn server_error(&self) -> Option<&mysql_async::ServerError> {
        match self.0.source.as_ref()? {
            mysql_async::Error::Server(error) => Some(error),
            mysql_async::Error::Other(error) => Some(&error.downcast_ref::<SetupFailed>()?.error),
            mysql_async::Error::Driver(_) | mysql_async::Error::Io(_) | mysql_async::Error::Url(_) => None,
        }
    }

    /// Why the error surfaced instead of being retried.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// How many attempts were made. An attempt that got no connection counts.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// The time from the call to the error.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// How long the server had been down, if the call ended in an outage. Then nothing had been sent, or a statement that was
    /// lost before could not be sent again.
    pub fn down_for(&self) -> Option<Duration> {
        self.0.down_for
    }

    /// What the statement tolerated.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// How many rows of a stream had been returned before the connection was lost.
    pub fn rows_delivered(&self) -> u64 {
        self.0.rows
    }

    /// The kinds of session state that were lost with the connection. Empty unless the statement was one of a
    /// [`Session`](crate::Session) that had state.
    pub fn lost_state(&self) -> impl Iterator<Item = StateKind> + use<> {
        self.0.lost_state.kinds()
    }

    /// The driver's error of the last attempt. Also `source()`.
    pub fn driver_error(&self) -> Option<&mysql_async::Error> {
        self.0.source.as_ref()
    }

    /// The driver's error of the last attempt, taken out.
    pub fn into_driver_error(self) -> Option<mysql_async::Error> {
        self.0.source
    }

    fn fault(&self) -> Option<Fault> {
        match &self.0.kind {
            Kind::Classified(classification) => Some(classification.fault()),
            Kind::Unsendable { .. } => Some(Fault::Other),
            Kind::Deadline | Kind::Busy { .. } | Kind::Conversion { .. } | Kind::Config(_) => None,
        }
    }
}

// Not derived: the derived form would print the driver's error, which can contain a row or a value.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_fields("Error", f)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_fields("Failure", f)
    }
}

impl Failure {
    fn fmt_fields(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("kind", &self.kind)
            .field("outcome", &self.outcome)
            .field("delivery", &self.delivery)
            .field("attempts", &self.attempts)
            .field("elapsed", &self.elapsed)
            .field("reason", &self.reason)
            .field("rows", &self.rows)
            .field("lost_before", &self.lost_before)
            .field("down_for", &self.down_for)
            .field("lost_state", &self.lost_state)
            .field("transaction", &self.transaction)
            .field("address", &self.address)
            .field("source", &self.source.as_ref().map(ToString::to_string))
            .finish()
    }
}

#[cfg(test)]
mod tests;
