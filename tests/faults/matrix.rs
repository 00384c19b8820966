//! The cases: every place x every way x every statement, each with and without the annotation.

use mysql_retry_fixture::{Fault, Flavour, Kind, Place, Rule, Transport, When};

use crate::{
    case::{Case, Situation},
    field::WORKERS,
    opaque,
    places::{self, Lengths},
    transactions, ways,
    wire::Wire,
    work::{Protocol, Work},
};

/// The first number; all have as many digits, so that a request is as long in each case.
pub const FIRST: u32 = 100_001;

/// A unix socket differs from TCP in how a loss shows, not in where it happens: every so manieth of the strikes will do.
const UNIX_SHARE: usize = 5;

/// A situation and what strikes in it.
pub struct Strike {
    pub situation: Situation,
    pub rule: Option<Rule>,
    pub before_statement: bool,
}

/// All cases on a server, over these transports.
pub fn all(flavour: Flavour, transports: &[Transport]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &transport in transports {
        for (index, work) in Work::short().into_iter().enumerate() {
            for annotated in [false, true] {
                let turn = index * 2 + usize::from(annotated);
                let mut strikes = short_strikes(work, flavour, transport, turn);
                if transport == Transport::Unix {
                    strikes = strikes.into_iter().skip(turn % UNIX_SHARE).step_by(UNIX_SHARE).collect();
                }
                push(&mut cases, (transport, Wire::Plain), work, annotated, strikes);
            }
        }
        for (turn, work) in Work::transactions().into_iter().enumerate() {
            let mut strikes = transactions::strikes(work, transport, turn);
            if transport == Transport::Unix {
                strikes = strikes.into_iter().skip(turn % UNIX_SHARE).step_by(UNIX_SHARE).collect();
            }
            push(&mut cases, (transport, Wire::Plain), work, false, strikes);
        }
        for work in Work::long() {
            for annotated in [false, true] {
                push(&mut cases, (transport, Wire::Plain), work, annotated, long_strikes(work));
            }
        }
    }
    if transports.contains(&Transport::Tcp) {
        for wire in Wire::opaque() {
            for (index, work) in Work::short().into_iter().enumerate() {
                for annotated in [false, true] {
                    let turn = index * 2 + usize::from(annotated);
                    push(&mut cases, (Transport::Tcp, wire), work, annotated, opaque::strikes(work, wire, turn));
                }
            }
            for (turn, work) in Work::transactions().into_iter().enumerate().filter(|(_, work)| !work.is_on_session()) {
                push(&mut cases, (Transport::Tcp, wire), work, false, opaque::strikes_within(work, wire, turn));
            }
        }
    }
    cases
}

fn push(
    cases: &mut Vec<Case>,
    (transport, wire): (Transport, Wire),
    work: Work,
    annotated: bool,
    strikes: Vec<Strike>,
) {
    for Strike { situation, mut rule, before_statement } in strikes {
        let number = FIRST + cases.len() as u32;
        if let Some(Rule { when: When::Text(part) | When::Executes(part), .. }) = &mut rule
            && part.is_empty()
        {
            *part = number.to_string();
        }
        cases.push(Case { number, transport, wire, work, annotated, situation, rule, before_statement });
    }
}

/// The command that carries a text, and the one that executes what was prepared; [`push`] puts the number in.
fn text() -> When {
    When::text("")
}

fn executes() -> When {
    When::executes("")
}

