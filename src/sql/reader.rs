//! One pass over the tokens: statements, calls, variables.
//!
//! Most tokens only update a few fields. A word is looked up when `(` follows it, when it is the first of its
//! statement, or when the statement is of a kind whose further words matter (see `verbs`).

use super::Reading;
use super::control::Notes;
use super::kinds::StateKinds;
use super::lexer::{LexemeKind, Lexer};
use super::names::{Capitals, is};
use super::ties::Ties;
use super::verbs::Mode;

/// What a token is and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Lexeme {
    pub(super) kind: LexemeKind,
    /// Start and end in one word, so that a token is stored and loaded in equal pieces: copied as a whole right after it
    /// was stored in parts, it costs a stall of a dozen cycles. 32 bits for each are enough, no server takes a text of 4 GiB.
    span: u64,
}

const NO_TOKEN: Lexeme = Lexeme::new(LexemeKind::End, 0, 0);

impl Lexeme {
    const fn new(kind: LexemeKind, start: usize, end: usize) -> Self {
        Self { kind, span: (start as u64) << 32 | (end as u64 & 0xffff_ffff) }
    }

    pub(super) const fn start(self) -> usize {
        (self.span >> 32) as usize
    }

    pub(super) const fn end(self) -> usize {
        (self.span & 0xffff_ffff) as usize
    }

    pub(super) const fn length(self) -> usize {
        self.end() - self.start()
    }
}

