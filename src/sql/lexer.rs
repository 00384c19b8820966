//! Where words, strings and comments of an SQL text begin and end, without knowing the server's settings.
//!
//! `sql_mode` decides what a backslash in a string does (`NO_BACKSLASH_ESCAPES`) and whether `"` quotes a string or a
//! name (`ANSI_QUOTES`); the connection's character set decides which bytes belong together. The lexer knows
//! neither. Where the text means the same under all of them it yields tokens. Where it does not, or where the
//! text is not SQL, it sets [`Lexer::odd`], and nothing that was read can be relied upon.
//!
//! The rules are those of the chapters 'Lexical Structure', 'Comments' and 'String Literals' of the MySQL manual.

use super::classes::{CLASSES, Class};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LexemeKind {
    /// An unquoted name or keyword, or a number with letters in it (`0x1F`, `1e5`), which may be a name as well.
    Word,
    /// A name in backquotes.
    Backquoted,
    /// In double quotes: a string or a name, as `ANSI_QUOTES` says.
    DoubleQuoted,
    /// A string in single quotes; `'a''b'` is two of them.
    Text,
    /// Digits, with a fraction or without.
    Number,
    /// `?`
    Placeholder,
    /// The name after `@`, `@@` or `:`. The lexer never yields it, the reader puts it in a word's place.
    Variable,
    Open,
    Close,
    Comma,
    Dot,
    /// `@`
    At,
    /// `@@`
    AtAt,
    /// `=`
    Equals,
    /// `:`, not `:=`
    Colon,
    Semicolon,
    /// Any other operator.
    Operator,
    /// No text is left.
    End,
}

