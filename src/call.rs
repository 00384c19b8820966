//! The loop: one logical call from its first attempt to its result or its error.
//!
//! Checkout, attempt, classify, decide, wait, and again. Every method of the executor runs through here.

use std::{
    io,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use mysql_async::prelude::Queryable;

use crate::{
    attempt::{Attempt, Mismatch, Progress},
    classify::{Classification, Disconnect, Fault, Outcome, Situation, Stage, classify},
    connections::{Lease, Shared, Slot, poll_once, timed_out},
    decide::{self, Decision, Reason, decide},
    error::{Error, Failure, Kind, Result},
    event::{Event, Unfenced},
    past::{Past, Settled},
    policy::{RetryPolicy, Settings},
    reading::{self, Reading, StateKinds},
    schedule::Schedule,
    span::CallSpan,
    statement::Delivery,
};

mod bound;

pub(crate) use bound::in_doubt;

/// One logical call: its bounds, and what has happened to it so far.
pub(crate) struct Call<'c> {
    shared: &'c Arc<Shared>,
    /// The session that it belongs to, if any.
    slot: Option<&'c Arc<Slot>>,
    settings: &'c Settings,
    facts: Facts,
    span: CallSpan,
    schedule: Option<Schedule>,
    /// The error of the last attempt.
    last: Option<mysql_async::Error>,
    past: Past<'c>,
    /// A lost attempt was on another server than those after it, as far as is known.
    astray: bool,
}

/// What is known of a call. Outlives it where a stream goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    reading: Reading,
    length: usize,
    /// It may release the lock that marks its session, which then tells nothing.
    hides_its_session: bool,
    delivery: Delivery,
    /// It is a whole transaction.
    transaction: bool,
    started: Instant,
    deadline: Instant,
    attempts: u32,
    replays: u32,
    outcome: Outcome,
}

impl Facts {
    /// What the statement may leave on its connection.
    pub(crate) fn leaves(&self) -> StateKinds {
        self.reading.state()
    }

    fn may_load_a_local_file(&self) -> bool {
        self.reading.local_infile() || self.reading.state().contains(StateKinds::UNKNOWN)
    }
}

/// A failed attempt.
pub(crate) struct Failed {
    error: mysql_async::Error,
    classification: Classification,
    /// The connection that it was made on; `None` if there was none.
    connection_id: Option<u32>,
    /// There is to be no other attempt, for this reason.
    end: Option<Reason>,
    /// It was told of when a statement of the transaction met it.
    told: bool,
}

impl Failed {
    /// Whether what failed may have happened all the same.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.classification.outcome() == Outcome::Unknown
    }
}

impl<'c> Call<'c> {
    pub(crate) fn new(
        (shared, slot): (&'c Arc<Shared>, Option<&'c Arc<Slot>>),
        policy: &'c RetryPolicy,
        until: Option<Instant>,
        text: &[u8],
        delivery: Delivery,
    ) -> Self {
        let settings = policy.settings();
        let started = Instant::now();
        // a deadline beyond what the clock can express is none
        let deadline =
            started.checked_add(settings.deadline).unwrap_or_else(|| started + Duration::from_secs(u32::MAX.into()));
        let reading = reading::read(text);
        let facts = Facts {
            reading,
            length: text.len(),
            hides_its_session: hides_its_session(text, reading.state()),
            delivery,
            transaction: false,
            started,
            deadline: until.map_or(deadline, |until| until.min(deadline)),
            attempts: 0,
            replays: 0,
            outcome: Outcome::NotExecuted,
        };
        let span = CallSpan::new(&shared.address, delivery);
        Call::resume((shared, slot), policy, facts, span)
    }

    /// A call whose facts were kept.
    pub(crate) fn resume(
        (shared, slot): (&'c Arc<Shared>, Option<&'c Arc<Slot>>),
        policy: &'c RetryPolicy,
        facts: Facts,
        span: CallSpan,
    ) -> Self {
        let settings = policy.settings();
        Call { shared, slot, settings, facts, span, schedule: None, last: None, past: Past::new(shared), astray: false }
    }

    /// What a stream keeps of its call.
    pub(crate) fn kept(&self) -> (Facts, CallSpan) {
        (self.facts, self.span.clone())
    }

    /// Runs it to its end, and gives the connection back.
    pub(crate) async fn run<A: Attempt>(&mut self, attempt: A) -> Result<A::Output> {
        let (output, lease) = self.run_leased(attempt).await?;
        lease.finish(self.leaves());
        Ok(output)
    }

