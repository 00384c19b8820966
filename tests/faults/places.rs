//! Every place of a command, and what strikes there.

use std::time::Duration;

use mysql_retry_fixture::{Fault, Flavour, Kind, Place, Rule, When};

use crate::{
    ways::{self, Way},
    work::{Effects, Protocol, Work},
};

/// How many bytes a statement's packets have, headers included. Of an execution and of replies it is the least that they
/// have on all servers.
pub struct Lengths {
    pub text: usize,
    pub prepare_reply: usize,
    pub execute: usize,
    pub reply: usize,
}

/// Header, command, statement's id, flags, iteration count: what each execution begins with.
const EXECUTE: usize = 14;
/// The same of MariaDB's bulk execution, up to its flags.
const BULK_EXECUTE: usize = 11;

impl Lengths {
    pub fn of(work: Work, flavour: Flavour) -> Self {
        let bulk = work == Work::Batch && flavour == Flavour::MariaDb;
        let reply = match (work, work.effects()) {
            (Work::Select(_, 200) | Work::Stream(_, 200), _) => 900,
            (_, Effects::None) => 40,
            // two result sets
            (Work::Call(_), _) => 100,
            (Work::Multi, _) => 22,
            (_, Effects::Counter | Effects::Key) => 45,
            (_, Effects::Rows(_) | Effects::Absence | Effects::Transfer) => 11,
        };
        Lengths {
            text: 5 + work.sql(crate::matrix::FIRST).len(),
            // the OK, and the definition of one parameter
            prepare_reply: 38,
            execute: if bulk { BULK_EXECUTE } else { EXECUTE + 8 },
            reply,
        }
    }
}

fn struck(when: &When, place: Place, (fault, keep_server): Way) -> Rule {
    Rule { keep_server, ..Rule::new(when.clone(), place, fault) }
}

/// Every byte of a request and of its reply with a FIN and with a reset, and with one of the other ways, which take turns.
pub fn of_command(when: &When, request: usize, reply: usize, turn: usize) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut add = |place, way: &Way| rules.push(struck(when, place, way.clone()));
    let plain = [(Fault::Fin, false), (Fault::Rst, false)];
    let others = ways::not_forwarded();
    for n in 0..request {
        for way in plain.iter().chain(others.iter().cycle().skip(n + turn).take(1)) {
            add(Place::Request(n), way);
        }
    }
    let others = ways::forwarded();
    for place in [Place::AfterRequest, Place::AfterRequestWhenAnswered] {
        for way in plain.iter().chain(&others) {
            add(place, way);
        }
    }
    let within = ways::within_reply();
    // a reply of many rows looks alike all the way
    let step = (reply / 60).max(1);
    for (count, n) in (1..reply).step_by(step).enumerate() {
        for way in plain.iter().chain(within.iter().cycle().skip(count + turn).take(1)) {
            add(Place::Reply(n), way);
        }
    }
    rules
}

/// The client is left waiting, so that each case takes as long as an attempt may.
pub fn silent(when: &When, turn: usize) -> Vec<Rule> {
    let places = [
        Place::Request(0),
        Place::Request(turn % EXECUTE),
        Place::AfterRequest,
        Place::AfterRequestWhenAnswered,
        Place::Reply(3),
    ];
    let faults = [Fault::Silence, Fault::ServerOnlyFin];
    places.into_iter().flat_map(|place| faults.clone().map(|fault| Rule::new(when.clone(), place, fault))).collect()
}

/// The client is cut, and for a while there is no way back.
pub fn shut(when: &When, turn: usize) -> Vec<Rule> {
    let places = [Place::Request(turn % EXECUTE), Place::AfterRequestWhenAnswered];
    let faults = [Fault::Refuse, Fault::AcceptAndClose];
    places.into_iter().flat_map(|place| faults.clone().map(|fault| Rule::new(when.clone(), place, fault))).collect()
}

/// A ping and a reset: five bytes there, eleven or so back. Not after the reply, which would race the next command.
pub fn of_check(when: &When) -> Vec<Rule> {
    let mut rules = Vec::new();
    for way in [Fault::Fin, Fault::Rst, Fault::HalfClose] {
        for place in (0..=4).map(Place::Request).chain((1..7).map(Place::Reply)) {
            rules.push(Rule::new(when.clone(), place, way.clone()));
        }
        rules.push(Rule::new(when.clone(), Place::AfterRequestWhenAnswered, way));
    }
    rules.push(Rule::new(when.clone(), Place::AfterRequestWhenAnswered, Fault::Corrupt));
    rules.push(Rule::new(when.clone(), Place::Request(0), Fault::Silence));
    rules
}

