//! The loop: one logical call from its first attempt to its result or its error.
//!
//! Checkout, attempt, classify, decide, wait, and again. Every method of the executor runs through here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    call::{fence::Past, request::Attempt, sink::Mismatch},
    classify::{Context, Stage, classify},
    conditions::unavailable_at_statement,
    decide::{self, Decision, counts_as_replay, decide, reason_of},
    driver::is_own,
    error::{Error, Failure, Kind, Result},
    event::Event,
    meter::CallMeter,
    policy::{RetryPolicy, Schedule, Settings},
    pool::{End, Lease, Limits, Shared},
    span::CallSpan,
    sql::{self, Reading, StateKinds},
    statement::Delivery,
    verdict::{Classification, Fault, Obstacle, Outcome},
};

mod attempt;
pub(crate) mod batch;
mod binding;
mod checkout;
mod ended;
mod ending;
mod facts;
mod fence;
pub(crate) mod folding;
pub(crate) mod params;
pub(crate) mod request;
pub(crate) mod sink;

use attempt::Attempts;
pub(crate) use binding::{Binding, in_doubt};
pub(crate) use ended::commits_nothing;
pub(crate) use facts::{Facts, Failed};
use facts::{hides_its_session, may_lock_rows};

/// One logical call: its bounds, and what has happened to it so far.
pub(crate) struct Call<'c> {
    shared: &'c Arc<Shared>,
    /// What it belongs to.
    binding: &'c Binding,
    settings: &'c Settings,
    facts: Facts,
    span: CallSpan,
    // boxed: few calls fail at all, and what is small is moved faster
    schedule: Option<Box<Schedule>>,
    /// The error of the last attempt, and its meaning.
    last: Option<Box<(mysql_async::Error, Classification)>>,
    past: Past<'c>,
    /// The outage, by its number, before which the last attempt began.
    epoch: u64,
    /// When the last attempt began, its wait for a connection included.
    began: Instant,
    /// The attempt that is about to be made has to be paid for.
    owes: bool,
    /// The attempt that is about to be made resends a statement that was not executed.
    resends: bool,
}

/// What a call does on a connection: a statement, or a whole transaction.
pub(crate) trait Work: Send {
    type Output;
    type Error: From<Error>;

    /// Does it once.
    fn once(
        &mut self,
        call: &mut Call<'_>,
        lease: Lease,
    ) -> impl Future<Output = std::result::Result<Self::Output, Stop<Self::Error>>> + Send;
}

/// Why work was not done.
pub(crate) enum Stop<E> {
    /// It failed, and may be done again if the call decides so.
    Failed(Box<Failed>),
    /// The call ends with this error, which is nothing to be decided about.
    Ended(E),
    /// It failed with an error of the caller's own, left nothing behind, and is to be done again for the caller's sake.
    Again(E),
}

impl<E> From<Failed> for Stop<E> {
    fn from(failed: Failed) -> Self {
        Stop::Failed(Box::new(failed))
    }
}

/// A statement with one of these may release the lock that marks its session.
const MAY_RELEASE: StateKinds = StateKinds::UNKNOWN.union(StateKinds::USER_LOCK);

impl<'c> Call<'c> {
    #[inline]
    pub(crate) fn new(
        (shared, binding): (&'c Arc<Shared>, &'c Binding),
        policy: &'c RetryPolicy,
        until: Option<Instant>,
        text: Option<&[u8]>,
        delivery: Delivery,
    ) -> Self {
        let settings = policy.settings();
        let started = Instant::now();
        // a deadline beyond what the clock can express is none
        let deadline =
            started.checked_add(settings.deadline).unwrap_or_else(|| started + Duration::from_secs(u32::MAX.into()));
        let length = text.map(<[u8]>::len);
        let text = text.unwrap_or_default();
        let reading = sql::read(text);
        let is_replayed_read =
            settings.replay_reads && delivery == Delivery::AtMostOnce && reading.reads_only() && !may_lock_rows(text);
        let delivery = if is_replayed_read { Delivery::AtLeastOnce } else { delivery };
        let facts = Facts {
            reading,
            length,
            doubts_its_mark: !reading.state().intersection(MAY_RELEASE).is_empty(),
            hides_its_session: hides_its_session(text, reading.state()),
            delivery,
            transaction: false,
            started,
            deadline: until.map_or(deadline, |until| until.min(deadline)),
            attempts: 0,
            replays: 0,
            outcome: Outcome::NotExecuted,
            refused: false,
            meter: CallMeter::new(text),
        };
        let span = CallSpan::new(|| (shared.address(), shared.opts()), delivery, text, shared.traces_text);
        Call::resume((shared, binding), policy, facts, span)
    }