    /// Runs it until an attempt succeeds, and keeps the connection that it succeeded on.
    pub(crate) async fn run_leased<A: Attempt>(&mut self, attempt: A) -> Result<(A::Output, Lease)> {
        let span = self.span.clone();
        span.cover(self.run_attempts(attempt)).await
    }

    /// The time at which the call begins. The clock is not asked again for its first attempt.
    pub(crate) fn begin(&self) -> Result<Instant> {
        if self.facts.delivery == Delivery::ExactlyOnce && !self.facts.transaction {
            let message =
                "a guarded statement is run by query_drop or exec_drop: what it returns could not be had a second time";
            return Err(Error::config(message.into(), None));
        }
        if self.facts.started >= self.facts.deadline {
            return Err(self.surface(self.failure(Kind::Deadline, Reason::Deadline, None)));
        }
        Ok(self.facts.started)
    }

    async fn run_attempts<A: Attempt>(&mut self, mut attempt: A) -> Result<(A::Output, Lease)> {
        let mut now = self.begin()?;
        loop {
            match self.attempt(&mut attempt, now).await {
                Ok(success) => {
                    self.succeeded();
                    return Ok(success);
                }
                Err(failed) => Box::pin(self.after(failed)).await?,
            }
            now = Instant::now();
        }
    }

    pub(crate) fn succeeded(&self) {
        if self.facts.attempts > 1 {
            self.shared
                .listeners
                .emit(&Event::Recovered { attempts: self.facts.attempts, elapsed: self.facts.started.elapsed() });
        }
    }

    /// What the statement may leave on its connection.
    pub(crate) fn leaves(&self) -> StateKinds {
        self.facts.leaves()
    }

    async fn attempt<A: Attempt>(
        &mut self,
        attempt: &mut A,
        now: Instant,
    ) -> std::result::Result<(A::Output, Lease), Failed> {
        let mut lease = self.next_lease(now).await?;
        if self.facts.outcome == Outcome::Unknown {
            self.shared
                .listeners
                .emit(&Event::Replayed { attempt: self.facts.attempts, connection_id: lease.connection_id() });
        }
        let mut progress = Progress(Stage::Command);
        lease.sending();
        let result = match self.settings.attempt_timeout {
            None => attempt.run(lease.conn(), &mut progress).await,
            Some(limit) => match tokio::time::timeout(limit, attempt.run(lease.conn(), &mut progress)).await {
                Ok(result) => result,
                Err(_) => Err(timed_out(format!("no answer within {limit:?}"))),
            },
        };
        lease.answered();
        let error = match result {
            Ok(output) => return Ok((output, lease)),
            Err(error) => error,
        };
        let mut situation =
            Situation { oversized: lease.is_too_small_for(self.facts.length), ..self.situation(progress.0) };
        if situation.stage == Stage::Command
            && matches!(classify(&error, situation).fault(), Fault::Disconnect(Disconnect::ServerLost) | Fault::Refused)
            && was_not_prepared(&mut lease, attempt.prepared())
        {
            situation.stage = Stage::Prepare;
        }
        let mut failed = self.failed(error, situation, Some(lease.connection_id()));
        if let Some(slot) = self.slot {
            self.bind(slot, &mut failed, &lease);
        }
        let lost = matches!(failed.classification.fault(), Fault::Disconnect(_));
        if lost && failed.classification.outcome() == Outcome::Unknown {
            self.past.add(&lease);
        }
        match (failed.classification.fault(), &failed.error) {
            // it answers, and may close the connection: too large a packet; interrupted, by a KILL that need not have
            // been one of the query only (MySQL 9.7 after KILL CONNECTION_ID())
            (_, mysql_async::Error::Server(error)) if matches!(error.code, 1153 | 1317) => lease.retire(),
            // the server answered, the connection is as good as before
            (Fault::Other | Fault::RolledBack, mysql_async::Error::Server(_)) => lease.finish(self.leaves()),
            // it would not take the statement, and there is more to it than the connection
            (Fault::Refused, _) if failed.end.is_some() => lease.finish(self.leaves()),
            _ => lease.retire(),
        }
        if self.slot.is_some_and(|slot| slot.is_at_a_loss()) {
            failed.end = Some(Reason::StateLost);
        }
        Err(failed)
    }

    /// The connection of another attempt, alive a moment ago, with what earlier attempts have left at the server settled.
    pub(crate) async fn next_lease(&mut self, now: Instant) -> std::result::Result<Lease, Failed> {
        self.facts.attempts += 1;
        // what is rare is boxed: the future of a call that needs nothing of it is the smaller for that
        let mut lease = match self.slot {
            None => self.pooled_lease(now).await?,
            Some(slot) => Box::pin(self.lease_of_session(slot, now)).await?,
        };
        if !self.past.is_empty() {
            Box::pin(self.fence(&mut lease)).await?;
        }
        Ok(lease)
    }

