//! User variables: whether one is read that the text itself has not set.
//!
//! The names are kept as bits of their hashes, so that nothing is allocated. Two names that share a bit count as one; then a
//! variable may be taken for one that the text has set.

use super::lexer::{LexemeKind, Lexer};
use super::names::is;
use super::reader::{Lexeme, Reader};

/// What was seen of the variables of a text.
#[derive(Clone, Copy, Default)]
pub(super) struct Variables {
    /// Set so far.
    set: u64,
    /// Read anywhere.
    read: u64,
    /// Read in the current statement, before it was set.
    missing: u64,
    /// Set in a derived table of the current statement, which comes first although it stands last:
    /// `SELECT @n := @n + 1 FROM t, (SELECT @n := 0) z`
    derived: u64,
    /// Set by the last statement.
    left: u64,
    /// Those of `left` that `SET` names as its targets.
    targets: u64,
    /// The last one was set in a derived table.
    in_derived: bool,
    /// How many of the following names have been handled already.
    skip: u32,
    /// What `@name` is where nothing else decides.
    pub(super) role: Role,
}

/// What `@name` is in the current statement.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Role {
    /// Read, unless `:=` follows.
    #[default]
    Value,
    /// The target of a `SET`, of which this is the next variable.
    Target,
    /// An argument of `CALL`: read, or set, often never to be read.
    Argument,
    /// In the list of columns of `LOAD DATA`: set, often never to be read.
    Column,
    /// In `GET DIAGNOSTICS @a = ..`
    Diagnostics,
}

impl Variables {
    pub(super) fn begin_another(&mut self) {
        self.left = 0;
    }

    /// A part of the text cannot be read: it may use what an expression sets.
    pub(super) fn of_odd_text(&mut self) {
        self.left &= self.targets;
        self.read = 0;
    }

    /// Whether a variable was read that was not set before.
    pub(super) fn end_statement(&mut self) -> bool {
        let missing = self.missing & !self.derived;
        self.set |= self.derived;
        (self.missing, self.derived, self.in_derived, self.skip) = (0, 0, false, 0);
        self.role = Role::Value;
        missing != 0
    }

    /// Whether the last statement sets variables of which the text reads none.
    pub(super) fn are_left(&self) -> bool {
        self.left != 0 && self.left & self.read == 0
    }

    fn reads(&mut self, name: u64) {
        self.read |= name;
        self.missing |= name & !self.set;
    }

    fn sets(&mut self, name: u64) {
        self.set |= name;
        self.left |= name;
    }
}

/// The bit of a name. Their case does not count.
fn bit(name: &[u8]) -> u64 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    1 << ((hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

/// The name after `@`.
fn name(ahead: &mut Lexer) -> u64 {
    let (kind, start) = ahead.next();
    let end = ahead.end();
    let quotes = usize::from(matches!(kind, LexemeKind::Backquoted | LexemeKind::DoubleQuoted | LexemeKind::Text));
    bit(ahead.text(start + quotes, end.saturating_sub(quotes)))
}

impl Reader<'_> {
    /// `@`, which begins a user variable.
    #[cold]
    pub(super) fn user_variable(&mut self) {
        let variables = &mut self.ties.variables;
        if variables.skip > 0 {
            variables.skip -= 1;
            return;
        }
        let mut ahead = self.lexer;
        let name = name(&mut ahead);
        let (kind, start) = ahead.next();
        let assigned = ahead.text(start, ahead.end()) == b":=";
        let in_list = matches!(kind, LexemeKind::Comma | LexemeKind::Close);
        let role = variables.role;
        let into =
            self.last.kind == LexemeKind::Word && is(self.lexer.text(self.last.start(), self.last.end()), b"INTO");
        if into {
            variables.sets(name);
            self.skip_others(kind, ahead);
        } else if role == Role::Column && self.depth == 1 && in_list {
            variables.set |= name;
        } else if role == Role::Argument && in_list && variables.set & name == 0 {
            // It is of no use unless a later statement reads it.
            variables.set |= name;
        } else if assigned || (kind == LexemeKind::Equals && matches!(role, Role::Target | Role::Diagnostics)) {
            let own = reads_itself(ahead, name);
            let comma = self.last.kind == LexemeKind::Comma && variables.in_derived;
            variables.in_derived = assigned && self.depth > 0 && (comma || is_select(&self.lexer, self.last));
            if own {
                variables.left |= name;
            } else if variables.in_derived {
                variables.derived |= name;
                variables.sets(name);
            } else {
                variables.sets(name);
            }
        } else {
            variables.reads(name);
        }
        if role == Role::Target {
            let variables = &mut self.ties.variables;
            variables.targets |= name;
            variables.role = Role::Value;
        }
    }

    /// `INTO @a, @b`
    fn skip_others(&mut self, mut kind: LexemeKind, mut ahead: Lexer) {
        while kind == LexemeKind::Comma && ahead.next().0 == LexemeKind::At {
            self.ties.variables.sets(name(&mut ahead));
            self.ties.variables.skip += 1;
            kind = ahead.next().0;
        }
    }
}

fn is_select(lexer: &Lexer, token: Lexeme) -> bool {
    token.kind == LexemeKind::Word && is(lexer.text(token.start(), token.end()), b"SELECT")
}

/// Whether the variable is read in the expression that is assigned to it. Looks at the beginning of a long expression only,
/// so that many of them cost no more than one.
fn reads_itself(mut ahead: Lexer, variable: u64) -> bool {
    let mut depth = 0_u32;
    for _ in 0..64 {
        match ahead.next().0 {
            LexemeKind::At => {
                if name(&mut ahead) == variable {
                    return true;
                }
            }
            LexemeKind::Open => depth += 1,
            LexemeKind::Close if depth == 0 => return false,
            LexemeKind::Close => depth -= 1,
            LexemeKind::Comma if depth == 0 => return false,
            LexemeKind::Semicolon | LexemeKind::End => return false,
            LexemeKind::Word
            | LexemeKind::Backquoted
            | LexemeKind::DoubleQuoted
            | LexemeKind::Text
            | LexemeKind::Number
            | LexemeKind::Placeholder
            | LexemeKind::Variable
            | LexemeKind::Comma
            | LexemeKind::Dot
            | LexemeKind::AtAt
            | LexemeKind::Equals
            | LexemeKind::Colon
            | LexemeKind::Operator => {}
        }
    }
    false
}