    /// A call whose facts were kept.
    pub(crate) fn resume(
        (shared, binding): (&'c Arc<Shared>, &'c Binding),
        policy: &'c RetryPolicy,
        facts: Facts,
        span: CallSpan,
    ) -> Self {
        let settings = policy.settings();
        Call {
            shared,
            binding,
            settings,
            facts,
            span,
            schedule: None,
            last: None,
            past: Past::new(shared),
            epoch: 0,
            began: facts.started,
            owes: false,
            resends: false,
        }
    }

    /// How long work on connections may take.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            deadline: self.facts.deadline,
            connect_timeout: self.settings.connect_timeout,
            waits: self.settings.retries,
        }
    }

    /// What a stream keeps of its call.
    pub(crate) fn kept(&self) -> (Facts, CallSpan) {
        (Facts { meter: CallMeter::silent(), ..self.facts }, self.span.clone())
    }

    /// Runs it to its end, and gives the connection back.
    pub(crate) async fn run<A: Attempt>(&mut self, attempt: &mut A) -> Result<A::Output> {
        let span = self.span.clone();
        let (output, lease) = span.cover(self.run_work(Attempts(attempt))).await?;
        lease.end(End::Answered(self.leaves()));
        Ok(output)
    }

    /// Runs it until an attempt succeeds, and keeps the connection that it succeeded on.
    pub(crate) async fn run_leased<A: Attempt>(&mut self, attempt: &mut A) -> Result<(A::Output, Lease)> {
        let span = self.span.clone();
        let (output, lease) = span.cover(self.run_work(Attempts(attempt))).await?;
        lease.unpark();
        Ok((output, lease))
    }

    /// The time at which the call begins. The clock is not asked again for its first attempt.
    fn begin(&self) -> Result<Instant> {
        if self.facts.started >= self.facts.deadline {
            return Err(self.surface(self.failure(Kind::Deadline, reason_of(Obstacle::OutOfTime), None)));
        }
        Ok(self.facts.started)
    }

    /// The loop: a connection, what is to be done on it, and again until it succeeds or there is a reason to end.
    pub(crate) async fn run_work<W: Work>(&mut self, mut work: W) -> std::result::Result<W::Output, W::Error> {
        let mut now = self.begin()?;
        let mut at_hand = self.lease_at_hand();
        loop {
            let lease = match at_hand.take() {
                Some(lease) => Ok(lease),
                None => self.next_lease(now).await,
            };
            let stop = match lease {
                Ok(lease) => match work.once(self, lease).await {
                    Ok(output) => {
                        self.succeeded();
                        return Ok(output);
                    }
                    Err(stop) => stop,
                },
                Err(failed) => failed.into(),
            };
            match stop {
                Stop::Failed(failed) => Box::pin(self.after(*failed)).await?,
                Stop::Ended(error) => return Err(error),
                Stop::Again(error) => match self.until_again() {
                    Some(delay) => tokio::time::sleep(delay).await,
                    None => return Err(error),
                },
            }
            now = Instant::now();
        }
    }

    /// How long to wait before work is done again that has left nothing behind; `None` if the policy ends the call.
    fn until_again(&mut self) -> Option<Duration> {
        let after = self.next_delay(Fault::RolledBack);
        let goes_on = self.settings.retries && after < self.remaining();
        goes_on.then(|| {
            let (outcome, attempt) = (self.facts.outcome, self.facts.attempts);
            self.shared.listeners.emit(&Event::RetryScheduled { after, outcome, attempt });
            after
        })
    }

    fn succeeded(&self) {
        self.facts.meter.succeeded(self.shared.meters(), || self.facts.started.elapsed());
        if self.facts.attempts > 1 {
            self.shared
                .listeners
                .emit(&Event::Recovered { attempts: self.facts.attempts, elapsed: self.facts.started.elapsed() });
        }
    }

    /// Whether the policy or its author allows that the statement is run again after it may have been executed.
    pub(crate) fn may_run_twice(&self) -> bool {
        self.facts.delivery != Delivery::AtMostOnce
    }

    /// What the text says of itself.
    pub(crate) fn reading(&self) -> Reading {
        self.facts.reading
    }

    /// What the statement may leave on its connection.
    pub(crate) fn leaves(&self) -> StateKinds {
        self.facts.leaves()
    }

    fn context(&self, stage: Stage) -> Context {
        Context {
            stage,
            several: self.facts.reading.several(),
            rolls_back: false,
            names_prepared: self.facts.reading.names_prepared(),
            oversized: false,
            unsendable: false,
            infile: self.shared.reads_local_files && self.facts.may_load_a_local_file(),
            tls: self.shared.tls,
            several_targets: self.shared.targets.len() > 1,
        }
    }

    /// An error that the driver has just returned. The user's own classification sees each of those once, and none of this
    /// crate's making.
    fn failed(&self, error: mysql_async::Error, context: Context, connection_id: Option<u32>) -> Failed {
        let mut classification = classify(&error, context);
        if let Some(own) = &self.settings.classifier
            && !is_own(&error)
        {
            classification = own(&error, classification);
        }
        Failed { connection_id, ..Failed::known(error, classification) }
    }

    /// Waits for the next attempt, or says why there is none.
    async fn after(&mut self, mut failed: Failed) -> Result<()> {
        let classification = failed.classification;
        let reached_connection = failed.connection_id.is_some();
        let lost_before = self.facts.outcome == Outcome::Unknown;
        self.facts.outcome = self.facts.outcome.then(classification.outcome());
        self.report(&failed);
        // one task probes for all, and who needs a connection waits for it
        let waits_for_probe = self.shared.outage.is_troubled()
            && (!reached_connection || (self.facts.refused && classification.fault() == Fault::Refused));
        let delay = if waits_for_probe { Duration::ZERO } else { self.next_delay(classification.fault()) };
        let situation = self.weighed(&failed, delay);
        let decision = decide(&situation, self.settings);
        // a wait that our own deadline cut short says less than what was seen before it
        if !reached_connection
            && failed.obstacle.is_none()
            && self.remaining().is_zero()
            && let Some(before) = self.last.take()
        {
            (failed.error, failed.classification) = *before;
        }
        // the decision was made about the failure itself, the error tells the one that matters
        let told = failed.classification;
        let (down_for, rows) = (failed.down_for, failed.rows);
        let kind = failed.kind.take().unwrap_or(Kind::Classified(told));
        let surface = |call: &Self, reason, error| {
            let failure = call.failure(kind.clone(), reason, Some(error));
            let failure = Failure { down_for, rows, ..failure };
            let lost_state = call.lost_state();
            call.surface(Failure { lost_before, lost_state, ..failure })
        };
        let delay = match decision {
            Decision::Resend(delay) | Decision::Replay(delay) => delay,
            Decision::Surface(reason) => return Err(surface(self, reason, failed.error)),
        };
        if counts_as_replay(&situation) {
            self.facts.replays += 1;
            self.owes = matches!(classification.fault(), Fault::Disconnect(_));
        }
        self.resends |= reached_connection && matches!(decision, Decision::Resend(_));
        self.shared.listeners.emit(&Event::RetryScheduled {
            after: delay,
            outcome: self.facts.outcome,
            attempt: self.facts.attempts,
        });
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.remaining().is_zero() {
            return Err(surface(self, reason_of(Obstacle::OutOfTime), failed.error));
        }
        self.last = Some(Box::new((failed.error, told)));
        Ok(())
    }

    /// What is known, for the decision.
    fn weighed(&self, failed: &Failed, delay: Duration) -> decide::Situation {
        decide::Situation {
            classification: failed.classification,
            outcome: self.facts.outcome,
            delivery: self.facts.delivery,
            once_only: self.facts.reading.local_infile(),
            reached_connection: failed.connection_id.is_some(),
            of_the_server: unavailable_at_statement(&failed.error).is_some(),
            replays: self.facts.replays,
            delay,
            remaining: self.remaining(),
            obstacle: failed.obstacle,
        }
    }

    fn report(&self, failed: &Failed) {
        let classification = failed.classification;
        if !failed.told && matches!(classification.fault(), Fault::Disconnect(_) | Fault::Refused) {
            self.shared.listeners.emit(&Event::ConnectionLost {
                classification,
                error: &failed.error,
                connection_id: failed.connection_id,
                attempt: self.facts.attempts,
            });
        }
    }

    fn next_delay(&mut self, fault: Fault) -> Duration {
        if fault == Fault::Other {
            return Duration::ZERO;
        }
        let delays = &self.settings.delays;
        self.schedule.get_or_insert_with(|| Box::new(Schedule::new(delays))).next()
    }

    fn remaining(&self) -> Duration {
        self.facts.deadline.saturating_duration_since(Instant::now())
    }
}