    async fn pooled_lease(&self, now: Instant) -> std::result::Result<Lease, Failed> {
        let checkout = self.shared.checkout(now, self.facts.deadline, self.settings).await;
        checkout.map_err(|error| self.failed(error, self.situation(Stage::Connect), None))
    }

    /// The connection of the session, or another one in its place.
    async fn lease_of_session(&self, slot: &Arc<Slot>, now: Instant) -> std::result::Result<Lease, Failed> {
        match self.bound_lease(slot, now).await? {
            Some(lease) => Ok(lease),
            None => Ok(self.pooled_lease(now).await?.at_home(slot)),
        }
    }

    /// Sees to it that what lost attempts left at the server does not happen after the replay that is about to be sent.
    ///
    /// A write waits until it is known that their sessions have ended. For a read it does not matter; theirs are killed
    /// all the same, so that abandoned scans do not pile up.
    async fn fence(&mut self, lease: &mut Lease) -> std::result::Result<(), Failed> {
        let Facts { reading, deadline, .. } = self.facts;
        loop {
            let (wait, hidden) = (!reading.reads_only(), self.facts.hides_its_session);
            let settled = self.past.settle(lease, wait, hidden, deadline, self.settings).await;
            match settled {
                Ok(Settled::All) => return Ok(()),
                Ok(Settled::Late) => {
                    let error = timed_out("the session of the lost attempt did not end in time".into());
                    return Err(self.ended(error, Reason::Deadline));
                }
                Ok(Settled::Unfenced(why)) => {
                    self.shared.listeners.emit(&Event::Unfenced { why, attempt: self.facts.attempts });
                    let elsewhere = matches!(why, Unfenced::OtherServer | Unfenced::Unmarked);
                    self.astray |= elsewhere && self.facts.outcome == Outcome::Unknown;
                    // a transaction that nobody commits has no effect, wherever it lingers
                    // and a guard keeps two copies apart
                    let matters =
                        self.facts.outcome == Outcome::Unknown && self.facts.delivery != Delivery::ExactlyOnce;
                    if !self.settings.replay_unfenced && matters {
                        let error = io::Error::other(format!("the lost attempt may still be at work: {why}"));
                        return Err(self.ended(error.into(), Reason::Unfenced));
                    }
                }
                Err(error) => return Err(self.failed(error, self.situation(Stage::Connect), None)),
            }
        }
    }

    fn ended(&self, error: mysql_async::Error, reason: Reason) -> Failed {
        Failed { end: Some(reason), ..self.failed(error, self.situation(Stage::Connect), None) }
    }

    fn situation(&self, stage: Stage) -> Situation {
        Situation {
            stage,
            several: self.facts.reading.several(),
            oversized: false,
            infile: self.shared.reads_local_files && self.facts.may_load_a_local_file(),
            tls: self.shared.tls,
        }
    }

    fn failed(&self, error: mysql_async::Error, situation: Situation, connection_id: Option<u32>) -> Failed {
        let mut classification = classify(&error, situation);
        if let Some(own) = &self.settings.classifier {
            classification = own(&error, classification);
        }
        Failed { error, classification, connection_id, end: None, told: false }
    }

    /// Waits for the next attempt, or says why there is none.
    pub(crate) async fn after(&mut self, mut failed: Failed) -> Result<()> {
        let classification = failed.classification;
        let reached_connection = failed.connection_id.is_some();
        let lost_before = self.facts.outcome == Outcome::Unknown;
        if classification.outcome() == Outcome::Unknown {
            self.facts.outcome = Outcome::Unknown;
        }
        self.report(&failed);
        let decision = decide(
            &decide::Situation {
                classification,
                outcome: self.facts.outcome,
                delivery: self.facts.delivery,
                once_only: self.facts.reading.local_infile(),
                reached_connection,
                replays: self.facts.replays,
                delay: self.next_delay(classification.fault()),
                remaining: self.remaining(),
            },
            self.settings,
        );
        let decision = failed.end.map_or(decision, Decision::Surface);
        // a wait that our own deadline cut short says less than what was seen before it
        if !reached_connection
            && failed.end.is_none()
            && self.remaining().is_zero()
            && let Some(before) = self.last.take()
        {
            failed.error = before;
        }
        let surface = |call: &Self, reason, error| {
            let failure = call.failure(Kind::Classified(classification), reason, Some(error));
            let lost_state = call.slot.map_or(StateKinds::NONE, |slot| slot.acknowledge());
            call.surface(Failure { lost_before, lost_state, ..failure })
        };
        let delay = match decision {
            Decision::Resend(delay) | Decision::Replay(delay) => delay,
            Decision::Surface(reason) => return Err(surface(self, reason, failed.error)),
        };
        if reached_connection {
            if matches!(classification.fault(), Fault::Disconnect(_)) {
                self.facts.replays += 1;
            }
            if matches!(decision, Decision::Resend(_)) {
                self.shared.listeners.counting.resends.add_one();
            }
        }
        self.shared.listeners.emit(&Event::RetryScheduled {
            after: delay,
            outcome: self.facts.outcome,
            attempt: self.facts.attempts,
        });
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if self.remaining().is_zero() {
            return Err(surface(self, Reason::Deadline, failed.error));
        }
        self.last = Some(failed.error);
        Ok(())
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
        self.schedule.get_or_insert_with(|| Schedule::new(delays)).next()
    }

