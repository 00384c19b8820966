//! The table, cell by cell.

use super::*;
use std::io::{self, ErrorKind};

use mysql_async::{DriverError, IoError, LocalInfileError, ServerError, UrlError, Value};
use mysql_common::{packets::BulkExecuteRequestError, proto::codec::error::PacketCodecError};

use Disconnect::{ServerGone, ServerLost};
use Outcome::{Failed, NotExecuted, Unknown};

pub(super) const PLAIN: Context = Context {
    stage: Stage::Command,
    several: false,
    rolls_back: true,
    names_prepared: false,
    oversized: false,
    unsendable: false,
    infile: false,
    tls: false,
    several_targets: false,
};

fn at(stage: Stage) -> Context {
    Context { stage, ..PLAIN }
}

pub(super) fn io(kind: ErrorKind) -> Error {
    Error::Io(IoError::Io(io::Error::from(kind)))
}

pub(super) fn codec(error: PacketCodecError) -> Error {
    error.into()
}

pub(super) fn closed() -> Error {
    // what `WritePacket` of mysql_async 0.37 returns when the stream is gone
    Error::Io(IoError::Io(io::Error::new(ErrorKind::UnexpectedEof, Error::Driver(DriverError::ConnectionClosed))))
}

fn server(code: u16) -> Error {
    let message = match code {
        1290 => "The MariaDB server is running with the --read-only option so it cannot execute this statement",
        4031 => "The client was disconnected by the server because of inactivity.",
        _ => "some message",
    };
    server_saying(code, message)
}

pub(super) fn server_saying(code: u16, message: &str) -> Error {
    Error::Server(ServerError { code, message: message.into(), state: "HY000".into() })
}

pub(super) fn other_error() -> Error {
    Error::Other("a hook's own error".into())
}

pub(super) fn url() -> Error {
    Error::Url(UrlError::Invalid)
}

pub(super) fn every_driver_error() -> Vec<DriverError> {
    use DriverError::*;
    vec![
        CantParseServerVersion { version_string: "x".into() },
        ConnectionClosed,
        FromValue { value: Value::NULL },
        MixedParams,
        NestedTransaction,
        PacketOutOfOrder,
        PoolDisconnected,
        ReadOnlyTransNotSupported,
        StmtParamsMismatch { required: 1, supplied: 2 },
        StmtParamsNumberExceedsLimit { supplied: 70_000 },
        UnexpectedPacket { payload: vec![1] },
        UnknownAuthPlugin { name: "x".into() },
        PacketTooLarge,
        BadCompressedPacketHeader,
        NamedPipesDisabled,
        MysqlOldPasswordDisabled,
        LocalInfile(LocalInfileError::NoHandler),
        NoKeyFound,
        NoClientSslFlagFromServer,
        CleartextPluginDisabled,
        InvalidParsecSalt,
        BulkExecute(BulkExecuteRequestError::NoParams),
    ]
}

const GONE: Classification = Classification::disconnect(ServerGone, NotExecuted);
const LOST: Classification = Classification::disconnect(ServerLost, Unknown);

#[test]
fn while_connecting_nothing_was_executed_whatever_the_error() {
    let all = [
        io(ErrorKind::ConnectionRefused),
        io(ErrorKind::UnexpectedEof),
        io(ErrorKind::InvalidData),
        codec(PacketCodecError::PacketTooLarge),
        codec(PacketCodecError::PacketsOutOfSync),
        closed(),
        server(1045),
        server(1040),
        server(9999),
        other_error(),
        url(),
    ];
    let drivers = every_driver_error().into_iter().map(Error::Driver);
    for error in all.into_iter().chain(drivers) {
        let got = classify(&error, at(Stage::Connect));
        assert_eq!(got.outcome(), NotExecuted, "{error:?}");
    }
}

#[test]
fn a_server_that_cannot_be_reached_counts_as_gone() {
    for kind in [
        ErrorKind::ConnectionRefused,
        ErrorKind::NotFound,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::UnexpectedEof,
        ErrorKind::ConnectionReset,
        ErrorKind::TimedOut,
        ErrorKind::Other,
    ] {
        assert_eq!(classify(&io(kind), at(Stage::Connect)), GONE, "{kind:?}");
    }
    for code in [
        1040, 1203, 1226, 1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 1047, 3032, 2002,
        2003, 2006, 2013, 2055, 4031, 9001, 9501, 6400, 1815, 3168,
    ] {
        assert_eq!(classify(&server(code), at(Stage::Connect)), GONE, "{code}");
    }
    assert_eq!(classify(&codec(PacketCodecError::PacketsOutOfSync), at(Stage::Connect)), GONE);
    assert_eq!(classify(&closed(), at(Stage::Connect)), GONE);
}

