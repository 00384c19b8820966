//! The table holds together, stands in the documentation as it is, and is the only place that knows error numbers.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    rows::{NOTICED_ROWS, SERVER_ROWS},
    *,
};
use crate::verdict::Disconnect;

fn all() -> impl Iterator<Item = &'static Condition> {
    SERVER_ROWS.iter().chain(NOTICED_ROWS)
}

#[test]
fn every_proof_says_why_it_is_one() {
    for row in all() {
        assert!(!row.meaning.is_empty(), "{row:?}");
        let is_proof = row.outcome == Outcome::NotExecuted;
        assert_eq!(is_proof, !row.proof.is_empty(), "{row:?}");
    }
}

#[test]
fn a_lost_connection_is_not_kept_and_a_refusal_gets_another_one() {
    for row in all() {
        match row.fault {
            Fault::Disconnect(_) | Fault::Refused => assert!(!row.keeps_connection, "{row:?}"),
            Fault::RolledBack => assert!(row.keeps_connection && row.undone != Undone::Nothing, "{row:?}"),
            Fault::Other => assert_eq!(row.undone, Undone::Nothing, "{row:?}"),
        }
    }
}

#[test]
fn no_row_hides_behind_another() {
    for (index, row) in SERVER_ROWS.iter().enumerate() {
        let (code, state, message) = match row.when {
            When::Code(codes) => (codes[0], "HY000", "some message"),
            When::Between(first, _) => (first, "HY000", "some message"),
            When::Says(codes, parts) => (codes[0], "HY000", parts[0]),
            When::ClassOrSays(code, class, _) => (code, class, "some message"),
            When::Class(class) => (65_000, class, "some message"),
            When::Noticed(what) => panic!("{what} is no report of a server"),
        };
        let error = ServerError { code, message: message.into(), state: state.into() };
        assert!(std::ptr::eq(of_server(&error), row), "row {index}: {row:?}");
    }
}

#[test]
fn time_outs_are_told_from_other_ends() {
    let io = |kind: io::ErrorKind| Error::from(io::Error::from(kind));
    assert!(is_time_out(&io(io::ErrorKind::TimedOut)));
    assert!(!is_time_out(&io(io::ErrorKind::UnexpectedEof)));
    assert!(!is_time_out(&Error::Other("a time-out of somebody else".into())));
}

/// The table as the crate's documentation shows it.
fn documented() -> String {
    let mut text = String::new();
    for row in all() {
        let what = match row.when {
            When::Code(codes) => numbers(codes),
            When::Between(first, last) => format!("{first} to {last}"),
            When::Says(codes, parts) => format!("{} whose message contains `{}`", numbers(codes), parts.join("` or `")),
            When::ClassOrSays(code, class, parts) => {
                format!("{code} with SQLSTATE {class}xxx, or whose message contains `{}`", parts.join("` or `"))
            }
            When::Class(class) => format!("every other number with SQLSTATE {class}xxx"),
            When::Noticed(what) => what.into(),
        };
        let fault = match row.fault {
            Fault::Disconnect(Disconnect::ServerGone) => "`ServerGone`",
            Fault::Disconnect(Disconnect::ServerLost) => "`ServerLost`",
            Fault::Refused => "refused",
            Fault::RolledBack => "rolled back",
            Fault::Other => "no loss",
        };
        let connect = match row.connect {
            Connect::Waits(why) => format!("waits: {why}"),
            Connect::Elsewhere(_) => "another target is tried".into(),
            Connect::Surfaces => "surfaces".into(),
        };
        writeln!(text, "//! | {what} | {} | {fault} | `{:?}` | {connect} |", row.meaning, row.outcome)
            .expect("a string takes everything");
    }
    text
}

