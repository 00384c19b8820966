//! The policy: how long and how often a call tries.

use std::{fmt, sync::Arc, time::Duration};

use crate::{error::Error, verdict::Classification};

mod budget;
mod schedule;

pub(crate) use budget::Budget;
pub use budget::RetryBudget;
pub(crate) use schedule::Schedule;

/// The bounds of one call: how long it may wait, how often its statement may be sent again, and with which delays.
///
/// Cheap to clone. [`RetryPolicy::default`] is meant to be right for most programs:
///
/// | setting | default | meaning |
/// |---|---|---|
/// | [`deadline`](RetryPolicyBuilder::deadline) | 30 s | ends waiting and retrying; does not cut a statement that is running |
/// | [`max_replays`](RetryPolicyBuilder::max_replays) | 3 | how often a statement that met a loss is sent again |
/// | [`attempt_timeout`](RetryPolicyBuilder::attempt_timeout) | off | cuts an attempt that has not ended by then |
/// | [`connect_timeout`](RetryPolicyBuilder::connect_timeout) | 10 s | bounds making, checking and resetting a connection |
/// | [`initial_delay`](RetryPolicyBuilder::initial_delay) | 20 ms | the first delay |
/// | [`max_delay`](RetryPolicyBuilder::max_delay) | 1 s | the longest delay |
/// | [`multiplier`](RetryPolicyBuilder::multiplier) | 2 | growth of the delay |
/// | [`jitter`](RetryPolicyBuilder::jitter) | 1 | the share of each delay that is random |
/// | [`replay_unfenced`](RetryPolicyBuilder::replay_unfenced) | on | replay a write whose lost attempt may still be at work |
/// | [`replay_reads`](RetryPolicyBuilder::replay_reads) | off | replay what certainly only reads as if it were annotated as idempotent |
/// | [`resend_rolled_back`](RetryPolicyBuilder::resend_rolled_back) | on | send a single statement again that the server rolled back: deadlocks (1213), lock time-outs (1205) |
///
/// ```
/// use std::time::Duration;
/// use mysql_retry::RetryPolicy;
///
/// let policy = RetryPolicy::builder()
///     .deadline(Duration::from_secs(10))
///     .attempt_timeout(Duration::from_secs(3))
///     .build()?;
/// # Ok::<(), mysql_retry::Error>(())
/// ```
#[derive(Clone)]
pub struct RetryPolicy(Arc<Settings>);

/// The values of a policy, validated.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) retries: bool,
    pub(crate) deadline: Duration,
    pub(crate) max_replays: u32,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) delays: Delays,
    pub(crate) resend_rolled_back: bool,
    pub(crate) replay_unfenced: bool,
    pub(crate) replay_reads: bool,
    pub(crate) classifier: Option<Arc<Classifier>>,
}

/// A classification of the user: gets the driver's error and its classification by the built-in table.
pub(crate) type Classifier = dyn Fn(&mysql_async::Error, Classification) -> Classification + Send + Sync;

/// The shape of the delays between attempts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Delays {
    pub(crate) initial: Duration,
    pub(crate) maximum: Duration,
    pub(crate) multiplier: f64,
    pub(crate) jitter: f64,
}

impl RetryPolicy {
    /// Begins a policy with the defaults.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder(Settings::default())
    }

    /// A policy that never sends a statement twice: each error is returned at once, classified.
    ///
    /// Connections are still checked before they are used, and the time-outs and the deadline apply.
    pub fn none() -> Self {
        RetryPolicy(Arc::new(Settings { retries: false, ..Settings::default() }))
    }

    /// Begins another policy with the values of this one, for example for a handle that differs in one of them.
    ///
    /// ```
    /// # fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// use std::time::Duration;
    ///
    /// let hasty = exec.policy().to_builder().deadline(Duration::from_secs(1)).build()?;
    /// let exec = exec.with_policy(&hasty);
    /// # Ok(()) }
    /// ```
    pub fn to_builder(&self) -> RetryPolicyBuilder {
        RetryPolicyBuilder(self.settings().clone())
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy(Arc::new(Settings::default()))
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.settings();
        f.debug_struct("RetryPolicy")
            .field("retries", &settings.retries)
            .field("deadline", &settings.deadline)
            .field("max_replays", &settings.max_replays)
            .field("attempt_timeout", &settings.attempt_timeout)
            .field("connect_timeout", &settings.connect_timeout)
            .field("delays", &settings.delays)
            .field("resend_rolled_back", &settings.resend_rolled_back)
            .field("replay_unfenced", &settings.replay_unfenced)
            .field("replay_reads", &settings.replay_reads)
            .field("own_classification", &settings.classifier.is_some())
            .finish()
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            retries: true,
            deadline: Duration::from_secs(30),
            max_replays: 3,
            attempt_timeout: None,
            connect_timeout: Some(Duration::from_secs(10)),
            delays: Delays {
                initial: Duration::from_millis(20),
                maximum: Duration::from_secs(1),
                multiplier: 2.0,
                jitter: 1.0,
            },
            resend_rolled_back: true,
            replay_unfenced: true,
            replay_reads: false,
            classifier: None,
        }
    }
}