#[test]
fn a_login_that_waiting_cannot_mend_surfaces_at_once() {
    let surface = Classification::other(NotExecuted);
    for code in [1044, 1045, 1049, 1129, 1130, 1227, 1251, 1698, 1820] {
        assert_eq!(classify(&server(code), at(Stage::Connect)), surface, "{code}");
    }
    assert_eq!(classify(&io(ErrorKind::InvalidData), at(Stage::Connect)), surface);
    for error in every_driver_error() {
        use DriverError::{ConnectionClosed, PacketOutOfOrder, UnexpectedPacket};
        let down = matches!(error, ConnectionClosed | PacketOutOfOrder | UnexpectedPacket { .. });
        let error = Error::Driver(error);
        assert_eq!(classify(&error, at(Stage::Connect)), if down { GONE } else { surface }, "{error:?}");
    }
    assert_eq!(classify(&other_error(), at(Stage::Connect)), surface);
    assert_eq!(classify(&url(), at(Stage::Connect)), surface);
}

#[test]
fn a_connection_that_was_dead_before_the_write_is_a_proof() {
    assert_eq!(classify(&closed(), PLAIN), GONE);
    assert_eq!(classify(&Error::Driver(DriverError::ConnectionClosed), PLAIN), GONE);
    assert_eq!(classify(&io(ErrorKind::BrokenPipe), PLAIN), GONE);
    assert_eq!(classify(&server(4031), PLAIN), GONE);
    // the same number on MariaDB
    let of_a_trigger =
        server_saying(4031, "Referenced trigger 'a' for the given action time and event type does not exist.");
    assert_eq!(classify(&of_a_trigger, PLAIN), Classification::other(Failed));
}

#[test]
fn a_failed_write_is_no_proof_over_tls_nor_where_file_data_may_be_under_way() {
    let error = io(ErrorKind::BrokenPipe);
    assert_eq!(classify(&error, Context { tls: true, ..PLAIN }), LOST);
    assert_eq!(classify(&error, Context { infile: true, ..PLAIN }), LOST);
}

#[test]
fn a_text_that_no_packet_holds_is_not_executed_and_not_sent_again() {
    let oversized = Context { oversized: true, ..PLAIN };
    for error in [io(ErrorKind::ConnectionReset), io(ErrorKind::BrokenPipe), io(ErrorKind::UnexpectedEof), server(1053)]
    {
        assert_eq!(classify(&error, oversized), Classification::other(NotExecuted), "{error:?}");
    }
    assert_eq!(classify(&server(1062), oversized), Classification::other(Failed));
}

#[test]
fn a_request_that_the_client_does_not_send_is_not_executed() {
    let too_large = codec(PacketCodecError::PacketTooLarge);
    let unsendable = Context { unsendable: true, ..PLAIN };
    assert_eq!(classify(&too_large, unsendable), Classification::other(NotExecuted));
    assert_eq!(classify(&too_large, PLAIN), Classification::other(Unknown), "it may have been the reply");
    assert_eq!(classify(&io(ErrorKind::ConnectionReset), unsendable), LOST);
}

