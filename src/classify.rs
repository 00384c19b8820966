//! From a driver's error to what it means: is the connection lost, and was the statement executed?
//!
//! 2006 and 2013 are codes of MySQL's C client library. `mysql_async` reports I/O errors instead, and neither its
//! `is_fatal()` nor its `is_disconnected()` tells a lost connection from a caller's bug (both are true for a wrong
//! number of parameters). So this module maps what really arrives to the two names that people search for.
//!
//! Everything here is a pure function of the error and of how far the attempt had come. In doubt the outcome is
//! [`Outcome::Unknown`]; [`Outcome::NotExecuted`] is a proof. The table is in the crate's documentation, its cells are
//! in the tests beside this file.

use std::{fmt, io};

use mysql_async::{DriverError, Error, IoError, ServerError};
use mysql_common::proto::codec::error::PacketCodecError;

use crate::driver_error::io_error;

/// The two ways to lose a connection, by the names and codes of MySQL's C client library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It is proved that the statement had no effect: the server did not execute it.
    NotExecuted,
    /// The statement may have been executed, or not, or in part; nothing that the client saw tells.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::NotExecuted => "not executed",
            Outcome::Unknown => "unknown",
        })
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
    /// The server rolled the statement back (deadlock, lock wait time-out).
    RolledBack,
    /// Not a loss: an error of the statement or of the caller. Surfaces at once.
    Other,
}

/// The meaning of an error: what happened, and what became of the statement.
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

    /// The server refused the statement because of its own condition.
    pub const fn refused(outcome: Outcome) -> Self {
        Classification { fault: Fault::Refused, outcome }
    }

    /// The server rolled the statement back.
    pub const fn rolled_back(outcome: Outcome) -> Self {
        Classification { fault: Fault::RolledBack, outcome }
    }

    /// Not a loss: surfaces at once, is never retried.
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
    /// The text is larger than any packet that the server takes: it is never executed, whatever ends the connection.
    pub(crate) oversized: bool,
    /// A LOCAL INFILE may have been under way, whose data are written after the command.
    pub(crate) infile: bool,
    /// The connection is encrypted. There a `BrokenPipe` can also come from the closing of a broken stream, after
    /// the reply: the driver's `routine` returns the error of the close in place of the first one.
    pub(crate) tls: bool,
}

/// The built-in table.
pub(crate) fn classify(error: &Error, situation: Situation) -> Classification {
    let proved = match situation.stage {
        Stage::Connect => return at_connect(error),
        Stage::Prepare => true,
        Stage::Command | Stage::Reply => false,
    };
    let table = match at_command(error, situation) {
        // the server closes the connection, mostly before its 1153 can be read; sending it again cannot help
        lost if situation.oversized && matches!(lost.fault, Fault::Disconnect(_)) => {
            Classification::other(Outcome::NotExecuted)
        }
        table => table,
    };
    match table.fault {
        // preparing executes nothing, whatever happened to it
        _ if proved => match table.fault {
            Fault::Disconnect(_) => not_sent(),
            Fault::Refused | Fault::RolledBack | Fault::Other => {
                Classification { outcome: Outcome::NotExecuted, ..table }
            }
        },
        _ if situation.stage == Stage::Reply => match table.fault {
            Fault::Disconnect(_) => lost(),
            Fault::Refused | Fault::RolledBack | Fault::Other => Classification { outcome: Outcome::Unknown, ..table },
        },
        Fault::Disconnect(_) | Fault::Refused | Fault::RolledBack | Fault::Other => table,
    }
}

/// Whether a connection that could not be made, or made ready, for this reason may be had later.
pub(crate) fn is_worth_another_try(error: &Error) -> bool {
    at_connect(error).fault != Fault::Other
}

const fn not_sent() -> Classification {
    Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted)
}

const fn lost() -> Classification {
    Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown)
}

/// Nothing was sent, so that nothing was executed. The question is only whether trying again can help.
fn at_connect(error: &Error) -> Classification {
    let surface = Classification::other(Outcome::NotExecuted);
    match error {
        Error::Io(io) => match io_error(io) {
            // a TLS handshake that fails (a wrong certificate, say) is reported as invalid data
            Some(io) if io.kind() == io::ErrorKind::InvalidData => surface,
            Some(io) => match codec_error(io) {
                Some(PacketCodecError::PacketTooLarge) => surface,
                Some(
                    PacketCodecError::Io(_)
                    | PacketCodecError::PacketsOutOfSync
                    | PacketCodecError::BadCompressedPacketHeader,
                )
                | None => not_sent(),
            },
            None => surface,
        },
        Error::Server(ServerError { code, .. }) => match code {
            // full, for a while
            1040 | 1203 | 1226
            // shutting down or being cut off
            | 1053 | 1077 | 1079 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 3169
            // in no condition to serve: a cluster node that is not ready, offline mode
            | 1047 | 3032
            // a proxy or router that reaches no server
            | 2002 | 2003 | 2006 | 2013 | 2055 | 4031 | 9001 => not_sent(),
            _ => surface,
        },
        // of a proxy that refuses without an SQLSTATE after the login, the driver makes an unexpected packet
        Error::Driver(
            DriverError::ConnectionClosed | DriverError::UnexpectedPacket { .. } | DriverError::PacketOutOfOrder,
        ) => not_sent(),
        Error::Driver(_) | Error::Other(_) | Error::Url(_) => surface,
    }
}

