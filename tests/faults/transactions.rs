//! Every place of a transaction, from its beginning to its COMMIT, and of the guard's own writes.

use mysql_retry_fixture::{Fault, Kind, Place, Rule, Transport, When};

use crate::{
    case::Situation,
    matrix::{FIRST, Strike, before, during},
    places, transfer, ways,
    work::{Manner, Work},
};

/// Header and command.
const HEADER: usize = 5;
/// The reply to a statement that changes a row is longer, by what it tells of it, than that to one that begins or inserts.
const CHANGED: usize = 45;
const OK: usize = 11;
const PREPARED: usize = 38;
const EXECUTION: usize = 22;

/// How the guard's row is written: two literals, of six bytes and of sixteen.
const TAKE: &str =
    "; INSERT INTO `mysql_retry_guard` (token, owner) VALUES (x'313030303031', x'00112233445566778899aabbccddeeff')";

/// What ends the text that begins a transaction, and the text that commits it.
const SAVEPOINT: &str = "; SAVEPOINT mysql_retry_begun";
const COMMIT: &str = "RELEASE SAVEPOINT mysql_retry_begun; COMMIT";

/// The question that looks at the guard's table.
const LOOK: &str = "information_schema.TABLES";

/// Every so manieth strike will do where another kind of work meets them all. Not a multiple of three, as three ways to
/// lose a connection follow each other at each byte.
fn share(work: Work) -> usize {
    match work {
        // a session differs from an executor between transactions more than within one
        _ if work.is_on_session() => 4,
        Work::Transfer(Manner::Careless) => 4,
        // the transaction of a guarded statement is like that of a guarded transfer
        Work::GuardedInsert(_) => 2,
        _ => 1,
    }
}

/// A command of a transaction.
struct Part {
    when: When,
    request: usize,
    reply: usize,
}

fn text(part: &str, whole: &str, reply: usize) -> Part {
    Part { when: When::text(part), request: HEADER + whole.len(), reply }
}

/// What strikes the work.
pub fn strikes(work: Work, transport: Transport, turn: usize) -> Vec<Strike> {
    let connected = Situation::Connected { primed: false };
    let commit = text("COMMIT", COMMIT, 2 * OK);
    let parts: Vec<Part> = [begin(work)].into_iter().chain(statements(work)).collect();
    let mut strikes = Vec::new();
    for part in &parts {
        let within = places::of_command(&part.when, part.request, part.reply, turn);
        let within = within.into_iter().chain(places::silent(&part.when, turn)).chain(places::shut(&part.when, turn));
        // nothing of it stays without the COMMIT, and a client can know that
        strikes.extend(within.map(|rule| before(connected.clone(), rule)));
    }
    if let Work::Transfer(_) = work {
        let execution = places::of_command(&When::executes(""), EXECUTION, CHANGED, turn);
        let primed = Situation::Connected { primed: true };
        strikes.extend(execution.into_iter().step_by(5).map(|rule| before(primed.clone(), rule)));
    }
    // the command after it meets the loss, and after the COMMIT nobody does
    for part in parts.iter().chain([&commit]) {
        for fault in [Fault::Fin, Fault::Rst, Fault::HalfClose] {
            strikes.push(during(connected.clone(), Rule::new(part.when.clone(), Place::AfterReply, fault)));
        }
    }
    let committing = places::of_command(&commit.when, commit.request, commit.reply, turn).into_iter();
    let committing = committing.chain(places::silent(&commit.when, turn)).chain(places::shut(&commit.when, turn));
    strikes.extend(committing.map(|rule| during(connected.clone(), rule)));
    if work.is_guarded() {
        let looking = places::of_command(&When::text(LOOK), 40, 120, turn).into_iter().step_by(2);
        let looking = looking.chain(places::silent(&When::text(LOOK), turn));
        strikes.extend(looking.map(|rule| before(Situation::Unexamined, rule)));
        strikes.extend(finding_out(work, turn).into_iter().map(|rule| during(Situation::CommitLost, rule)));
    }
    let share = share(work);
    let mut strikes: Vec<Strike> = strikes.into_iter().skip(turn % share).step_by(share).collect();
    if work == Work::Transfer(Manner::OnSessionWithState) {
        let closing = places::of_check(&When::Command(Kind::ResetConnection));
        strikes.extend(closing.into_iter().map(|rule| before(Situation::Closing, rule)));
    }
    strikes.extend(ways::of_idle(transport).into_iter().map(|fault| Strike {
        situation: Situation::Idle(fault),
        rule: None,
        before_statement: true,
    }));
    let pinging = places::of_check(&When::Command(Kind::Ping));
    strikes.extend(pinging.into_iter().map(|rule| before(Situation::Pinged, rule)));
    let connecting = places::of_connecting().into_iter().skip(turn % CONNECTING_SHARE).step_by(CONNECTING_SHARE);
    strikes.extend(connecting.map(|rule| before(Situation::Unconnected, rule)));
    strikes
}

/// A strike while connecting meets every so manieth kind of work.
const CONNECTING_SHARE: usize = 7;

/// The run after a COMMIT whose reply was lost: it is told of a duplicate key, and looks whose it is.
fn finding_out(work: Work, turn: usize) -> Vec<Rule> {
    let begin = begin(work);
    let again =
        places::of_command(&begin.when, begin.request, OK, turn).into_iter().map(|rule| rule.skip(1)).step_by(7);
    let ending = places::of_command(&When::text("ROLLBACK"), HEADER + "ROLLBACK".len(), OK, turn);
    let find = HEADER + "SELECT owner, payload FROM `mysql_retry_guard` WHERE token = x'313030303031'".len();
    let looking = places::of_command(&When::text("SELECT owner"), find, 100, turn);
    let silent = ["ROLLBACK", "SELECT owner"].into_iter().flat_map(|part| places::silent(&When::text(part), turn));
    let again = silent.chain(again);
    again.chain(ending.into_iter().step_by(2)).chain(looking.into_iter().step_by(5)).collect()
}

fn begin(work: Work) -> Part {
    let begin = "START TRANSACTION";
    if work.is_guarded() {
        text(begin, &format!("{begin}{TAKE}{SAVEPOINT}"), 3 * OK)
    } else {
        text(begin, &format!("{begin}{SAVEPOINT}"), 2 * OK)
    }
}

fn statements(work: Work) -> Vec<Part> {
    let executing = |reply| Part { when: When::executes(""), request: EXECUTION, reply };
    match work {
        Work::Transfer(_) => vec![
            text("balance - 1", &transfer::withdraw(FIRST), CHANGED),
            text("balance + ?", &transfer::deposit(FIRST), PREPARED),
            executing(CHANGED),
            text("INSERT INTO transfer", &transfer::note(FIRST), OK),
        ],
        _ if work.is_prepared() => vec![text("", &work.sql(FIRST), PREPARED), executing(OK)],
        _ => vec![text("", &work.sql(FIRST), OK)],
    }
}
