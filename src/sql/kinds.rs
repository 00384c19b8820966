//! The kinds of session state that a statement may leave behind.

use std::fmt;

/// A kind of session state, of which [`Error::lost_state`](crate::Error::lost_state) tells what was lost, and
/// [`Session::state`](crate::Session::state) what there is. It displays as what it is in plain words, such as "user
/// variables".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateKind {
    /// User variables, `@name`.
    UserVariables,
    /// Session variables: `SET ..`, and `LAST_INSERT_ID(expr)`.
    SessionVariables,
    /// The role: `SET ROLE`.
    Role,
    /// The current database: `USE`, and `DROP DATABASE`, which may be the current one.
    Database,
    /// Temporary tables.
    TemporaryTables,
    /// `LOCK TABLES`, `FLUSH TABLES WITH READ LOCK`, the locks for a backup.
    TableLocks,
    /// The locks of `GET_LOCK` and its family.
    UserLocks,
    /// What was prepared by the text `PREPARE`.
    PreparedStatements,
    /// What `HANDLER .. OPEN` opened.
    Handlers,
    /// An open transaction, or the mode of those to come (`SET autocommit`).
    Transaction,
    /// What `LAST_INSERT_ID()` returns.
    InsertId,
    /// What `LASTVAL(s)` and `PREVIOUS VALUE FOR s` return.
    Sequence,
    /// What `FOUND_ROWS()`, `ROW_COUNT()` and `SHOW WARNINGS` return.
    Diagnostics,
    /// Whatever a statement has left that was not recognised.
    Unknown,
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateKind::UserVariables => "user variables",
            StateKind::SessionVariables => "session variables",
            StateKind::Role => "the role",
            StateKind::Database => "the current database",
            StateKind::TemporaryTables => "temporary tables",
            StateKind::TableLocks => "table locks",
            StateKind::UserLocks => "user-level locks",
            StateKind::PreparedStatements => "SQL prepared statements",
            StateKind::Handlers => "open handlers",
            StateKind::Transaction => "the transaction",
            StateKind::InsertId => "the last insert id",
            StateKind::Sequence => "the last value of a sequence",
            StateKind::Diagnostics => "what the last statement told of itself",
            StateKind::Unknown => "whatever a statement that was not recognised has left",
        })
    }
}

/// A set of kinds of session state, small enough to be copied.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StateKinds(u16);

/// Each kind by itself, in the order in which [`StateKinds::kinds`] returns them.
const KINDS: [(StateKinds, StateKind); 14] = [
    (StateKinds::USER_VARIABLES, StateKind::UserVariables),
    (StateKinds::SESSION_VARIABLES, StateKind::SessionVariables),
    (StateKinds::ROLE, StateKind::Role),
    (StateKinds::DATABASE, StateKind::Database),
    (StateKinds::TEMPORARY_TABLE, StateKind::TemporaryTables),
    (StateKinds::TABLE_LOCKS, StateKind::TableLocks),
    (StateKinds::USER_LOCK, StateKind::UserLocks),
    (StateKinds::PREPARED, StateKind::PreparedStatements),
    (StateKinds::HANDLER, StateKind::Handlers),
    (StateKinds::TRANSACTION, StateKind::Transaction),
    (StateKinds::INSERT_ID, StateKind::InsertId),
    (StateKinds::SEQUENCE, StateKind::Sequence),
    (StateKinds::DIAGNOSTICS, StateKind::Diagnostics),
    (StateKinds::UNKNOWN, StateKind::Unknown),
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

    /// The kinds one by one.
    pub(crate) fn kinds(self) -> impl Iterator<Item = StateKind> {
        KINDS.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, kind)| *kind)
    }
}

impl fmt::Debug for StateKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}
