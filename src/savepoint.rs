//! The savepoint that tells whether the transaction that is about to be committed is the one that was begun.
//!
//! The text that begins a transaction sets it, the text that commits releases it first. Whatever has ended or replaced the
//! transaction in between (an implicit commit, stored code, a rollback by the server) has removed it: the release fails with
//! 1305, and the COMMIT behind it in the same text is not executed. (Seen on MariaDB 10.11, 11.8 and MySQL 9.7.) It costs no
//! round trip, because it travels in texts that are sent anyway; but it costs the server two statements.
//!
//! On a connection that is known well the status flags do without it: each answer says whether a transaction is open, and a
//! single statement that calls no stored code cannot end one and begin another. There the savepoint is set only before a
//! statement that may. A connection is known well when its server does not commit by certification, when its greeting, its
//! mark and its id were of one session, and when so many transactions in a row were whole that had a savepoint
//! ([`TRIALS`]): a proxy that moves the statements of one client between sessions of a server shows in those.
//!
//! On a cluster that commits by certification each transaction has the savepoint. When another node's change aborts a
//! transaction, a Galera node reports it to the next statement, unless the abort comes just as a statement ends that touches
//! no table (`DO 0`, SAVEPOINT): then nobody is told, and what follows is committed statement by statement. (Seen with Galera 4
//! on MariaDB 10.11, once in 100 aborts.) So the savepoint is set directly after START TRANSACTION, before there is anything
//! that could be aborted.

use std::borrow::Cow;

use mysql_async::{ServerError, TxOpts};

use crate::conditions::answers;

/// So many whole transactions in a row make a connection known well.
pub(crate) const TRIALS: u8 = 16;

/// Sets it.
pub(crate) const SET: &str = "SAVEPOINT mysql_retry_begun";
/// Releases it, which fails if it is not there.
pub(crate) const RELEASE: &str = "RELEASE SAVEPOINT mysql_retry_begun";

const NAME: &[u8] = b"mysql_retry_begun";

/// The text that does this in the transaction that the savepoint was set in, and in no other, if it is `watched`.
pub(crate) fn released_before(rest: &str, watched: bool) -> Cow<'_, str> {
    if watched { format!("{RELEASE}; {rest}").into() } else { rest.into() }
}

/// Whether this answer to the release says that the savepoint is gone.
pub(crate) fn is_gone(error: &ServerError) -> bool {
    answers::is_missing_name(error)
}

/// Whether a text names the savepoint.
pub(crate) fn is_named_in(text: &[u8]) -> bool {
    text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

/// The text that begins a transaction, in one round trip whatever was asked for, with the savepoint if `watched`. `first` is
/// executed in it first.
pub(crate) fn begin(opts: &TxOpts, watched: bool, first: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(level) = opts.isolation_level() {
        text += &format!("SET TRANSACTION ISOLATION LEVEL {level}; ");
    }
    text += "START TRANSACTION";
    let access = opts.readonly().map(|only| if only { "READ ONLY" } else { "READ WRITE" });
    let snapshot = opts.consistent_snapshot().then_some("WITH CONSISTENT SNAPSHOT");
    for (index, what) in [snapshot, access].into_iter().flatten().enumerate() {
        text += if index == 0 { " " } else { ", " };
        text += what;
    }
    for next in watched.then_some(SET).into_iter().chain(first) {
        text += "; ";
        text += next;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_async::IsolationLevel;

    #[test]
    fn what_was_asked_for_is_in_the_text() {
        assert_eq!(begin(&TxOpts::new(), false, None), "START TRANSACTION");
        assert_eq!(begin(&TxOpts::new(), true, None), format!("START TRANSACTION; {SET}"));
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
