//! The one error type: what was lost, what became of the statement, and what to do.

use std::{fmt, time::Duration};

use crate::{
    classify::{Classification, Disconnect, Fault, Outcome},
    decide::Reason,
    statement::Delivery,
};

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed, and what became of its statement.
///
/// Ask it with the predicates: [`outcome`](Error::outcome) first. The driver's own error, where there is one, is
/// `source()` and [`driver_error`](Error::driver_error); an error that is no loss (a syntax error, a duplicate key)
/// shows as the driver's. Neither `Display` nor `Debug` of this type adds a password, a parameter or a row to a message.
///
/// ```
/// use mysql_retry::Outcome;
///
/// # async fn f(exec: mysql_retry::Executor) {
/// match exec.exec_drop("INSERT INTO payment (amount) VALUES (?)", (100,)).await {
///     Ok(_) => println!("booked"),
///     Err(e) if e.outcome() == Outcome::NotExecuted => println!("not booked: {e}"),
///     Err(e) => println!("look before you book again: {e}"),
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
    /// Where to, without user and password.
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
    /// The statement succeeded, but a row does not fit the type that the caller asked for.
    Conversion { wanted: &'static str },
    /// Options or settings that make no sense.
    Config(String),
}

impl Error {
    pub(crate) fn new(failure: Failure) -> Self {
        Error(Box::new(failure))
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
            address: String::new(),
            source,
        })
    }

    /// What became of the statement. [`NotExecuted`](Outcome::NotExecuted) is a proof, and holds for the whole call,
    /// all its attempts together.
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

    /// Whether the last attempt was cut by a time-out (of the attempt, of connecting, or of the pool).
    pub fn is_timeout(&self) -> bool {
        match &self.0.source {
            Some(mysql_async::Error::Io(mysql_async::IoError::Io(io))) => io.kind() == std::io::ErrorKind::TimedOut,
            _ => false,
        }
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
            mysql_async::Error::Driver(_)
            | mysql_async::Error::Io(_)
            | mysql_async::Error::Other(_)
            | mysql_async::Error::Url(_) => None,
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

    /// What the statement tolerated.
    pub fn delivery(&self) -> Delivery {
        self.0.delivery
    }

    /// How many rows of a stream had been handed out before the connection was lost.
    pub fn rows_delivered(&self) -> u64 {
        self.0.rows
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
            Kind::Deadline | Kind::Conversion { .. } | Kind::Config(_) => None,
        }
    }
}

// By hand: the derived form would print the driver's error, which can hold a row or a value.
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
            .field("address", &self.address)
            .field("source", &self.source.as_ref().map(ToString::to_string))
            .finish()
    }

    fn cause(&self) -> Cause<'_> {
        Cause(self.source.as_ref())
    }
}

/// The driver's error without the words that its wrappers repeat.
struct Cause<'a>(Option<&'a mysql_async::Error>);

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
struct Sentence<'a>(&'a Failure);

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
            Kind::Deadline => {
                f.write_str("the deadline passed before the statement could be sent")?;
                return self.tail(f);
            }
            Kind::Classified(classification) => classification.fault(),
        };
        match fault {
            Fault::Other => {
                failure.cause().fmt(f)?;
                if !failure.lost_before {
                    return Ok(());
                }
                // it may be the cause of this error, of a duplicate key say
                f.write_str("; an earlier attempt was lost")?;
            }
            Fault::Disconnect(disconnect) => {
                write!(f, "{disconnect}: {}: {}", failure.address, failure.cause())?;
            }
            Fault::Refused => write!(f, "the server {} refused the statement: {}", failure.address, failure.cause())?,
            Fault::RolledBack => {
                write!(f, "the server rolled the statement back: {}", failure.cause())?;
            }
        }
        self.tail(f)
    }
}

