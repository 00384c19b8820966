//! What is run: the statements, and how often each part of their effects has happened.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A statement of the matrix. The case's number stands in its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Work {
    /// A SELECT with so many rows.
    Select(Protocol, u32),
    /// The same, read as a stream.
    Stream(Protocol, u32),
    /// A SELECT with one row of 20 MB.
    SelectLong(Protocol),
    Insert(Protocol),
    /// An INSERT with a key of its own: sent again after it was executed, it is answered with a duplicate key.
    InsertKeyed(Protocol),
    /// A counter goes up: not idempotent.
    UpdateAdd(Protocol),
    /// A value is set: idempotent.
    UpdateSet(Protocol),
    Delete(Protocol),
    /// A procedure with two effects and two result sets.
    Call(Protocol),
    /// Two INSERTs in one text.
    Multi,
    /// `exec_batch` of three rows.
    Batch,
    /// An INSERT with a value of more than 16 MB: two packets of text, or `COM_STMT_SEND_LONG_DATA`.
    InsertLong(Protocol),
    LocalInfile,
    /// A transaction of two UPDATEs and an INSERT: money goes from an account to another.
    Transfer(Manner),
    /// An INSERT with a token, which makes it a transaction of its own.
    GuardedInsert(Protocol),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Text,
    Prepared,
}

/// How a transaction is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Manner {
    Plain,
    /// The closure takes no notice of errors, and returns `Ok` whatever happened.
    Careless,
    /// With the case's number as its token.
    Guarded,
    /// On a session that has no state.
    OnSession,
    /// On a session that has a user variable, which no other connection has.
    OnSessionWithState,
}

/// Where the effects of a statement are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effects {
    None,
    /// So many rows `(number, part)` in the table `effect`, with parts from 1.
    Rows(u32),
    /// The row of the number in the table `keyed`.
    Key,
    /// The counter of the number in the table `counter`.
    Counter,
    /// The absence of the number from the table `doomed`.
    Absence,
    /// A row in the table `transfer`, and what both accounts of the number in the table `account` have lost or got.
    Transfer,
}

/// Rows of executions before the case's own have parts from this on.
const PRIMED: u32 = 900;

/// How long the row of 20 MB is, and the text of the INSERT that has to be split into two packets.
const LONG_ROW: usize = 20_000_000;
/// What the long row is put together from.
const PIECE: usize = 1000;
const LONG_TEXT: usize = 17_000_000;

impl Work {
    /// Those that are run at every byte.
    pub fn short() -> Vec<Work> {
        use Protocol::{Prepared, Text};
        let both = [Text, Prepared].into_iter().flat_map(|protocol| {
            [
                Work::Select(protocol, 0),
                Work::Select(protocol, 1),
                Work::Select(protocol, 200),
                Work::Stream(protocol, 200),
                Work::Insert(protocol),
                Work::InsertKeyed(protocol),
                Work::UpdateAdd(protocol),
                Work::UpdateSet(protocol),
                Work::Delete(protocol),
                Work::Call(protocol),
            ]
        });
        both.chain([Work::Multi, Work::Batch]).collect()
    }

    /// Those that take long, and are run at a few places.
    pub fn long() -> Vec<Work> {
        use Protocol::{Prepared, Text};
        let both = [Text, Prepared].into_iter();
        let both = both.flat_map(|protocol| {
            [Work::Select(protocol, 10_000), Work::SelectLong(protocol), Work::InsertLong(protocol)]
        });
        both.chain([Work::LocalInfile]).collect()
    }

    /// Those of several statements, of which all happen or none.
    pub fn transactions() -> Vec<Work> {
        use Manner::{Careless, Guarded, OnSession, OnSessionWithState, Plain};
        let transfers = [Plain, Careless, Guarded, OnSession, OnSessionWithState].map(Work::Transfer);
        let inserts = [Protocol::Text, Protocol::Prepared].map(Work::GuardedInsert);
        transfers.into_iter().chain(inserts).collect()
    }

    /// Whether it is one of [`Work::transactions`].
    pub fn is_transaction(self) -> bool {
        matches!(self, Work::Transfer(_) | Work::GuardedInsert(_))
    }

