//! Random rules that tell no lies: a refusal stands only where the server cannot have executed what it refuses.

use mysql_retry_fixture::{Fault, Kind, Place, Random, Rule, Transport, When};

use super::script::chance;
use crate::ways::{self, Way};

/// Bytes that every command has more of: a header, and the command itself.
const SHORTEST: usize = 4;
/// Less than the beginning of an execution, of MariaDB's bulk execution too, and less than any text that has a number.
const EXECUTION: usize = 10;
const TEXT: usize = 20;

/// The texts of the driver and of the executor itself.
const OWN: [&str; 5] = ["@@max_allowed_packet,@@wait_timeout", "GET_LOCK", "IS_USED_LOCK", "KILL ", "USE "];

pub fn rule(random: &mut Random, commands: &[(u32, bool)], transport: Transport) -> Rule {
    let rule = match random.below(10) {
        0 => connecting(random),
        1 => checking(random),
        2 => {
            let part = random.one_of(&OWN);
            // `KILL 9` is shorter than other texts
            at_command(random, When::text(part), SHORTEST, transport)
        }
        3 => {
            let kinds = [Kind::Query, Kind::Prepare, Kind::Execute, Kind::BulkExecute];
            let kind = random.one_of(&kinds);
            at_command(random, When::Command(kind), SHORTEST, transport)
        }
        4 => anywhere(random, transport),
        _ if commands.is_empty() => anywhere(random, transport),
        _ => {
            let (number, prepared) = random.one_of(commands);
            if prepared && chance(random, 2, 3) {
                at_command(random, When::executes(number.to_string()), EXECUTION, transport)
            } else {
                at_command(random, When::text(number.to_string()), TEXT, transport)
            }
        }
    };
    let skip = if chance(random, 1, 3) { random.below(6) as usize } else { 0 };
    let times = if chance(random, 1, 3) { 1 + random.below(4) as usize } else { 1 };
    let keep_server = rule.keep_server || chance(random, 1, 4);
    Rule { keep_server, ..rule.skip(skip).times(times) }
}

/// A write that is held back and arrives when its caller has long written something else, while nobody gets to ask what
/// became of it: what the fence is for, and too rare by chance.
pub fn late(random: &mut Random, write: u32) -> [Rule; 2] {
    let request = Place::Request(random.below(TEXT as u64) as usize);
    let asking = random.one_of(&[Fault::Fin, Fault::Rst, Fault::HalfClose]);
    [
        Rule::new(When::text(write.to_string()), request, Fault::Silence),
        Rule::new(When::text("IS_USED_LOCK"), Place::Request(0), asking).times(1 + random.below(4) as usize),
    ]
}

/// A statement that is lost, and an answer about its session that comes when its deadline has passed: what it must not be
/// taken for. Also too rare by chance.
pub fn slow(random: &mut Random, (number, prepared): (u32, bool)) -> [Rule; 2] {
    let when = if prepared { When::executes(number.to_string()) } else { When::text(number.to_string()) };
    let delay = Fault::Delay(random.millis(100, 600));
    [
        Rule::new(when, Place::AfterRequestWhenAnswered, Fault::Fin).keep_server(),
        Rule::new(When::text("IS_USED_LOCK"), Place::AfterRequestWhenAnswered, delay),
    ]
}

/// `unfinished`: with so many bytes of the request the server has not got the whole of it.
fn at_command(random: &mut Random, when: When, unfinished: usize, transport: Transport) -> Rule {
    match random.below(10) {
        0..=2 => {
            let place = Place::Request(random.below(unfinished as u64 + 1) as usize);
            let ways = with_others(ways::not_forwarded(), random);
            struck(random, when, place, &ways)
        }
        3 => {
            // this may be the end of the request
            let place = Place::Request(random.below(70) as usize);
            let ways = with_others(ways::forwarded(), random);
            struck(random, when, place, &ways)
        }
        4..=6 => {
            let place = random.one_of(&[Place::AfterRequest, Place::AfterRequestWhenAnswered]);
            let ways = with_others(ways::forwarded(), random);
            struck(random, when, place, &ways)
        }
        7 | 8 => {
            let longest = random.one_of(&[12, 60, 1000]);
            let ways = with_silence(ways::within_reply(), random);
            let place = Place::Reply(1 + random.below(longest) as usize);
            struck(random, when, place, &ways)
        }
        _ => after_reply(random, when, transport),
    }
}

