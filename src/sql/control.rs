//! What a text does to the transaction that it runs in.
//!
//! The server's status flags show when a transaction has ended, but not after an error, not after a loss, and not where
//! another one began at once. So the text is read as well: a statement counts as committing unless it is known not to
//! affect the transaction. These are the statements that the chapters 'Statements That Cause an Implicit Commit' of both
//! manuals do not list. They were tried on MariaDB 10.11, MariaDB 11.8 and MySQL 9.7, with a savepoint before the statement
//! and its release after it.

use super::lexer::Lexer;

/// What a text is to a transaction, if all of it is one statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Control {
    /// None of the others; or several statements; or not certain.
    #[default]
    None,
    /// `BEGIN [WORK]`, `START TRANSACTION ..`
    Begin,
    /// `COMMIT`
    Commit(Then),
    /// `ROLLBACK`, not to a savepoint.
    Rollback(Then),
    /// `SAVEPOINT a`, `RELEASE SAVEPOINT a`, `ROLLBACK TO a`
    Savepoint,
}

/// What follows the end of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing, unless the variable `completion_type` demands it.
    Ends,
    /// `AND CHAIN`: another transaction begins at once.
    Chains,
    /// `RELEASE`: the server closes the connection.
    Disconnects,
}

/// The reader's notes about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    commits: bool,
    calls: bool,
    begins: bool,
    control: Control,
    /// Where the last token of the last statement ends.
    end: u32,
    /// The text has more than one statement, or one within another.
    joined: bool,

    // The current statement.
    /// It leaves the transaction alone.
    kept: bool,
    /// It commits if a part of it is something else than it seems.
    kept_if_plain: bool,
}

impl Notes {
    #[inline]
    pub(super) fn begin_statement(&mut self, ended: bool) {
        self.joined |= ended;
    }

    /// The current statement names another one, which begins here.
    pub(super) fn begins_within(&mut self) {
        self.joined = true;
        self.forget();
    }

    fn forget(&mut self) {
        self.kept = false;
        self.kept_if_plain = false;
        self.control = Control::None;
    }

    /// The statement leaves the transaction alone, if what was read of it so far is what the server reads.
    #[inline]
    pub(super) fn keeps(&mut self, odd: bool) {
        self.kept = !odd;
    }

    /// The same, if that holds for all of the statement.
    pub(super) fn keeps_if_plain(&mut self) {
        self.kept = true;
        self.kept_if_plain = true;
    }

    /// The statement may commit.
    pub(super) fn may_commit(&mut self) {
        self.commits = true;
    }

    /// The statement calls a stored procedure, which may do anything.
    pub(super) fn calls(&mut self) {
        self.calls = true;
        self.kept = true;
    }

    pub(super) fn says(&mut self, control: Control) {
        self.control = control;
    }

    /// How the end of the transaction goes on.
    pub(super) fn then(&mut self, then: Then) {
        self.control = match self.control {
            Control::Commit(_) => Control::Commit(then),
            Control::Rollback(_) => Control::Rollback(then),
            other @ (Control::None | Control::Begin | Control::Savepoint) => other,
        };
    }

    /// The statement begins a transaction.
    pub(super) fn begins(&mut self, control: Control) {
        self.begins = true;
        self.control = control;
    }

    /// It does not begin one, although it seemed to.
    pub(super) fn begins_none(&mut self) {
        self.begins = false;
        self.control = Control::None;
    }

    #[inline]
    pub(super) fn end_statement(&mut self, end: usize, odd: bool) {
        self.commits |= !self.kept || (self.kept_if_plain && odd);
        // no text is longer (`Lexer::is_longer_than_packets`)
        self.end = end as u32;
        self.kept = false;
        self.kept_if_plain = false;
    }

    /// All of the text has been read.
    #[inline]
    pub(super) fn of_text(mut self, begun: bool, lexer: &Lexer) -> Self {
        if lexer.odd {
            // what was taken for a string, a comment or the end of one may hold another statement
            self.commits |= lexer.has_semicolon();
        }
        if lexer.odd || self.joined || !begun {
            self.commits |= !begun;
            self.control = Control::None;
            self.end = 0;
        }
        self
    }

    pub(super) const fn is_committing(self) -> bool {
        self.commits
    }

    pub(super) const fn is_calling(self) -> bool {
        self.calls
    }

    pub(super) const fn is_beginning(self) -> bool {
        self.begins
    }

    #[cfg(test)]
    pub(super) const fn without_end(self) -> Self {
        Notes { end: 0, ..self }
    }

    pub(super) const fn control(self) -> Control {
        self.control
    }

    /// Where the only statement ends; 0 if there is none, or more than one, or that is not certain.
    pub(super) const fn end(self) -> usize {
        self.end as usize
    }
}

/// First words of statements that never commit. What they call does not either: stored functions and triggers may not.
pub(super) fn keeps(word: &[u8]) -> bool {
    matches!(
        word,
        b"SELECT"
            | b"INSERT"
            | b"UPDATE"
            | b"DELETE"
            | b"REPLACE"
            | b"WITH"
            | b"VALUES"
            | b"TABLE"
            | b"DO"
            | b"SHOW"
            | b"EXPLAIN"
            | b"DESCRIBE"
            | b"DESC"
            | b"HELP"
            | b"USE"
            | b"SAVEPOINT"
            | b"RELEASE"
            | b"PREPARE"
            | b"DEALLOCATE"
            | b"HANDLER"
            | b"CHECKSUM"
            | b"KILL"
            | b"PURGE"
            | b"GET"
            | b"SIGNAL"
            | b"RESIGNAL"
    )
}

/// Global variables whose assignment does more than setting a value.
pub(super) fn is_momentous(variable: &[u8]) -> bool {
    matches!(variable, b"READ_ONLY" | b"SUPER_READ_ONLY" | b"OFFLINE_MODE") || variable.starts_with(b"GTID")
}
