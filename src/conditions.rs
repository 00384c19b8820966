//! The one table: what servers, proxies and the driver report, and what each report means.
//!
//! A row is a condition. Its cells hold everything that any part of this crate asks about it: the fault, the outcome for a
//! single command, what the server undid, what it says of the server, whether the connection can be used further, and
//! whether waiting helps while connecting. No error number stands anywhere else in `src`.
//!
//! A condition is recognised by its number; by its message only where one number means several things; and by its SQLSTATE
//! class where the number is not in the table (08 connection lost, 40 transaction rolled back).

use std::io;

use mysql_async::{DriverError, Error, IoError, ServerError};
use mysql_common::proto::codec::error::PacketCodecError;

use crate::{
    driver::io_error,
    verdict::{Fault, Outcome, Unavailable},
};

mod rows;

pub(crate) use rows::SERVER_ROWS;

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Condition {
    /// How it is recognised, if a server reports it.
    pub(crate) when: When,
    pub(crate) fault: Fault,
    /// The outcome of a statement that is one command, has no effect before its end, and meets this.
    pub(crate) outcome: Outcome,
    /// What else a `NotExecuted` of this row needs to be a proof.
    pub(crate) holds: Holds,
    /// What the server undid before it said so.
    pub(crate) undone: Undone,
    /// What it says of the server, where a statement meets it.
    pub(crate) server: Option<Unavailable>,
    /// A session or transaction that the caller made read-only gives the same report.
    pub(crate) of_the_session: bool,
    /// What it says where a connection is being made.
    pub(crate) connect: Connect,
    /// Whether the connection can be used further.
    pub(crate) keeps_connection: bool,
    /// What it means, for the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is made of it"))]
    pub(crate) meaning: &'static str,
    /// Why it cannot come after an execution; empty where the outcome is no proof.
    #[cfg_attr(not(test), expect(dead_code, reason = "for who reads the table; a test holds it against the outcome"))]
    pub(crate) proof: &'static str,
}

/// How the report of a server is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// By its number.
    Code(&'static [u16]),
    /// By its number, between these two.
    Between(u16, u16),
    /// By its number and a part of its message.
    Says(&'static [u16], &'static [&'static str]),
    /// By its number, and its SQLSTATE class or a part of its message.
    ClassOrSays(u16, &'static str, &'static [&'static str]),
    /// By the class of its SQLSTATE, where its number is in no row.
    Class(&'static str),
    /// It is no report of a server: the driver or the transport noticed this.
    Noticed(&'static str),
}

/// When a `NotExecuted` is a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Whatever the statement is.
    Always,
    /// For a text that is one command, and calls no stored code.
    OneCommand,
    /// For a single statement that changes rows, in transactional tables only.
    RowsOfTransactionalTables,
    /// Where the driver prepared the statement, so that it is not about a name of SQL's own `PREPARE`. Else it is the answer
    /// to the statement.
    PreparedByDriver,
    /// Where a failed write can only be the write of the command.
    PlainWrite,
}

/// What a server undid before it reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// Nothing, or it is not known.
    Nothing,
    /// The statement alone; its transaction is open. Some settings make it the whole transaction.
    Statement,
    /// The whole transaction.
    Transaction,
}

/// What a report says where a connection is being made, or made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connect {
    /// Waiting does not help.
    Surfaces,
    /// A connection may be had later.
    Waits(Unavailable),
    /// This server refuses this client, but another target may accept it.
    Elsewhere(Unavailable),
}

impl Connect {
    /// What is wrong with the server, if waiting, or another one of `several` targets, helps.
    pub(crate) fn unavailable(self, several: bool) -> Option<Unavailable> {
        match self {
            Connect::Waits(why) => Some(why),
            Connect::Elsewhere(why) if several => Some(why),
            Connect::Elsewhere(_) | Connect::Surfaces => None,
        }
    }
}

/// What the failure to make a connection says of the server; `None` if it is there and waiting cannot help. `several` says
/// that there are other targets.
pub(crate) fn unavailable_at_connect(error: &Error, several: bool) -> Option<Unavailable> {
    condition(error).connect.unavailable(several)
}

/// What the refusal of a statement says of the server; `None` if it is not about the server's condition.
pub(crate) fn unavailable_at_statement(error: &Error) -> Option<Unavailable> {
    condition(error).server
}

/// The row of an error.
pub(crate) fn condition(error: &Error) -> &'static Condition {
    match error {
        Error::Server(error) => of_server(error),
        Error::Io(error) => of_transport(error),
        Error::Driver(error) => of_driver(error),
        Error::Other(_) => &rows::FOREIGN,
        Error::Url(_) => &rows::FOUND_BEFORE_SENDING,
    }
}

/// The row of what a server has answered.
pub(crate) fn of_server(error: &ServerError) -> &'static Condition {
    let by_class = |row: &&Condition| matches!(row.when, When::Class(class) if error.state.starts_with(class));
    SERVER_ROWS
        .iter()
        .find(|row| row.when.is_met_by(error))
        .or_else(|| SERVER_ROWS.iter().find(by_class))
        .unwrap_or(&rows::ANSWERED)
}

impl When {
    fn is_met_by(self, error: &ServerError) -> bool {
        let says = |parts: &[&str]| parts.iter().any(|part| error.message.contains(part));
        match self {
            When::Code(codes) => codes.contains(&error.code),
            When::Between(first, last) => (first..=last).contains(&error.code),
            When::Says(codes, parts) => codes.contains(&error.code) && says(parts),
            When::ClassOrSays(code, class, parts) => {
                error.code == code && (error.state.starts_with(class) || says(parts))
            }
            // asked when no number has been found
            When::Class(_) | When::Noticed(_) => false,
        }
    }
}

fn of_transport(error: &IoError) -> &'static Condition {
    let Some(io) = io_error(error) else {
        return &rows::TLS_FAILED;
    };
    if let Some(codec) = io.get_ref().and_then(|inner| inner.downcast_ref::<PacketCodecError>()) {
        return match codec {
            PacketCodecError::PacketTooLarge => &rows::PACKET_TOO_LARGE,
            PacketCodecError::Io(_)
            | PacketCodecError::PacketsOutOfSync
            | PacketCodecError::BadCompressedPacketHeader => &rows::UNREADABLE,
        };
    }
    // the driver found its own stream closed before it wrote anything
    let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    if matches!(inner, Some(Error::Driver(DriverError::ConnectionClosed))) {
        return &rows::CLOSED_BEFORE;
    }
    #[allow(clippy::wildcard_enum_match_arm)] // of a foreign enum that grows
    match io.kind() {
        io::ErrorKind::BrokenPipe => &rows::WRITE_FAILED,
        io::ErrorKind::TimedOut => &rows::TIMED_OUT,
        // the kind of a TLS handshake that fails (a wrong certificate)
        io::ErrorKind::InvalidData => &rows::TLS_FAILED,
        _ => &rows::CUT,
    }
}

