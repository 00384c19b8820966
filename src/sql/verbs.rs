//! The first word of a statement, and for some statements the words that follow, decide what it leaves behind.
//!
//! Everything here is a list of what is known to be harmless or known to leave something; the rest is unknown. The
//! forms are those of the chapter 'SQL Statements' of the MySQL manual and of 'SQL Statements' in the MariaDB docs.

use super::control::{Control, Then};
use super::kinds::StateKinds;
use super::lexer::LexemeKind;
use super::names::{Capitals, is};
use super::reader::{Lexeme, Reader};
use super::variables::Role;

/// What the reader waits for in the current statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The first word.
    Start,
    /// Nothing: the kind of the statement is known.
    Plain,
    /// As plain, but `WITH ..` may turn out to write.
    With,
    /// As plain, but `EXPLAIN ANALYZE` executes.
    Explain,
    /// What is created, altered, dropped.
    Create,
    /// As `Create`, after `OR REPLACE`.
    CreateOrReplace,
    Alter,
    Drop,
    Rename,
    /// The query that ends the part of `CREATE TABLE` in which stored functions are not permitted.
    Definition,
    /// The variable that is set.
    SetTarget,
    /// The end of an assignment, after which another target may follow.
    SetValue,
    /// The global variable that is set.
    SetGlobalTarget,
    /// As `SetValue`, and nothing so far was the session's.
    SetGlobalValue,
    /// The value of `autocommit`.
    SetAutocommit,
    /// `FOR`, after which the statement itself begins.
    SetStatement,
    /// `DATA` or `XML`.
    Load,
    /// `LOCAL`, until `INTO`.
    LoadOptions,
    /// `INSTANCE`, or tables.
    Lock,
    /// `STAGE`, `LOCK`, `UNLOCK`.
    Backup,
    /// What is done with the handler, after its name.
    Handler,
    /// A name, or `IMMEDIATE`.
    Execute,
    Flush,
    /// A lock in `FLUSH TABLES`.
    FlushTables,
    Show,
    ShowCreate,
    /// Only `WORK`.
    Begin,
    /// How `COMMIT` and `ROLLBACK` go on.
    Ending,
    /// `START`, `BEGIN` .. of a distributed transaction.
    Xa,
    /// `TRANSACTION`.
    StartWhat,
    /// The table that is analysed, or the statement.
    Analyze,
    /// The table that is checked, repaired ..
    Maintain,
}