/// From the first sign of a connection until its session is known.
pub fn of_connecting() -> Vec<Rule> {
    let mut rules = Vec::new();
    let shuts = |fault: &Fault| matches!(fault, Fault::Refuse | Fault::AcceptAndClose);
    for way in ways::of_connecting() {
        for when in [When::Connect, When::Greeting, When::Login] {
            rules.push(struck(&when, Place::Request(0), way.clone()));
        }
        if !shuts(&way.0) {
            rules.push(struck(&When::Login, Place::AfterRequestWhenAnswered, way));
        }
    }
    let plain = |when: &When, place| [Fault::Fin, Fault::Rst].map(|fault| Rule::new(when.clone(), place, fault));
    rules.extend((1..75).flat_map(|n| plain(&When::Greeting, Place::Reply(n))));
    rules.extend((1..60).flat_map(|n| plain(&When::Login, Place::Request(n))));
    rules.extend((1..11).flat_map(|n| plain(&When::Login, Place::Reply(n))));
    // what the driver asks a new connection, and what the executor does
    for part in ["@@max_allowed_packet,@@wait_timeout", "GET_LOCK"] {
        let when = When::text(part);
        rules.extend((0..40).step_by(3).flat_map(|n| plain(&when, Place::Request(n))));
        rules.extend((1..40).step_by(3).flat_map(|n| plain(&when, Place::Reply(n))));
    }
    rules.push(Rule::new(When::Connect, Place::Request(0), Fault::Silence));
    rules.push(Rule::new(When::Greeting, Place::Request(0), Fault::Delay(Duration::from_millis(5))));
    rules
}

/// A few places of what takes long.
pub fn of_long(when: &When, work: Work) -> Vec<Rule> {
    let mut places = vec![Place::Request(0), Place::Request(9), Place::AfterRequest, Place::AfterRequestWhenAnswered];
    if matches!(work, Work::InsertLong(Protocol::Text)) {
        // the last byte of the first packet, and the first of the second
        places.extend([1_000_000, 4 + 0xFF_FFFF - 1, 4 + 0xFF_FFFF, 4 + 0xFF_FFFF + 1].map(Place::Request));
    }
    if matches!(work.effects(), Effects::None) {
        places.extend([60, 30_000, 70_000, 10_000_000].map(Place::Reply));
    }
    let faults = [Fault::Fin, Fault::Rst];
    places.into_iter().flat_map(|place| faults.clone().map(|fault| Rule::new(when.clone(), place, fault))).collect()
}

/// A value of 17 MB ahead of the execution: two commands without a reply.
pub fn of_long_data() -> Vec<Rule> {
    let plain = |place, skip| [Fault::Fin, Fault::Rst].map(|fault| long_data(place, fault).skip(skip));
    let first = [0, 9, 1_000_000, 16_000_000].into_iter().flat_map(|n| plain(Place::Request(n), 0));
    let second = [0, 9].into_iter().flat_map(|n| plain(Place::Request(n), 1));
    first.chain(second).collect()
}

fn long_data(place: Place, fault: Fault) -> Rule {
    Rule::new(When::Command(Kind::LongData), place, fault)
}

/// The goodbye of a prepared statement, which has no reply: nine bytes between its preparation and its execution.
pub fn of_forgetting() -> Vec<Rule> {
    without_reply(Kind::CloseStatement, [0, 1, 4, 8])
}

/// The goodbye of a connection that another one has taken the place of.
pub fn of_goodbye() -> Vec<Rule> {
    without_reply(Kind::Quit, [0, 1, 3, 4])
}

fn without_reply(kind: Kind, bytes: [usize; 4]) -> Vec<Rule> {
    let places = bytes.map(Place::Request).into_iter().chain([Place::AfterRequest]);
    let faults = [Fault::Fin, Fault::Rst, Fault::HalfClose];
    places.flat_map(|place| faults.clone().map(|fault| Rule::new(When::Command(kind), place, fault))).collect()
}

/// The file of LOCAL INFILE on its way: two lines, and the empty packet at its end.
pub fn of_file() -> Vec<Rule> {
    let when = When::Command(Kind::LocalData);
    let places = (0..=12).map(Place::Request).chain((1..11).map(Place::Reply));
    let places = places.chain([Place::AfterRequest, Place::AfterRequestWhenAnswered]);
    let faults = [Fault::Fin, Fault::Rst, Fault::HalfClose];
    places.flat_map(|place| faults.clone().map(|fault| Rule::new(when.clone(), place, fault))).collect()
}
