//! The kinds of session state that a statement may leave behind.

use std::fmt;

/// A set of kinds of session state, small enough to be copied.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StateKinds(u16);

/// Each kind by itself, in the order in which [`StateKinds::names`] returns them.
const NAMED: [(StateKinds, &str); 14] = [
    (StateKinds::USER_VARIABLES, "user variables"),
    (StateKinds::SESSION_VARIABLES, "session variables"),
    (StateKinds::ROLE, "the role"),
    (StateKinds::DATABASE, "the current database"),
    (StateKinds::TEMPORARY_TABLE, "temporary tables"),
    (StateKinds::TABLE_LOCKS, "table locks"),
    (StateKinds::USER_LOCK, "user-level locks"),
    (StateKinds::PREPARED, "SQL prepared statements"),
    (StateKinds::HANDLER, "open handlers"),
    (StateKinds::TRANSACTION, "the transaction"),
    (StateKinds::INSERT_ID, "the last insert id"),
    (StateKinds::SEQUENCE, "the last value of a sequence"),
    (StateKinds::DIAGNOSTICS, "what the last statement told of itself"),
    (StateKinds::UNKNOWN, "whatever a statement that was not recognised has left"),
];

impl StateKinds {
    /// Nothing is left behind.
    pub(crate) const NONE: Self = Self(0);
    /// `@name`, set or read: a read on another connection returns another value.
    pub(crate) const USER_VARIABLES: Self = Self(1);
    /// `SET ..`, and `LAST_INSERT_ID(expr)`.
    pub(crate) const SESSION_VARIABLES: Self = Self(1 << 1);
    /// `USE`, and dropping a database, which may be the current one.
    pub(crate) const DATABASE: Self = Self(1 << 2);
    /// `CREATE TEMPORARY ..`, `DROP TEMPORARY ..`.
    pub(crate) const TEMPORARY_TABLE: Self = Self(1 << 3);
    /// `LOCK TABLES`, `FLUSH TABLES WITH READ LOCK`, the locks for a backup, and their release.
    pub(crate) const TABLE_LOCKS: Self = Self(1 << 4);
    /// `GET_LOCK` and its family.
    pub(crate) const USER_LOCK: Self = Self(1 << 5);
    /// `PREPARE`, `EXECUTE`, `DEALLOCATE` as SQL text.
    pub(crate) const PREPARED: Self = Self(1 << 6);
    /// `HANDLER t OPEN` and the rest of it.
    pub(crate) const HANDLER: Self = Self(1 << 7);
    /// Begins or ends a transaction or changes its mode, `SET autocommit` included.
    pub(crate) const TRANSACTION: Self = Self(1 << 8);
    /// `SET ROLE`
    pub(crate) const ROLE: Self = Self(1 << 10);
    /// Not recognised as neutral: it may leave anything.
    pub(crate) const UNKNOWN: Self = Self(1 << 9);

    /// What `LAST_INSERT_ID()` returns.
    pub(crate) const INSERT_ID: Self = Self(1 << 11);
    /// What `LASTVAL(s)` and `PREVIOUS VALUE FOR s` return.
    pub(crate) const SEQUENCE: Self = Self(1 << 12);
    /// What `FOUND_ROWS()`, `ROW_COUNT()` and `SHOW WARNINGS` return.
    pub(crate) const DIAGNOSTICS: Self = Self(1 << 13);
    /// What nearly every statement leaves, and only statements that ask for it depend on. No reason to reset a connection.
    pub(crate) const TOLD: Self = Self::INSERT_ID.union(Self::SEQUENCE).union(Self::DIAGNOSTICS);
    pub(super) const ALL: Self = Self(u16::MAX);

    /// True if nothing is left behind except what nearly every statement leaves.
    pub(crate) const fn is_neutral(self) -> bool {
        self.0 & !Self::TOLD.0 == 0
    }

    /// The kinds that a later statement may depend on without asking for them.
    pub(crate) const fn lasting(self) -> Self {
        self.without(Self::TOLD)
    }

    /// The kinds that only statements that ask for them depend on.
    pub(crate) const fn told(self) -> Self {
        self.intersection(Self::TOLD)
    }

    /// True if the set is empty.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True if every kind of `other` is in this set.
    pub(crate) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The kinds of both sets.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The kinds that are in both sets.
    pub(crate) const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kinds of this set that are not in the other.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kinds in plain words, such as "user variables".
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        NAMED.iter().filter(move |(kind, _)| self.contains(*kind)).map(|(_, name)| *name)
    }
}

impl fmt::Debug for StateKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