    fn remaining(&self) -> Duration {
        self.facts.deadline.saturating_duration_since(Instant::now())
    }

    fn surface(&self, failure: Failure) -> Error {
        let error = Error::new(failure);
        // a statement of a transaction gives nothing up: its transaction may be run again
        let of_transaction = self.slot.is_some_and(|slot| slot.is_of_transaction());
        if !of_transaction && (error.reason() != Reason::NotALoss || self.facts.attempts > 1) {
            self.shared.listeners.emit(&Event::GaveUp { error: &error });
        }
        error
    }

    /// A stream lost its connection after it had handed out rows.
    pub(crate) fn stream_broke(mut self, error: mysql_async::Error, connection_id: u32, rows: u64) -> Error {
        let failed = self.failed(error, self.situation(Stage::Reply), Some(connection_id));
        if failed.classification.outcome() == Outcome::Unknown {
            self.facts.outcome = Outcome::Unknown;
        }
        self.report(&failed);
        let reason = match failed.classification.fault() {
            Fault::Other => Reason::NotALoss,
            Fault::Disconnect(_) | Fault::Refused | Fault::RolledBack => Reason::RowsDelivered,
        };
        let failure = self.failure(Kind::Classified(failed.classification), reason, Some(failed.error));
        let lost_state = self.slot.map_or(StateKinds::NONE, |slot| slot.acknowledge());
        self.surface(Failure { rows, lost_state, ..failure })
    }

    /// The statement succeeded, but a row does not fit the type asked for.
    pub(crate) fn mismatch(&self, mismatch: Mismatch) -> Error {
        let kind = Kind::Conversion { wanted: mismatch.wanted };
        Error::new(Failure { outcome: Outcome::Unknown, ..self.failure(kind, Reason::NotALoss, None) })
    }

    /// The pool could not be closed in order.
    pub(crate) fn closing_failed(&self, error: mysql_async::Error) -> Error {
        let kind = Kind::Classified(Classification::other(Outcome::NotExecuted));
        Error::new(self.failure(kind, Reason::NotALoss, Some(error)))
    }

    fn failure(&self, kind: Kind, reason: Reason, source: Option<mysql_async::Error>) -> Failure {
        Failure {
            kind,
            outcome: self.facts.outcome,
            delivery: self.facts.delivery,
            attempts: self.facts.attempts,
            elapsed: self.facts.started.elapsed(),
            reason,
            rows: 0,
            lost_before: false,
            lost_state: StateKinds::NONE,
            transaction: self.facts.transaction,
            address: self.shared.address.clone(),
            source,
        }
    }
}

/// `RELEASE_ALL_LOCKS()`, seen or in stored code.
fn hides_its_session(text: &[u8], state: StateKinds) -> bool {
    const NAME: &[u8] = b"RELEASE_ALL_LOCKS";
    state.contains(StateKinds::UNKNOWN)
        || (state.contains(StateKinds::USER_LOCK)
            && text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME)))
}

/// Whether a statement whose connection was lost had not even been prepared, so that it cannot have been executed.
///
/// The driver prepares and executes in one call. What it prepared it keeps, and finds again without any I/O: so if
/// preparing the same text on the lost connection is not ready at once, or fails, it had not been prepared there.
/// The connection is closed afterwards in any case.
fn was_not_prepared(lease: &mut Lease, prepared: Option<&[u8]>) -> bool {
    let Some(text) = prepared else {
        return false;
    };
    let again = pin!(lease.conn().prep(text));
    !matches!(poll_once(again), Poll::Ready(Ok(_)))
}
