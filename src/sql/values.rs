//! What those see of a text who look at what runs: its first word, and all of it without the values.

use super::lexer::{LexemeKind, Lexer};

/// The first word of a text, as it is written; empty if it begins with anything else, a comment for example.
#[cfg_attr(not(any(feature = "tracing", feature = "metrics")), allow(dead_code))]
pub(crate) fn first_word(sql: &[u8]) -> &[u8] {
    let text = sql.trim_ascii_start();
    let length = text.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    &text[..length]
}

/// The text with a `?` for each string and number, and without its comments. `None` where it is not certain what is a string.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
pub(crate) fn without_values(sql: &[u8]) -> Option<String> {
    let mut lexer = Lexer::new(sql);
    let mut shown = Vec::with_capacity(sql.len());
    let mut before = 0;
    loop {
        let (kind, start) = lexer.next();
        let gap = lexer.text(before, start);
        if gap.iter().all(u8::is_ascii_whitespace) {
            shown.extend_from_slice(gap);
        } else {
            // a comment
            shown.push(b' ');
        }
        before = lexer.end();
        let text = lexer.text(start, before);
        if kind == LexemeKind::End {
            break;
        }
        let is_value = match text.first() {
            // `0x1F`, `1e5` are words
            Some(first) if kind == LexemeKind::Word => first.is_ascii_digit(),
            _ => matches!(kind, LexemeKind::Text | LexemeKind::DoubleQuoted | LexemeKind::Number),
        };
        shown.extend_from_slice(if is_value { b"?" } else { text });
    }
    if lexer.odd { None } else { String::from_utf8(shown).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_numbers_are_left_out_wherever_they_stand() {
        for (sql, shown) in [
            ("SELECT name FROM item WHERE id = 7", "SELECT name FROM item WHERE id = ?"),
            (
                "INSERT INTO t2 VALUES (1, 'it''s', -2.5, 0x1F, 1e-5, \"so\")",
                "INSERT INTO t2 VALUES (?, ??, -?, ?, ?-?, ?)",
            ),
            ("SELECT `a 1` /* 's3cret' */ FROM t -- 4711\nWHERE x = ?", "SELECT `a 1` FROM t WHERE x = ?"),
            ("CREATE USER a IDENTIFIED BY 's3cret'", "CREATE USER a IDENTIFIED BY ?"),
            ("SELECT X'41', N'b', _utf8'c', .5", "SELECT X?, N?, _utf8?, .?"),
            ("  ", "  "),
        ] {
            assert_eq!(without_values(sql.as_bytes()).as_deref(), Some(shown), "{sql}");
        }
    }

    #[test]
    fn a_text_whose_strings_depend_on_the_servers_settings_is_not_shown() {
        for sql in ["SELECT 'a\\' , 's3cret'", "SELECT 's3cret", "SELECT /*! 's3cret' */ 1"] {
            assert_eq!(without_values(sql.as_bytes()), None, "{sql}");
        }
    }
}
