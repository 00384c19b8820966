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
mod kinds;
mod lexer;
mod lists;
mod names;
mod reader;
mod targets;
#[cfg(test)]
mod tests;
mod verbs;

pub(crate) use kinds::StateKinds;

/// What the text of a call says about its effects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    state: StateKinds,
    several: bool,
    local_infile: bool,
    reads_only: bool,
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
}

/// Reads the text of a call. Never fails, whatever the bytes.
pub(crate) fn read(sql: &[u8]) -> Reading {
    reader::Reader::new(sql).run()
}
