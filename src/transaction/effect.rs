//! What a statement does to the transaction that it is in, by its text.
//!
//! The server's status flags tell when a transaction has ended, but not after an error, not after a loss, and not where
//! another one has begun at once. So what may commit is told from the text beforehand: whatever does not begin with a
//! word that is known to leave the transaction alone.

use crate::reading::{self, StateKinds};

/// First words of statements that never commit. What they call does not either: stored functions and triggers may not.
const KEEPS: [&[u8]; 16] = [
    b"SELECT",
    b"INSERT",
    b"UPDATE",
    b"DELETE",
    b"REPLACE",
    b"WITH",
    b"VALUES",
    b"TABLE",
    b"DO",
    b"SHOW",
    b"EXPLAIN",
    b"DESCRIBE",
    b"DESC",
    b"USE",
    b"SAVEPOINT",
    b"RELEASE",
];

/// Whether the statement may commit what came before it, or end the transaction in another way.
pub(super) fn may_commit(text: &[u8]) -> bool {
    let [first, second, third] = words(text);
    if is(first, b"SAVEPOINT") || is(first, b"RELEASE") {
        return text.contains(&b';');
    }
    if is(first, b"ROLLBACK") && (is(second, b"TO") || (is(second, b"WORK") && is(third, b"TO"))) {
        return text.contains(&b';');
    }
    let reading = reading::read(text);
    let state = reading.state();
    if state.contains(StateKinds::TRANSACTION) || (reading.several() && text.contains(&b';')) {
        return true;
    }
    if is(first, b"SET") {
        // a variable, and no more than that
        return state.is_neutral() || state.contains(StateKinds::UNKNOWN);
    }
    !KEEPS.iter().any(|word| is(first, word))
}

/// Whether the statement begins another transaction.
pub(super) fn begins_another(text: &[u8]) -> bool {
    let [first, second, _] = words(text);
    is(first, b"BEGIN") || (is(first, b"START") && is(second, b"TRANSACTION")) || is(first, b"XA")
}

/// Whether it calls a stored procedure, which may do anything.
pub(super) fn is_call(text: &[u8]) -> bool {
    is(words(text)[0], b"CALL")
}

/// The first words. A text that begins with anything else, a comment say, has none.
fn words(text: &[u8]) -> [&[u8]; 3] {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).map(letters);
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// The letters that a word begins with.
fn letters(word: &[u8]) -> &[u8] {
    let end = word.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(word.len());
    &word[..end]
}

fn is(word: &[u8], wanted: &[u8]) -> bool {
    word.eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_statements_and_savepoints_commit_nothing() {
        for text in [
            "SELECT 1",
            " insert into t values (1)",
            "UPDATE t SET a = 1",
            "DELETE FROM t",
            "REPLACE t VALUES (1)",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "SAVEPOINT a",
            "ROLLBACK TO a",
            "rollback to savepoint a",
            "ROLLBACK WORK TO SAVEPOINT a",
            "RELEASE SAVEPOINT a",
            "SET @a = 1",
            "SELECT a_stored_function(1)",
            "INSERT INTO t VALUES (';')",
        ] {
            assert!(!may_commit(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn all_else_may_commit() {
        for text in [
            "COMMIT",
            "COMMIT AND CHAIN",
            "ROLLBACK",
            "ROLLBACK AND CHAIN",
            "CREATE TABLE t (a INT)",
            "TRUNCATE t",
            "CALL p()",
            "SET autocommit = 1",
            "SET PASSWORD = 'x'",
            "SET GLOBAL read_only = 1",
            "SAVEPOINT a; COMMIT",
            "LOCK TABLES t WRITE",
            "INSERT INTO t VALUES (1); COMMIT",
            "/* c */ INSERT INTO t VALUES (1)",
            "ANALYZE TABLE t",
            "",
        ] {
            assert!(may_commit(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn another_transaction_is_seen() {
        for text in ["BEGIN", "begin work", "START TRANSACTION READ ONLY", "XA BEGIN 'a'", "  START  TRANSACTION"] {
            assert!(begins_another(text.as_bytes()), "{text}");
        }
        assert!(!begins_another(b"START SLAVE"));
        assert!(!begins_another(b"SELECT 1"));
    }
}