pub(super) struct Reader<'a> {
    pub(super) lexer: Lexer<'a>,
    pub(super) state: StateKinds,
    pub(super) several: bool,
    pub(super) local_infile: bool,
    /// A prepared statement of SQL's own is named.
    pub(super) names_prepared: bool,
    /// No statement so far changes anything.
    reads_only: bool,
    /// A statement has begun.
    pub(super) begun: bool,
    /// A semicolon has been seen.
    pub(super) ended: bool,
    /// What the statements so far do to a transaction.
    pub(super) effect: Notes,
    /// What they need of their session and leave in it.
    pub(super) ties: Ties,

    // The current statement.
    pub(super) mode: Mode,
    /// `mode` wants to see every token before it is taken.
    pub(super) watched: bool,
    /// This statement changes nothing, as far as it has been read.
    pub(super) reads: bool,
    /// A name before `(` can be a call.
    pub(super) calls: bool,
    /// `name@host` can be an account.
    pub(super) accounts: bool,
    /// A global variable has been set.
    pub(super) global: bool,
    pub(super) depth: u32,
    pub(super) last: Lexeme,
    /// The token before the name that `last` is, or ends: before `a` in `a.b.c`.
    pub(super) before: Lexeme,
    pub(super) qualified: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sql: &'a [u8]) -> Self {
        Self {
            lexer: Lexer::new(sql),
            state: StateKinds::NONE,
            several: false,
            local_infile: false,
            names_prepared: false,
            reads_only: true,
            begun: false,
            ended: false,
            effect: Notes::default(),
            ties: Ties::default(),
            mode: Mode::Start,
            watched: true,
            reads: false,
            calls: true,
            accounts: false,
            global: false,
            depth: 0,
            last: NO_TOKEN,
            before: NO_TOKEN,
            qualified: false,
        }
    }

    pub(super) fn run(mut self) -> Reading {
        if self.lexer.is_longer_than_packets() {
            self.unknown();
            return self.reading();
        }
        loop {
            let (kind, start) = self.lexer.next();
            let token = Lexeme::new(kind, start, self.lexer.end());
            if matches!(kind, LexemeKind::End | LexemeKind::Semicolon) {
                self.end_statement();
                if kind == LexemeKind::End {
                    return self.reading();
                }
                self.ended = true;
                continue;
            }
            if self.watched {
                self.watch(token);
            }
            self.take(token);
        }
    }

    fn reading(mut self) -> Reading {
        if self.lexer.odd {
            self.unknown();
            self.ties.end_statement();
            self.ties.of_odd_text(!self.lexer.has_semicolon());
        }
        let (needs, leaves_for_others) = self.ties.of_text();
        let effect = self.effect.of_text(self.begun, &self.lexer);
        Reading {
            state: self.state,
            effect,
            needs,
            leaves_for_others,
            gives: self.ties.gives_at_all(),
            several: self.several,
            local_infile: self.local_infile,
            names_prepared: self.names_prepared,
            reads_only: self.reads_only && self.begun && self.state.is_neutral(),
        }
    }

    fn end_statement(&mut self) {
        self.finish();
        if !matches!(self.mode, Mode::Start) {
            self.reads_only &= self.reads;
            self.effect.end_statement(self.last.end(), self.lexer.odd);
            self.ties.end_statement();
        }
        self.mode = Mode::Start;
        self.watched = true;
        self.reads = false;
        self.calls = true;
        self.accounts = false;
        self.global = false;
        self.depth = 0;
        self.last = NO_TOKEN;
        self.before = NO_TOKEN;
        self.qualified = false;
    }

    /// Not recognised as neutral: any state, any effect.
    pub(super) fn unknown(&mut self) {
        self.leaves(StateKinds::UNKNOWN);
        self.ties.unsure();
        self.several = true;
        self.reads = false;
    }

    pub(super) fn leaves(&mut self, kinds: StateKinds) {
        self.state = self.state.union(kinds);
    }

    pub(super) fn text(&self, token: Lexeme) -> &'a [u8] {
        self.lexer.text(token.start(), token.end())
    }

    /// The text of a quoted name, without the quotes.
    pub(super) fn unquoted(&self, token: Lexeme) -> &'a [u8] {
        self.lexer.text(token.start() + 1, token.end().saturating_sub(1))
    }

    /// The statement makes something that later ones can use.
    pub(super) fn makes(&mut self, kind: StateKinds) {
        self.leaves(kind);
        if !self.lexer.odd {
            self.ties.makes(kind);
        }
    }

    /// The statement begins something that has to be ended.
    pub(super) fn opens(&mut self, kind: StateKinds) {
        self.leaves(kind);
        if !self.lexer.odd {
            self.ties.opens(kind);
        }
    }

    /// The statement uses something that earlier ones have made.
    pub(super) fn uses(&mut self, kind: StateKinds) {
        self.leaves(kind);
        self.ties.uses(kind);
    }

    /// The statement ends what an earlier one has begun.
    pub(super) fn ends(&mut self, kind: StateKinds) {
        self.leaves(kind);
        self.ties.ends(kind);
    }

    #[inline(always)]
    fn take(&mut self, token: Lexeme) {
        match token.kind {
            LexemeKind::Word => {
                self.word(token);
                return;
            }
            LexemeKind::Backquoted | LexemeKind::DoubleQuoted => self.begin_name(),
            LexemeKind::Open => {
                self.open(token);
                self.depth += 1;
            }
            LexemeKind::Close => self.depth = self.depth.saturating_sub(1),
            LexemeKind::At => self.at(token),
            LexemeKind::Dot => {
                let name =
                    matches!(self.last.kind, LexemeKind::Word | LexemeKind::Backquoted | LexemeKind::DoubleQuoted);
                if !name {
                    self.before = token;
                }
            }
            LexemeKind::Text
            | LexemeKind::Number
            | LexemeKind::Placeholder
            | LexemeKind::Variable
            | LexemeKind::Comma
            | LexemeKind::Equals
            | LexemeKind::Colon
            | LexemeKind::Semicolon
            | LexemeKind::Operator
            | LexemeKind::End => {}
            LexemeKind::AtAt => self.system_variable(),
        }
        self.last = token;
    }

    #[inline(always)]
    fn begin_name(&mut self) {
        self.qualified = self.last.kind == LexemeKind::Dot;
        if !self.qualified {
            self.before.kind = self.last.kind;
            self.before.span = self.last.span;
        }
    }

    #[inline(always)]
    fn word(&mut self, token: Lexeme) {
        // `:name` is one of the driver's named parameters
        let variable = matches!(self.last.kind, LexemeKind::At | LexemeKind::AtAt)
            || (self.last.kind == LexemeKind::Colon && self.last.end() == token.start());
        self.begin_name();
        self.last = token;
        if variable {
            self.last.kind = LexemeKind::Variable;
        } else if self.reads {
            self.read_on(token);
        } else if token.length() == 5 && is(self.text(token), b"VALUE") {
            self.sequence();
        }
    }

    /// `NEXT VALUE FOR s`, `PREVIOUS VALUE FOR s`: true for the first, which writes.
    fn sequence(&mut self) -> bool {
        let before = Capitals::new(self.text(self.before));
        match before.as_bytes() {
            b"NEXT" => {
                self.ties.provides(StateKinds::SEQUENCE);
                true
            }
            b"PREVIOUS" if self.goes_on_with(b"FOR") => {
                self.ties.uses(StateKinds::SEQUENCE);
                false
            }
            _ => false,
        }
    }

    pub(super) fn goes_on_with(&self, word: &[u8]) -> bool {
        let mut ahead = self.lexer;
        let (_, start) = ahead.next();
        is(ahead.text(start, ahead.end()), word)
    }

    /// Some words show that a query may change something.
    #[inline(always)]
    fn read_on(&mut self, token: Lexeme) {
        let writes = match token.length() {
            4 => is(self.text(token), b"INTO"),
            5 => is(self.text(token), b"VALUE") && self.sequence(),
            6 if self.mode == Mode::With => {
                let word = self.text(token);
                is(word, b"UPDATE") || is(word, b"DELETE") || is(word, b"INSERT")
            }
            7 => {
                let word = self.text(token);
                is(word, b"NEXTVAL")
                    || (self.mode == Mode::With && is(word, b"REPLACE"))
                    || (self.mode == Mode::Explain && is(word, b"ANALYZE"))
            }
            _ => false,
        };
        if writes {
            self.reads = false;
        }
    }

    /// `@`, not `@@`: a user variable, unless it joins a name to a host where accounts are named.
    fn at(&mut self, token: Lexeme) {
        let name = matches!(
            self.last.kind,
            LexemeKind::Word | LexemeKind::Backquoted | LexemeKind::DoubleQuoted | LexemeKind::Text
        );
        if !(self.accounts && name && self.last.end() == token.start()) {
            self.leaves(StateKinds::USER_VARIABLES);
            // `CREATE USER u @ h`: with a blank between it may be either.
            if !self.lexer.odd && !self.accounts {
                self.user_variable();
            }
        }
    }

    /// `@@name`, `@@session.name`: some return something about the statements before.
    fn system_variable(&mut self) {
        if self.mode == Mode::SetTarget {
            return;
        }
        let mut ahead = self.lexer;
        let mut next = || {
            let (kind, start) = ahead.next();
            let quoted = usize::from(kind == LexemeKind::Backquoted);
            Capitals::new(ahead.text(start + quoted, ahead.end().saturating_sub(quoted)))
        };
        let mut name = next();
        if matches!(name.as_bytes(), b"SESSION" | b"LOCAL") && next().as_bytes() == b"." {
            name = next();
        }
        match name.as_bytes() {
            b"LAST_INSERT_ID" | b"IDENTITY" => self.ties.uses(StateKinds::INSERT_ID),
            b"WARNING_COUNT" | b"ERROR_COUNT" | b"LAST_GTID" => self.ties.uses(StateKinds::DIAGNOSTICS),
            _ => {}
        }
    }
}