fn of_driver(error: &DriverError) -> &'static Condition {
    match error {
        DriverError::ConnectionClosed => &rows::CLOSED_BEFORE,
        // The reply cannot be read, and the driver closes the connection. It reports an unexpected packet where a proxy
        // refuses without an SQLSTATE after the login.
        DriverError::PacketOutOfOrder | DriverError::UnexpectedPacket { .. } => &rows::UNREADABLE,
        DriverError::BadCompressedPacketHeader => &rows::TLS_FAILED,
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
        | DriverError::InvalidParsecSalt => &rows::FOUND_BEFORE_SENDING,
        DriverError::FromValue { .. }
        | DriverError::FromRow { .. }
        | DriverError::PacketTooLarge
        | DriverError::LocalInfile(_)
        | DriverError::BulkExecute(_) => &rows::FOREIGN,
    }
}

/// Whether a packet was larger than the client's limit. The driver's error does not tell whether it was the request or the
/// reply.
pub(crate) fn is_packet_too_large(error: &Error) -> bool {
    std::ptr::eq(condition(error), &rows::PACKET_TOO_LARGE)
}

/// Whether it is a time-out, of this crate or of the operating system.
pub(crate) fn is_time_out(error: &Error) -> bool {
    std::ptr::eq(condition(error), &rows::TIMED_OUT)
}

/// Answers to the questions of this crate. They are no conditions of a user's statement.
pub(crate) mod answers {
    use mysql_async::ServerError;

    /// A unique key is taken.
    pub(crate) fn is_duplicate_key(error: &ServerError) -> bool {
        error.code == 1062
    }

    /// There is no such table.
    pub(crate) fn is_missing_table(error: &ServerError) -> bool {
        error.code == 1146
    }

    /// There is no such savepoint, procedure or function.
    pub(crate) fn is_missing_name(error: &ServerError) -> bool {
        error.code == 1305
    }

    /// There is no such session.
    pub(crate) fn is_missing_session(error: &ServerError) -> bool {
        error.code == 1094
    }

    /// The warning that a rollback could not undo what was done to a non-transactional table.
    /// Seen on MariaDB 10.11, 11.8 and MySQL 9.7 after a statement that was rolled back in autocommit mode and in a
    /// transaction.
    pub(crate) const NOT_ROLLED_BACK: u16 = 1196;
}

#[cfg(test)]
mod tests;