#[test]
fn every_other_end_of_a_connection_is_unknown() {
    for kind in [
        ErrorKind::UnexpectedEof,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionAborted,
        ErrorKind::TimedOut,
        ErrorKind::HostUnreachable,
        ErrorKind::WriteZero,
        ErrorKind::Other,
    ] {
        assert_eq!(classify(&io(kind), PLAIN), LOST, "{kind:?}");
    }
    assert_eq!(classify(&codec(PacketCodecError::PacketsOutOfSync), PLAIN), LOST);
    assert_eq!(classify(&codec(PacketCodecError::BadCompressedPacketHeader), PLAIN), LOST);
    for code in [
        1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 2002, 2003, 2006, 2013, 2055, 9001,
        9501, 3100, 3168,
    ] {
        assert_eq!(classify(&server(code), PLAIN), LOST, "{code}");
    }
    let of_a_node =
        |message: &str| Error::Server(ServerError { code: 1180, message: message.into(), state: "HY000".into() });
    let quorum_lost = of_a_node("Error while ..(provider status: Not connected to Primary Component)");
    assert_eq!(classify(&quorum_lost, PLAIN), LOST);
    assert_eq!(classify(&of_a_node("Got error 28 during COMMIT"), PLAIN), Classification::other(Outcome::Unknown));
    for error in [
        DriverError::PacketOutOfOrder,
        DriverError::UnexpectedPacket { payload: vec![] },
        DriverError::BadCompressedPacketHeader,
    ] {
        let error = Error::Driver(error);
        assert_eq!(classify(&error, PLAIN), LOST, "{error:?}");
    }
}

#[test]
fn a_refusal_of_the_server_is_a_proof_for_a_text_that_is_one_command() {
    let several = Context { several: true, ..PLAIN };
    for code in [1047, 1290, 1792, 1836, 1874, 1036, 3032, 6400, 1615, 1040, 1203] {
        let error = server(code);
        assert_eq!(classify(&error, PLAIN), Classification::refused(NotExecuted), "{code}");
        assert_eq!(classify(&error, several), Classification::refused(Unknown), "{code}");
    }
    assert_eq!(classify(&server(1243), PLAIN), Classification::refused(NotExecuted));
    assert_eq!(classify(&server(1243), several), Classification::other(Failed), "a name of SQL's own PREPARE");
    let names_prepared = Context { names_prepared: true, ..PLAIN };
    assert_eq!(classify(&server(1243), names_prepared), Classification::other(Failed));
    for code in [1205, 1213] {
        let error = server(code);
        assert_eq!(classify(&error, PLAIN), Classification::rolled_back(NotExecuted));
        assert_eq!(classify(&error, several), Classification::rolled_back(Failed));
        let with_traces = Context { rolls_back: false, ..PLAIN };
        assert_eq!(classify(&error, with_traces), Classification::rolled_back(Failed), "MyISAM, or DDL");
    }
    assert_eq!(classify(&server(4031), several), LOST);
    assert_eq!(classify(&server(1064), PLAIN), Classification::other(NotExecuted));
    assert_eq!(classify(&server(1064), several), Classification::other(Failed));
}

#[test]
fn an_option_that_is_not_read_only_is_not_waited_for() {
    let file = server_saying(
        1290,
        "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement",
    );
    assert_eq!(classify(&file, PLAIN), Classification::other(NotExecuted));
    let read_only = server_saying(1290, "The MySQL server is running with the --super-read-only option");
    assert_eq!(classify(&read_only, PLAIN), Classification::refused(NotExecuted));
}

#[test]
fn errors_of_the_statement_or_of_the_caller_are_no_disconnect() {
    for code in [1045, 1054, 1062, 1105, 1146, 1452, 1969, 3024, 65535] {
        assert_eq!(classify(&server(code), PLAIN), Classification::other(Failed), "{code}");
    }
    for code in [1153, 1180, 1317] {
        assert_eq!(classify(&server(code), PLAIN), Classification::other(Unknown), "{code}");
    }
    assert_eq!(classify(&codec(PacketCodecError::PacketTooLarge), PLAIN), Classification::other(Unknown));
    assert_eq!(classify(&other_error(), PLAIN), Classification::other(Unknown));
    assert_eq!(classify(&url(), PLAIN), Classification::other(NotExecuted));
    for error in every_driver_error() {
        use DriverError::*;
        #[allow(clippy::wildcard_enum_match_arm)]
        let expected = match error {
            ConnectionClosed | PacketOutOfOrder | UnexpectedPacket { .. } | BadCompressedPacketHeader => continue,
            FromValue { .. } | PacketTooLarge | LocalInfile(_) | BulkExecute(_) => Unknown,
            _ => NotExecuted,
        };
        let error = Error::Driver(error);
        assert_eq!(classify(&error, PLAIN), Classification::other(expected), "{error:?}");
    }
}