    /// Whether it has a token, so that no doubt may remain.
    pub fn is_guarded(self) -> bool {
        matches!(self, Work::Transfer(Manner::Guarded) | Work::GuardedInsert(_))
    }

    /// Whether it runs on a session, which differs from an executor between transactions more than within one.
    pub fn is_on_session(self) -> bool {
        matches!(self, Work::Transfer(Manner::OnSession | Manner::OnSessionWithState))
    }

    pub fn is_prepared(self) -> bool {
        match self {
            Work::Select(protocol, _)
            | Work::Stream(protocol, _)
            | Work::InsertLong(protocol)
            | Work::SelectLong(protocol)
            | Work::Insert(protocol)
            | Work::InsertKeyed(protocol)
            | Work::UpdateAdd(protocol)
            | Work::UpdateSet(protocol)
            | Work::Delete(protocol)
            | Work::Call(protocol)
            | Work::GuardedInsert(protocol) => protocol == Protocol::Prepared,
            Work::Batch => true,
            Work::Multi | Work::LocalInfile | Work::Transfer(_) => false,
        }
    }

    /// Whether the server's error may come after a part of the effects, which stays.
    pub fn may_fail_in_part(self) -> bool {
        match self {
            Work::Call(_) | Work::Multi | Work::Batch | Work::LocalInfile => true,
            Work::Select(..)
            | Work::Stream(..)
            | Work::SelectLong(_)
            | Work::Insert(_)
            | Work::InsertKeyed(_)
            | Work::UpdateAdd(_)
            | Work::UpdateSet(_)
            | Work::Delete(_)
            | Work::InsertLong(_)
            | Work::Transfer(_)
            | Work::GuardedInsert(_) => false,
        }
    }

    pub fn effects(self) -> Effects {
        match self {
            Work::Select(..) | Work::Stream(..) | Work::SelectLong(_) => Effects::None,
            Work::Insert(_) | Work::InsertLong(_) | Work::GuardedInsert(_) => Effects::Rows(1),
            Work::InsertKeyed(_) => Effects::Key,
            Work::Transfer(_) => Effects::Transfer,
            Work::Call(_) | Work::Multi | Work::LocalInfile => Effects::Rows(2),
            Work::Batch => Effects::Rows(3),
            Work::UpdateAdd(_) | Work::UpdateSet(_) => Effects::Counter,
            Work::Delete(_) => Effects::Absence,
        }
    }

    /// The text, or that of the last statement of several; a prepared one has one parameter, a text has its value in the place.
    pub fn sql(self, number: u32) -> String {
        let value = |value: &str| if self.is_prepared() { "?".to_owned() } else { value.to_owned() };
        match self {
            Work::Select(_, rows) | Work::Stream(_, rows) => {
                format!("SELECT n FROM numbers WHERE n <= {} AND {number} ORDER BY n", value(&rows.to_string()))
            }
            // a server appends what it repeats piece by piece, so that pieces of one byte cost it most of the case's time
            Work::SelectLong(_) => {
                format!("SELECT {number}, REPEAT(REPEAT('x', {PIECE}), {})", value(&(LONG_ROW / PIECE).to_string()))
            }
            Work::Insert(_) | Work::Batch | Work::GuardedInsert(_) => {
                format!("INSERT INTO effect (c, part) VALUES ({number}, {})", value("1"))
            }
            Work::InsertKeyed(_) => {
                format!("INSERT INTO keyed (c) SELECT {number} FROM numbers WHERE n = {}", value("1"))
            }
            Work::UpdateAdd(_) => format!("UPDATE counter SET n = n + {} WHERE c = {number}", value("1")),
            Work::UpdateSet(_) => format!("UPDATE counter SET n = {} WHERE c = {number}", value("1")),
            Work::Delete(_) => format!("DELETE FROM doomed WHERE c = {number} AND {}", value("1")),
            Work::Call(_) => format!("CALL record({number}, {})", value("1")),
            Work::Multi => {
                let insert = |part| format!("INSERT INTO effect (c, part) VALUES ({number}, {part})");
                format!("{}; {}", insert(1), insert(2))
            }
            Work::InsertLong(_) => {
                let long = if self.is_prepared() { String::new() } else { format!("'{}'", Work::long_text()) };
                format!("INSERT INTO effect (c, part) VALUES ({number}, LENGTH({}) / {LONG_TEXT})", value(&long))
            }
            Work::Transfer(_) => format!("INSERT INTO transfer (c) VALUES ({number})"),
            Work::LocalInfile => {
                let file = parts_file().display();
                format!("LOAD DATA LOCAL INFILE '{file}' INTO TABLE effect (part) SET c = {number}")
            }
        }
    }

