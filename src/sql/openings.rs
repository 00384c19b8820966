//! The first word of a statement: what kind of statement it is.

use super::control::{self, Control, Then};
use super::kinds::StateKinds;
use super::lexer::LexemeKind;
use super::reader::Reader;
use super::variables::Role;
use super::verbs::Mode;

impl Reader<'_> {
    #[inline]
    pub(super) fn begin_statement(&mut self) {
        if self.ended {
            self.several = true;
            self.ties.begin_another();
        }
        self.begun = true;
        self.effect.begin_statement(self.ended);
    }

    pub(super) fn start(&mut self, kind: LexemeKind, word: &[u8]) {
        if self.depth == 0 {
            self.begin_statement();
        }
        if kind == LexemeKind::Open {
            return;
        }
        if self.depth > 0 && !matches!(word, b"SELECT" | b"WITH" | b"VALUES" | b"TABLE") {
            self.lost();
            return;
        }
        if control::keeps(word) {
            self.keeps();
        }
        match word {
            b"SELECT" | b"VALUES" | b"TABLE" | b"HELP" => {
                self.reads = true;
                self.go(Mode::Plain);
            }
            b"INSERT" | b"REPLACE" => {
                self.ties.gives(StateKinds::INSERT_ID);
                self.go(Mode::Plain);
            }
            b"UPDATE" | b"DELETE" | b"DO" | b"TRUNCATE" | b"PURGE" => self.go(Mode::Plain),
            b"KILL" => {
                self.accounts = self.goes_on_with(b"USER");
                self.go(Mode::Plain);
            }
            b"GRANT" | b"REVOKE" => self.accounts(),
            b"WITH" => {
                self.reads = true;
                self.go(Mode::With);
            }
            b"SHOW" => {
                self.reads = true;
                self.mode = Mode::Show;
            }
            b"EXPLAIN" | b"DESCRIBE" | b"DESC" => {
                self.reads = true;
                self.go(Mode::Explain);
            }
            b"SET" => {
                self.effect.keeps_if_plain();
                self.mode = Mode::SetTarget;
            }
            b"USE" => {
                self.makes(StateKinds::DATABASE);
                self.go(Mode::Plain);
            }
            b"BEGIN" => {
                self.opens(StateKinds::TRANSACTION);
                self.effect.begins(Control::Begin);
                self.mode = Mode::Begin;
            }
            b"START" => self.mode = Mode::StartWhat,
            b"COMMIT" | b"ROLLBACK" => {
                let end = if word == b"COMMIT" { Control::Commit } else { Control::Rollback };
                self.ends(StateKinds::TRANSACTION);
                self.effect.says(end(Then::Ends));
                self.mode = Mode::Ending;
            }
            b"SAVEPOINT" | b"RELEASE" => {
                self.effect.says(Control::Savepoint);
                self.uses(StateKinds::TRANSACTION);
                self.go(Mode::Plain);
            }
            b"XA" => self.mode = Mode::Xa,
            b"CALL" => {
                self.effect.calls();
                self.unknown();
                self.ties.variables.role = Role::Argument;
                self.go(Mode::Plain);
            }
            b"LOCK" => {
                self.opens(StateKinds::TABLE_LOCKS);
                self.mode = Mode::Lock;
            }
            b"UNLOCK" => {
                self.ends(StateKinds::TABLE_LOCKS);
                self.mode = Mode::Lock;
            }
            b"BACKUP" => {
                self.leaves(StateKinds::TABLE_LOCKS);
                self.mode = Mode::Backup;
            }
            b"PREPARE" => {
                self.makes(StateKinds::PREPARED);
                self.go(Mode::Plain);
            }
            b"DEALLOCATE" => self.frees_prepared(),
            b"EXECUTE" => {
                self.leaves(StateKinds::PREPARED);
                self.unknown();
                self.mode = Mode::Execute;
            }
            b"HANDLER" => {
                self.leaves(StateKinds::HANDLER);
                self.mode = Mode::Handler;
            }
            b"GET" => {
                self.unknown();
                self.ties.uses(StateKinds::DIAGNOSTICS);
                self.ties.variables.role = Role::Diagnostics;
                self.go(Mode::Plain);
            }
            b"CREATE" | b"ALTER" | b"DROP" | b"RENAME" => {
                self.accounts = true;
                self.mode = match word {
                    b"CREATE" => Mode::Create,
                    b"ALTER" => Mode::Alter,
                    b"DROP" => Mode::Drop,
                    _ => Mode::Rename,
                };
            }
            b"LOAD" => self.mode = Mode::Load,
            b"FLUSH" => self.mode = Mode::Flush,
            b"ANALYZE" => self.mode = Mode::Analyze,
            b"CHECK" | b"CHECKSUM" | b"OPTIMIZE" | b"REPAIR" => self.mode = Mode::Maintain,
            _ => self.lost(),
        }
    }
}
