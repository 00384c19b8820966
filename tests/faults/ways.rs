//! The ways to lose a connection, by what they leave true.

use std::time::Duration;

use mysql_retry_fixture::{Fault, Transport};

use crate::wire::Wire;

/// A fault, and whether the server's side stays open.
pub type Way = (Fault, bool);

fn error(code: u16, message: &str, sequence: Option<u8>) -> Fault {
    Fault::ErrPacket { code, state: Some("HY000".into()), message: message.into(), sequence }
}

/// As a router that reaches no server sends it.
fn without_state(code: u16) -> Fault {
    Fault::ErrPacket { code, state: None, message: "Can't connect to MySQL server".into(), sequence: None }
}

/// A server's answer to a statement: a value that does not fit. It says that nothing was lost.
const ANSWER: u16 = 1406;

/// Whether the fault is such an answer.
pub fn is_answer(fault: &Fault) -> bool {
    matches!(fault, Fault::ErrPacket { code: ANSWER, .. })
}

const IDLE: &str = "The client was disconnected by the server because of inactivity.";

/// Ends of the connection that say nothing about the statement, so that they may come at any time.
fn ends() -> [Way; 7] {
    [
        (Fault::HalfClose, false),
        (Fault::Fin, true),
        (Fault::Rst, true),
        (error(1053, "Server shutdown in progress", None), false),
        (error(1927, "Connection was killed", None), false),
        (without_state(2003), false),
        (error(4031, IDLE, Some(0)), false),
    ]
}

/// Where the server has not got the whole request: a refusal is the truth there, and so is an answer that says no.
pub fn not_forwarded() -> Vec<Way> {
    let refusals = [
        error(1290, "The MySQL server is running with the --read-only option so it cannot execute this", None),
        error(1047, "WSREP has not yet prepared node for application use", None),
        error(1836, "Running in read-only mode", None),
        error(4031, IDLE, None),
        error(9001, "Max connect timeout reached while reaching hostgroup 0 after 10000ms", None),
        error(ANSWER, "Data too long for column 'part' at row 1", None),
    ];
    ends().into_iter().chain(refusals.map(|refusal| (refusal, false))).collect()
}

/// Where the server has got it, and may be executing it.
pub fn forwarded() -> Vec<Way> {
    let others = [(Fault::Corrupt, false), (Fault::Reorder, false), (Fault::Delay(Duration::from_millis(5)), false)];
    ends().into_iter().chain(others).collect()
}

/// In the middle of a reply. What a proxy wrote there would be taken for a part of it.
pub fn within_reply() -> Vec<Way> {
    vec![(Fault::HalfClose, false), (Fault::Corrupt, false), (Fault::Fin, true), (Fault::Rst, true)]
}

/// While nobody uses the connection.
pub fn of_idle(transport: Transport) -> Vec<Fault> {
    let mut faults = vec![Fault::Fin, Fault::Rst, Fault::HalfClose, error(4031, IDLE, Some(0)), Fault::Silence];
    if transport == Transport::Unix {
        // a socket file knows no reset: it would be the same case twice
        faults.retain(|fault| *fault != Fault::Rst);
    }
    faults
}

/// Before there is a session.
pub fn of_connecting() -> Vec<Way> {
    vec![
        (Fault::Fin, false),
        (Fault::Rst, false),
        (Fault::HalfClose, false),
        (error(1040, "Too many connections", None), false),
        (without_state(2003), false),
        (error(1053, "Server shutdown in progress", None), false),
        (Fault::Refuse, false),
        (Fault::AcceptAndClose, false),
    ]
}

/// Where nobody sees packets, so that whatever is written between them makes no sense.
pub fn opaque(wire: Wire) -> Vec<Way> {
    let mut ways = vec![
        (Fault::Fin, false),
        (Fault::Rst, false),
        (Fault::HalfClose, false),
        (Fault::Fin, true),
        (error(1053, "Server shutdown in progress", None), false),
        (Fault::Delay(Duration::from_millis(5)), false),
    ];
    if wire == Wire::Tls {
        // what is only compressed has no checksum: a wrong byte would be a wrong answer of the server
        ways.push((Fault::Corrupt, false));
    }
    ways
}
