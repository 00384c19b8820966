//! The statements that the tasks run.

use crate::transaction::accounts;

/// A kind of statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    ReadRow,
    ReadPage,
    Upsert,
    Update,
    Replace,
    Delete,
    Insert,
    Increment,
    Transfer,
    GuardedInsert,
}

impl Kind {
    pub(crate) const ALL: [Kind; 10] = [
        Kind::ReadRow,
        Kind::ReadPage,
        Kind::Upsert,
        Kind::Update,
        Kind::Replace,
        Kind::Delete,
        Kind::Insert,
        Kind::Increment,
        Kind::Transfer,
        Kind::GuardedInsert,
    ];

    /// What the tasks draw from: a kind that is here three times is drawn three times as often.
    pub(crate) const MIX: [Kind; 22] = [
        Kind::ReadRow,
        Kind::ReadRow,
        Kind::ReadRow,
        Kind::ReadPage,
        Kind::Upsert,
        Kind::Upsert,
        Kind::Upsert,
        Kind::Update,
        Kind::Update,
        Kind::Replace,
        Kind::Replace,
        Kind::Delete,
        Kind::Insert,
        Kind::Insert,
        Kind::Insert,
        Kind::Increment,
        Kind::Increment,
        Kind::Transfer,
        Kind::Transfer,
        Kind::Transfer,
        Kind::GuardedInsert,
        Kind::GuardedInsert,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::ReadRow => "SELECT of a row",
            Kind::ReadPage => "SELECT of 200 rows",
            Kind::Upsert => "keyed upsert",
            Kind::Update => "UPDATE .. SET v = x",
            Kind::Replace => "REPLACE",
            Kind::Delete => "DELETE by key",
            Kind::Insert => "plain INSERT",
            Kind::Increment => "plain v = v + 1",
            Kind::Transfer => "transfer",
            Kind::GuardedInsert => "guarded INSERT",
        }
    }

    pub(crate) fn sql(self) -> &'static str {
        match self {
            Kind::ReadRow => "SELECT v FROM upserted WHERE k = ?",
            Kind::ReadPage => "SELECT n, filler FROM page ORDER BY n",
            Kind::Upsert => "INSERT INTO upserted (k, v) VALUES (?, ?) ON DUPLICATE KEY UPDATE v = ?",
            Kind::Update => "UPDATE updated SET v = ? WHERE k = ?",
            Kind::Replace => "REPLACE INTO replaced (k, v) VALUES (?, ?)",
            Kind::Delete => "DELETE FROM upserted WHERE k = ?",
            Kind::Insert | Kind::GuardedInsert => "INSERT INTO ledger (number) VALUES (?)",
            // the last statement of its transaction
            Kind::Transfer => "INSERT INTO transfer (number, payer, payee) VALUES (?, ?, ?)",
            Kind::Increment => "UPDATE counter SET n = n + 1, number = ? WHERE task = ?",
        }
    }

    /// What the placeholders stand for. `key` is the task for a counter.
    pub(crate) fn params(self, key: u64, number: u64) -> Vec<u64> {
        match self {
            Kind::ReadRow | Kind::Delete => vec![key],
            Kind::ReadPage => vec![],
            Kind::Upsert => vec![key, number, number],
            Kind::Update | Kind::Increment => vec![number, key],
            Kind::Replace => vec![key, number],
            Kind::Insert | Kind::GuardedInsert => vec![number],
            Kind::Transfer => {
                let (payer, payee) = accounts(key);
                vec![number, payer, payee]
            }
        }
    }

    /// Whether it may run twice, and is annotated accordingly.
    pub(crate) fn is_idempotent(self) -> bool {
        !matches!(self, Kind::Insert | Kind::Increment | Kind::Transfer | Kind::GuardedInsert)
    }

    /// The table with a key that it writes to.
    pub(crate) fn keyed_table(self) -> Option<&'static str> {
        match self {
            Kind::Upsert | Kind::Delete => Some("upserted"),
            Kind::Update => Some("updated"),
            Kind::Replace => Some("replaced"),
            Kind::ReadRow | Kind::ReadPage | Kind::Insert | Kind::Increment | Kind::Transfer | Kind::GuardedInsert => {
                None
            }
        }
    }
}
