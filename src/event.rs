//! Events, for a hook and for `tracing`, and counters.
//!
//! A statement that succeeds at its first attempt emits nothing and counts nothing.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::{
    error::Error,
    meter,
    verdict::{Classification, Outcome, Unavailable},
};

/// Something that happened to a call, or to the server of an executor.
///
/// Events of a call are emitted by its loop, each zero or more times, on the task that made the call. Events of an outage
/// ([`Down`](Event::Down), [`Probing`](Event::Probing), [`Back`](Event::Back), [`Moved`](Event::Moved)) are emitted once for
/// all clones, by the call that noticed the outage and by the task that probes.
///
/// Given to the hook set with [`ExecutorBuilder::on_event`](crate::ExecutorBuilder::on_event): a slow hook delays the task that
/// emits. With the feature `tracing` each is also a `tracing` event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An attempt lost its connection or could get none, or the server refused the statement because of its own
    /// condition.
    #[non_exhaustive]
    ConnectionLost {
        /// What it means.
        classification: Classification,
        /// The driver's error.
        error: &'a mysql_async::Error,
        /// The server's id of the connection; `None` if there was none.
        connection_id: Option<u32>,
        /// Which attempt of the call it was, from 1.
        attempt: u32,
    },
    /// The statement will be sent again after a delay.
    #[non_exhaustive]
    RetryScheduled {
        /// The delay; zero after the first loss.
        after: Duration,
        /// What is known of the attempts so far: `NotExecuted` makes it a resend; `Unknown`, and `Failed` where the server
        /// may not have rolled back all of the statement, a replay.
        outcome: Outcome,
        /// The attempt that failed, from 1.
        attempt: u32,
    },
    /// A statement that may have been executed before, in whole or in part, was sent again.
    #[non_exhaustive]
    Replayed {
        /// Which attempt of the call it is, from 1.
        attempt: u32,
        /// The server's id of its connection.
        connection_id: u32,
    },
    /// A write is about to be replayed although the session of the lost attempt is not known to have ended: the first copy
    /// may still be executed, after the replay and after later writes of others. See [the page on
    /// outages](crate::docs::outages#replays-wait-for-their-lost-attempt).
    #[non_exhaustive]
    Unfenced {
        /// Why it is not known.
        why: Unfenced,
        /// The attempt that is about to be made, from 1.
        attempt: u32,
    },
    /// The call succeeded after at least one failed attempt.
    #[non_exhaustive]
    Recovered {
        /// The number of attempts, the last one included.
        attempts: u32,
        /// The time since the call.
        elapsed: Duration,
    },
    /// The call failed, and not only with the answer to its only attempt: a connection was lost or could not be had, the
    /// server refused the statement or rolled it back, an earlier attempt had failed, or the deadline left no time. A
    /// duplicate key at the first attempt is no event.
    #[non_exhaustive]
    GaveUp {
        /// The error that the caller gets. Its [`outcome`](Error::outcome) is that of the whole call.
        error: &'a Error,
    },
    /// The server cannot be used. Calls that need a connection wait from now on, while one task probes.
    #[non_exhaustive]
    Down {
        /// Host and port, or socket.
        address: &'a str,
        /// What is wrong with it.
        why: Unavailable,
        /// The error that showed it.
        error: &'a mysql_async::Error,
    },
    /// A connection is tried, to see whether the server can be used again.
    #[non_exhaustive]
    Probing {
        /// Host and port, or socket.
        address: &'a str,
        /// The number of the probe, from 1 in each outage.
        number: u64,
    },
    /// A server can be used again, or another one in its place.
    #[non_exhaustive]
    Back {
        /// Host and port, or socket.
        address: &'a str,
        /// How long the outage lasted.
        lasted: Duration,
        /// How many calls had been waiting.
        waiting: u64,
    },
    /// From now on statements go to another target.
    #[non_exhaustive]
    Moved {
        /// The target that was left.
        from: &'a str,
        /// The target in use.
        to: &'a str,
    },
}

/// Why it is not known whether the session of a lost attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unfenced {
    /// It was on another server than the one that answers now.
    OtherServer,
    /// It is still there, and the server does not allow the user to kill it.
    NotAllowed,
    /// Its session has no mark by which it could be found: the server, or a proxy in front of it, did not let its sessions be
    /// marked (with `GET_LOCK`); a router sends statements to several servers, so that a question about the session may be
    /// answered by another one; or a statement released the mark (`RELEASE_ALL_LOCKS()`).
    Unmarked,
    /// It was on a target that was left, and that cannot be reached.
    Unreachable,
    /// It was killed, and does not end, because its server has lost the majority of its group (MySQL's Group Replication). What
    /// it was about to commit may still be committed when the majority is back (seen on MySQL 9.7).
    NoMajority,
}

impl fmt::Display for Unfenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfenced::OtherServer => "it was on another server than the one that answers now",
            Unfenced::NotAllowed => "the server does not allow to kill it",
            Unfenced::Unmarked => "its session has no mark by which it could be found",
            Unfenced::Unreachable => "its server cannot be reached",
            Unfenced::NoMajority => {
                "it was killed and does not end, because its server has lost the majority of its group"
            }
        })
    }
}

