//! Whether a text needs a session, or brings what it needs.
//!
//! A text *needs* a kind of state that it uses before any part of it has provided it: `SELECT @a`, `COMMIT`, `SELECT
//! LAST_INSERT_ID()`. It *leaves* a kind for later statements if nothing in it makes use of that: a transaction or a lock
//! that it does not end, a variable that its last statement sets. Every other text brings what it needs: `SET @a = 1; SELECT
//! @a`, `BEGIN; ..; COMMIT`.
//!
//! Only what is certain counts. What is not recognised may provide everything, and a text whose parts cannot be distinguished
//! (the body of a routine, a text that depends on `sql_mode`) has no ties. The names of tables, locks and prepared statements
//! are not compared: a text that makes one and uses another counts as one that brings its own.

use super::kinds::StateKinds;
use super::variables::Variables;

/// The reader's notes about it.
#[derive(Clone, Copy, Default)]
pub(super) struct Ties {
    /// Used before it was provided.
    needs: StateKinds,
    /// What earlier statements have provided.
    provided: StateKinds,
    /// To be ended by a later statement: transactions and locks.
    open: StateKinds,
    /// User-level locks that are held.
    locks: u8,
    /// What only a later statement can use, of the current statement, or of the last one.
    left: StateKinds,
    /// What a later `LAST_INSERT_ID()`, `ROW_COUNT()` .. returns because of the text.
    gives: StateKinds,
    pub(super) variables: Variables,
    /// The current statement may provide anything.
    unsure: bool,
    /// The parts of the text cannot be distinguished.
    blind: bool,
}

impl Ties {
    /// The text has another statement, after one that has ended.
    #[cold]
    pub(super) fn begin_another(&mut self) {
        self.left = StateKinds::NONE;
        self.variables.begin_another();
    }

    #[inline]
    pub(super) fn end_statement(&mut self) {
        if self.variables.end_statement() {
            self.uses(StateKinds::USER_VARIABLES);
        }
        if self.unsure {
            self.provided = StateKinds::ALL;
            self.gives = self.gives.union(StateKinds::TOLD);
            self.unsure = false;
        }
        self.gives = self.gives.union(StateKinds::DIAGNOSTICS);
        self.provided = self.provided.union(self.left).union(self.gives);
    }

    /// The statement uses what an earlier one must have provided.
    pub(super) fn uses(&mut self, kind: StateKinds) {
        if !self.provided.union(self.open).contains(kind) {
            self.needs = self.needs.union(kind);
        }
    }

    /// The statement makes something that later ones can use.
    pub(super) fn makes(&mut self, kind: StateKinds) {
        self.left = self.left.union(kind);
    }

    /// The statement begins something that has to be ended.
    pub(super) fn opens(&mut self, kind: StateKinds) {
        self.open = self.open.union(kind);
    }

    /// The statement ends what an earlier one has begun.
    pub(super) fn ends(&mut self, kind: StateKinds) {
        self.uses(kind);
        self.open = self.open.without(kind);
    }

    pub(super) fn is_open(&self, kind: StateKinds) -> bool {
        self.open.contains(kind)
    }

    /// `GET_LOCK`
    pub(super) fn takes_lock(&mut self) {
        self.locks = self.locks.saturating_add(1);
        self.opens(StateKinds::USER_LOCK);
    }

    /// `RELEASE_LOCK`
    pub(super) fn frees_lock(&mut self) {
        self.uses(StateKinds::USER_LOCK);
        self.locks = self.locks.saturating_sub(1);
        if self.locks == 0 {
            self.open = self.open.without(StateKinds::USER_LOCK);
        }
    }

    /// `RELEASE_ALL_LOCKS`
    pub(super) fn frees_locks(&mut self) {
        self.locks = 0;
        self.ends(StateKinds::USER_LOCK);
    }

    /// Later statements return something about this one.
    #[inline]
    pub(super) fn gives(&mut self, kind: StateKinds) {
        self.gives = self.gives.union(kind);
    }

    /// The statement provides something that it can use itself.
    pub(super) fn provides(&mut self, kind: StateKinds) {
        self.gives(kind);
        self.provided = self.provided.union(kind);
    }

    /// The statement may provide anything.
    pub(super) fn unsure(&mut self) {
        self.unsure = true;
    }

    /// What follows may belong to the statement, or may not be executed.
    pub(super) fn blind(&mut self) {
        self.blind = true;
    }

    /// Something that means different things under different settings begins.
    pub(super) fn of_odd_text(&mut self, one_statement: bool) {
        self.needs = StateKinds::NONE;
        // it may be freed in the part that cannot be read
        self.open = self.open.without(StateKinds::USER_LOCK);
        self.variables.of_odd_text();
        self.blind |= !one_statement;
    }

    pub(super) const fn gives_at_all(&self) -> StateKinds {
        self.gives
    }

    /// What must be there before the text runs, and what it leaves that only a later text can use.
    #[inline]
    pub(super) fn of_text(&self) -> (StateKinds, StateKinds) {
        if self.blind {
            return (StateKinds::NONE, StateKinds::NONE);
        }
        let left = self.left.union(self.open);
        let left = if self.variables.are_left() { left.union(StateKinds::USER_VARIABLES) } else { left };
        (self.needs, left)
    }
}
