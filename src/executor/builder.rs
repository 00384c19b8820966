//! The builder of an executor.

use std::time::Duration;

use mysql_async::{Opts, OptsBuilder, PoolConstraints};

use super::Executor;
use crate::{
    error::{Error, Result},
    event::{Event, Listeners},
    guard::Table,
    handle::Handle,
    outage,
    policy::{RetryBudget, RetryPolicy},
    pool::{Keeping, Setup, Shared, watch},
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
pub struct ExecutorBuilder {
    policy: RetryPolicy,
    keeping: Keeping,
    listeners: Listeners,
    allow_session_text: bool,
    prefer_socket: bool,
    pool: Option<(usize, usize)>,
}

impl Default for ExecutorBuilder {
    fn default() -> Self {
        ExecutorBuilder {
            policy: RetryPolicy::default(),
            keeping: Keeping {
                ping_after: Some(Duration::from_secs(30)),
                max_age: Some(Duration::from_secs(30 * 60)),
                reset_timeout: DEFAULT_RESET_TIMEOUT,
                guard: Table::default(),
                setup: Setup::default(),
                outage: outage::Tuning {
                    probe_interval: Duration::from_millis(250),
                    fail_fast_after: None,
                    accept_read_only: false,
                },
                watch: watch::Tuning {
                    watch_after: Some(Duration::from_secs(10)),
                    give_up_after: Duration::from_secs(5),
                },
                budget: Some(RetryBudget::default()),
                traces_text: false,
            },
            listeners: Listeners::default(),
            allow_session_text: false,
            prefer_socket: false,
            pool: None,
        }
    }
}

const DEFAULT_RESET_TIMEOUT: Duration = Duration::from_secs(10);

impl ExecutorBuilder {
    /// The policy of the executor; a handle can have another one ([`Executor::with_policy`]).
    pub fn policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How many connections the executor keeps open, and how many it has at most, for each target. By default what the options say, and
    /// where they say nothing 10 and 100. A connection above `min` is closed when it has not been needed for some seconds; so are
    /// those below it while the server is full. Their age has a bound too: [`max_age`](Self::max_age).
    pub fn pool(mut self, min: usize, max: usize) -> Self {
        self.pool = Some((min, max));
        self
    }

    /// Pings a connection before it is used if it has idled for at least this long. Default 30 s; zero pings always,
    /// `None` never.
    ///
    /// A closed connection is found without a ping, by a check of its socket. The ping finds paths that drop packets:
    /// firewalls and load balancers forget idle connections after minutes.
    pub fn ping_after(mut self, idle: impl Into<Option<Duration>>) -> Self {
        self.keeping.ping_after = idle.into();
        self
    }

    /// Retires connections at this age, and up to a tenth later at random, between statements. Default 30 minutes;
    /// `None` never. The pool's own option `abs_conn_ttl` takes precedence.
    ///
    /// It is not needed because of the server's `wait_timeout`: the server is asked for that value, and a connection that
    /// has idled for nearly as long is replaced before it is used.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.keeping.max_age = age.into();
        self
    }

    /// Statements that each new connection runs before anything else, and again after a reset, for example `SET time_zone =
    /// '+00:00'`. Replaces those of an earlier call.
    ///
    /// If one fails, the statement that needed the connection does not run, and its error says so. The same if autocommit is
    /// off afterwards (`SET autocommit = 0` here, in the driver's `init` or `setup`, in the server's `init_connect`, or the
    /// server's own default): a statement that was answered with OK would never be committed. For a server whose default is
    /// off, give `SET autocommit = 1`.
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

    /// The longest time between two probes of a server that is down. A server that is back is noticed within this time.
    /// Default 250 ms. See [Outages](crate::docs::outages).
    ///
    /// While the server is down, one task probes and all other calls wait for its result. The time between two probes grows
    /// with the outage up to this one. A server that is full (1040) is probed while a call waits, at first at this interval and
    /// later at up to 16 of them.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.keeping.outage.probe_interval = interval;
        self
    }

    /// When the server has been down for this long, calls fail at once instead of waiting for it until their deadlines, with
    /// [`Reason::FailFast`](crate::Reason::FailFast), until a probe finds it up again. Default `None`: they wait.
    pub fn fail_fast_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.keeping.outage.fail_fast_after = time.into();
        self
    }

    /// Whether a read-only server can be used as a target: for an executor that only reads, for example from replicas.
    /// Default `false`: of several targets, a target that becomes read-only is left, and a read-only target is not used.
    pub fn accept_read_only(mut self, accept: bool) -> Self {
        self.keeping.outage.accept_read_only = accept;
        self
    }

    /// When an attempt has received nothing for this long, the server is asked about it over another connection, beside the
    /// pool, and from then on repeatedly. Default 10 s; `None` never. See [Silence](crate::docs::outages#silence).
    ///
    /// The attempt counts as lost, with the outcome [`Unknown`](crate::Outcome::Unknown), if the server does not have its
    /// session any more, if the server has not answered for [`give_up_after`](Self::give_up_after), or if the session has
    /// waited for a request for that long. If the session is executing, it goes on for as long as it takes. So a dead path, a
    /// server that hangs, and a firewall that has forgotten the connection are noticed, and a report that takes an hour is
    /// not cut. A session that waits for a request does not count once the reply has begun, or where the request is larger
    /// than 64 KiB. An attempt with an
    /// [`attempt_timeout`](crate::RetryPolicyBuilder::attempt_timeout) is not watched.
    pub fn watch_after(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.keeping.watch.watch_after = time.into();
        self
    }

    /// How long the server may fail to answer about a silent attempt, and how long (at least 3 s) the session of the attempt
    /// may wait for a request. Default 5 s.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.keeping.watch.give_up_after = time;
        self
    }

    /// The bound on replays, all calls together. Default: a fifth of the statements that succeed, and a reserve of 500;
    /// `None` for no limit but that of each call. See [the retry budget](crate::docs::outages#the-retry-budget).
    pub fn retry_budget(mut self, budget: impl Into<Option<RetryBudget>>) -> Self {
        self.keeping.budget = budget.into();
        self
    }

    /// Whether a text that depends on session state may run on the executor. Default `false`: it is refused before anything
    /// is sent, because each call may run on another connection, and what one call sets is gone for the next.
    ///
    /// A text is refused if it uses what it does not itself provide (`SELECT @a`, `COMMIT`, `SELECT LAST_INSERT_ID()`, `SHOW
    /// WARNINGS`), or leaves what only a later text could use (`SET NAMES utf8mb4`, `USE shop`, `BEGIN`, `SELECT
    /// GET_LOCK('a', 1)`, `CREATE TEMPORARY TABLE ..`). A text that brings what it needs is not refused: `BEGIN; ..;
    /// COMMIT`. Nor are calls of stored code, and texts that are not recognised.
    pub fn allow_session_text(mut self, allow: bool) -> Self {
        self.allow_session_text = allow;
        self
    }

    /// Whether the `tracing` span of a call has the text of its statement (`db.query.text`), with a `?` in the place of each string
    /// and number. Default `false`. Without the feature `tracing` it does nothing. A text whose strings depend on the server's
    /// `sql_mode` is left out.
    pub fn trace_text(mut self, trace: bool) -> Self {
        self.keeping.traces_text = trace;
        self
    }

    /// Whether a connection to a port of this machine may move to the server's unix socket, as the driver's `prefer_socket`
    /// does. Default `false`, whatever the options say: each connection goes to the address that they name.
    ///
    /// The driver asks the server that answers at the port for its `@@socket`, and if there is such a file on this machine,
    /// it connects to that instead. Behind a proxy, a tunnel or the port of a container, that file can belong to another
    /// server, and the proxy is bypassed. With `true` the option of the driver decides. A socket that the options name is
    /// used in either case.
    pub fn prefer_socket(mut self, prefer: bool) -> Self {
        self.prefer_socket = prefer;
        self
    }

    /// Calls `hook` for each [`Event`], on the task that made the call; events of an outage may come from another task. A
    /// panic of the hook is a panic of that task.
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
    /// The options are invalid, for example a malformed URL, or a time that must not be zero is zero.
    pub fn build<O>(self, opts: O) -> Result<Executor>
    where
        Opts: TryFrom<O>,
        <Opts as TryFrom<O>>::Error: std::error::Error,
    {
        let opts = Opts::try_from(opts)
            .map_err(|error| Error::config(format!("the connection options are bad: {error}"), None))?;
        self.build_opts(opts)
    }

    /// As `build`; the driver's error is the source of the returned one.
    pub(super) fn build_url(self, url: &str) -> Result<Executor> {
        let opts = Opts::from_url(url)
            .map_err(|error| Error::config(format!("the connection URL is bad: {error}"), Some(error.into())))?;
        self.build_opts(opts)
    }

    /// The executor, for several targets: servers that hold the same database, in order of preference. Nothing is connected
    /// yet.
    ///
    /// Statements go to the first target. When it is down, refuses writes (1290, 1836), or is not ready (1047, 3032), all
    /// are asked, and the first that is up and takes writes is used from then on, for reads as well. A target that is
    /// preferred to the one in use is used again when it takes writes, without an outage. See
    /// [several servers](crate::docs::outages#several-servers).
    ///
    /// Each target has a pool of its own. The number of connections in use at a time is bounded by the smallest of them.
    ///
    /// ```
    /// # async fn f() -> mysql_retry::Result<()> {
    /// use mysql_retry::Executor;
    ///
    /// let exec = Executor::builder().build_targets([
    ///     "mysql://app:secret@db1.example/shop",
    ///     "mysql://app:secret@db2.example/shop",
    /// ])?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`build`](Self::build); or there is no target.
    pub fn build_targets<O>(self, targets: impl IntoIterator<Item = O>) -> Result<Executor>
    where
        Opts: TryFrom<O>,
        <Opts as TryFrom<O>>::Error: std::error::Error,
    {
        let mut all = Vec::new();
        for target in targets {
            let number = all.len() + 1;
            all.push(Opts::try_from(target).map_err(|error| {
                Error::config(format!("the connection options of target {number} are bad: {error}"), None)
            })?);
        }
        self.build_all(all)
    }

    fn build_opts(self, opts: Opts) -> Result<Executor> {
        self.build_all(vec![opts])
    }

    fn build_all(mut self, targets: Vec<Opts>) -> Result<Executor> {
        let Keeping { max_age, outage, watch, .. } = &self.keeping;
        let not_zero = [
            ("max_age", *max_age),
            ("probe_interval", Some(outage.probe_interval)),
            ("watch_after", watch.watch_after),
            ("give_up_after", Some(watch.give_up_after)),
        ];
        for (name, value) in not_zero {
            if value == Some(Duration::ZERO) {
                return Err(Error::config(format!("{name} is 0: give a time that is longer"), None));
            }
        }
        if targets.is_empty() {
            return Err(Error::config("there is no target: give the options of at least one server".into(), None));
        }
        let as_named = |opts: Opts| match opts.prefer_socket() && opts.socket().is_none() && !self.prefer_socket {
            true => OptsBuilder::from_opts(opts).prefer_socket(false).into(),
            false => opts,
        };
        let constraints = match self.pool {
            None => None,
            Some((min, max)) => Some(PoolConstraints::new(min, max).ok_or_else(|| {
                let message =
                    format!("pool({min}, {max}): give a maximum that is at least 1 and not below the minimum");
                Error::config(message, None)
            })?),
        };
        let in_pool = |opts: Opts| match constraints {
            None => opts,
            Some(constraints) => {
                let pool = opts.pool_opts().clone().with_constraints(constraints);
                OptsBuilder::from_opts(opts).pool_opts(pool).into()
            }
        };
        let targets = targets.into_iter().map(as_named).map(in_pool).collect();
        self.keeping.reset_timeout = self.policy.settings().connect_timeout.unwrap_or(DEFAULT_RESET_TIMEOUT);
        let shared = Shared::new(targets, self.keeping, self.listeners);
        Ok(Executor { handle: Handle::new(shared, self.policy, self.allow_session_text) })
    }
}