/// The hook of a user.
pub(crate) type Hook = dyn Fn(&Event<'_>) + Send + Sync;

/// Counts of what happened since the executor was made, read with [`Executor::counters`](crate::Executor::counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Attempts that failed with a loss ([`Event::ConnectionLost`]). During an outage each attempt to connect is one.
    pub losses: u64,
    /// Statements sent again, proved not to have been executed. Each is counted when it is sent, not when that is decided.
    pub resends: u64,
    /// Statements sent again that may have been executed, in whole or in part ([`Event::Replayed`]).
    pub replays: u64,
    /// Replays of writes whose lost attempt was not known to have ended ([`Event::Unfenced`]).
    pub unfenced: u64,
    /// Calls that succeeded after at least one failed attempt ([`Event::Recovered`]).
    pub recovered: u64,
    /// Calls that failed, and not only with the server's answer to their only attempt ([`Event::GaveUp`]).
    pub gave_up: u64,
    /// Connections closed because a check before use failed, or because of their idle time.
    pub retired: u64,
    /// Connections reset because a statement may have changed session state.
    pub resets: u64,
    /// How often the server could not be used ([`Event::Down`]).
    pub outages: u64,
    /// Connections tried to see whether a server can be used again ([`Event::Probing`]).
    pub probes: u64,
    /// How often statements went to another target from then on ([`Event::Moved`]).
    pub moves: u64,
    /// Calls that wait for the end of an outage at this moment.
    pub waiting: u64,
    /// Connections to the server in use that are open, or being opened, at this moment.
    pub connections: u64,
    /// Those of them that no call has.
    pub idle: u64,
    /// Statements that may be sent again at this moment, see [`RetryBudget`](crate::RetryBudget); `None` without a budget.
    pub budget_left: Option<u32>,
}

/// The counters, as they are counted.
pub(crate) struct Counting {
    pub(crate) losses: Count,
    pub(crate) resends: Count,
    pub(crate) replays: Count,
    pub(crate) unfenced: Count,
    pub(crate) recovered: Count,
    pub(crate) gave_up: Count,
    pub(crate) retired: Count,
    pub(crate) resets: Count,
    pub(crate) outages: Count,
    pub(crate) probes: Count,
    pub(crate) moves: Count,
}

pub(crate) struct Count {
    count: AtomicU64,
    /// Its name as a metric.
    name: &'static str,
}

impl Count {
    const fn named(name: &'static str) -> Self {
        Count { count: AtomicU64::new(0), name }
    }

    pub(crate) fn add_one(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        meter::count(self.name);
    }

    fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Default for Counting {
    fn default() -> Self {
        Counting {
            losses: Count::named("mysql_retry.losses"),
            resends: Count::named("mysql_retry.resends"),
            replays: Count::named("mysql_retry.replays"),
            unfenced: Count::named("mysql_retry.unfenced"),
            recovered: Count::named("mysql_retry.recovered"),
            gave_up: Count::named("mysql_retry.gave_up"),
            retired: Count::named("mysql_retry.retired"),
            resets: Count::named("mysql_retry.resets"),
            outages: Count::named("mysql_retry.outages"),
            probes: Count::named("mysql_retry.probes"),
            moves: Count::named("mysql_retry.moves"),
        }
    }
}

impl Counting {
    pub(crate) fn read(&self) -> Counters {
        Counters {
            losses: self.losses.get(),
            resends: self.resends.get(),
            replays: self.replays.get(),
            unfenced: self.unfenced.get(),
            recovered: self.recovered.get(),
            gave_up: self.gave_up.get(),
            retired: self.retired.get(),
            resets: self.resets.get(),
            outages: self.outages.get(),
            probes: self.probes.get(),
            moves: self.moves.get(),
            // not counted, but read elsewhere
            waiting: 0,
            connections: 0,
            idle: 0,
            budget_left: None,
        }
    }
}

/// Where events go.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) hook: Option<Box<Hook>>,
    pub(crate) counting: Counting,
}

impl Listeners {
    pub(crate) fn emit(&self, event: &Event<'_>) {
        match event {
            Event::ConnectionLost { .. } => self.counting.losses.add_one(),
            Event::Replayed { .. } => self.counting.replays.add_one(),
            Event::Recovered { .. } => self.counting.recovered.add_one(),
            Event::GaveUp { .. } => self.counting.gave_up.add_one(),
            Event::Unfenced { .. } => self.counting.unfenced.add_one(),
            Event::Down { .. } => self.counting.outages.add_one(),
            Event::Probing { .. } => self.counting.probes.add_one(),
            Event::Moved { .. } => self.counting.moves.add_one(),
            Event::RetryScheduled { .. } | Event::Back { .. } => {}
        }
        trace(event);
        if let Some(hook) = &self.hook {
            hook(event);
        }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("hook", &self.hook.is_some())
            .field("counters", &self.counting.read())
            .finish()
    }
}

#[cfg(not(feature = "tracing"))]
fn trace(_: &Event<'_>) {}

#[cfg(feature = "tracing")]
fn trace(event: &Event<'_>) {
    match event {
        Event::ConnectionLost { classification, error, connection_id, attempt } => tracing::warn!(
            fault = ?classification.fault(),
            outcome = ?classification.outcome(),
            %error,
            connection_id,
            attempt,
            "connection lost"
        ),
        Event::RetryScheduled { after, outcome, attempt } => {
            tracing::info!(?after, ?outcome, attempt, "retry scheduled")
        }
        Event::Replayed { attempt, connection_id } => tracing::info!(attempt, connection_id, "replayed"),
        Event::Unfenced { why, attempt } => tracing::warn!(%why, attempt, "unfenced"),
        Event::Recovered { attempts, elapsed } => {
            tracing::info!(attempts, ?elapsed, "recovered");
        }
        Event::GaveUp { error } => tracing::error!(
            outcome = ?error.outcome(),
            reason = ?error.reason(),
            attempts = error.attempts(),
            %error,
            "gave up"
        ),
        Event::Down { address, why, error } => tracing::warn!(%address, %why, %error, "down"),
        Event::Probing { address, number } => tracing::debug!(%address, number, "probing"),
        Event::Back { address, lasted, waiting } => tracing::info!(%address, ?lasted, waiting, "back"),
        Event::Moved { from, to } => tracing::warn!(%from, %to, "moved"),
    }
}