/// Yields the tokens of a text, white space and comments left out.
#[derive(Clone, Copy)]
pub(super) struct Lexer<'a> {
    sql: &'a [u8],
    at: usize,
    /// The text is not SQL, means different things under different settings, or holds an executable comment.
    pub(super) odd: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(sql: &'a [u8]) -> Self {
        Self { sql, at: 0, odd: false }
    }

    /// The bytes from `start` to `end`; none if that is not a range of the text.
    pub(super) fn text(&self, start: usize, end: usize) -> &'a [u8] {
        self.sql.get(start..end).unwrap_or_default()
    }

    /// True if positions in the text do not fit into 32 bits.
    pub(super) fn is_longer_than_packets(&self) -> bool {
        u32::try_from(self.sql.len()).is_err()
    }

    /// True if there is a semicolon anywhere, in a string or comment as well.
    #[cold]
    pub(super) fn has_semicolon(&self) -> bool {
        self.sql.contains(&b';')
    }

    /// Where the latest token ended.
    pub(super) fn end(&self) -> usize {
        self.at
    }

    /// The next token: what it is and where it begins.
    #[inline(always)]
    pub(super) fn next(&mut self) -> (LexemeKind, usize) {
        loop {
            let start = self.at;
            let Some(&byte) = self.sql.get(start) else {
                return (LexemeKind::End, start);
            };
            self.at = start + 1;
            let kind = match CLASSES[usize::from(byte)] {
                Class::Space => continue,
                Class::Letter | Class::High => {
                    self.word(start);
                    LexemeKind::Word
                }
                Class::Digit => self.number(start),
                Class::Comma => LexemeKind::Comma,
                Class::SingleQuote => {
                    self.quoted(b'\'');
                    LexemeKind::Text
                }
                Class::Open => LexemeKind::Open,
                Class::Close => LexemeKind::Close,
                Class::Dot => LexemeKind::Dot,
                Class::Equals => LexemeKind::Equals,
                Class::Question => LexemeKind::Placeholder,
                Class::Operator => LexemeKind::Operator,
                Class::Semicolon => LexemeKind::Semicolon,
                Class::Backquote => {
                    self.backquoted(start);
                    LexemeKind::Backquoted
                }
                Class::DoubleQuote => {
                    self.double_quoted(start);
                    LexemeKind::DoubleQuoted
                }
                Class::At => {
                    if self.peek() == Some(b'@') {
                        self.at += 1;
                        LexemeKind::AtAt
                    } else {
                        LexemeKind::At
                    }
                }
                Class::Colon => {
                    if self.peek() == Some(b'=') {
                        self.at += 1;
                        LexemeKind::Operator
                    } else {
                        LexemeKind::Colon
                    }
                }
                Class::Dash => {
                    if self.dashes() {
                        continue;
                    }
                    LexemeKind::Operator
                }
                Class::Hash => {
                    self.line_comment();
                    continue;
                }
                Class::Slash => {
                    if self.peek() == Some(b'*') {
                        self.comment();
                        continue;
                    }
                    LexemeKind::Operator
                }
                Class::Dollar => {
                    // Since MySQL 8.0.34 `$$` and `$tag$` quote the body of a routine.
                    self.odd = true;
                    self.word(start);
                    LexemeKind::Word
                }
                Class::Odd => {
                    self.odd = true;
                    LexemeKind::Operator
                }
            };
            return (kind, start);
        }
    }

    fn peek(&self) -> Option<u8> {
        self.sql.get(self.at).copied()
    }

    /// Goes to the end of a name.
    #[inline(always)]
    fn word(&mut self, start: usize) {
        let mut ascii = self.sql[start] < 0x80;
        while let Some(&byte) = self.sql.get(self.at) {
            let class = CLASSES[usize::from(byte)];
            if class == Class::High {
                ascii = false;
            } else if !matches!(class, Class::Letter | Class::Digit | Class::Dollar) {
                break;
            }
            self.at += 1;
        }
        if !ascii {
            self.foreign_word(start);
        }
    }

    /// In character sets such as gbk a quote character can be the second byte of a letter, in latin1 the byte A0 is
    /// white space. Neither is valid UTF-8.
    #[cold]
    fn foreign_word(&mut self, start: usize) {
        let word = self.text(start, self.at);
        let high_end = word.last().is_some_and(|byte| *byte >= 0x80);
        if std::str::from_utf8(word).is_err() || (high_end && self.peek() == Some(b'`')) {
            self.odd = true;
        }
    }

    #[inline(always)]
    fn number(&mut self, start: usize) -> LexemeKind {
        self.digits();
        match self.peek() {
            Some(b'.') => {
                let after = self.sql.get(self.at + 1);
                if after.is_some_and(u8::is_ascii_digit) {
                    self.at += 1;
                    self.digits();
                }
                LexemeKind::Number
            }
            Some(byte) if matches!(CLASSES[usize::from(byte)], Class::Letter | Class::High | Class::Dollar) => {
                self.word(start);
                LexemeKind::Word
            }
            _ => LexemeKind::Number,
        }
    }

    #[inline(always)]
    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// Goes behind the closing quote. A doubled quote ends one string and begins another, which comes to the same.
    #[inline(always)]
    fn quoted(&mut self, quote: u8) {
        let Some(end) = find(self.sql, self.at, quote) else {
            self.unterminated();
            return;
        };
        // With NO_BACKSLASH_ESCAPES the string ends here, without it the quote may be escaped. An even number of
        // backslashes is no better: in gbk and its kin a backslash can be the second byte of a letter.
        if self.sql[end - 1] == b'\\' {
            self.odd = true;
        }
        self.at = end + 1;
    }

    fn double_quoted(&mut self, start: usize) {
        self.quoted(b'"');
        // As a name it would end at the NUL.
        if self.text(start, self.at).contains(&0) {
            self.odd = true;
        }
    }

    fn backquoted(&mut self, start: usize) {
        let Some(end) = find(self.sql, self.at, b'`') else {
            self.unterminated();
            return;
        };
        let name = self.text(self.at, end);
        let high_end = name.last().is_some_and(|byte| *byte >= 0x80);
        let high_before = start > 0 && self.sql[start - 1] >= 0x80;
        // In gbk and its kin the backquote could be the second byte of a letter: not if all of it is UTF-8.
        if name.contains(&0) || high_before || (high_end && std::str::from_utf8(name).is_err()) {
            self.odd = true;
        }
        self.at = end + 1;
    }

    #[cold]
    fn unterminated(&mut self) {
        self.odd = true;
        self.at = self.sql.len();
    }

    /// True if these dashes began a comment, which is skipped. `--` does so only before white space, a control
    /// character, or the end ('-- Comment Syntax').
    fn dashes(&mut self) -> bool {
        if self.peek() != Some(b'-') {
            return false;
        }
        match self.sql.get(self.at + 1).copied() {
            None | Some(..=b' ' | 0x7f) => {
                self.at += 1;
                self.line_comment();
                true
            }
            Some(byte) => {
                // White space or a control character in some character sets, a letter in others.
                self.odd |= byte >= 0x80;
                false
            }
        }
    }

    fn line_comment(&mut self) {
        let end = find(self.sql, self.at, b'\n').unwrap_or(self.sql.len());
        // The server's lexer takes a NUL for the end of the comment, too.
        self.odd |= self.text(self.at, end).contains(&0);
        self.at = end;
    }

    /// Skips `/* .. */`, `self.at` being at the asterisk.
    fn comment(&mut self) {
        self.at += 1;
        let inside = self.at;
        loop {
            let Some(asterisk) = find(self.sql, self.at, b'*') else {
                self.unterminated();
                return;
            };
            self.at = asterisk + 1;
            if self.peek() == Some(b'/') {
                self.at += 1;
                break;
            }
        }
        let comment = self.text(inside, self.at - 2);
        self.odd |= match comment {
            // run by the server, or by some versions of it
            [b'!', ..] | [b'M', b'!', ..] => true,
            // In an optimizer hint a quoted name may hold what looks like the end of it.
            [b'+', hint @ ..] => hint.iter().any(|byte| matches!(byte, b'`' | b'"' | b'\'' | 0)),
            _ => false,
        };
    }
}

/// The first `wanted` at or behind `from`.
#[inline(always)]
fn find(sql: &[u8], from: usize, wanted: u8) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let pattern = u64::from_le_bytes([wanted; 8]);
    let mut at = from;
    while let Some(chunk) = sql.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        // A byte of `differs` is 0 where the text has the wanted one; the lowest such byte is found exactly.
        let differs = u64::from_le_bytes(*chunk) ^ pattern;
        let zeros = differs.wrapping_sub(ONES) & !differs & HIGHS;
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    while let Some(&byte) = sql.get(at) {
        if byte == wanted {
            return Some(at);
        }
        at += 1;
    }
    None
}