/// The command was to be sent, or its reply was awaited.
fn at_command(error: &Error, situation: Situation) -> Classification {
    match error {
        Error::Io(io) => io_at_command(io, situation),
        Error::Server(server) => server_at_command(server, situation.several),
        Error::Driver(driver) => driver_at_command(driver),
        Error::Other(_) => Classification::other(Outcome::Unknown),
        Error::Url(_) => Classification::other(Outcome::NotExecuted),
    }
}

fn io_at_command(error: &IoError, situation: Situation) -> Classification {
    let Some(io) = io_error(error) else {
        return lost();
    };
    if let Some(codec) = codec_error(io) {
        return match codec {
            // too large to send, or the reply was too large to read: the error does not tell which
            PacketCodecError::PacketTooLarge => Classification::other(Outcome::Unknown),
            PacketCodecError::Io(_)
            | PacketCodecError::PacketsOutOfSync
            | PacketCodecError::BadCompressedPacketHeader => lost(),
        };
    }
    // the driver found its own stream closed before it wrote anything
    if matches!(inner::<Error>(io), Some(Error::Driver(DriverError::ConnectionClosed))) {
        return not_sent();
    }
    // the write failed, so that the command cannot be complete on the server's side
    if io.kind() == io::ErrorKind::BrokenPipe && !situation.infile && !situation.tls {
        return not_sent();
    }
    lost()
}

/// Whether a 1290 is about that: it also stands for --secure-file-priv, --skip-grant-tables and others, which no waiting
/// mends.
pub(crate) fn says_read_only(error: &ServerError) -> bool {
    error.message.contains("read-only") || error.message.contains("read_only")
}

fn server_at_command(error: &ServerError, several: bool) -> Classification {
    // a refusal is a proof only for a text that is one command
    let refusal = if several { Outcome::Unknown } else { Outcome::NotExecuted };
    match error.code {
        1053 | 1077 | 1079 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 => lost(),
        2006 | 2013 | 2055 => lost(),
        // a cluster node lost the others under a COMMIT (seen on MariaDB 10.11 with Galera 4.23): they may have got it
        1180 if error.message.contains("Not connected to Primary Component") => lost(),
        4031 | 9001 if several => lost(),
        4031 | 9001 => not_sent(),
        // of a text that is several commands it is about a name of SQL's own PREPARE, which is no more there elsewhere
        1243 if several => Classification::other(Outcome::Unknown),
        1047 | 1243 | 1836 => Classification::refused(refusal),
        1290 if says_read_only(error) => Classification::refused(refusal),
        1205 | 1213 => Classification::rolled_back(refusal),
        1064 | 1290 => Classification::other(refusal),
        _ => Classification::other(Outcome::Unknown),
    }
}

fn driver_at_command(error: &DriverError) -> Classification {
    match error {
        DriverError::ConnectionClosed => not_sent(),
        // the reply makes no sense, the driver closes the connection
        DriverError::PacketOutOfOrder
        | DriverError::UnexpectedPacket { .. }
        | DriverError::BadCompressedPacketHeader => lost(),
        // found by the driver before it sends the command
        DriverError::Params(_)
        | DriverError::MixedParams
        | DriverError::StmtParamsMismatch { .. }
        | DriverError::StmtParamsNumberExceedsLimit { .. }
        | DriverError::NestedTransaction
        | DriverError::ReadOnlyTransNotSupported
        | DriverError::PoolDisconnected
        // of the login, where no statement is under way yet
        | DriverError::CantParseServerVersion { .. }
        | DriverError::UnknownAuthPlugin { .. }
        | DriverError::NamedPipesDisabled
        | DriverError::MysqlOldPasswordDisabled
        | DriverError::NoKeyFound
        | DriverError::NoClientSslFlagFromServer
        | DriverError::CleartextPluginDisabled
        | DriverError::InvalidParsecSalt => Classification::other(Outcome::NotExecuted),
        DriverError::FromValue { .. }
        | DriverError::FromRow { .. }
        | DriverError::PacketTooLarge
        | DriverError::LocalInfile(_)
        | DriverError::BulkExecute(_) => Classification::other(Outcome::Unknown),
    }
}

fn codec_error(io: &io::Error) -> Option<&PacketCodecError> {
    inner(io)
}

fn inner<E: std::error::Error + 'static>(io: &io::Error) -> Option<&E> {
    io.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
