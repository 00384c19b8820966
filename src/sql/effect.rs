//! What a statement does to the transaction that it runs in, by its text.
//!
//! It is used where the server cannot be asked. Elsewhere its status flags and the savepoint decide.

use crate::sql::{Control, Reading, StateKinds, Then};

/// What a statement does to the transaction that it runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It does not affect it.
    #[default]
    Keeps,
    /// It begins another one. The command ends at this byte, if the text is that command and no other.
    Begins(Option<usize>),
    /// It commits it. With `true` it does nothing else, so that another command can be put before it.
    Commits(bool),
    /// It rolls it back, not only to a savepoint.
    RollsBack,
    /// It changes its mode (`SET autocommit`).
    Shapes,
    /// It commits it as a side effect (DDL).
    CommitsImplicitly,
    /// It is several statements, and one of them begins or ends a transaction, changes its mode, or sets a savepoint.
    Several,
    /// It may do anything: stored code, or a text that is not recognised.
    MayDoAnything,
}

impl Effect {
    pub(crate) fn of(reading: Reading) -> Self {
        let shapes = reading.state().contains(StateKinds::TRANSACTION);
        match reading.control() {
            Control::Begin => Effect::Begins(reading.end()),
            Control::Commit(Then::Ends) => Effect::Commits(reading.end().is_some()),
            Control::Commit(Then::Chains | Then::Disconnects) => Effect::Commits(false),
            Control::Rollback(_) => Effect::RollsBack,
            Control::Savepoint => Effect::Keeps,
            Control::None if reading.begins_transaction() && !reading.several() => Effect::Begins(None),
            Control::None if shapes && reading.several() => Effect::Several,
            Control::None if shapes => Effect::Shapes,
            Control::None if !reading.may_commit() => Effect::Keeps,
            Control::None if reading.several() || reading.is_call() => Effect::MayDoAnything,
            Control::None => Effect::CommitsImplicitly,
        }
    }

    /// Whether the text itself ends the transaction or begins another one, or may do so.
    pub(crate) fn is_explicit(self) -> bool {
        match self {
            Effect::Begins(_) | Effect::Commits(_) | Effect::RollsBack | Effect::Several => true,
            Effect::Keeps | Effect::Shapes | Effect::CommitsImplicitly | Effect::MayDoAnything => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::read;

    #[test]
    fn each_text_has_its_effect() {
        for (text, effect) in [
            ("SELECT 1", Effect::Keeps),
            ("/* c */ INSERT INTO t VALUES (1)", Effect::Keeps),
            ("ROLLBACK TO a", Effect::Keeps),
            ("BEGIN", Effect::Begins(Some(5))),
            ("START TRANSACTION READ ONLY -- c", Effect::Begins(Some(27))),
            ("XA BEGIN 'a'", Effect::Begins(None)),
            ("COMMIT WORK;", Effect::Commits(true)),
            ("/* c */ COMMIT", Effect::Commits(true)),
            ("COMMIT AND CHAIN", Effect::Commits(false)),
            ("ROLLBACK", Effect::RollsBack),
            ("ROLLBACK AND CHAIN", Effect::RollsBack),
            ("SET autocommit = 0", Effect::Shapes),
            ("CREATE TABLE t (a INT)", Effect::CommitsImplicitly),
            ("SET DEFAULT ROLE r TO u", Effect::CommitsImplicitly),
            ("INSERT INTO t VALUES (1); COMMIT", Effect::Several),
            ("BEGIN; INSERT INTO t VALUES (1)", Effect::Several),
            ("CALL p()", Effect::MayDoAnything),
            ("WHATEVER", Effect::MayDoAnything),
            ("BEGIN NOT ATOMIC COMMIT; END", Effect::Several),
        ] {
            assert_eq!(Effect::of(read(text.as_bytes())), effect, "{text}");
        }
    }
}
