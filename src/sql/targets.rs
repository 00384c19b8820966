//! What is created, altered, dropped or set. The verb alone does not show what such a statement leaves behind.

use super::control;
use super::kinds::StateKinds;
use super::lexer::LexemeKind;
use super::names::{Capitals, is};
use super::reader::{Lexeme, Reader};
use super::variables::Role;
use super::verbs::Mode;

impl Reader<'_> {
    /// `CREATE`, `ALTER`, `DROP`, `RENAME`: skips the options before the object, until its kind is named.
    pub(super) fn object(&mut self, kind: LexemeKind, word: &[u8]) {
        // `ALGORITHM = MERGE`, `DEFINER = name@host`, `DEFINER = CURRENT_USER()`
        let value =
            matches!(kind, LexemeKind::Word | LexemeKind::Text | LexemeKind::Backquoted | LexemeKind::DoubleQuoted)
                && matches!(self.last.kind, LexemeKind::Equals | LexemeKind::At | LexemeKind::Dot);
        let sign = matches!(
            kind,
            LexemeKind::Equals | LexemeKind::At | LexemeKind::Dot | LexemeKind::Open | LexemeKind::Close
        );
        if value || sign {
            return;
        }
        let mode = self.mode;
        match (mode, word) {
            (Mode::Create | Mode::CreateOrReplace, b"TEMPORARY") => self.makes(StateKinds::TEMPORARY_TABLE),
            (Mode::Drop, b"TEMPORARY") => self.leaves(StateKinds::TEMPORARY_TABLE),
            (_, b"TABLE" | b"TABLES") | (Mode::Create | Mode::CreateOrReplace, b"INDEX") => {
                // A sequence commits although it is temporary (seen on MariaDB 10.11 and 11.8).
                if is(self.text(self.last), b"TEMPORARY") {
                    self.keeps();
                    if mode == Mode::Drop && !self.goes_on_with(b"IF") {
                        self.uses(StateKinds::TEMPORARY_TABLE);
                    }
                }
                self.accounts = false;
                self.calls = false;
                self.mode = Mode::Definition;
            }
            (_, b"USER") => self.accounts(),
            (Mode::Rename, _) => self.lost(),
            (_, b"ROLE") => self.accounts(),
            (Mode::Create, b"OR") => {}
            (Mode::Create, b"REPLACE") => self.mode = Mode::CreateOrReplace,
            (
                Mode::Create | Mode::CreateOrReplace | Mode::Alter,
                b"UNIQUE" | b"FULLTEXT" | b"SPATIAL" | b"VECTOR" | b"ONLINE" | b"OFFLINE" | b"ALGORITHM" | b"DEFINER"
                | b"SQL" | b"SECURITY" | b"INVOKER" | b"IGNORE" | b"UNDO",
            )
            | (Mode::Drop, b"UNDO" | b"SPATIAL") => {}
            (Mode::Drop | Mode::CreateOrReplace, b"DATABASE" | b"SCHEMA") => {
                self.object_known(StateKinds::DATABASE);
            }
            (Mode::Drop, b"PREPARE") => {
                self.keeps();
                self.frees_prepared();
            }
            (_, b"VIEW") => {
                // What it is made of is not executed.
                self.ties.blind();
                self.object_known(StateKinds::NONE);
            }
            (Mode::Drop, b"FUNCTION" | b"PROCEDURE" | b"TRIGGER" | b"EVENT" | b"INDEX")
            | (
                _,
                b"DATABASE" | b"SCHEMA" | b"SERVER" | b"TABLESPACE" | b"SEQUENCE" | b"LOGFILE" | b"REFERENCE"
                | b"RESOURCE",
            ) => self.object_known(StateKinds::NONE),
            _ => self.lost(),
        }
    }

    /// `DEALLOCATE PREPARE s`, `DROP PREPARE s`
    pub(super) fn frees_prepared(&mut self) {
        self.names_prepared = true;
        self.uses(StateKinds::PREPARED);
        self.accounts = false;
        self.go(Mode::Plain);
    }

    fn object_known(&mut self, kinds: StateKinds) {
        self.accounts = false;
        self.known(kinds);
    }

    /// `SET target = value, ..`. Everything that is set counts, except what is certainly not the session's.
    pub(super) fn set(&mut self, token: Lexeme) {
        let kind = token.kind;
        if self.mode == Mode::SetAutocommit {
            return self.set_autocommit(token);
        }
        if !matches!(self.mode, Mode::SetTarget | Mode::SetGlobalTarget) {
            return self.set_value(kind);
        }
        // A variable may be named in quotes, a keyword may not.
        let quoted = matches!(kind, LexemeKind::Backquoted | LexemeKind::DoubleQuoted);
        let name = Capitals::new(if quoted { self.unquoted(token) } else { self.text(token) });
        let name = name.as_bytes();
        if matches!(kind, LexemeKind::AtAt | LexemeKind::Dot) || (!quoted && matches!(name, b"SESSION" | b"LOCAL")) {
            // The target is still to come.
            self.global &= matches!(kind, LexemeKind::AtAt | LexemeKind::Dot);
            return;
        }
        if control::is_momentous(name) {
            self.effect.may_commit();
        }
        if self.mode == Mode::SetGlobalTarget {
            self.mode = Mode::SetGlobalValue;
            return;
        }
        match name {
            // counted where it is taken
            _ if kind == LexemeKind::At => {
                self.ties.variables.role = Role::Target;
                self.mode = Mode::SetValue;
            }
            b"AUTOCOMMIT" => {
                self.leaves(StateKinds::TRANSACTION);
                self.mode = Mode::SetAutocommit;
            }
            _ if quoted => self.set_variable(),
            b"GLOBAL" | b"PERSIST" | b"PERSIST_ONLY" => {
                self.global = true;
                self.mode = Mode::SetGlobalTarget;
            }
            b"PASSWORD" => {
                self.effect.may_commit();
                self.accounts = true;
                self.mode = Mode::SetGlobalValue;
            }
            b"TRANSACTION" => {
                // Without a scope it is about the next transaction only.
                let lasts = is(self.text(self.last), b"SESSION") || is(self.text(self.last), b"LOCAL");
                self.makes(if lasts { StateKinds::SESSION_VARIABLES } else { StateKinds::TRANSACTION });
                self.go(Mode::Plain);
            }
            b"ROLE" => {
                self.makes(StateKinds::ROLE);
                self.accounts();
            }
            // `SET DEFAULT ROLE` is about an account.
            b"DEFAULT" => {
                self.effect.may_commit();
                self.accounts();
            }
            // `SET STATEMENT name = value FOR statement`
            b"STATEMENT" => {
                self.effect.begins_within();
                self.unknown();
                self.mode = Mode::SetStatement;
            }
            _ => self.set_variable(),
        }
    }

    fn set_variable(&mut self) {
        // After `GLOBAL` the scope of the next target depends on the version.
        if self.global {
            self.leaves(StateKinds::SESSION_VARIABLES);
        } else {
            self.makes(StateKinds::SESSION_VARIABLES);
        }
        self.mode = Mode::SetValue;
    }

    /// After an assignment another target may follow.
    fn set_value(&mut self, kind: LexemeKind) {
        if kind == LexemeKind::Comma && self.depth == 0 {
            if self.mode == Mode::SetGlobalValue {
                self.leaves(StateKinds::SESSION_VARIABLES);
            }
            self.mode = Mode::SetTarget;
        }
    }

    /// `SET autocommit = value`: switched on, it commits; switched off, it does not.
    fn set_autocommit(&mut self, token: Lexeme) {
        let sign = |token: Lexeme| matches!(token.kind, LexemeKind::Equals | LexemeKind::Operator);
        let value = self.text(token);
        let off = is(value, b"0") || is(value, b"OFF") || is(value, b"FALSE");
        if sign(token) {
            return;
        }
        if sign(self.last) {
            if off {
                self.opens(StateKinds::TRANSACTION);
                return;
            }
            self.effect.may_commit();
            if self.ties.is_open(StateKinds::TRANSACTION) {
                self.ends(StateKinds::TRANSACTION);
            } else {
                self.makes(StateKinds::TRANSACTION);
            }
            self.mode = Mode::SetValue;
            return;
        }
        if token.kind == LexemeKind::Comma {
            self.mode = Mode::SetTarget;
            return;
        }
        self.effect.may_commit();
        self.mode = Mode::SetValue;
    }
}