/// Errors of every kind, for the rules that hold whatever the error.
fn sample() -> Vec<Error> {
    let kinds = [ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::TimedOut];
    let codes = [1040, 1045, 1047, 1053, 1062, 1064, 1205, 1213, 1243, 1290, 1836, 1927, 2013, 4031, 9001, 1792, 1615];
    kinds
        .into_iter()
        .map(io)
        .chain(codes.into_iter().map(server))
        .chain(every_driver_error().into_iter().map(Error::Driver))
        .chain([
            closed(),
            codec(PacketCodecError::PacketTooLarge),
            codec(PacketCodecError::PacketsOutOfSync),
            other_error(),
        ])
        .collect()
}

#[test]
fn preparing_executes_nothing() {
    for error in sample() {
        let got = classify(&error, at(Stage::Prepare));
        assert_eq!(got.outcome(), NotExecuted, "{error:?}");
        assert_ne!(got.fault(), Fault::Disconnect(ServerLost), "{error:?}");
    }
    assert_eq!(classify(&io(ErrorKind::UnexpectedEof), at(Stage::Prepare)), GONE);
}

#[test]
fn preparing_proves_nothing_where_stored_code_may_be_called() {
    let several = Context { several: true, ..at(Stage::Prepare) };
    assert_eq!(classify(&io(ErrorKind::UnexpectedEof), several), LOST);
    assert_eq!(classify(&server(1146), several), Classification::other(Failed));
    assert_eq!(classify(&server(1146), at(Stage::Prepare)), Classification::other(NotExecuted));
}

#[test]
fn a_number_that_is_not_in_the_table_is_told_by_the_class_of_its_sqlstate() {
    let with =
        |state: &str| Error::Server(ServerError { code: 45_678, message: "of a stranger".into(), state: state.into() });
    assert_eq!(classify(&with("08S01"), PLAIN), LOST);
    assert_eq!(classify(&with("08004"), at(Stage::Connect)), GONE);
    assert_eq!(classify(&with("40001"), PLAIN), Classification::rolled_back(NotExecuted));
    assert_eq!(classify(&with("23000"), PLAIN), Classification::other(Failed));
    assert_eq!(classify(&with("HY000"), at(Stage::Connect)), Classification::other(NotExecuted));
}

#[test]
fn a_host_that_one_of_several_targets_does_not_let_in_is_no_reason_to_give_up() {
    let others = Context { several_targets: true, ..at(Stage::Connect) };
    for code in [1129, 1130] {
        assert_eq!(classify(&server(code), others), GONE, "{code}");
    }
    assert_eq!(classify(&server(1045), others), Classification::other(NotExecuted));
}

#[test]
fn an_init_connect_that_fails_is_not_waited_for() {
    let broken =
        server_saying(1184, "Aborted connection 5 to db: 'a' user: 'b' host: 'c' (init_connect command failed)");
    assert_eq!(classify(&broken, at(Stage::Connect)), Classification::other(NotExecuted));
}

#[test]
fn one_attempt_after_another_makes_the_outcome_of_the_call() {
    for (first, second, both) in [
        (NotExecuted, NotExecuted, NotExecuted),
        (NotExecuted, Failed, Failed),
        (NotExecuted, Unknown, Unknown),
        (Failed, NotExecuted, Unknown),
        (Failed, Failed, Failed),
        (Failed, Unknown, Unknown),
        (Unknown, NotExecuted, Unknown),
        (Unknown, Failed, Unknown),
        (Unknown, Unknown, Unknown),
    ] {
        assert_eq!(first.then(second), both, "{first} {second}");
    }
}

#[test]
fn once_the_reply_has_begun_nothing_is_proved() {
    for error in sample() {
        let got = classify(&error, at(Stage::Reply));
        assert_ne!(got.outcome(), NotExecuted, "{error:?}");
        assert_ne!(got.fault(), Fault::Disconnect(ServerGone), "{error:?}");
    }
}

#[test]
fn the_two_losses_have_the_codes_that_people_search_for() {
    assert_eq!(ServerGone.code(), 2006);
    assert_eq!(ServerLost.code(), 2013);
    assert!(ServerGone.to_string().contains("2006"));
    assert!(ServerLost.to_string().contains("2013"));
}

#[test]
fn the_outcomes_can_be_told() {
    assert_eq!(Failed.to_string(), "failed");
    assert_eq!(NotExecuted.to_string(), "not executed");
    assert_eq!(Unknown.to_string(), "unknown");
}
