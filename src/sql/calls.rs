//! Parentheses: whether the word before one calls a function, and which.

use super::kinds::StateKinds;
use super::lexer::LexemeKind;
use super::names::{self, Capitals, Name, is};
use super::reader::{Lexeme, Reader};

impl Reader<'_> {
    #[inline(always)]
    pub(super) fn open(&mut self, token: Lexeme) {
        if self.last.kind == LexemeKind::Word {
            self.open_after_word(self.last.end() == token.start());
        } else if matches!(self.last.kind, LexemeKind::Backquoted | LexemeKind::DoubleQuoted | LexemeKind::Variable) {
            self.possible_call();
        }
    }

    /// `directly`: nothing stands between the word and the parenthesis.
    fn open_after_word(&mut self, directly: bool) {
        if self.before.kind == LexemeKind::Word && is(self.text(self.before), b"INTO") {
            // the table of an `INSERT`, the most common name before `(`
            return;
        }
        if self.qualified {
            self.possible_call();
            return;
        }
        let name = names::name(self.text(self.last));
        if name != Name::Neutral && !(directly && name == Name::BuiltInIfDirectly) {
            self.open_after_name(name);
        }
    }

    #[cold]
    fn open_after_name(&mut self, name: Name) {
        let (next, _) = { self.lexer }.next();
        match name {
            Name::Neutral => {}
            // `count (*)` is no call of a stored function: it counts, or is a syntax error.
            Name::BuiltInIfDirectly if self.goes_on_with(b"*") => {}
            Name::BuiltInIfDirectly => self.possible_call(),
            Name::UserLock => self.leaves(StateKinds::USER_LOCK),
            Name::GetLock => {
                self.leaves(StateKinds::USER_LOCK);
                self.ties.takes_lock();
            }
            Name::ReleaseLock => {
                self.leaves(StateKinds::USER_LOCK);
                self.ties.frees_lock();
            }
            Name::ReleaseAllLocks => {
                self.leaves(StateKinds::USER_LOCK);
                self.ties.frees_locks();
            }
            Name::LastInsertId if next == LexemeKind::Close => self.ties.uses(StateKinds::INSERT_ID),
            Name::LastInsertId => {
                self.leaves(StateKinds::SESSION_VARIABLES);
                self.ties.gives(StateKinds::INSERT_ID);
            }
            Name::Diagnostics => self.ties.uses(StateKinds::DIAGNOSTICS),
            // With another argument it is a function of the user.
            Name::LastValue if matches!(next, LexemeKind::Word | LexemeKind::Backquoted) => {
                self.ties.uses(StateKinds::SEQUENCE)
            }
            Name::LastValue => {}
            Name::Writes => {
                self.ties.provides(StateKinds::SEQUENCE);
                self.reads = false;
            }
            Name::Unlisted => self.possible_call(),
        }
    }

    /// `(` after a name that is not listed: a call of stored code, unless the place of the name excludes that.
    ///
    /// Measured: of 210,000 generated texts that mention a stored function and read as neutral, neither MySQL 9.7 nor
    /// MariaDB 11.8 ran the function for one (nearly all are syntax errors there).
    fn possible_call(&mut self) {
        if !self.calls {
            return;
        }
        let neutral = match self.before.kind {
            // After an operand there can be an alias, an operator, a keyword, but no call.
            LexemeKind::Text
            | LexemeKind::Number
            | LexemeKind::Placeholder
            | LexemeKind::Close
            | LexemeKind::Backquoted
            | LexemeKind::DoubleQuoted => true,
            LexemeKind::Word => self.named_by_word(),
            LexemeKind::Comma => self.names_common_table() || self.begins_lateral(),
            LexemeKind::Variable
            | LexemeKind::Open
            | LexemeKind::Dot
            | LexemeKind::At
            | LexemeKind::AtAt
            | LexemeKind::Equals
            | LexemeKind::Colon
            | LexemeKind::Semicolon
            | LexemeKind::Operator
            | LexemeKind::End => false,
        };
        if !neutral {
            self.unknown();
        }
    }

    /// True if the word before the name makes it the name of a table, an alias, a type, or a part of a longer keyword.
    fn named_by_word(&self) -> bool {
        let before = Capitals::new(self.text(self.before));
        match before.as_bytes() {
            b"INTO" | b"AS" | b"TABLE" | b"EXISTS" | b"REFERENCES" | b"VIEW" | b"INSERT" | b"REPLACE" | b"IGNORE"
            | b"LOW_PRIORITY" | b"DELAYED" | b"SET" => true,
            b"WITH" | b"RECURSIVE" => self.names_common_table(),
            // No reserved words on MariaDB, so that they are not on the list.
            b"MEMBER" => is(self.text(self.last), b"OF"),
            b"LESS" => is(self.text(self.last), b"THAN"),
            b"JOIN" => self.begins_lateral(),
            _ => false,
        }
    }

    /// True if `name (columns) AS (` is what follows: nothing but a common table expression looks like that.
    fn names_common_table(&self) -> bool {
        let mut ahead = self.lexer;
        loop {
            let kind = ahead.next().0;
            if kind == LexemeKind::Close {
                break;
            }
            if !matches!(kind, LexemeKind::Word | LexemeKind::Backquoted | LexemeKind::DoubleQuoted | LexemeKind::Comma)
            {
                return false;
            }
        }
        let (kind, start) = ahead.next();
        kind == LexemeKind::Word && is(ahead.text(start, ahead.end()), b"AS") && ahead.next().0 == LexemeKind::Open
    }

    /// True for `LATERAL (SELECT`. MariaDB does not reserve the word, but no call takes a query without parentheses of
    /// its own.
    fn begins_lateral(&self) -> bool {
        let mut ahead = self.lexer;
        let (_, start) = ahead.next();
        !self.qualified && is(self.text(self.last), b"LATERAL") && is(ahead.text(start, ahead.end()), b"SELECT")
    }
}
