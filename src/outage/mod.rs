//! What all clones of an executor know of an outage.
//!
//! Without it each task would notice by itself that the server is down and that it is back: a hundred tasks would make a
//! hundred connection attempts repeatedly, each with delays of its own. Here the first call that notices starts the outage
//! for all. Then one task probes, the others wait for its result, each until its own deadline, and are released together.
//!
//! Only the making of connections stops. Running statements go on, and open connections are used.

use std::{
    io,
    pin::pin,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use mysql_async::Error;
use tokio::{sync::Notify, time::timeout_at};

use crate::{
    conditions::unavailable_at_connect,
    driver::{copy, own},
    verdict::{Obstacle, Unavailable},
};

mod group;
mod question;
mod state;
mod waiting;

pub(crate) use group::{is_left_behind, out_of_touch, out_of_touch_for};
pub(crate) use question::{Answer, Question, ask, ask_on};
use state::{Spell, State, is_refused};
use waiting::Waiting;

/// The settings of outages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuning {
    /// The longest time between two probes.
    pub(crate) probe_interval: Duration,
    /// Calls fail at once when an outage has lasted for this long.
    pub(crate) fail_fast_after: Option<Duration>,
    /// A read-only server can be used.
    pub(crate) accept_read_only: bool,
}

impl Tuning {
    /// A server that is there answers within this time, as far as one can wait for it in an outage.
    pub(crate) fn patience(&self) -> Duration {
        self.probe_interval.saturating_mul(4).max(Duration::from_secs(1))
    }

    /// What a server is asked before it is used in place of another one.
    pub(crate) fn question(&self) -> Question {
        if self.accept_read_only { Question::Reading } else { Question::Condition }
    }
}

/// What a call needs of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Read,
    Write,
}

/// What is wrong, if anything is, and who waits for its end.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) tuning: Tuning,
    /// Whether there is an outage. Without one, only this flag is read.
    troubled: AtomicBool,
    /// The target that statements go to.
    current: AtomicUsize,
    /// How many outages there were.
    epoch: AtomicU64,
    waiting: AtomicU64,
    /// Those of them that want a connection more at a full server.
    impatient: AtomicU64,
    state: Mutex<State>,
    changed: Notify,
}

/// Why a call may not have a connection.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) obstacle: Obstacle,
    pub(crate) why: Unavailable,
    pub(crate) error: Error,
    /// How long it has lasted.
    pub(crate) lasted: Duration,
}

/// What the probing task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Find a target that can be used.
    Probe(Trouble),
    /// There is no outage, or no call that waits for its end.
    Rest,
}

/// What is wrong, as far as it decides how a server is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) why: Unavailable,
    /// How long it has lasted. A server that was full a short while ago has been so since then.
    pub(crate) lasted: Duration,
    /// Nothing of the server's is used up by a probe: the system refuses it, or there is no socket file.
    pub(crate) is_refused: bool,
}

/// What has become of an outage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    pub(crate) lasted: Duration,
    /// The target before, if it is another one now.
    pub(crate) left: Option<usize>,
    /// It had refused writes.
    pub(crate) refused: bool,
}

/// How long a call waits for one of the connections that its executor has before a full server is asked for one more.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long a server that is down is probed after the last call that asked for a connection.
const INTEREST: Duration = Duration::from_secs(30);

