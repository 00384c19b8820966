//! The guard's table: the texts of the statements on it.

use crate::statement::Token;

/// The longest token that the table takes, and the longest payload.
pub(super) const LONGEST_TOKEN: usize = 255;
pub(super) const LONGEST_PAYLOAD: usize = 4096;

/// The table: its name, and its database if that was named or is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    database: Option<String>,
    name: String,
    /// Quoted for SQL.
    quoted: String,
}

impl Default for Table {
    fn default() -> Self {
        Table::new("mysql_retry_guard")
    }
}

impl Table {
    pub(crate) fn new(name: &str) -> Self {
        match name.split_once('.') {
            Some((database, name)) => Table::of(Some(database), name),
            None => Table::of(None, name),
        }
    }

    fn of(database: Option<&str>, name: &str) -> Self {
        let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
        let parts: Vec<String> = database.into_iter().chain([name]).map(quoted).collect();
        Table { database: database.map(str::to_owned), name: name.to_owned(), quoted: parts.join(".") }
    }

    /// The same table in this database, unless it was named with one. So a `USE` of the caller does not change the table.
    pub(crate) fn in_database(&self, database: Option<&str>) -> Self {
        match (&self.database, database) {
            (None, Some(_)) => Table::of(database, &self.name),
            (Some(_), _) | (None, None) => self.clone(),
        }
    }

    pub(super) fn is_named_in(&self, text: &[u8]) -> bool {
        let name = self.name.as_bytes();
        let Some(first) = name.first() else { return false };
        let begins = |part: &[u8]| part[0].eq_ignore_ascii_case(first);
        text.windows(name.len()).any(|part| begins(part) && part.eq_ignore_ascii_case(name))
    }

    pub(crate) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\
             token VARBINARY({LONGEST_TOKEN}) NOT NULL PRIMARY KEY, \
             owner BINARY(16) NOT NULL, \
             payload VARBINARY({LONGEST_PAYLOAD}), \
             created TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, \
             KEY created (created)) ENGINE=InnoDB",
            self.quoted
        )
    }

    /// Takes the token for a transaction. It waits for a transaction that has taken it before.
    pub(super) fn take(&self, token: &Token, owner: &[u8; 16]) -> String {
        format!("INSERT INTO {} (token, owner) VALUES ({}, {})", self.quoted, hex(token.as_bytes()), hex(owner))
    }

    pub(super) fn note(&self, token: &Token, payload: &[u8]) -> String {
        format!("UPDATE {} SET payload = {} WHERE token = {}", self.quoted, hex(payload), hex(token.as_bytes()))
    }

    pub(super) fn find(&self, token: &Token) -> String {
        format!("SELECT owner, payload FROM {} WHERE token = {}", self.quoted, hex(token.as_bytes()))
    }

    /// Changes the owner of a token's row.
    pub(super) fn own(&self, token: &Token, owner: &[u8; 16], payload: Option<&[u8]>) -> String {
        let payload = payload.map_or(String::new(), |payload| format!(", payload = {}", hex(payload)));
        format!("UPDATE {} SET owner = {}{payload} WHERE token = {}", self.quoted, hex(owner), hex(token.as_bytes()))
    }

    /// Writes a row if there is none.
    pub(super) fn spoil(&self, token: &Token, owner: &[u8; 16]) -> String {
        format!("INSERT IGNORE INTO {} (token, owner) VALUES ({}, {})", self.quoted, hex(token.as_bytes()), hex(owner))
    }

    /// Removes up to `limit` tokens that are older than `seconds`. Rows with the mark of work that was done in part stay.
    ///
    /// The age is counted in seconds of UTC, because local time jumps at the beginning and the end of summer time. The first
    /// comparison is for the index. In the hour that is repeated in autumn a local time stands for two points in time, which
    /// the second comparison distinguishes.
    pub(crate) fn purge(&self, seconds: u64, but_of: &[u8; 16], limit: u32) -> String {
        // 35,000 years, without overflow
        let seconds = seconds.min(1 << 40);
        let before = format!("CAST(UNIX_TIMESTAMP() AS SIGNED) - {seconds}");
        format!(
            "DELETE FROM {} WHERE created < FROM_UNIXTIME({before}) AND UNIX_TIMESTAMP(created) < {before} \
             AND owner <> {} LIMIT {limit}",
            self.quoted,
            hex(but_of)
        )
    }

    /// Asks for the current database, and for the kind and the engine of the table.
    pub(crate) fn definition(&self) -> String {
        let schema = self.database.as_deref().map_or("DATABASE()".into(), text);
        format!(
            "SELECT DATABASE(), (SELECT MAX(CONCAT(TABLE_TYPE, '/', COALESCE(ENGINE, ''))) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {})",
            text(&self.name)
        )
    }

    /// Why a table of this kind and engine cannot be used.
    pub(crate) fn objection(&self, definition: &str) -> Option<String> {
        let (kind, engine) = definition.rsplit_once('/')?;
        match kind {
            "VIEW" | "SYSTEM VIEW" | "SEQUENCE" | "TEMPORARY" => {
                let kind = kind.to_lowercase();
                Some(format!("the guard's table {self} is a {kind}: give guard_table() the name of a table of its own"))
            }
            _ if engine.eq_ignore_ascii_case("InnoDB") => None,
            _ => Some(format!("the guard's table {self} is not transactional: ALTER TABLE {self} ENGINE=InnoDB")),
        }
    }
}

/// A literal that means the same under each `sql_mode`.
fn text(name: &str) -> String {
    format!("CONVERT({} USING utf8)", hex(name.as_bytes()))
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.quoted)
    }
}

/// A literal that means the same under each `sql_mode` and character set.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2 + 3);
    text.push_str("x'");
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
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
    fn a_name_is_found_in_a_text_in_any_case() {
        let table = Table::new("d.Guard");
        assert!(table.is_named_in(b"SELECT 1 FROM d.gUARD"));
        assert!(table.is_named_in(b"guard"));
        assert!(!table.is_named_in(b"SELECT * FROM guar, g, gu"));
        assert!(!table.is_named_in(b""));
    }

    #[test]
    fn values_are_hexadecimal() {
        let table = Table::default();
        assert_eq!(table.find(&"a'".into()), "SELECT owner, payload FROM `mysql_retry_guard` WHERE token = x'6127'");
        assert_eq!(hex(&[0, 0x0f, 0xf0, 0xff]), "x'000ff0ff'");
        assert_eq!(hex(b""), "x''");
    }
}
