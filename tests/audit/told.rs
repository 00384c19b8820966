//! What a caller was told.

use std::fmt;

use mysql_retry::{Done, Error, Outcome};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Ok,
    /// Exactly-once work that another call has done.
    Before,
    NotExecuted(String),
    /// The server's own answer.
    Failed(String),
    Unknown(String),
    /// No answer for much longer than the deadline.
    Nothing,
    /// The call panicked.
    Panic(String),
}

impl Told {
    pub fn of<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Told::Ok,
            Err(error) => Told::of_error(error),
        }
    }

    pub fn of_error(error: &Error) -> Self {
        match error.outcome() {
            Outcome::NotExecuted => Told::NotExecuted(error.to_string()),
            Outcome::Failed => Told::Failed(error.to_string()),
            Outcome::Unknown => Told::Unknown(error.to_string()),
        }
    }

    pub fn of_done<T>(result: &Result<Done<T>, Error>) -> Self {
        match result {
            Ok(Done::Before { .. }) => Told::Before,
            other => Told::of(other),
        }
    }

    /// Whether the caller believes that all is there.
    pub fn is_success(&self) -> bool {
        matches!(self, Told::Ok | Told::Before)
    }

    /// Whether the caller believes that nothing is there.
    pub fn denies(&self) -> bool {
        matches!(self, Told::NotExecuted(_))
    }

    /// The message, where there is one.
    pub fn message(&self) -> Option<&str> {
        match self {
            Told::NotExecuted(message) | Told::Failed(message) | Told::Unknown(message) => Some(message),
            Told::Ok | Told::Before | Told::Nothing | Told::Panic(_) => None,
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::Ok => f.write_str("Ok"),
            Told::Before => f.write_str("done before"),
            Told::NotExecuted(error) => write!(f, "NotExecuted: {error}"),
            Told::Failed(error) => write!(f, "Failed: {error}"),
            Told::Unknown(error) => write!(f, "Unknown: {error}"),
            Told::Nothing => f.write_str("nothing"),
            Told::Panic(message) => write!(f, "a panic: {message}"),
        }
    }
}
