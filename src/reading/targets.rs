//! What is created, altered, dropped or set? The verb alone does not tell what such a statement leaves behind.

use super::kinds::StateKinds;
use super::lexer::Kind;
use super::reader::Reader;
use super::verbs::Mode;

impl Reader<'_> {
    /// `CREATE`, `ALTER`, `DROP`, `RENAME`: passes what may stand before the object, until its kind is named.
    pub(super) fn object(&mut self, kind: Kind, word: &[u8]) {
        // `ALGORITHM = MERGE`, `DEFINER = name@host`, `DEFINER = CURRENT_USER()`
        let value = matches!(kind, Kind::Word | Kind::Text | Kind::Backquoted | Kind::DoubleQuoted)
            && matches!(self.last.kind, Kind::Equals | Kind::At | Kind::Dot);
        let sign = matches!(kind, Kind::Equals | Kind::At | Kind::Dot | Kind::Open | Kind::Close);
        if value || sign {
            return;
        }
        let mode = self.mode;
        match (mode, word) {
            (Mode::Create | Mode::CreateOrReplace | Mode::Drop, b"TEMPORARY") => {
                self.leaves(StateKinds::TEMPORARY_TABLE);
            }
            (_, b"TABLE" | b"TABLES") | (Mode::Create | Mode::CreateOrReplace, b"INDEX") => {
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
            (Mode::Drop, b"PREPARE") => self.object_known(StateKinds::PREPARED),
            (Mode::Drop, b"FUNCTION" | b"PROCEDURE" | b"TRIGGER" | b"EVENT" | b"INDEX")
            | (
                _,
                b"VIEW" | b"DATABASE" | b"SCHEMA" | b"SERVER" | b"TABLESPACE" | b"SEQUENCE" | b"LOGFILE" | b"REFERENCE"
                | b"RESOURCE",
            ) => self.object_known(StateKinds::NONE),
            _ => self.lost(),
        }
    }

    fn object_known(&mut self, kinds: StateKinds) {
        self.accounts = false;
        self.known(kinds);
    }

    /// `SET target = value, ..`. Everything that is set counts, except what is certainly not the session's.
    pub(super) fn set(&mut self, kind: Kind, word: &[u8]) {
        if self.mode != Mode::SetTarget {
            if kind == Kind::Comma && self.depth == 0 {
                // After `GLOBAL` the scope of the next target depends on the version.
                if self.mode == Mode::SetGlobalValue {
                    self.leaves(StateKinds::SESSION_VARIABLES);
                }
                self.mode = Mode::SetTarget;
            }
            return;
        }
        match (kind, word) {
            // The target is still to come; `@` is counted where it is taken.
            (Kind::AtAt | Kind::Dot, _) | (Kind::Word, b"SESSION" | b"LOCAL") => {}
            (Kind::At, _) => self.mode = Mode::SetValue,
            (Kind::Word, b"GLOBAL" | b"PERSIST" | b"PERSIST_ONLY") => {
                self.mode = Mode::SetGlobalValue;
            }
            (Kind::Word, b"PASSWORD") => {
                self.accounts = true;
                self.mode = Mode::SetGlobalValue;
            }
            (Kind::Word, b"TRANSACTION") => self.known(StateKinds::TRANSACTION),
            (Kind::Word, b"AUTOCOMMIT") => {
                self.leaves(StateKinds::TRANSACTION);
                self.mode = Mode::SetValue;
            }
            // `SET STATEMENT name = value FOR statement`
            (Kind::Word, b"STATEMENT") => self.lost(),
            _ => {
                self.leaves(StateKinds::SESSION_VARIABLES);
                self.mode = Mode::SetValue;
            }
        }
    }
}
