//! What each byte begins: one look into a table instead of a chain of comparisons.

/// What a byte begins outside strings and comments.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Space,
    Letter,
    Dollar,
    Digit,
    /// Not ASCII: part of a name.
    High,
    SingleQuote,
    DoubleQuote,
    Backquote,
    Open,
    Close,
    Comma,
    Dot,
    At,
    Equals,
    Colon,
    Semicolon,
    Question,
    Dash,
    Hash,
    Slash,
    Operator,
    /// Not part of SQL outside strings and comments.
    Odd,
}

const fn classes() -> [Class; 256] {
    let mut table = [Class::Odd; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b' ' | b'\t'..=b'\r' => Class::Space,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => Class::Letter,
            b'$' => Class::Dollar,
            b'0'..=b'9' => Class::Digit,
            0x80..=0xff => Class::High,
            b'\'' => Class::SingleQuote,
            b'"' => Class::DoubleQuote,
            b'`' => Class::Backquote,
            b'(' => Class::Open,
            b')' => Class::Close,
            b',' => Class::Comma,
            b'.' => Class::Dot,
            b'@' => Class::At,
            b'=' => Class::Equals,
            b':' => Class::Colon,
            b';' => Class::Semicolon,
            b'?' => Class::Question,
            b'-' => Class::Dash,
            b'#' => Class::Hash,
            b'/' => Class::Slash,
            b'+' | b'*' | b'%' | b'<' | b'>' | b'!' | b'&' | b'|' | b'^' | b'~' | b'{' | b'}' => Class::Operator,
            _ => Class::Odd,
        };
        byte += 1;
    }
    table
}

/// The class of each byte.
pub(super) static CLASSES: [Class; 256] = classes();
