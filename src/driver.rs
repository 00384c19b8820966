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

/// An error that this crate makes itself, in the driver's error type, so that one table classifies everything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Own(String);

/// An error that this crate makes.
pub(crate) fn own(kind: io::ErrorKind, message: impl Into<String>) -> Error {
    io::Error::new(kind, Own(message.into())).into()
}

/// A time-out of this crate.
pub(crate) fn timed_out(message: String) -> Error {
    own(io::ErrorKind::TimedOut, message)
}

/// Whether this crate has made the error, or copied it.
pub(crate) fn is_own(error: &Error) -> bool {
    let Error::Io(error) = error else { return false };
    io_error(error).and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<Own>())
}

/// A copy of an error, because the driver's errors cannot be cloned. It has the same message; of an I/O error it keeps the
/// kind, not the inner error.
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
