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
fn actual(effect: Effect, trouble: Trouble, struck: bool) -> Effect {
    match trouble {
        // the library did not send it
        Trouble::FailedAfter if !struck => Effect::Keeps,
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
    // a session's statement that met a deadlock is sent again, and executed then
    let is_resent = manner == Manner::Session && matches!(trouble, Trouble::Deadlock | Trouble::DeadlockSwallowed);
    // a text that begins is sent in other words, and the proxy does not recognise it
    let was_executed = manner == Manner::Session && !played.struck;
    let first = if is_resent || was_executed { effect } else { actual(effect, trouble, played.struck) };
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
        Manner::Plain => of_closure(first, &played.told, played.now, rows),
        Manner::Guarded => of_guarded(first, effect, played, rows),
        Manner::Session => of_session(first, trouble, played, rows),
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

/// `first`: what the first call's form did; a second call executes it as it is.
fn of_guarded(first: Effect, effect: Effect, played: &Played, rows: Rows) -> Option<Crime> {
    let Played { told, now, again, .. } = played;
    let said_no = matches!(told, Told::Failed(_)) && first == Effect::Keeps;
    if (told.denies() || said_no) && now.a + now.b + now.token > 0 {
        return Some(Crime::Wrong(format!("it was rolled back, the caller was told, and there is {now:?}")));
    }
    let last = again.as_ref().unwrap_or(told);
    if (told.is_success() || last.is_success()) && (rows.a, rows.b, rows.token) != (1, 1, 1) {
        return Some(Crime::Half(format!("first {told}, then {last}, and there is {rows:?}")));
    }
    if told.is_success() && first == Effect::Ends {
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

fn of_session(effect: Effect, trouble: Trouble, played: &Played, rows: Rows) -> Option<Crime> {
    let Played { told, was_told_of_loss, all_well, .. } = played;
    if *was_told_of_loss && (effect == Effect::Keeps || trouble == Trouble::Lost) {
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
    match told {
        Told::Nothing => Some(Crime::Wrong("no answer".into())),
        Told::Panic(message) => Some(Crime::Panic(message.clone())),
        Told::NotExecuted(_) if total > 0 => Some(Crime::Wrong(format!("NotExecuted, and there are {total} rows"))),
        Told::NotExecuted(_) if named => Some(Crime::Wrong("NotExecuted, and what it makes is there".into())),
        Told::Ok | Told::Before | Told::Unknown(_) | Told::Failed(_) | Told::NotExecuted(_) if total > *once => {
            Some(Crime::Duplicate(format!("{total} rows, and one execution leaves {once}")))
        }
        Told::Ok | Told::Before | Told::Unknown(_) | Told::Failed(_) | Told::NotExecuted(_) => None,
    }
}

/// Whether the judge can find anything at all: it is asked about what must not be.
pub fn assert_that_it_can_fail() {
    let played = |told: Told, again: Option<Told>, now: Rows| Played {
        told,
        now,
        again,
        was_told_of_loss: false,
        all_well: true,
        struck: true,
    };
    let rows = |a, b, token| Rows { a, b, effects: 0, token };
    let no = || Told::NotExecuted("no".into());
    let unknown = || Told::Unknown("who knows".into());
    let judge = |manner, effect, fails, played: Played, rows| {
        of_transaction(manner, Trouble::None, effect, fails, &played, rows).map(|crime| format!("{crime:?}"))
    };
    let of = |manner, effect, played, rows| judge(manner, effect, false, played, rows);
    let bad: [(&str, Option<String>); 16] = [
        ("Half", of(Manner::Plain, Effect::Keeps, played(Told::Ok, None, rows(0, 1, 0)), rows(0, 1, 0))),
        ("Half", of(Manner::Plain, Effect::Keeps, played(unknown(), None, rows(1, 0, 0)), rows(1, 0, 0))),
        ("Wrong", of(Manner::Plain, Effect::Ends, played(Told::Ok, None, rows(1, 1, 0)), rows(1, 1, 0))),
        ("Wrong", of(Manner::Plain, Effect::Keeps, played(no(), None, rows(0, 0, 0)), rows(1, 1, 0))),
        (
            "Wrong",
            of(Manner::Plain, Effect::Keeps, played(Told::Failed("no".into()), None, rows(1, 1, 0)), rows(1, 1, 0)),
        ),
        ("Duplicate", of(Manner::Plain, Effect::Keeps, played(Told::Ok, None, rows(2, 2, 0)), rows(2, 2, 0))),
        (
            "Panic",
            of(Manner::Plain, Effect::Keeps, played(Told::Panic(String::new()), None, rows(0, 0, 0)), rows(0, 0, 0)),
        ),
        (
            "Half",
            of(Manner::Guarded, Effect::Keeps, played(Told::Ok, Some(Told::Before), rows(1, 1, 0)), rows(1, 1, 0)),
        ),
        (
            "Half",
            of(Manner::Guarded, Effect::Ends, played(unknown(), Some(Told::Before), rows(1, 0, 1)), rows(1, 0, 1)),
        ),
        ("Wrong", of(Manner::Guarded, Effect::Keeps, played(no(), Some(Told::Before), rows(0, 0, 0)), rows(1, 1, 1))),
        ("Wrong", of(Manner::Guarded, Effect::Keeps, played(no(), Some(no()), rows(0, 0, 1)), rows(0, 0, 0))),
        ("Wrong", of(Manner::Guarded, Effect::Keeps, played(Told::Ok, Some(Told::Ok), rows(1, 1, 1)), rows(1, 1, 1))),
        ("Half", of(Manner::Session, Effect::Keeps, played(Told::Ok, None, rows(0, 1, 0)), rows(0, 1, 0))),
        ("Wrong", of(Manner::Session, Effect::Keeps, played(no(), None, rows(0, 0, 0)), rows(1, 1, 0))),
        ("Half", of(Manner::Statement, Effect::Keeps, played(Told::Ok, None, rows(0, 0, 0)), rows(0, 0, 0))),
        (
            "Wrong",
            judge(
                Manner::Statement,
                Effect::Ends,
                true,
                played(unknown(), Some(Told::Before), rows(0, 0, 1)),
                rows(0, 0, 1),
            ),
        ),
    ];
    for (index, (wanted, found)) in bad.into_iter().enumerate() {
        assert!(found.as_ref().is_some_and(|found| found.starts_with(wanted)), "{index}: {found:?} is not {wanted}");
    }
    let mut after_loss = played(Told::Ok, None, rows(0, 1, 0));
    after_loss.was_told_of_loss = true;
    assert!(of(Manner::Session, Effect::Keeps, after_loss, rows(0, 1, 0)).is_some());
    let good = played(Told::Ok, Some(Told::Before), rows(1, 1, 1));
    assert_eq!(of(Manner::Guarded, Effect::Keeps, good, rows(1, 1, 1)), None);
    let cut = |told, once| prepared::Played { told, once };
    assert!(of_prepared(&cut(no(), 1), 1, false).is_some() && of_prepared(&cut(Told::Ok, 1), 2, false).is_some());
    assert!(of_prepared(&cut(no(), 0), 0, true).is_some() && of_prepared(&cut(Told::Ok, 1), 1, false).is_none());
}
