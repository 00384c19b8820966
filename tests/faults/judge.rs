//! Holds what the caller was told against what the server did.

use crate::{case::Case, play::Told, work::Effects};

/// What is wrong with a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crime {
    /// `NotExecuted`, and there is an effect; or `Failed`, and no server can have answered so, or there is an effect; or
    /// another answer than the statement's own; or a part of a transaction.
    Wrong,
    /// A plain statement that was executed twice.
    Duplicate,
    /// A success without its effect.
    Lost,
    /// No answer at all.
    Stuck,
}

/// `times`: how often each part of the statement's effects has happened. `answered`: an error that a server gives as its
/// answer was among the faults; everything else is a loss or a refusal.
pub fn judge(case: &Case, told: &Told, times: &[u32], answered: bool) -> Option<Crime> {
    if !case.annotated && times.iter().any(|times| *times > 1) {
        return Some(Crime::Duplicate);
    }
    if case.work.effects() == Effects::Transfer && times.iter().any(|other| *other != times[0]) {
        return Some(Crime::Wrong);
    }
    match told {
        Told::Nothing(_) => Some(Crime::Stuck),
        Told::WrongAnswer(_) => Some(Crime::Wrong),
        Told::Success => times.contains(&0).then_some(Crime::Lost),
        Told::NotExecuted(_) => times.iter().any(|times| *times > 0).then_some(Crime::Wrong),
        Told::Failed(_) => {
            let has_effect = times.iter().any(|times| *times > 0) && !case.work.may_fail_in_part();
            (!answered || has_effect).then_some(Crime::Wrong)
        }
        Told::Unknown(_) => None,
    }
}
