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

/// A time-out of ours, in the driver's error type, so that one table classifies everything.
pub(crate) fn timed_out(message: String) -> Error {
    io::Error::new(io::ErrorKind::TimedOut, message).into()
}

/// The driver's errors cannot be cloned. A copy says the same; of an I/O error it keeps the kind, not what is inside.
pub(crate) fn copy(error: &Error) -> Error {
    if let Error::Server(error) = error {
        return Error::Server(error.clone());
    }
    let io = if let Error::Io(error) = error { io_error(error) } else { None };
    match io {
        Some(error) => io::Error::new(error.kind(), error.to_string()).into(),
        None => io::Error::other(error.to_string()).into(),
    }
}
