//! The savepoint that tells whether the transaction that is about to be committed is the one that was begun.
//!
//! The text that begins a transaction ends with it, the text that commits releases it first. Whatever has ended or replaced
//! the transaction in between (an implicit commit, stored code, a rollback by the server) has removed it: the release fails
//! with 1305, and the COMMIT behind it in the same text is not executed. (Seen on MariaDB 10.11, 11.8 and MySQL 9.7.) It costs
//! no round trip, because it travels in texts that are sent anyway.

use mysql_async::{ServerError, TxOpts};

/// Sets it. Behind everything else that is sent to begin, so that no `ROLLBACK TO` undoes any of that.
pub(crate) const SET: &str = "SAVEPOINT mysql_retry_begun";
/// Releases it, which fails if it is not there.
pub(crate) const RELEASE: &str = "RELEASE SAVEPOINT mysql_retry_begun";

/// Commits the transaction that it was set in, and no other.
pub(crate) const COMMIT: &str = "RELEASE SAVEPOINT mysql_retry_begun; COMMIT";

const NAME: &[u8] = b"mysql_retry_begun";
/// `SAVEPOINT .. does not exist`.
const NO_SUCH_SAVEPOINT: u16 = 1305;

/// Whether this answer to the release says that the savepoint is gone.
pub(crate) fn is_gone(error: &ServerError) -> bool {
    error.code == NO_SUCH_SAVEPOINT
}

/// Whether a text names the savepoint.
pub(crate) fn is_named_in(text: &[u8]) -> bool {
    text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME))
}

/// The text that begins a transaction, in one round trip whatever was asked for. `first` is executed in it first.
pub(crate) fn begin(opts: &TxOpts, first: Option<&str>) -> String {
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
    for next in first.into_iter().chain([SET]) {
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
        assert_eq!(begin(&TxOpts::new(), None), format!("START TRANSACTION; {SET}"));
        assert_eq!(begin(&TxOpts::new(), Some("DO 1")), format!("START TRANSACTION; DO 1; {SET}"));
        let mut opts = TxOpts::new();
        opts.with_isolation_level(IsolationLevel::Serializable).with_readonly(true).with_consistent_snapshot(true);
        assert_eq!(
            begin(&opts, None),
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
