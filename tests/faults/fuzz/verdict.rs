//! The judgment of a script: what each caller was told against what the ledger has.

use std::time::Duration;

use mysql_async::{Conn, Row, prelude::Queryable as _};

use super::{
    run::{Done, Heard, Played, case},
    script::{Act, Script},
};
use crate::{
    judge::{Crime, judge},
    ledger::{self, Ledger},
    play::Told,
    ways,
    work::{Effects, Protocol, Work},
};

/// What was wrong, and where.
pub type Finding = (Crime, String);

/// Puts in what the statements of the script change or delete.
pub async fn prepare(conn: &mut Conn, script: &Script) {
    let (mut counters, mut doomed) = (Vec::new(), Vec::new());
    for (task, steps) in script.tasks.iter().enumerate() {
        counters.push(script.register(task));
        for (index, step) in steps.iter().enumerate() {
            let Act::Run { work, .. } = step.act else { continue };
            match work.effects() {
                Effects::Counter => counters.push(script.step_number(task, index)),
                Effects::Absence => doomed.push(script.step_number(task, index)),
                Effects::None | Effects::Rows(_) | Effects::Key | Effects::Transfer => {}
            }
        }
    }
    ledger::fill(conn, "counter (c, n)", counters.iter().map(|c| format!("({c}, 0)"))).await;
    ledger::fill(conn, "doomed (c)", doomed.iter().map(|c| format!("({c})"))).await;
}

/// Waits until the server has ended these sessions, so that nothing of them can happen any more; false if it does not.
pub async fn wait_until_gone(conn: &mut Conn, sessions: &[u32]) -> bool {
    for _ in 0..6000 {
        let lines: Vec<Row> = conn.query("SHOW PROCESSLIST").await.expect("the server's list");
        let there = |line: &Row| line.get::<u32, _>(0).is_some_and(|id| sessions.contains(&id));
        if !lines.iter().any(there) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

/// Compares. The sessions of the script are gone.
pub async fn pronounce(conn: &mut Conn, script: &Script, played: &Played) -> Vec<Finding> {
    let ledger = Ledger::of(conn, script.first()..=script.last()).await;
    let mut findings = Vec::new();
    let answered = script.rules.iter().any(|rule| ways::is_answer(&rule.fault));
    for Done { task, step, heard, lost } in &played.done {
        let case = case(script, *task, *step);
        let times = ledger.times(case.number, case.work);
        // nobody was told anything, so only a duplicate would be wrong
        let nothing = Told::Unknown("cancelled".into());
        let told = match heard {
            Heard::Told(told) => told,
            Heard::Cancelled => &nothing,
        };
        if let Some(crime) = judge(&case, told, &times, answered) {
            findings.push((crime, format!("{}: effects {times:?}, told {told}", case.number)));
        }
        // a transaction that lost a statement was rolled back, and run again
        if matches!(told, Told::Failed(_)) && *lost > 0 && !case.work.is_transaction() {
            findings.push((Crime::Wrong, format!("{}: {lost} attempts were lost, told {told}", case.number)));
        }
    }
    for task in 0..script.tasks.len() {
        let value = ledger.times(script.register(task), Work::UpdateSet(Protocol::Text))[0];
        findings.extend(judge_register(script, played, task, value));
    }
    match &played.afterwards {
        Some(told @ Told::Nothing(_)) => findings.push((Crime::Stuck, format!("afterwards: {told}"))),
        Some(told) => findings.push((Crime::Wrong, format!("afterwards: {told}"))),
        None => {}
    }
    findings
}

/// A register has the last value whose setting succeeded, or one of which the caller does not know what became of it. An
/// earlier success in it was executed again after a later one: the copy of a lost attempt came late.
fn judge_register(script: &Script, played: &Played, task: usize, value: u32) -> Option<Finding> {
    let mut allowed = vec![0];
    for Done { step, heard, .. } in played.done.iter().filter(|done| done.task == task) {
        let Act::Set(set) = script.tasks[task][*step].act else { continue };
        match heard {
            Heard::Told(Told::Success) => {
                allowed.retain(|open| played.is_open(script, task, *open));
                allowed.push(set);
            }
            Heard::Told(Told::NotExecuted(_) | Told::Failed(_)) => {}
            Heard::Told(Told::Unknown(_) | Told::WrongAnswer(_) | Told::Nothing(_)) | Heard::Cancelled => {
                allowed.push(set);
            }
        }
    }
    // where the policy allows to replay what could not be fenced, a late copy is no broken promise
    let may_be_late = played.unfenced > 0 && script.setup.replay_unfenced;
    if allowed.contains(&value) || may_be_late {
        return None;
    }
    let register = script.register(task);
    Some((Crime::Wrong, format!("register {register}: {value}, and it can only be one of {allowed:?}")))
}

impl Played {
    /// Whether nobody knows what became of the setting of a register to this value.
    fn is_open(&self, script: &Script, task: usize, value: u32) -> bool {
        self.done.iter().filter(|done| done.task == task).any(|done| {
            let is_it = matches!(script.tasks[task][done.step].act, Act::Set(set) if set == value);
            let is_known = matches!(done.heard, Heard::Told(Told::Success | Told::NotExecuted(_) | Told::Failed(_)));
            is_it && !is_known
        })
    }
}
