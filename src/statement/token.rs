//! What identifies a piece of work that is to be done once.

use std::fmt;

use crate::random::random;

/// The name of a piece of work that is to be done exactly once: an order number, the id of a message.
///
/// A name that the caller chooses holds across processes and restarts: the work is done once, whichever process comes with
/// the name. A [random](Token::random) one holds within one call.
///
/// At most 255 bytes, which are compared as they are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Token(Vec<u8>);

impl Token {
    /// A random name, different from all others.
    pub fn random() -> Self {
        Token(random_bytes().to_vec())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

pub(crate) fn random_bytes() -> [u8; 16] {
    (u128::from(random()) << 64 | u128::from(random())).to_le_bytes()
}

impl From<&str> for Token {
    fn from(name: &str) -> Self {
        Token(name.as_bytes().to_vec())
    }
}

impl From<String> for Token {
    fn from(name: String) -> Self {
        Token(name.into_bytes())
    }
}

impl From<&[u8]> for Token {
    fn from(name: &[u8]) -> Self {
        Token(name.to_vec())
    }
}

impl From<Vec<u8>> for Token {
    fn from(name: Vec<u8>) -> Self {
        Token(name)
    }
}

impl From<&Token> for Token {
    fn from(token: &Token) -> Self {
        token.clone()
    }
}

/// The number as text, so that it reads the same in the table.
impl From<u64> for Token {
    fn from(number: u64) -> Self {
        Token(number.to_string().into_bytes())
    }
}

// Not derived: a token may be a secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_differ() {
        let tokens: std::collections::HashSet<_> = (0..1000).map(|_| Token::random()).collect();
        assert_eq!(tokens.len(), 1000);
    }

    #[test]
    fn a_number_is_its_text() {
        assert_eq!(Token::from(42), Token::from("42"));
    }

    #[test]
    fn a_token_is_not_printed() {
        assert_eq!(format!("{:?}", Token::from("secret")), "Token(6 bytes)");
    }
}
