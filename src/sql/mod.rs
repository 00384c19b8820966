//! Reads the text of a call: the state that it leaves in its session, the state that it needs, what it does to a transaction,
//! and whether it is one statement.
//!
//! One pass over the text answers all of that, without allocating ([`read`]):
//!
//! * **What it leaves** ([`Reading::state`]). A connection that is returned to the pool with a user variable, a lock or
//!   another database on it passes the state of one caller to the next. A reset (`COM_RESET_CONNECTION`) prevents that. It
//!   costs a round trip and the statement cache, so it is left out where the text proves that there is nothing to reset.
//! * **Whether it is one statement** ([`Reading::several`]). Only then a refusal by the server proves that nothing was executed.
//! * **Whether it stands alone** ([`Reading::needs`], [`Reading::leaves_for_others`]; `ties`). A text that uses a variable or
//!   commits a transaction that no part of it has set or begun has no meaning on an arbitrary connection.
//! * **What it does to its transaction** ([`Reading::may_commit`], [`Reading::control`]; `effect`).
//!
//! It does not parse SQL. It recognises what is harmless. Every statement that begins with an unknown word, every
//! call of a function that is not on a list, every text whose extent depends on `sql_mode` is [`StateKinds::UNKNOWN`]:
//! an unnecessary reset costs a round trip, a missing one leaks state. In doubt a text may commit. In doubt it stands alone:
//! only a text that certainly needs a session is refused.
//!
//! What no text can show: triggers and views. An `INSERT` whose trigger sets a user variable, a `SELECT` from a view that
//! calls a stored function, a stored function that bears the name of a function built into another version of the
//! server and is called by it, all read as neutral.

mod calls;
mod classes;
mod control;
mod effect;
mod kinds;
mod lexer;
mod lists;
mod names;
mod openings;
mod reader;
mod recent;
mod targets;
#[cfg(test)]
mod tests;
mod ties;
mod values;
mod variables;
mod verbs;

#[allow(unused_imports)]
pub(crate) use control::{Control, Then};
pub(crate) use effect::Effect;
pub use kinds::StateKind;
pub(crate) use kinds::StateKinds;
#[cfg_attr(not(feature = "tracing"), allow(unused_imports))]
pub(crate) use values::{first_word, without_values};

/// What is known of a call from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    state: StateKinds,
    several: bool,
    local_infile: bool,
    names_prepared: bool,
    reads_only: bool,
    effect: control::Notes,
    needs: StateKinds,
    leaves_for_others: StateKinds,
    gives: StateKinds,
}

impl Reading {
    /// The kinds of session state that the call may leave behind or use. Empty only if there is certainly none.
    pub(crate) const fn state(self) -> StateKinds {
        self.state
    }

    /// False only if the text is one statement, and its refusal by the server comes before any effect: several
    /// statements, stored code, `EXECUTE` and `LOAD .. LOCAL` may have done something before they fail.
    pub(crate) const fn several(self) -> bool {
        self.several
    }

    /// True if the server will ask for a file of the client (`LOAD DATA LOCAL`).
    pub(crate) const fn local_infile(self) -> bool {
        self.local_infile
    }

    /// True if the text names a prepared statement of SQL's own, to execute it or to free it: the error that there is none
    /// (1243) is then not about the statements that the driver has prepared.
    pub(crate) const fn names_prepared(self) -> bool {
        self.names_prepared
    }

    /// True only if the call certainly changes nothing, neither data nor session nor files. Row locks do not count.
    pub(crate) const fn reads_only(self) -> bool {
        self.reads_only
    }

    /// The kinds of state that must be there before the call, because the text uses them and does not provide them.
    /// Only what is certain.
    pub(crate) const fn needs(self) -> StateKinds {
        self.needs
    }

    /// The kinds of state that the call leaves for later calls, of use to no part of the text itself: an open transaction, a
    /// lock, a variable. Only what is certain.
    pub(crate) const fn leaves_for_others(self) -> StateKinds {
        self.leaves_for_others
    }

    /// What a later `LAST_INSERT_ID()`, `ROW_COUNT()` .. returns because of this call. In doubt all.
    pub(crate) const fn gives(self) -> StateKinds {
        self.gives
    }

    /// False only if the call certainly neither commits nor ends the transaction that it runs in.
    pub(crate) const fn may_commit(self) -> bool {
        self.effect.is_committing() || self.effect.is_calling()
    }

    /// True if what may commit is the code of a stored procedure, and nothing else of the text.
    pub(crate) const fn is_call(self) -> bool {
        self.effect.is_calling() && !self.effect.is_committing()
    }

    /// True if a statement of the text begins a transaction.
    pub(crate) const fn begins_transaction(self) -> bool {
        self.effect.is_beginning()
    }

    /// What the text is to a transaction, if it is one statement.
    #[allow(dead_code)]
    pub(crate) const fn control(self) -> Control {
        self.effect.control()
    }

    /// The same without what depends on whether there is a semicolon anywhere.
    #[cfg(test)]
    pub(super) fn certain(self) -> Self {
        Reading { effect: control::Notes::default(), leaves_for_others: StateKinds::NONE, ..self }
    }

    /// The same without its `end`, which depends on where the statement stands.
    #[cfg(test)]
    pub(super) const fn without_end(self) -> Self {
        Reading { effect: self.effect.without_end(), ..self }
    }

    /// Where the last token of the only statement ends, so that `text[..end]` can be followed by `;` and another statement.
    /// `None` if there is no statement, more than one, or if it is not certain where it ends.
    #[allow(dead_code)]
    pub(crate) const fn end(self) -> Option<usize> {
        match self.effect.end() {
            0 => None,
            end => Some(end),
        }
    }
}

/// Reads the text of a call. Never fails, whatever the bytes.
pub(crate) fn read(sql: &[u8]) -> Reading {
    recent::read(sql)
}