fn short_strikes(work: Work, flavour: Flavour, transport: Transport, turn: usize) -> Vec<Strike> {
    let mut strikes = Vec::new();
    let connected = |primed| Situation::Connected { primed };
    let lengths = Lengths::of(work, flavour);
    if work.is_prepared() {
        let forgetting = places::of_forgetting();
        strikes.extend(forgetting.into_iter().map(|rule| during(Situation::Forgetting, rule)));
        let preparing = places::of_command(&text(), lengths.text, lengths.prepare_reply, turn);
        strikes.extend(preparing.into_iter().map(|rule| before(connected(false), rule)));
        for primed in [false, true] {
            let executing = places::of_command(&executes(), lengths.execute, lengths.reply, turn);
            strikes.extend(executing.into_iter().map(|rule| during(connected(primed), rule)));
        }
        if work == Work::Batch && flavour == Flavour::MySql {
            // each row is a command of its own
            for skip in [1, 2] {
                let later = places::of_command(&executes(), lengths.execute, lengths.reply, turn);
                strikes.extend(later.into_iter().map(|rule| during(connected(false), rule.skip(skip))));
            }
        }
    } else {
        let executing = places::of_command(&text(), lengths.text, lengths.reply, turn);
        strikes.extend(executing.into_iter().map(|rule| during(connected(false), rule)));
    }
    let when = if work.is_prepared() { executes() } else { text() };
    strikes.extend(places::silent(&when, turn).into_iter().map(|rule| during(connected(false), rule)));
    strikes.extend(places::shut(&when, turn).into_iter().map(|rule| during(connected(false), rule)));
    strikes.extend(ways::of_idle(transport).into_iter().map(|fault| Strike {
        situation: Situation::Idle(fault),
        rule: None,
        before_statement: true,
    }));
    for (kind, situation) in [(Kind::Ping, Situation::Pinged), (Kind::ResetConnection, Situation::Resetting)] {
        let checking = places::of_check(&When::Command(kind));
        strikes.extend(checking.into_iter().map(|rule| before(situation.clone(), rule)));
    }
    let goodbyes = places::of_goodbye().into_iter().skip(turn % CONNECTING_SHARE).step_by(CONNECTING_SHARE);
    strikes.extend(goodbyes.map(|rule| before(Situation::Retiring, rule)));
    // they have nothing to do with the statement, so that each of them need not meet each statement
    let connecting = places::of_connecting().into_iter().skip(turn % CONNECTING_SHARE).step_by(CONNECTING_SHARE);
    strikes.extend(connecting.map(|rule| before(Situation::Unconnected, rule)));
    strikes
}

/// A strike while connecting meets every so manieth statement. Odd, as plain and annotated ones alternate.
const CONNECTING_SHARE: usize = 5;

fn long_strikes(work: Work) -> Vec<Strike> {
    let when = if work.is_prepared() { executes() } else { text() };
    let connected = Situation::Connected { primed: false };
    let mut strikes: Vec<Strike> =
        places::of_long(&when, work).into_iter().map(|rule| during(connected.clone(), rule)).collect();
    if work == Work::InsertLong(Protocol::Prepared) {
        let sending = places::of_long_data();
        strikes.extend(sending.into_iter().map(|rule| during(connected.clone(), rule)));
    }
    if work == Work::LocalInfile {
        let sending = places::of_file();
        strikes.extend(sending.into_iter().map(|rule| during(connected.clone(), rule)));
    }
    strikes.push(Strike { situation: Situation::Idle(Fault::Fin), rule: None, before_statement: true });
    strikes.push(before(Situation::Unconnected, Rule::new(When::Login, Place::Request(9), Fault::Fin)));
    strikes
}

pub fn before(situation: Situation, rule: Rule) -> Strike {
    // the next packet that is corrupt may be the first one of the statement's own reply
    let spreads = rule.fault == Fault::Corrupt && matches!(rule.place, Place::Reply(_));
    Strike { situation, rule: Some(rule), before_statement: !spreads }
}

pub fn during(situation: Situation, rule: Rule) -> Strike {
    Strike { situation, rule: Some(rule), before_statement: false }
}

/// A selection of about so many, spread evenly over all cases and all workers.
pub fn thin(cases: Vec<Case>, wanted: usize) -> Vec<Case> {
    let step = (cases.len() / wanted).max(1);
    let step = if step.is_multiple_of(WORKERS as usize) { step + 1 } else { step };
    cases.into_iter().step_by(step).collect()
}
