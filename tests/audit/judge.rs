//! Holds what the caller was told against what the server has.

use std::fmt;

use crate::{
    calibrate::Effect,
    cases::{Manner, Trouble},
    ledger::Rows,
    prepared,
    told::Told,
    transactions::Played,
};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crime {
    /// The next caller sees something of the one before.
    Leak(String),
    /// A part of a transaction is there, and the caller was not told that he has to look.
    Half(String),
    Wrong(String),
    Duplicate(String),
    Panic(String),
}

impl fmt::Display for Crime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Crime::Leak(what) => write!(f, "leak: {what}"),
            Crime::Half(what) => write!(f, "half: {what}"),
            Crime::Wrong(what) => write!(f, "wrong: {what}"),
            Crime::Duplicate(what) => write!(f, "duplicate: {what}"),
            Crime::Panic(what) => write!(f, "panic: {what}"),
        }
    }
}

/// A form that was not executed has done nothing to the transaction.
fn actual(effect: Effect, trouble: Trouble) -> Effect {
    match trouble {
        Trouble::Refused | Trouble::Swallowed | Trouble::Deadlock | Trouble::DeadlockSwallowed => Effect::Keeps,
        Trouble::None | Trouble::Lost | Trouble::CommitLost | Trouble::FailedAfter => effect,
    }
}

/// `rows`: what is there when nothing can happen any more.
pub fn of_transaction(
    manner: Manner,
    trouble: Trouble,
    effect: Effect,
    fails: bool,
    played: &Played,
    rows: Rows,
) -> Option<Crime> {
    let effect = actual(effect, trouble);
    for told in [Some(&played.told), played.again.as_ref()].into_iter().flatten() {
        match told {
            Told::Nothing => return Some(Crime::Wrong("no answer".into())),
            Told::Panic(message) => return Some(Crime::Panic(message.clone())),
            Told::Ok | Told::Before | Told::NotExecuted(_) | Told::Failed(_) | Told::Unknown(_) => {}
        }
    }
    if rows.a > 1 || rows.b > 1 || rows.token > 1 {
        return Some(Crime::Duplicate(format!("{rows:?}")));
    }
    match manner {
        Manner::Plain => of_closure(effect, &played.told, played.now, rows),
        Manner::Guarded => of_guarded(effect, played, rows),
        Manner::Session => of_session(effect, played, rows),
        Manner::Statement => of_statement(fails, played, rows),
    }
}

fn of_closure(effect: Effect, told: &Told, now: Rows, rows: Rows) -> Option<Crime> {
    let whole = rows.a == 1 && rows.b == 1;
    if told.is_success() && !whole {
        return Some(Crime::Half(format!("{told}, and there is {rows:?}")));
    }
    if told.is_success() && effect == Effect::Ends {
        return Some(Crime::Wrong("Ok, though the form ended the transaction that was begun".into()));
    }
    let said_no = matches!(told, Told::Failed(_)) && effect == Effect::Keeps;
    if (told.denies() || said_no) && (rows.a + rows.b + now.a + now.b > 0) {
        return Some(Crime::Wrong(format!("it was rolled back, the caller was told, and there is {rows:?}")));
    }
    let half = rows.a != rows.b && effect == Effect::Keeps;
    half.then(|| Crime::Half(format!("{rows:?}, though the form leaves the transaction open")))
}

fn of_guarded(effect: Effect, played: &Played, rows: Rows) -> Option<Crime> {
    let Played { told, now, again, .. } = played;
    let said_no = matches!(told, Told::Failed(_)) && effect == Effect::Keeps;
    if (told.denies() || said_no) && now.a + now.b + now.token > 0 {
        return Some(Crime::Wrong(format!("it was rolled back, the caller was told, and there is {now:?}")));
    }
    let last = again.as_ref().unwrap_or(told);
    if (told.is_success() || last.is_success()) && (rows.a, rows.b, rows.token) != (1, 1, 1) {
        return Some(Crime::Half(format!("first {told}, then {last}, and there is {rows:?}")));
    }
    if told.is_success() && effect == Effect::Ends {
        return Some(Crime::Wrong("Ok, though the form ended the transaction that was begun".into()));
    }
    if told.denies() && *last == Told::Before {
        return Some(Crime::Wrong("NotExecuted, and then done before".into()));
    }
    if *told == Told::Ok && *last != Told::Before {
        return Some(Crime::Wrong(format!("Ok, and then {last}")));
    }
    if last.denies() && !told.is_success() && rows.a + rows.b > 0 {
        return Some(Crime::Wrong(format!("a second call says NotExecuted, and there is {rows:?}")));
    }
    let half = (rows.a != rows.b || rows.a != rows.token) && effect == Effect::Keeps;
    half.then(|| Crime::Half(format!("{rows:?}, though the form leaves the transaction open")))
}

fn of_session(effect: Effect, played: &Played, rows: Rows) -> Option<Crime> {
    let Played { told, was_told_of_loss, all_well, .. } = played;
    if *was_told_of_loss {
        // what the caller sent after the loss, outside of a transaction, is there
        return (*told == Told::Ok).then(|| Crime::Wrong("COMMIT is Ok after a loss that was reported".into()));
    }
    if effect == Effect::Ends {
        return None;
    }
    if *told == Told::Ok && *all_well && (rows.a, rows.b) != (1, 1) {
        return Some(Crime::Half(format!("COMMIT is Ok, and there is {rows:?}")));
    }
    if told.denies() && rows.a + rows.b > 0 {
        return Some(Crime::Wrong(format!("{told}, and there is {rows:?}")));
    }
    (rows.a != rows.b).then(|| Crime::Half(format!("{told}, and there is {rows:?}")))
}

fn of_statement(fails: bool, played: &Played, rows: Rows) -> Option<Crime> {
    let Played { told, now, again, .. } = played;
    let last = again.as_ref().unwrap_or(told);
    if told.denies() && now.token > 0 {
        return Some(Crime::Wrong("NotExecuted, and its token is taken".into()));
    }
    if told.is_success() && rows.token == 0 {
        return Some(Crime::Half(format!("{told}, and its token is free")));
    }
    if (told.denies() || fails && !told.is_success()) && *last == Told::Before {
        return Some(Crime::Wrong(format!("{told}, and then done before")));
    }
    None
}

/// `total`: the rows of its effects in the end; `named`: something bears its number as its name.
pub fn of_prepared(played: &prepared::Played, total: u32, named: bool) -> Option<Crime> {
    let prepared::Played { told, once } = played;
    let cut = total.saturating_sub(*once);
    match told {
        Told::Nothing => Some(Crime::Wrong("no answer".into())),
        Told::Panic(message) => Some(Crime::Panic(message.clone())),
        Told::NotExecuted(_) if cut > 0 => Some(Crime::Wrong(format!("NotExecuted, and there are {cut} rows"))),
        Told::NotExecuted(_) if named => Some(Crime::Wrong("NotExecuted, and what it makes is there".into())),
        Told::Ok | Told::Before | Told::Unknown(_) | Told::Failed(_) | Told::NotExecuted(_) if cut > *once => {
            Some(Crime::Duplicate(format!("{cut} rows, and one execution leaves {once}")))
        }
        Told::Ok | Told::Before | Told::Unknown(_) | Told::Failed(_) | Told::NotExecuted(_) => None,
    }
}