impl Sentence<'_> {
    fn tail(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sentence(failure) = self;
        f.write_str(match (failure.outcome, failure.delivery) {
            (Outcome::NotExecuted, _) => "; the statement was not executed, it is safe to run it again",
            (Outcome::Unknown, Delivery::AtMostOnce) => {
                "; the statement may have been executed, check its effect before you run it again"
            }
            (Outcome::Unknown, Delivery::AtLeastOnce) => {
                "; the statement may have been executed, it is idempotent and can be run again"
            }
        })?;
        if failure.rows > 0 {
            write!(f, "; {} rows had been handed out", failure.rows)?;
        }
        if failure.kind != Kind::Deadline {
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

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io};

    use super::*;

    fn failure(kind: Kind, outcome: Outcome, delivery: Delivery, reason: Reason) -> Failure {
        Failure {
            kind,
            outcome,
            delivery,
            attempts: 2,
            elapsed: Duration::from_millis(1234),
            reason,
            rows: 0,
            lost_before: false,
            address: "db.example:3306".into(),
            source: Some(io::Error::new(io::ErrorKind::UnexpectedEof, "connection closed").into()),
        }
    }

    #[test]
    fn a_lost_statement_reads_as_what_became_of_it_and_what_to_do() {
        let lost = Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown);
        let error =
            Error::new(failure(Kind::Classified(lost), Outcome::Unknown, Delivery::AtMostOnce, Reason::NotIdempotent));
        assert_eq!(
            error.to_string(),
            "lost connection to MySQL server during query (2013): db.example:3306: connection closed; the statement \
             may have been executed, check its effect before you run it again; it was not sent again because it is \
             not annotated as idempotent (2 attempts in 1.234 s, delivery at most once)"
        );
        assert_eq!(error.code(), Some(2013));
        assert!(error.is_disconnect());
    }

    #[test]
    fn the_drivers_error_is_the_source() {
        let gone = Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted);
        let error =
            Error::new(failure(Kind::Classified(gone), Outcome::NotExecuted, Delivery::AtMostOnce, Reason::Deadline));
        let source = error.source().expect("a source");
        assert!(source.downcast_ref::<mysql_async::Error>().is_some(), "{source:?}");
        assert!(error.driver_error().is_some());
        assert!(error.is_deadline());
    }

    #[test]
    fn an_error_that_is_no_loss_shows_as_the_drivers() {
        let server =
            mysql_async::ServerError { code: 1146, message: "Table 'x.y' doesn't exist".into(), state: "42S02".into() };
        let shown = mysql_async::Error::Server(server.clone()).to_string();
        let error = Error::new(Failure {
            source: Some(server.into()),
            ..failure(
                Kind::Classified(Classification::other(Outcome::Unknown)),
                Outcome::Unknown,
                Delivery::AtMostOnce,
                Reason::NotALoss,
            )
        });
        assert_eq!(error.to_string(), shown);
        assert_eq!(error.code(), Some(1146));
        assert!(!error.is_disconnect());
    }

    #[test]
    fn a_duplicate_key_after_a_lost_attempt_tells_of_that_attempt() {
        let server = mysql_async::ServerError { code: 1062, message: "Duplicate entry".into(), state: "23000".into() };
        let error = Error::new(Failure {
            source: Some(server.into()),
            lost_before: true,
            ..failure(
                Kind::Classified(Classification::other(Outcome::Unknown)),
                Outcome::Unknown,
                Delivery::AtLeastOnce,
                Reason::NotALoss,
            )
        });
        let shown = error.to_string();
        assert!(shown.contains("1062") && shown.contains("an earlier attempt was lost"), "{shown}");
    }

    #[test]
    fn a_value_inside_the_drivers_error_is_in_no_message() {
        let value = mysql_async::Value::Bytes(b"s3cret".to_vec());
        let error = Error::new(Failure {
            source: Some(mysql_async::DriverError::FromValue { value }.into()),
            ..failure(
                Kind::Classified(Classification::other(Outcome::Unknown)),
                Outcome::Unknown,
                Delivery::AtMostOnce,
                Reason::NotALoss,
            )
        });
        let shown = format!("{error} {error:?} {error:#?}");
        assert!(!shown.contains("s3cret") && !shown.contains("115, 51"), "{shown}");
    }

    #[test]
    fn an_error_is_small_and_can_cross_threads() {
        fn check<T: Send + Sync + 'static>() -> usize {
            size_of::<T>()
        }
        assert_eq!(check::<Error>(), size_of::<usize>());
    }
}