fn numbers(codes: &[u16]) -> String {
    codes.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

#[test]
fn the_documentation_shows_the_table_as_it_is() {
    let documentation = include_str!("../docs/proofs.rs");
    let table = documented();
    assert!(documentation.contains(&table), "src/docs/proofs.rs has to hold:\n{table}");
}

/// The numbers that mean something to this crate.
fn known() -> Vec<u16> {
    let of_rows = SERVER_ROWS.iter().flat_map(|row| match row.when {
        When::Code(codes) | When::Says(codes, _) => codes.to_vec(),
        When::ClassOrSays(code, _, _) => vec![code],
        When::Between(..) | When::Class(_) | When::Noticed(_) => Vec::new(),
    });
    of_rows.chain([1062, 1094, 1146, 1305, answers::NOT_ROLLED_BACK]).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, "tests" | "conditions") {
            sources(&path, found);
        } else if name.ends_with(".rs") && !matches!(name, "tests.rs" | "properties.rs" | "conditions.rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_error_number_stands_anywhere_else() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 40, "the sources were not found");
    let known = known();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (index, line) in code.lines().enumerate() {
            // what is in strings is for people
            let line: String = line.split("//").next().unwrap_or_default().split('"').step_by(2).collect();
            let found = line
                .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .filter_map(|word| word.parse().ok())
                .find(|number| known.contains(number));
            assert_eq!(found, None, "{}:{}: it belongs into the table: {line}", file.display(), index + 1);
        }
    }
}

fn of_code(code: u16) -> Error {
    Error::Server(ServerError { code, message: "of a test".into(), state: "HY000".into() })
}

fn of_kind(kind: io::ErrorKind) -> Error {
    io::Error::from(kind).into()
}

#[test]
fn what_a_failed_connect_says() {
    use Unavailable::{Full, NotReady, Silent, Unreachable};
    for (error, said) in [
        (of_kind(io::ErrorKind::ConnectionRefused), Some(Unreachable)),
        (of_kind(io::ErrorKind::NotFound), Some(Unreachable)),
        (of_kind(io::ErrorKind::UnexpectedEof), Some(Unreachable)),
        (of_kind(io::ErrorKind::HostUnreachable), Some(Unreachable)),
        (io::Error::other("failed to lookup address information").into(), Some(Unreachable)),
        (of_kind(io::ErrorKind::TimedOut), Some(Silent)),
        (of_code(1040), Some(Full)),
        (of_code(1203), Some(Full)),
        (of_code(1226), Some(Full)),
        (of_code(1053), Some(Unreachable)),
        (of_code(2003), Some(Unreachable)),
        (of_code(1047), Some(NotReady)),
        (of_code(3032), Some(NotReady)),
        // a wrong password, an unknown database, a host that may not connect, a certificate
        (of_code(1045), None),
        (of_code(1049), None),
        (of_code(1130), None),
        (of_kind(io::ErrorKind::InvalidData), None),
    ] {
        assert_eq!(unavailable_at_connect(&error, false), said, "{error}");
    }
}

#[test]
fn a_server_that_refuses_is_there() {
    use Unavailable::{Full, NotReady, ReadOnly, Silent, Unreachable};
    assert!([Full, NotReady, ReadOnly].into_iter().all(Unavailable::is_there));
    assert!(![Silent, Unreachable].into_iter().any(Unavailable::is_there));
}

#[test]
fn what_a_refused_statement_says() {
    for (code, said) in [
        // of another option
        (1290, None),
        (1836, Some(Unavailable::ReadOnly)),
        (1047, Some(Unavailable::NotReady)),
        (3032, Some(Unavailable::NotReady)),
        (3796, Some(Unavailable::NotReady)),
        (1243, None),
        (1040, None),
    ] {
        assert_eq!(unavailable_at_statement(&of_code(code)), said, "{code}");
    }
    let message = "The MariaDB server is running with the --read-only option so it cannot execute this statement";
    let refusal = ServerError { code: 1290, message: message.into(), state: "HY000".into() };
    assert_eq!(unavailable_at_statement(&Error::Server(refusal)), Some(Unavailable::ReadOnly));
    assert_eq!(unavailable_at_statement(&of_kind(io::ErrorKind::UnexpectedEof)), None);
}

#[test]
fn answers_to_our_own_questions_are_known_by_their_numbers() {
    type IsMeant = fn(&ServerError) -> bool;
    let questions: [(u16, IsMeant); 4] = [
        (1062, answers::is_duplicate_key),
        (1146, answers::is_missing_table),
        (1305, answers::is_missing_name),
        (1094, answers::is_missing_session),
    ];
    for (code, is_meant) in questions {
        for other in [1062, 1146, 1305, 1094] {
            let error = ServerError { code: other, message: String::new(), state: "HY000".into() };
            assert_eq!(is_meant(&error), other == code, "{code}, {other}");
        }
    }
}