    /// The parameter of the prepared statement, if it is a number.
    pub fn parameter(self) -> u32 {
        match self {
            Work::Select(_, rows) | Work::Stream(_, rows) => rows,
            Work::SelectLong(_) => (LONG_ROW / PIECE) as u32,
            Work::Insert(_)
            | Work::InsertKeyed(_)
            | Work::UpdateAdd(_)
            | Work::UpdateSet(_)
            | Work::Delete(_)
            | Work::Call(_)
            | Work::Multi
            | Work::Batch
            | Work::InsertLong(_)
            | Work::LocalInfile
            | Work::Transfer(_)
            | Work::GuardedInsert(_) => 1,
        }
    }

    /// The parameter that leaves no effect that counts.
    pub fn primer(self) -> u32 {
        match self.effects() {
            Effects::None | Effects::Key | Effects::Counter | Effects::Absence | Effects::Transfer => 0,
            Effects::Rows(_) => PRIMED,
        }
    }

    /// The value of [`Work::InsertLong`].
    pub fn long_text() -> String {
        "x".repeat(LONG_TEXT)
    }

    /// The row of [`Work::SelectLong`].
    pub fn long_row() -> Vec<u8> {
        vec![b'x'; LONG_ROW]
    }
}

/// The file of [`Work::LocalInfile`]: a line for each part.
pub fn parts_file() -> &'static Path {
    static FILE: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::temp_dir().join(format!("mysql-retry-faults-{}", std::process::id())));
    &FILE
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, protocol) = match self {
            Work::Select(protocol, rows) => (format!("SELECT {rows} rows"), Some(protocol)),
            Work::Stream(protocol, rows) => (format!("stream of {rows} rows"), Some(protocol)),
            Work::SelectLong(protocol) => ("SELECT 20 MB row".to_owned(), Some(protocol)),
            Work::Insert(protocol) => ("INSERT".to_owned(), Some(protocol)),
            Work::InsertKeyed(protocol) => ("INSERT with a key".to_owned(), Some(protocol)),
            Work::UpdateAdd(protocol) => ("UPDATE n = n + 1".to_owned(), Some(protocol)),
            Work::UpdateSet(protocol) => ("UPDATE n = 1".to_owned(), Some(protocol)),
            Work::Delete(protocol) => ("DELETE".to_owned(), Some(protocol)),
            Work::Call(protocol) => ("CALL".to_owned(), Some(protocol)),
            Work::Multi => ("two INSERTs in a text".to_owned(), None),
            Work::Batch => ("exec_batch of 3".to_owned(), None),
            Work::InsertLong(protocol) => ("INSERT of 17 MB".to_owned(), Some(protocol)),
            Work::LocalInfile => ("LOAD DATA LOCAL".to_owned(), None),
            Work::Transfer(manner) => {
                let how = match manner {
                    Manner::Plain => "",
                    Manner::Careless => ", careless",
                    Manner::Guarded => ", guarded",
                    Manner::OnSession => ", session",
                    Manner::OnSessionWithState => ", state",
                };
                (format!("transfer{how}"), None)
            }
            Work::GuardedInsert(protocol) => ("guarded INSERT".to_owned(), Some(protocol)),
        };
        let protocol = match protocol {
            Some(Protocol::Text) => ", text",
            Some(Protocol::Prepared) => ", prepared",
            None => "",
        };
        f.pad(&format!("{name}{protocol}"))
    }
}
