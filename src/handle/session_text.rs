//! Text that needs a session is not run on an executor.
//!
//! Each call of an executor may run on another connection. A `SET`, a `BEGIN` or a `GET_LOCK()` there succeeds without a
//! use, and a `LAST_INSERT_ID()` may return the id of another caller's row. So such a text is refused before anything is
//! sent. Only the text decides, and only where it is certain. A text that brings what it needs runs.

use super::Handle;
use crate::{
    error::Error,
    sql::{Reading, StateKinds},
};

/// Examples of what a text contains, for each kind of state.
const SEEN: [(StateKinds, &str); 13] = [
    (StateKinds::TRANSACTION, "the control of a transaction: BEGIN, COMMIT, SAVEPOINT, SET TRANSACTION, autocommit"),
    (StateKinds::USER_VARIABLES, "a user variable: @name"),
    (StateKinds::SESSION_VARIABLES, "SET of a session variable"),
    (StateKinds::ROLE, "SET ROLE"),
    (StateKinds::DATABASE, "USE"),
    (StateKinds::TEMPORARY_TABLE, "a temporary table"),
    (StateKinds::TABLE_LOCKS, "table locks: LOCK, UNLOCK, FLUSH TABLES WITH READ LOCK"),
    (StateKinds::USER_LOCK, "a user-level lock: GET_LOCK(), RELEASE_LOCK()"),
    (StateKinds::PREPARED, "SQL's own PREPARE, EXECUTE, DEALLOCATE"),
    (StateKinds::HANDLER, "HANDLER"),
    (StateKinds::INSERT_ID, "the id of an earlier INSERT: LAST_INSERT_ID()"),
    (StateKinds::SEQUENCE, "the last value of a sequence: LASTVAL(), PREVIOUS VALUE"),
    (StateKinds::DIAGNOSTICS, "what the statement before tells: FOUND_ROWS(), ROW_COUNT(), SHOW WARNINGS"),
];

impl Handle {
    /// Why the text cannot run here, if it cannot.
    #[inline]
    pub(crate) fn refusal(&self, reading: Reading) -> Option<Error> {
        let ties = reading.needs().union(reading.leaves_for_others());
        if ties.is_empty() || self.slot().is_some() || self.allow_session_text {
            return None;
        }
        Some(refused(ties))
    }
}

#[cold]
fn refused(ties: StateKinds) -> Error {
    let seen: Vec<_> = SEEN.iter().filter(|(kind, _)| ties.contains(*kind)).map(|(_, seen)| *seen).collect();
    let instead = if ties.contains(StateKinds::TRANSACTION) {
        "use `transaction()`, or a `session()`, or begin and end it in one text"
    } else if ties.contains(StateKinds::INSERT_ID) {
        "use `Summary::last_insert_id()` of the INSERT, or a `session()`, or a `transaction()`"
    } else if ties.contains(StateKinds::SESSION_VARIABLES) || ties.contains(StateKinds::ROLE) {
        "use a `session()`, or a `transaction()`, or `ExecutorBuilder::setup` for what every connection is to have"
    } else {
        "use a `session()`, or a `transaction()`"
    };
    let seen = seen.join("; ");
    Error::config(
        format!(
            "the text depends on its session ({seen}), and each call of an executor may run on another connection: \
             {instead}; `ExecutorBuilder::allow_session_text` lets such texts through"
        ),
        None,
    )
}
