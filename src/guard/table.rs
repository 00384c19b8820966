//! The guard's table: what is sent about it.

use std::fmt::Write as _;

use super::token::Token;

/// The longest token that the table takes, and the longest payload.
pub(super) const LONGEST_TOKEN: usize = 255;
pub(super) const LONGEST_PAYLOAD: usize = 4096;

/// The name of the table, quoted for SQL; it may be qualified with a database.
#[derive(Clone, Debug)]
pub(crate) struct Table(String);

impl Default for Table {
    fn default() -> Self {
        Table::new("mysql_retry_guard")
    }
}

impl Table {
    pub(crate) fn new(name: &str) -> Self {
        let parts: Vec<String> = name.split('.').map(|part| format!("`{}`", part.replace('`', "``"))).collect();
        Table(parts.join("."))
    }

    pub(super) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\
             token VARBINARY({LONGEST_TOKEN}) NOT NULL PRIMARY KEY, \
             owner BINARY(16) NOT NULL, \
             payload VARBINARY({LONGEST_PAYLOAD}), \
             created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
             KEY created (created)) ENGINE=InnoDB",
            self.0
        )
    }

    /// Takes the token for a transaction. It waits for a transaction that has taken it before.
    pub(super) fn take(&self, token: &Token, owner: &[u8; 16]) -> String {
        format!("INSERT INTO {} (token, owner) VALUES ({}, {})", self.0, hex(token.as_bytes()), hex(owner))
    }

    pub(super) fn note(&self, token: &Token, payload: &[u8]) -> String {
        format!("UPDATE {} SET payload = {} WHERE token = {}", self.0, hex(payload), hex(token.as_bytes()))
    }

    pub(super) fn find(&self, token: &Token) -> String {
        format!("SELECT owner, payload FROM {} WHERE token = {}", self.0, hex(token.as_bytes()))
    }

    /// Removes some of the tokens that are older than so many seconds.
    pub(super) fn purge(&self, seconds: u64, limit: u32) -> String {
        let table = &self.0;
        format!("DELETE FROM {table} WHERE created < CURRENT_TIMESTAMP - INTERVAL {seconds} SECOND LIMIT {limit}")
    }

    /// Asks for what tells whether a rollback undoes what is done to it.
    pub(super) fn definition(&self) -> String {
        format!("SHOW CREATE TABLE {}", self.0)
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A literal that no `sql_mode` and no character set reads in another way.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        // a string takes everything
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_part_by_part() {
        assert_eq!(Table::new("a.b").to_string(), "`a`.`b`");
        assert_eq!(Table::new("a`b").to_string(), "`a``b`");
    }

    #[test]
    fn values_are_hexadecimal() {
        let table = Table::default();
        assert_eq!(table.find(&"a'".into()), "SELECT owner, payload FROM `mysql_retry_guard` WHERE token = x'6127'");
    }
}