/// Also a file on its way to the server, where no refusal is known to be true, and commands without a reply.
fn anywhere(random: &mut Random, transport: Transport) -> Rule {
    let when = random.one_of(&[When::Any, When::Any, When::Command(Kind::LocalData)]);
    match random.below(4) {
        0 => after_reply(random, when, transport),
        1 => {
            let ways = with_silence(ways::within_reply(), random);
            let place = Place::Reply(1 + random.below(60) as usize);
            struck(random, when, place, &ways)
        }
        _ => {
            let n = random.below(40) as usize;
            let place = random.one_of(&[Place::Request(n), Place::AfterRequest, Place::AfterRequestWhenAnswered]);
            let ways = with_others(ways::forwarded(), random);
            struck(random, when, place, &ways)
        }
    }
}

fn after_reply(random: &mut Random, when: When, transport: Transport) -> Rule {
    let fault = random.one_of(&ways::of_idle(transport));
    Rule::new(when, Place::AfterReply, fault)
}

fn checking(random: &mut Random) -> Rule {
    let when = When::Command(random.one_of(&[Kind::Ping, Kind::ResetConnection]));
    let places = [
        Place::Request(random.below(5) as usize),
        Place::AfterRequest,
        Place::AfterRequestWhenAnswered,
        Place::Reply(1 + random.below(11) as usize),
    ];
    let place = random.one_of(&places);
    let ways = with_silence(ways::within_reply(), random);
    struck(random, when, place, &ways)
}

fn connecting(random: &mut Random) -> Rule {
    let ends = || ways::within_reply().into_iter().filter(|(fault, _)| *fault != Fault::Corrupt).collect();
    match random.below(3) {
        0 => {
            let when = random.one_of(&[When::Connect, When::Greeting, When::Login]);
            let ways = with_silence(ways::of_connecting(), random);
            struck(random, when, Place::Request(0), &ways)
        }
        1 => {
            let ways = with_silence(ends(), random);
            let place = Place::Reply(1 + random.below(75) as usize);
            struck(random, When::Greeting, place, &ways)
        }
        _ => {
            let ways = with_silence(ends(), random);
            let (sent, answered) = (random.below(60) as usize, 1 + random.below(11) as usize);
            let places = [Place::Request(sent), Place::Reply(answered), Place::AfterRequestWhenAnswered];
            let place = random.one_of(&places);
            struck(random, When::Login, place, &ways)
        }
    }
}

fn with_silence(mut ways: Vec<Way>, random: &mut Random) -> Vec<Way> {
    ways.extend([(Fault::Silence, false), (Fault::ServerOnlyFin, false), (Fault::Delay(random.millis(1, 60)), false)]);
    ways
}

/// Where the whole connection may end, also with a door that shuts behind it. Silence more often than the others: what it
/// holds back arrives late.
fn with_others(ways: Vec<Way>, random: &mut Random) -> Vec<Way> {
    let mut ways = with_silence(ways, random);
    ways.extend([Fault::Refuse, Fault::AcceptAndClose, Fault::Silence, Fault::Silence].map(|fault| (fault, false)));
    ways
}

fn struck(random: &mut Random, when: When, place: Place, ways: &[Way]) -> Rule {
    let (fault, keep_server) = random.one_of(ways);
    Rule { keep_server, ..Rule::new(when, place, fault) }
}
