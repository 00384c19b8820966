//! Looks up a word that stands before `(`: in a hash table that the compiler builds from the lists.

use super::lists::{FUNCTIONS, KEYWORDS, MARIADB_FUNCTIONS, MYSQL_FUNCTIONS, SPACED_FUNCTIONS};

/// What `word (` is, judged by the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A keyword, or a built-in function that leaves nothing behind.
    Neutral,
    /// A built-in function if nothing stands between the name and the parenthesis; else it may be a stored one.
    BuiltInIfDirectly,
    /// Takes a user-level lock.
    GetLock,
    /// Frees a user-level lock.
    ReleaseLock,
    /// Frees all user-level locks.
    ReleaseAllLocks,
    /// Reads the state of a user-level lock.
    UserLock,
    /// Sets the session's value if it has an argument, else returns it.
    LastInsertId,
    /// Returns something about the statement before.
    Diagnostics,
    /// Returns the last value of a sequence.
    LastValue,
    /// Advances or sets a sequence, which outlives the session.
    Writes,
    /// None of these.
    Unlisted,
}

// Locking Functions, in both manuals. MySQL's locking service functions are loadable, hence unlisted.
const USER_LOCKS: &[&str] = &["IS_FREE_LOCK", "IS_USED_LOCK"];
const WRITES: &[&str] = &["NEXTVAL", "SETVAL"];

const GROUPS: [(Name, &[&str]); 13] = [
    (Name::Neutral, KEYWORDS),
    (Name::Neutral, FUNCTIONS),
    (Name::Neutral, MYSQL_FUNCTIONS),
    (Name::Neutral, MARIADB_FUNCTIONS),
    (Name::BuiltInIfDirectly, SPACED_FUNCTIONS),
    (Name::GetLock, &["GET_LOCK"]),
    (Name::ReleaseLock, &["RELEASE_LOCK"]),
    (Name::ReleaseAllLocks, &["RELEASE_ALL_LOCKS"]),
    (Name::Diagnostics, &["FOUND_ROWS", "ROW_COUNT", "WSREP_LAST_SEEN_GTID", "WSREP_LAST_WRITTEN_GTID"]),
    (Name::LastValue, &["LASTVAL"]),
    (Name::UserLock, USER_LOCKS),
    (Name::LastInsertId, &["LAST_INSERT_ID"]),
    (Name::Writes, WRITES),
];

/// A power of two, about four times the number of names, so that few slots are shared.
const SLOTS: usize = 2048;

/// Open addressing: a name stands in its slot or in the next free one.
static TABLE: [Option<(&str, Name)>; SLOTS] = table();

const fn table() -> [Option<(&'static str, Name)>; SLOTS] {
    let mut table = [None; SLOTS];
    let mut group = 0;
    while group < GROUPS.len() {
        let (name, words) = GROUPS[group];
        let mut index = 0;
        while index < words.len() {
            let mut slot = slot(words[index].as_bytes());
            while table[slot].is_some() {
                slot = (slot + 1) % SLOTS;
            }
            table[slot] = Some((words[index], name));
            index += 1;
        }
        group += 1;
    }
    table
}

/// Five bytes and the length distinguish the names well enough. Case does not count: it is the bit that is masked.
const fn slot(word: &[u8]) -> usize {
    let length = word.len();
    if length == 0 {
        return 0;
    }
    let bytes = [
        word[0],
        word[length / 4],
        word[length / 2],
        word[length - length / 4 - 1],
        word[length - 1],
        length as u8,
        0,
        0,
    ];
    let bits = u64::from_le_bytes(bytes) & 0x00ff_dfdf_dfdf_dfdf;
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize
}

/// What the unquoted, unqualified `word` is when `(` follows.
pub(super) fn name(word: &[u8]) -> Name {
    let mut slot = slot(word);
    // The table is never full, so this ends.
    while let Some((known, name)) = TABLE[slot] {
        if known.as_bytes().eq_ignore_ascii_case(word) {
            return name;
        }
        slot = (slot + 1) % SLOTS;
    }
    Name::Unlisted
}

/// True if `word` is `keyword`, which is in capitals, in whatever case.
pub(super) fn is(word: &[u8], keyword: &[u8]) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

/// `word` in capitals, in a buffer on the stack, for a `match` over keywords. No keyword of interest is longer than the
/// buffer (`NO_WRITE_TO_BINLOG`): what does not fit comes out empty.
pub(super) struct Capitals {
    bytes: [u8; 20],
    length: usize,
}

impl Capitals {
    #[inline]
    pub(super) fn new(word: &[u8]) -> Self {
        let mut bytes = [0; 20];
        let length = if word.len() <= bytes.len() { word.len() } else { 0 };
        for (to, from) in bytes.iter_mut().zip(word.iter().take(length)) {
            *to = from.to_ascii_uppercase();
        }
        Self { bytes, length }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
