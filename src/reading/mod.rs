//! What does a statement leave behind in its session, and is it one statement at all?
//!
//! A connection that goes back to the pool with a user variable, a lock or another database on it hands
//! one caller's state to the next. A reset (`COM_RESET_CONNECTION`) prevents that, for a round trip and the
//! statement cache each time, so it is left out where the text proves that there is nothing to reset. And a refusal
//! by the server proves that nothing was executed only if the text was one statement. [`read`] answers both from the text,
//! in one pass, without allocating.
//!
//! It does not parse SQL, it recognises what is harmless. Every statement that begins with an unknown word, every
//! call of a function that is not on a list, every text whose extent depends on `sql_mode` is [`StateKinds::UNKNOWN`]:
//! a reset too many costs a round trip, a reset too few leaks.
//!
//! What no text can show: triggers and views. An `INSERT` whose trigger sets a user variable, a `SELECT` from a view that
//! calls a stored function, a stored function that bears the name of a function built into another version of the
//! server and is called by it, all read as neutral.

mod classes;
mod effect;
mod kinds;
mod lexer;
mod lists;
mod names;
mod reader;
mod targets;
#[cfg(test)]
mod tests;
mod verbs;

#[allow(unused_imports)]
pub(crate) use effect::{Control, Then};
pub(crate) use kinds::StateKinds;

/// What the text of a call says about its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    state: StateKinds,
    several: bool,
    local_infile: bool,
    reads_only: bool,
    effect: effect::Effect,
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

    /// True if the server will ask for a file of the client's (`LOAD DATA LOCAL`).
    pub(crate) const fn local_infile(self) -> bool {
        self.local_infile
    }

    /// True only if the call certainly changes nothing, neither data nor session nor files. Row locks do not count.
    pub(crate) const fn reads_only(self) -> bool {
        self.reads_only
    }

    /// False only if the call certainly leaves the transaction that it runs in alone: neither commits nor ends it.
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

    #[cfg(test)]
    pub(super) fn without_effect(self) -> Self {
        Reading { effect: effect::Effect::default(), ..self }
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
    reader::Reader::new(sql).run()
}
