//! The cases of connections whose packets the proxy cannot see: a command is what comes from the client between two
//! replies, and its bytes are those of the compression or of TLS.

use mysql_retry_fixture::{Fault, Kind, Place, Rule, Transport, When};

use crate::{
    case::Situation,
    matrix::{Strike, before, during},
    ways,
    wire::Wire,
    work::Work,
};

/// Every so manieth of the strikes will do, and they take turns: how a loss shows does not depend on the statement.
const SHARE: usize = 3;

/// What strikes a statement on such a connection.
pub fn strikes(work: Work, wire: Wire, turn: usize) -> Vec<Strike> {
    let mut all = Vec::new();
    let connected = |primed| Situation::Connected { primed };
    if work.is_prepared() {
        all.extend(command(0, wire).into_iter().map(|rule| before(connected(false), rule)));
        all.extend(command(1, wire).into_iter().map(|rule| during(connected(false), rule)));
        all.extend(command(0, wire).into_iter().map(|rule| during(connected(true), rule)));
    } else {
        all.extend(command(0, wire).into_iter().map(|rule| during(connected(false), rule)));
    }
    all.extend(silent().into_iter().map(|rule| during(connected(false), rule)));
    all.extend(check(0).into_iter().map(|rule| before(Situation::Pinged, rule)));
    // the first command is the one that leaves something to reset
    all.extend(check(1).into_iter().map(|rule| before(Situation::Resetting, rule)));
    all.extend(connecting(wire).into_iter().map(|rule| before(Situation::Unconnected, rule)));
    let mut chosen: Vec<Strike> = all.into_iter().skip(turn % SHARE).step_by(SHARE).collect();
    chosen.extend(ways::of_idle(Transport::Tcp).into_iter().map(|fault| Strike {
        situation: Situation::Idle(fault),
        rule: None,
        before_statement: true,
    }));
    chosen
}

/// What strikes a transaction: its first command begins it, and its last one commits it.
pub fn strikes_within(work: Work, wire: Wire, turn: usize) -> Vec<Strike> {
    let commands = match work {
        Work::Transfer(_) => 6,
        _ if work.is_prepared() => 4,
        _ => 3,
    };
    let all = (0..commands).flat_map(|skip| command(skip, wire)).chain(silent()).filter(|rule| {
        // the flags of a reply tell whether the transaction is still open; what is only compressed has no checksum, and a
        // packet within a packet would be other flags of the server
        let forged = matches!((rule.place, &rule.fault), (Place::Reply(_), Fault::ErrPacket { .. }));
        !(forged && wire == Wire::Compressed)
    });
    let share = 2 * SHARE;
    let chosen = all.skip(turn % share).step_by(share);
    chosen.map(|rule| during(Situation::Connected { primed: false }, rule)).collect()
}

fn nth(skip: usize, place: Place, fault: Fault) -> Rule {
    Rule::new(When::Command(Kind::Unknown), place, fault).skip(skip)
}

/// The command after so many others. The shortest has some forty bytes, the shortest reply some twenty.
fn command(skip: usize, wire: Wire) -> Vec<Rule> {
    let requests = [0, 1, 4, 7, 12, 30].map(Place::Request);
    let replies = [1, 4, 6, 7, 15].map(Place::Reply);
    let places = requests.into_iter().chain([Place::AfterRequestWhenAnswered]).chain(replies);
    places
        .flat_map(|place| {
            ways::opaque(wire)
                .into_iter()
                .map(move |(fault, keep_server)| Rule { keep_server, ..nth(skip, place, fault) })
        })
        .collect()
}

fn silent() -> Vec<Rule> {
    let places = [Place::Request(0), Place::Request(9), Place::AfterRequestWhenAnswered, Place::Reply(3)];
    let faults = [Fault::Silence, Fault::ServerOnlyFin];
    places.into_iter().flat_map(|place| faults.clone().map(|fault| nth(0, place, fault))).collect()
}

/// A ping or a reset.
fn check(skip: usize) -> Vec<Rule> {
    let places = [Place::Request(0), Place::Request(3), Place::AfterRequestWhenAnswered, Place::Reply(3)];
    let faults = [Fault::Fin, Fault::Rst, Fault::HalfClose];
    places.into_iter().flat_map(|place| faults.clone().map(|fault| nth(skip, place, fault))).collect()
}

/// From the greeting over the handshake of TLS, if there is one, to what a new connection is asked.
fn connecting(wire: Wire) -> Vec<Rule> {
    let faults = [Fault::Fin, Fault::Rst];
    let seen = [When::Greeting, When::Login].map(|when| Rule::new(when, Place::Request(0), Fault::Fin));
    let places = [0, 5, 100].map(Place::Request).into_iter().chain([0, 3, 40, 400].map(Place::Reply));
    // the two questions of the driver and of the executor; TLS has its two flights before them
    let commands = if wire == Wire::Tls { 4 } else { 2 };
    let unseen = (0..commands).flat_map(|skip| places.clone().map(move |place| (skip, place)));
    let unseen = unseen.flat_map(|(skip, place)| faults.clone().map(|fault| nth(skip, place, fault)));
    seen.into_iter().chain(unseen).collect()
}
