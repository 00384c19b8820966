//! One case: what is run, in which situation, and what strikes it.

use std::fmt;

use mysql_retry_fixture::{Fault, Rule, Transport};

use crate::{
    ways,
    wire::Wire,
    work::{Manner, Protocol, Work},
};

/// What there is when the case's statement is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Situation {
    /// A connection that works. `primed`: on which the same statement was prepared and executed before.
    Connected { primed: bool },
    /// No connection: all were cut.
    Unconnected,
    /// A connection that was cut, or fell silent, after its last statement.
    Idle(Fault),
    /// A connection that is pinged before it is used.
    Pinged,
    /// A connection that is being reset.
    Resetting,
    /// A connection that has to forget another prepared statement to keep this one.
    Forgetting,
    /// A connection so old that another one takes its place.
    Retiring,
    /// A connection of an executor that has not looked at the guard's table yet.
    Unexamined,
    /// A connection that works, and loses the reply to the guarded transaction's COMMIT; what strikes meets the run that
    /// finds out about it.
    CommitLost,
    /// A connection that works; what strikes it comes when the session is closed.
    Closing,
}

/// A case. Its number stands in its statement, and tells its effects from those of all others.
#[derive(Clone, Debug)]
pub struct Case {
    pub number: u32,
    pub transport: Transport,
    pub wire: Wire,
    pub work: Work,
    pub annotated: bool,
    pub situation: Situation,
    /// What strikes, once; nothing where the situation is the fault.
    pub rule: Option<Rule>,
    /// The fault strikes before the statement itself is sent: a client can know that it was not executed.
    pub before_statement: bool,
}

impl Case {
    /// The fault of the case.
    pub fn fault(&self) -> Option<&Fault> {
        match (&self.situation, &self.rule) {
            (Situation::Idle(fault), _) => Some(fault),
            (_, rule) => rule.as_ref().map(|rule| &rule.fault),
        }
    }

    /// Whether the client is left without any sign, so that only a time-out ends its waiting.
    pub fn is_silent(&self) -> bool {
        matches!(self.fault(), Some(Fault::Silence | Fault::ServerOnlyFin))
    }

    /// Whether nobody can connect after the fault, until somebody mends that.
    pub fn shuts_the_door(&self) -> bool {
        matches!(self.fault(), Some(Fault::Refuse | Fault::AcceptAndClose))
    }

    /// Whether something of the case stays in the proxy when its statement has ended.
    pub fn leaves_remains(&self) -> bool {
        // struck after the last byte of a reply: its connection stays in the pool
        let unseen = self.transport == Transport::Unix && self.fault() == Some(&Fault::HalfClose);
        self.is_silent() || unseen || self.rule.as_ref().is_some_and(|rule| rule.keep_server)
    }

    /// Whether its token can tell what became of it: unless the server says no to the question.
    pub fn is_decidable(&self) -> bool {
        self.work.is_guarded() && !self.fault().is_some_and(ways::is_answer)
    }

    /// Whether `Unknown` would be more than there was to fear.
    pub fn is_knowable(&self) -> bool {
        // the driver's look at an idle unix socket does not see it, and what is written then is executed
        let unseen = self.situation == Situation::Idle(Fault::HalfClose) && self.transport == Transport::Unix;
        // after a refusal that it takes no notice of, a closure's COMMIT is what is lost
        let overheard =
            self.work == Work::Transfer(Manner::Careless) && matches!(self.fault(), Some(Fault::ErrPacket { .. }));
        // what stored functions stand among the arguments of a CALL a server may run while it prepares it
        let may_run =
            self.work == Work::Call(Protocol::Prepared) && matches!(self.situation, Situation::Connected { .. });
        self.before_statement && !self.annotated && !self.is_silent() && !unseen && !overheard && !may_run
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { number, transport, wire, work, annotated, situation, rule, .. } = self;
        let annotation = if *annotated { "idempotent" } else { "plain" };
        write!(f, "FAULTS_CASE={number} {transport:?}{wire} {work} {annotation}; {situation:?}; ")?;
        match rule {
            Some(rule) => write!(f, "{rule:?}"),
            None => f.write_str("no rule"),
        }
    }
}