impl Reader<'_> {
    /// Sees each token of a watched statement before the reader takes it.
    #[inline]
    pub(super) fn watch(&mut self, token: Lexeme) {
        if self.mode == Mode::Start && self.depth == 0 && token.length() == 6 {
            // The short way of the most common words.
            let word = self.text(token);
            let query = is(word, b"SELECT");
            let inserts = is(word, b"INSERT");
            if query || inserts || is(word, b"UPDATE") || is(word, b"DELETE") {
                self.begin_statement();
                self.reads = query;
                if inserts {
                    self.ties.gives(StateKinds::INSERT_ID);
                }
                self.keeps();
                self.go(Mode::Plain);
                return;
            }
        }
        self.watch_on(token);
    }

    fn watch_on(&mut self, token: Lexeme) {
        let word = Capitals::new(if token.kind == LexemeKind::Word { self.text(token) } else { b"" });
        let word = word.as_bytes();
        match self.mode {
            Mode::Start => self.start(token.kind, word),
            Mode::Create | Mode::CreateOrReplace | Mode::Alter | Mode::Drop | Mode::Rename => {
                self.object(token.kind, word);
            }
            Mode::Definition => {
                // 'Data Type Default Values', 'CHECK Constraints', 'CREATE TABLE and Generated Columns', 'Functional Key
                // Parts': none may call stored functions.
                if matches!(word, b"SELECT" | b"VALUES") {
                    self.calls = true;
                    self.go(Mode::Plain);
                }
            }
            Mode::SetTarget | Mode::SetGlobalTarget | Mode::SetValue | Mode::SetGlobalValue | Mode::SetAutocommit => {
                self.set(token)
            }
            Mode::SetStatement => {
                if word == b"FOR" && self.depth == 0 {
                    self.mode = Mode::Start;
                }
            }
            Mode::Load => match word {
                b"DATA" | b"XML" => {
                    self.keeps();
                    self.mode = Mode::LoadOptions;
                }
                _ => self.lost(),
            },
            Mode::LoadOptions => match word {
                b"LOCAL" => {
                    self.local_infile = true;
                    self.several = true;
                }
                b"INTO" => {
                    self.ties.gives(StateKinds::INSERT_ID);
                    self.ties.variables.role = Role::Column;
                    self.go(Mode::Plain);
                }
                _ => {}
            },
            Mode::Flush => match word {
                b"LOCAL"
                | b"NO_WRITE_TO_BINLOG"
                | b"PRIVILEGES"
                | b"STATUS"
                | b"HOSTS"
                | b"LOGS"
                | b"BINARY"
                | b"ENGINE"
                | b"ERROR"
                | b"GENERAL"
                | b"SLOW"
                | b"RELAY"
                | b"USER_RESOURCES"
                | b"OPTIMIZER_COSTS" => {}
                b"TABLES" | b"TABLE" => self.mode = Mode::FlushTables,
                _ if token.kind == LexemeKind::Comma => {}
                _ => self.lost(),
            },
            Mode::FlushTables => {
                if matches!(word, b"WITH" | b"READ" | b"LOCK" | b"FOR" | b"EXPORT") {
                    self.opens(StateKinds::TABLE_LOCKS);
                }
            }
            Mode::Show => match word {
                b"GRANTS" => self.accounts(),
                b"WARNINGS" | b"ERRORS" | b"COUNT" | b"PROFILE" | b"PROFILES" => {
                    self.ties.uses(StateKinds::DIAGNOSTICS);
                    self.go(Mode::Plain);
                }
                b"CREATE" => self.mode = Mode::ShowCreate,
                _ => self.go(Mode::Plain),
            },
            Mode::ShowCreate => match word {
                b"USER" => self.accounts(),
                _ => self.go(Mode::Plain),
            },
            Mode::Begin => {
                // `BEGIN NOT ATOMIC`, or a block of Oracle's mode
                if word != b"WORK" || !is(self.text(self.last), b"BEGIN") {
                    self.effect.begins_none();
                    self.lost();
                }
            }
            Mode::Ending => self.ending(word),
            Mode::Xa => {
                match word {
                    b"START" | b"BEGIN" => self.effect.begins(Control::None),
                    b"RECOVER" => {
                        self.reads = true;
                        self.keeps();
                        self.go(Mode::Plain);
                        return;
                    }
                    _ => {}
                }
                match word {
                    b"START" | b"BEGIN" => self.opens(StateKinds::TRANSACTION),
                    b"COMMIT" | b"ROLLBACK" => self.ends(StateKinds::TRANSACTION),
                    _ => self.uses(StateKinds::TRANSACTION),
                }
                self.go(Mode::Plain);
            }
            Mode::StartWhat => match word {
                b"TRANSACTION" => {
                    self.opens(StateKinds::TRANSACTION);
                    self.effect.begins(Control::Begin);
                    self.go(Mode::Plain);
                }
                _ => self.lost(),
            },
            Mode::Lock => {
                if word == b"INSTANCE" {
                    self.keeps();
                }
                self.go(Mode::Plain);
            }
            Mode::Backup => match word {
                b"STAGE" => {}
                b"END" | b"UNLOCK" => {
                    self.ends(StateKinds::TABLE_LOCKS);
                    self.go(Mode::Plain);
                }
                _ => {
                    self.opens(StateKinds::TABLE_LOCKS);
                    self.go(Mode::Plain);
                }
            },
            Mode::Handler => {
                let named =
                    matches!(self.last.kind, LexemeKind::Word | LexemeKind::Backquoted | LexemeKind::DoubleQuoted);
                match word {
                    _ if !named || is(self.text(self.last), b"HANDLER") => {}
                    b"OPEN" => {
                        self.makes(StateKinds::HANDLER);
                        self.go(Mode::Plain);
                    }
                    b"READ" | b"CLOSE" => {
                        self.uses(StateKinds::HANDLER);
                        self.go(Mode::Plain);
                    }
                    _ => {}
                }
            }
            Mode::Execute => {
                // `EXECUTE IMMEDIATE` needs no name, of which one may be `immediate`.
                if word != b"IMMEDIATE"
                    || !matches!({ self.lexer }.next().0, LexemeKind::Text | LexemeKind::At | LexemeKind::Word)
                {
                    self.names_prepared = true;
                    self.uses(StateKinds::PREPARED);
                }
                self.go(Mode::Plain);
            }
            Mode::Analyze => match word {
                b"TABLE" | b"TABLES" | b"LOCAL" | b"NO_WRITE_TO_BINLOG" => self.go(Mode::Plain),
                b"FORMAT" | b"SELECT" | b"INSERT" | b"REPLACE" | b"UPDATE" | b"DELETE" | b"WITH" => {
                    self.keeps();
                    self.go(Mode::Plain);
                }
                _ => self.lost(),
            },
            Mode::Maintain => match word {
                b"TABLE" | b"TABLES" | b"VIEW" | b"LOCAL" | b"NO_WRITE_TO_BINLOG" => {
                    self.go(Mode::Plain);
                }
                _ => self.lost(),
            },
            Mode::Plain | Mode::With | Mode::Explain => {}
        }
    }

    /// The statement ends: handles what was still expected.
    pub(super) fn finish(&mut self) {
        match self.mode {
            Mode::Create
            | Mode::CreateOrReplace
            | Mode::Alter
            | Mode::Drop
            | Mode::Rename
            | Mode::SetTarget
            | Mode::SetGlobalTarget
            | Mode::Load
            | Mode::LoadOptions
            | Mode::SetStatement
            | Mode::StartWhat
            | Mode::Xa
            | Mode::Analyze
            | Mode::Maintain => self.unknown(),
            Mode::Start => {
                // only parentheses
                if self.depth > 0 {
                    self.unknown();
                }
            }
            Mode::Plain
            | Mode::With
            | Mode::Explain
            | Mode::Definition
            | Mode::SetValue
            | Mode::SetAutocommit
            | Mode::SetGlobalValue
            | Mode::Lock
            | Mode::Backup
            | Mode::Handler
            | Mode::Execute
            | Mode::Flush
            | Mode::FlushTables
            | Mode::Show
            | Mode::ShowCreate
            | Mode::Begin
            | Mode::Ending => {}
        }
    }

    /// The statement does not affect a transaction, whatever else it contains.
    #[inline]
    pub(super) fn keeps(&mut self) {
        self.effect.keeps(self.lexer.odd);
    }

    /// `COMMIT [WORK] [AND [NO] CHAIN] [[NO] RELEASE]`, the same of `ROLLBACK`, or `ROLLBACK [WORK] TO ..`.
    fn ending(&mut self, word: &[u8]) {
        let negated = is(self.text(self.last), b"NO");
        match word {
            b"WORK" | b"AND" | b"NO" => {}
            b"CHAIN" if negated => {}
            b"CHAIN" => {
                self.effect.then(Then::Chains);
                self.opens(StateKinds::TRANSACTION);
            }
            b"RELEASE" if negated => {}
            b"RELEASE" => self.effect.then(Then::Disconnects),
            b"TO" => {
                // It was open, or else that was noted.
                self.opens(StateKinds::TRANSACTION);
                self.effect.says(Control::Savepoint);
                self.keeps();
                self.go(Mode::Plain);
            }
            _ => {
                self.effect.says(Control::None);
                self.go(Mode::Plain);
            }
        }
    }

    /// Waits for nothing more of this statement.
    #[inline]
    pub(super) fn go(&mut self, mode: Mode) {
        self.mode = mode;
        self.watched = false;
    }

    /// The statement is not recognised.
    pub(super) fn lost(&mut self) {
        self.unknown();
        self.ties.blind();
        self.go(Mode::Plain);
    }

    /// From here on the statement names accounts and has no expressions.
    pub(super) fn accounts(&mut self) {
        self.accounts = true;
        self.calls = false;
        self.go(Mode::Plain);
    }

    pub(super) fn known(&mut self, kinds: StateKinds) {
        self.leaves(kinds);
        self.go(Mode::Plain);
    }
}