impl Outage {
    pub(crate) fn new(tuning: Tuning) -> Self {
        Outage {
            tuning,
            troubled: AtomicBool::new(false),
            current: AtomicUsize::new(0),
            epoch: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            impatient: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.troubled.load(Relaxed)
    }

    /// Whether no connections can be had.
    pub(crate) fn is_down(&self) -> bool {
        self.is_troubled() && self.lock().down.is_some()
    }

    pub(crate) fn current(&self) -> usize {
        self.current.load(Relaxed)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// The calls that wait at the moment.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// No connection will be given out any more: the calls that wait are woken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// A connection was returned: in an outage one call that waits may have it.
    pub(crate) fn note_return(&self) {
        if self.is_troubled() {
            self.changed.notify_one();
        }
    }

    /// An attempt that began at `started` has found the target in this condition. `true` if that begins or changes an outage.
    pub(crate) fn note(&self, target: usize, why: Unavailable, error: &Error, started: Instant) -> bool {
        let mut state = self.lock();
        // about a target that was left, or from before the end of the last outage: out of date
        if target != self.current() || state.ended.is_some_and(|ended| started <= ended) {
            return false;
        }
        let now = Instant::now();
        state.asked = Some(now);
        if why == Unavailable::Full {
            state.note_full(now);
        }
        let spell = if why.serves_reads() { &mut state.read_only } else { &mut state.down };
        let is_news = spell.is_none();
        let since = spell.as_ref().map_or(now, |spell| spell.since);
        *spell = Some(Spell { since, why, error: copy(error), heard: now });
        if is_news {
            state.confirmed = Some(now);
            self.epoch.fetch_add(1, Relaxed);
            self.troubled.store(true, SeqCst);
        }
        is_news
    }

    /// Whether a connection that was made at this time shows that there is no outage any more.
    pub(crate) fn is_refuted_by(&self, target: usize, made: Instant) -> bool {
        let state = self.lock();
        let down = state.down.as_ref().filter(|spell| !spell.why.is_there() && target == self.current());
        down.is_some_and(|spell| made > spell.heard)
    }

    /// Whether a call may try to get a connection; `idle` says that one is in the pool.
    pub(crate) fn is_open(&self, need: Need, idle: bool) -> bool {
        !self.is_troubled() || self.lock().obstacle(need, idle).is_none()
    }

    /// Waits until a connection may be asked for. `idle` tells whether one is in the pool, `has_open` whether there is any;
    /// `attend` sees to it that somebody probes. With `at_once` it does not wait for the end of an outage.
    pub(crate) async fn pass(
        &self,
        need: Need,
        deadline: Instant,
        at_once: bool,
        idle: impl Fn() -> bool,
        has_open: impl Fn() -> bool,
        attend: impl Fn(),
    ) -> Result<(), Closed> {
        let since = Instant::now();
        let (mut waiting, mut impatient) = (None, None);
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let until = {
                let now = Instant::now();
                let mut state = self.lock();
                state.asked = Some(now);
                let is_fresh = state.is_fresh(now, self.tuning.patience());
                let Some(spell) = state.obstacle(need, idle()) else {
                    return Ok(());
                };
                let (limit, obstacle) = match self.tuning.fail_fast_after {
                    _ if at_once => (Some(spell.since), Obstacle::NotWaited),
                    limit => (limit.and_then(|limit| spell.since.checked_add(limit)), Obstacle::DownForTooLong),
                };
                if is_fresh && limit.is_some_and(|limit| now >= limit) {
                    return Err(spell.closed(obstacle, now));
                }
                if now >= deadline {
                    return Err(spell.closed(Obstacle::OutOfTime, now));
                }
                let end = limit.filter(|&limit| limit > now).map_or(deadline, |limit| limit.min(deadline));
                let patient_until = if has_open() { since + PATIENCE } else { since };
                if now < patient_until {
                    end.min(patient_until)
                } else {
                    impatient.get_or_insert_with(|| Waiting::new(&self.impatient));
                    end
                }
            };
            waiting.get_or_insert_with(|| Waiting::new(&self.waiting));
            attend();
            let _ = timeout_at(until.into(), changed).await;
            // a connection that has just been returned has not reached the pool yet
            tokio::task::yield_now().await;
        }
    }

    /// Whether there is anything to probe for.
    pub(crate) fn is_wrong(&self) -> bool {
        self.lock().trouble().is_some()
    }

    /// The probe task has panicked. Wakes the calls that wait, so that one of them starts another one.
    pub(crate) fn note_failed_probe(&self) {
        self.lock().failed = true;
        self.changed.notify_waiters();
    }

    /// Whether the probe task has panicked. Reported once.
    pub(crate) fn take_failed(&self) -> bool {
        std::mem::take(&mut self.lock().failed)
    }

    /// What is to be done next. Asked by the task that probes, before each round.
    pub(crate) fn plan(&self) -> Plan {
        let state = self.lock();
        let Some(spell) = state.trouble() else {
            return Plan::Rest;
        };
        let why = spell.why;
        let is_wanted = match why {
            // those who are served by what is open take no place from others
            Unavailable::Full => self.impatient.load(Relaxed) > 0,
            Unavailable::Unreachable | Unavailable::Silent | Unavailable::NotReady | Unavailable::ReadOnly => {
                self.waiting() > 0 || state.asked.is_some_and(|asked| asked.elapsed() <= INTEREST)
            }
        };
        if state.closed || !is_wanted {
            return Plan::Rest;
        }
        let since = state.full.filter(|_| why == Unavailable::Full).map_or(spell.since, |(first, _)| first);
        Plan::Probe(Trouble { why, lasted: since.elapsed(), is_refused: is_refused(&spell.error) })
    }

    /// A round of probes begins.
    pub(crate) fn note_round(&self) {
        self.lock().probed = Some(Instant::now());
    }

    /// How long ago the last round of probes began.
    pub(crate) fn since_round(&self) -> Option<Duration> {
        self.lock().probed.map(|probed| probed.elapsed())
    }

    /// The error that the table would not wait for, and that the user's own classification calls a loss.
    pub(crate) fn patient_with(&self, several: bool) -> Option<Error> {
        let state = self.lock();
        let spell = state.down.as_ref()?;
        unavailable_at_connect(&spell.error, several).is_none().then(|| copy(&spell.error))
    }

    /// How long ago the last outage ended.
    pub(crate) fn since_last(&self) -> Option<Duration> {
        self.lock().ended.map(|ended| ended.elapsed())
    }

    /// A round of probes has found no target that can be used; `said` is the last answer, if there was one.
    pub(crate) fn confirm(&self, said: Option<(Unavailable, Error)>) {
        let mut state = self.lock();
        let now = Instant::now();
        let was_stale = !state.is_fresh(now, self.tuning.patience());
        state.confirmed = Some(now);
        if said.as_ref().is_some_and(|(why, _)| *why == Unavailable::Full) {
            state.note_full(now);
        }
        if let (Some(spell), Some((why, error))) = (&mut state.down, said) {
            (spell.why, spell.error, spell.heard) = (why, error, now);
        }
        drop(state);
        // calls that do not wait for the end only wait for a fresh answer
        if was_stale {
            self.changed.notify_waiters();
        }
    }

    /// A target can be used again, or for the first time; only for reads if it is `read_only`.
    pub(crate) fn end(&self, target: usize, read_only: bool) -> Option<Recovery> {
        let mut state = self.lock();
        let now = Instant::now();
        let down = state.down.take();
        let refusing = if read_only { None } else { state.read_only.take() };
        let current = self.current();
        let moves = target != current;
        let since = [&down, &refusing].into_iter().flatten().map(|spell| spell.since).min();
        if since.is_none() && !moves {
            return None;
        }
        self.current.store(target, Relaxed);
        state.ended = Some(now);
        self.epoch.fetch_add(1, Relaxed);
        self.troubled.store(state.read_only.is_some(), SeqCst);
        drop(state);
        self.changed.notify_waiters();
        let lasted = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        Some(Recovery { lasted, left: moves.then_some(current), refused: refusing.is_some() })
    }

    /// A server is back and takes no writes: writes go on waiting.
    pub(crate) fn note_read_only(&self) {
        let mut state = self.lock();
        if state.read_only.is_none() {
            let error = own(io::ErrorKind::Other, Unavailable::ReadOnly.to_string());
            let now = Instant::now();
            state.read_only = Some(Spell { since: now, why: Unavailable::ReadOnly, error, heard: now });
            self.troubled.store(true, SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // no foreign code runs under the lock
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