/// Builds a [`RetryPolicy`]; [`build`](RetryPolicyBuilder::build) refuses invalid values.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RetryPolicyBuilder(Settings);

impl RetryPolicyBuilder {
    /// The time, counted from the start of the call, after which it neither waits nor sends anything again. Default 30 s. See
    /// [Limits](crate::docs::limits).
    ///
    /// It covers the wait for a free connection of the pool, connecting, and the delays. A statement that is running
    /// is not cut by it: a report may take an hour. Meanwhile it is watched
    /// ([`ExecutorBuilder::watch_after`](crate::ExecutorBuilder::watch_after)). To cut a statement, set
    /// [`attempt_timeout`](Self::attempt_timeout).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = deadline;
        self
    }

    /// How often a statement may be sent again after its connection was lost under it. Default 3.
    ///
    /// It bounds the damage of a statement that stops the server each time it runs. Attempts that got no connection,
    /// and refusals of the server (read-only, node not ready), do not count: the deadline bounds those.
    pub fn max_replays(mut self, replays: u32) -> Self {
        self.0.max_replays = replays;
        self
    }

    /// Cuts an attempt that has not ended after this time and treats its connection as lost. Default: off, because
    /// it would cut a long report.
    ///
    /// Accepts a [`Duration`] or an `Option<Duration>`. The outcome of an attempt that it ends is
    /// [`Unknown`](crate::Outcome::Unknown), so that only an idempotent statement is replayed. For a stream it covers
    /// the time to the first row.
    pub fn attempt_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.0.attempt_timeout = timeout.into();
        self
    }

    /// Bounds the making of a connection, and the ping or reset of one. Default 10 s. Accepts a [`Duration`] or an
    /// `Option<Duration>`; with `None` only the deadline ends a connect to a silent server.
    pub fn connect_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.0.connect_timeout = timeout.into();
        self
    }

    /// The delay before the third attempt of a call; the second follows the first loss at once. Default 20 ms.
    ///
    /// These delays do not apply while a server is down: one task probes it for all calls, see
    /// [`ExecutorBuilder::probe_interval`](crate::ExecutorBuilder::probe_interval).
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.0.delays.initial = delay;
        self
    }

    /// The longest delay, jitter included. Default 1 s.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.0.delays.maximum = delay;
        self
    }

    /// The factor by which the delay grows from attempt to attempt. Default 2. At least 1.
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.0.delays.multiplier = multiplier;
        self
    }

    /// The share of each delay that is drawn at random, from 0 (none) to 1 (full jitter: anything from zero up to
    /// the delay). Default 1, so that the clients of a server that comes back do not arrive together.
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.0.delays.jitter = jitter;
        self
    }

    /// Whether a single statement that the server rolled back, as the victim of a deadlock (1213) or of a lock wait
    /// time-out (1205), is sent again. Default: yes.
    ///
    /// A statement that changes rows of transactional tables had no effect then, and is sent again with every delivery. A
    /// part of DDL, of stored code, and of changes to a table that is not transactional may have stayed: the outcome is
    /// [`Failed`](crate::Outcome::Failed), and only an idempotent statement is sent again.
    pub fn resend_rolled_back(mut self, resend: bool) -> Self {
        self.0.resend_rolled_back = resend;
        self
    }

    /// Whether an idempotent write is replayed although the session of its lost attempt is not known to have ended.
    /// Default: yes, with an [`Event::Unfenced`](crate::Event::Unfenced).
    ///
    /// Before a write is replayed, the session of the lost attempt is killed and seen gone, so that its copy of the
    /// statement cannot be executed after the replay and undo what others did in between. Where that is not possible,
    /// because another server answers now or the session may not be killed, `false` makes the call fail instead, with
    /// the outcome [`Unknown`](crate::Outcome::Unknown). See
    /// [the page on outages](crate::docs::outages#replays-wait-for-their-lost-attempt).
    pub fn replay_unfenced(mut self, replay: bool) -> Self {
        self.0.replay_unfenced = replay;
        self
    }

    /// Whether a statement that certainly only reads, by its text, is replayed as if it were annotated as
    /// [idempotent](crate::Annotate::idempotent). Default: no.
    ///
    /// With it a program moves from `conn.query("SELECT ..")` to `exec.query("SELECT ..")` without an annotation. A text counts
    /// as a read if each of its statements is one (`SELECT`, `SHOW`, `DESCRIBE`, ..), wants no locks on its rows, writes no
    /// file, calls nothing that may be a stored function, and neither uses nor leaves state of a session. What no text can
    /// show: a view whose stored function writes. Leave it off if you have such views.
    ///
    /// ```
    /// # async fn f() -> mysql_retry::Result<()> {
    /// use mysql_retry::{Executor, RetryPolicy};
    ///
    /// let policy = RetryPolicy::builder().replay_reads(true).build()?;
    /// let exec = Executor::builder().policy(policy).build("mysql://app:secret@db.example/shop")?;
    /// let ids: Vec<u64> = exec.query("SELECT id FROM item WHERE stock = 0").await?;
    /// # Ok(()) }
    /// ```
    pub fn replay_reads(mut self, replay: bool) -> Self {
        self.0.replay_reads = replay;
        self
    }

    /// A classification of your own, called for each error of the driver. Its second argument is the classification by the
    /// [built-in table](crate::docs::proofs#the-classification-table); return it to leave it unchanged.
    ///
    /// It gets the driver's errors only, each once, those of making a connection included. It does not get the errors that
    /// this crate makes: a time-out of an attempt or of a connect, a silent attempt that is given up, a busy pool, a session
    /// that has lost its state.
    ///
    /// It can widen the table, for example by an error number of your proxy, and narrow it. A wrong
    /// [`NotExecuted`](crate::Outcome::NotExecuted) lets a statement run twice. A wrong [`Failed`](crate::Outcome::Failed)
    /// tells the caller that nothing was lost: return it for an answer of the server, not with a lost connection.
    ///
    /// ```
    /// use mysql_retry::{Classification, Disconnect, Outcome, RetryPolicy};
    ///
    /// let policy = RetryPolicy::builder()
    ///     .classify_with(|error, table| match error {
    ///         mysql_async::Error::Server(e) if e.code == 4567 => {
    ///             Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown)
    ///         }
    ///         _ => table,
    ///     })
    ///     .build()?;
    /// # Ok::<(), mysql_retry::Error>(())
    /// ```
    pub fn classify_with<F>(mut self, classify: F) -> Self
    where
        F: Fn(&mysql_async::Error, Classification) -> Classification + Send + Sync + 'static,
    {
        self.0.classifier = Some(Arc::new(classify));
        self
    }

    /// The policy.
    ///
    /// # Errors
    /// Names the invalid value: a deadline or a time-out of zero, a delay of zero, an initial delay over
    /// the maximum, a multiplier under 1, a jitter outside 0 to 1, or NaN.
    pub fn build(self) -> Result<RetryPolicy, Error> {
        let settings = self.0;
        let delays = settings.delays;
        let not_zero = [
            ("deadline", Some(settings.deadline)),
            ("attempt_timeout", settings.attempt_timeout),
            ("connect_timeout", settings.connect_timeout),
            ("initial_delay", Some(delays.initial)),
            ("max_delay", Some(delays.maximum)),
        ];
        for (name, value) in not_zero {
            if value == Some(Duration::ZERO) {
                return refuse(format!("{name} is 0: give a time that is longer"));
            }
        }
        if delays.initial > delays.maximum {
            return refuse(format!(
                "initial_delay ({:?}) is over max_delay ({:?}): lower the one or raise the other",
                delays.initial, delays.maximum
            ));
        }
        if !(delays.multiplier.is_finite() && delays.multiplier >= 1.0) {
            return refuse(format!("multiplier is {}: give a number of at least 1", delays.multiplier));
        }
        if !(0.0..=1.0).contains(&delays.jitter) {
            return refuse(format!("jitter is {}: give a number from 0 to 1", delays.jitter));
        }
        Ok(RetryPolicy(Arc::new(settings)))
    }
}

fn refuse(message: String) -> Result<RetryPolicy, Error> {
    Err(Error::config(format!("the retry policy is bad: {message}"), None))
}

impl fmt::Debug for RetryPolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryPolicyBuilder").field(&RetryPolicy(Arc::new(self.0.clone()))).finish()
    }
}

#[cfg(test)]
mod tests;
