//! What an executor is made of.

use std::time::Duration;

use mysql_async::Opts;

use super::Executor;
use crate::{
    connections::{Keeping, Setup, Shared},
    error::{Error, Result},
    event::{Event, Listeners},
    guard::Table,
    policy::RetryPolicy,
};

/// Builds an [`Executor`].
///
/// ```
/// use std::time::Duration;
/// use mysql_retry::{Event, Executor, RetryPolicy};
///
/// # async fn f() -> mysql_retry::Result<()> {
/// let exec = Executor::builder()
///     .policy(RetryPolicy::builder().deadline(Duration::from_secs(5)).build()?)
///     .on_event(|event| {
///         if let Event::ConnectionLost { error, .. } = event {
///             eprintln!("lost: {error}");
///         }
///     })
///     .build("mysql://app:secret@db.example/shop")?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct Builder {
    policy: RetryPolicy,
    keeping: Keeping,
    listeners: Listeners,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            policy: RetryPolicy::default(),
            keeping: Keeping {
                ping_after: Some(Duration::from_secs(30)),
                max_age: Some(Duration::from_secs(30 * 60)),
                reset_timeout: DEFAULT_RESET_TIMEOUT,
                guard: Table::default(),
                setup: Setup::default(),
            },
            listeners: Listeners::default(),
        }
    }
}

const DEFAULT_RESET_TIMEOUT: Duration = Duration::from_secs(10);

impl Builder {
    /// The policy of the executor; a handle can have another one ([`Executor::with_policy`]).
    pub fn policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Pings a connection before it is used if it has idled for at least this long. Default 30 s; zero pings always,
    /// `None` never.
    ///
    /// A closed connection is found without a ping, by a look at its socket. The ping is for paths that went dark
    /// without a word: firewalls and load balancers forget idle connections after minutes.
    pub fn ping_after(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.keeping.ping_after = idle.into();
        self
    }

    /// Retires connections at this age, and up to a tenth later at random, between statements. Default 30 minutes;
    /// `None` never. Options that set the pool's own `abs_conn_ttl` come first.
    ///
    /// It is not needed against the server's `wait_timeout`: a connection that has idled for nearly that long is
    /// replaced before it is used, by what the server itself says its `wait_timeout` is.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.keeping.max_age = age.into();
        self
    }

    /// Statements that each new connection runs before anything else, and after a reset again, say `SET time_zone = '+00:00'`.
    /// Replaces those of an earlier call.
    ///
    /// If one fails, the statement that needed the connection does not run, and its error says so.
    pub fn setup<S: Into<String>>(mut self, statements: impl IntoIterator<Item = S>) -> Self {
        self.keeping.setup = Setup::new(statements.into_iter().map(Into::into).collect());
        self
    }

    /// The table of the guard for [exactly-once](crate::Transaction::exactly_once) work, also as `database.table`. Default
    /// `mysql_retry_guard`, in the database of the connection.
    pub fn guard_table(mut self, name: impl AsRef<str>) -> Self {
        self.keeping.guard = Table::new(name.as_ref());
        self
    }

    /// Calls `hook` for each [`Event`], on the task that made the call. A panic of the hook is a panic of the call.
    pub fn on_event<F>(mut self, hook: F) -> Self
    where
        F: Fn(&Event<'_>) + Send + Sync + 'static,
    {
        self.listeners.hook = Some(Box::new(hook));
        self
    }

    /// The executor, for whatever `mysql_async::Pool::new` takes. Nothing is connected yet.
    ///
    /// The pool's options are kept, but for its reset of returned connections: the executor resets a connection
    /// itself, when a statement may have changed session state.
    ///
    /// # Errors
    /// The options make no sense, say a malformed URL; or `max_age` is zero.
    pub fn build<O>(self, opts: O) -> Result<Executor>
    where
        Opts: TryFrom<O>,
        <Opts as TryFrom<O>>::Error: std::error::Error,
    {
        let opts = Opts::try_from(opts)
            .map_err(|error| Error::config(format!("the connection options are bad: {error}"), None))?;
        self.build_opts(opts)
    }

    /// As `build`, and the driver's error is the source of ours.
    pub(super) fn build_url(self, url: &str) -> Result<Executor> {
        let opts = Opts::from_url(url)
            .map_err(|error| Error::config(format!("the connection URL is bad: {error}"), Some(error.into())))?;
        self.build_opts(opts)
    }

    fn build_opts(mut self, opts: Opts) -> Result<Executor> {
        if self.keeping.max_age == Some(Duration::ZERO) {
            let message = "max_age is 0: give a time that is longer, or None";
            return Err(Error::config(message.into(), None));
        }
        self.keeping.reset_timeout = self.policy.settings().connect_timeout.unwrap_or(DEFAULT_RESET_TIMEOUT);
        let shared = Shared::new(opts, self.keeping, self.listeners);
        shared.note_deadline(self.policy.settings().deadline);
        Ok(Executor { shared: shared.into(), policy: self.policy, until: None, slot: None })
    }
}
