//! The savepoint that shows whether the transaction to be committed is the one that was begun.
//!
//! The text that begins a transaction sets it, and the text that commits releases it first. Whatever ends or replaces the
//! transaction in between (an implicit commit, stored code, a rollback by the server) removes it: the release fails with
//! 1305, and the COMMIT behind it in the same text is not executed. (Seen on MariaDB 10.11, 11.8 and MySQL 9.7.) It costs no
//! round trip, because these texts are sent anyway. The server executes two more statements.
//!
//! On a connection that is known well, the status flags replace it: each answer says whether a transaction is open, and a
//! single statement that calls no stored code cannot end one and begin another. There the savepoint is set only before a
//! statement that can. A connection is known well when its server does not commit by certification, when its greeting, its
//! mark and its id belonged to one session, and when [`TRIALS`] transactions in a row with a savepoint were complete. A proxy
//! that moves the statements of one client between sessions of a server would have failed in those.
//!
//! On a cluster that commits by certification each transaction has the savepoint. When a change of another node aborts a
//! transaction, a Galera node reports that to the statement under way, or to the next text. It does not if the abort comes as
//! a statement ends behind which the text goes on: then no error is reported, and the following statements are committed one
//! by one. (Seen with Galera 4 on MariaDB 10.11: `RELEASE SAVEPOINT s; COMMIT` was answered well and had committed nothing
//! once in 900 aborts; of 8,905 aborts under texts of one statement each was reported.) So the savepoint is set directly after
//! START TRANSACTION, before there is anything that could be aborted, and there its release, what follows it and COMMIT are
//! texts of their own, each with its round trip.

use mysql_async::{ServerError, TxOpts};

use crate::conditions::answers;

/// How many complete transactions in a row make a connection known well.
pub(crate) const TRIALS: u8 = 16;

/// Sets it.
pub(crate) const SET: &str = "SAVEPOINT mysql_retry_begun";
/// Begins a transaction that has it. What a transaction asks for beside that makes no difference to its call.
pub(crate) const BEGIN: &str = "START TRANSACTION; SAVEPOINT mysql_retry_begun";
/// Releases it, which fails if it is not there.
pub(crate) const RELEASE: &str = "RELEASE SAVEPOINT mysql_retry_begun";

const NAME: &[u8] = b"mysql_retry_begun";

/// Whether this answer to the release means that the savepoint is gone.
pub(crate) fn is_gone(error: &ServerError) -> bool {
    answers::is_missing_name(error)
}

/// Whether a text names the savepoint.
pub(crate) fn is_named_in(text: &[u8]) -> bool {
    text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

/// The text that begins a transaction with these options in one round trip, with the savepoint if `watched`. `first` is the
/// first statement in it.
pub(crate) fn begin(opts: &TxOpts, watched: bool, first: Option<&str>) -> String {
    let mut statements: Vec<String> = opening(opts).collect();
    statements.extend(watched.then_some(SET).into_iter().chain(first).map(str::to_owned));
    statements.join("; ")
}

/// The statements that begin a transaction with these options.
pub(crate) fn opening(opts: &TxOpts) -> impl Iterator<Item = String> + use<> {
    let level = opts.isolation_level().map(|level| format!("SET TRANSACTION ISOLATION LEVEL {level}"));
    let mut text = "START TRANSACTION".to_owned();
    let access = opts.readonly().map(|only| if only { "READ ONLY" } else { "READ WRITE" });
    let snapshot = opts.consistent_snapshot().then_some("WITH CONSISTENT SNAPSHOT");
    for (index, what) in [snapshot, access].into_iter().flatten().enumerate() {
        text += if index == 0 { " " } else { ", " };
        text += what;
    }
    level.into_iter().chain([text])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_async::IsolationLevel;

    #[test]
    fn what_was_asked_for_is_in_the_text() {
        assert_eq!(begin(&TxOpts::new(), false, None), "START TRANSACTION");
        assert_eq!(begin(&TxOpts::new(), true, None), format!("START TRANSACTION; {SET}"));
        assert_eq!(begin(&TxOpts::new(), true, None), BEGIN);
        assert_eq!(begin(&TxOpts::new(), true, Some("DO 1")), format!("START TRANSACTION; {SET}; DO 1"));
        let mut opts = TxOpts::new();
        opts.with_isolation_level(IsolationLevel::Serializable).with_readonly(true).with_consistent_snapshot(true);
        assert_eq!(
            begin(&opts, true, None),
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; \
             SAVEPOINT mysql_retry_begun"
        );
    }

    #[test]
    fn its_name_is_found_in_a_text() {
        assert!(is_named_in(b"ROLLBACK TO `MySQL_Retry_Begun`"));
        assert!(!is_named_in(b"ROLLBACK TO a"));
    }
}
