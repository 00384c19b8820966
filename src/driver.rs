//! What the driver's error type does not do by itself.

use std::io;

use mysql_async::{Error, IoError};

/// The `io::Error` inside; `None` for an error of TLS, a variant that exists only with a TLS feature, which another
/// crate of the build may have switched on.
pub(crate) fn io_error(error: &IoError) -> Option<&io::Error> {
    match error {
        IoError::Io(io) => Some(io),
        #[allow(unreachable_patterns, clippy::wildcard_enum_match_arm)]
        _ => None,
    }
}

/// What this crate says itself, in the driver's error type, so that one table classifies everything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Own(String);

/// An error of this crate's making.
pub(crate) fn own(kind: io::ErrorKind, message: impl Into<String>) -> Error {
    io::Error::new(kind, Own(message.into())).into()
}

/// A time-out of this crate's.
pub(crate) fn timed_out(message: String) -> Error {
    own(io::ErrorKind::TimedOut, message)
}

/// Whether the error is of this crate's making, or a copy of another one.
pub(crate) fn is_own(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    io_error(error).and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Own>())
}

/// The driver's errors cannot be cloned. A copy says the same; of an I/O error it keeps the kind, not what is inside.
pub(crate) fn copy(error: &Error) -> Error {
    if let Error::Server(error) = error {
        return Error::Server(error.clone());
    }
    let io = if let Error::Io(error) = error { io_error(error) } else { None };
    match io {
        Some(error) => own(error.kind(), error.to_string()),
        None => own(io::ErrorKind::Other, error.to_string()),
    }
}
