//! Metrics, for the recorder of the crate `metrics` that the program has installed: with the feature of that name, nothing without.
//!
//! What OpenTelemetry's conventions for database clients name has that name here.

#[cfg(feature = "metrics")]
pub(crate) use measured::{CallMeter, Meters, count};
#[cfg(not(feature = "metrics"))]
pub(crate) use unmeasured::{CallMeter, Meters, count};

/// How many connections there are at one moment, and how many statements may be sent again.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "nothing is measured"))]
pub(crate) struct Level {
    pub(crate) used: usize,
    pub(crate) idle: usize,
    pub(crate) budget_left: Option<u32>,
}

#[cfg(feature = "metrics")]
mod measured {
    use std::{
        sync::OnceLock,
        time::{Duration, Instant},
    };

    use metrics::{
        Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
        histogram,
    };
    use mysql_async::Opts;

    use super::Level;
    use crate::{error::Error, sql::first_word};

    const DURATION: &str = "db.client.operation.duration";
    const CONNECTIONS: &str = "db.client.connection.count";
    const PENDING: &str = "db.client.connection.pending_requests";
    const TIMEOUTS: &str = "db.client.connection.timeouts";
    const WAIT_TIME: &str = "db.client.connection.wait_time";
    const CREATE_TIME: &str = "db.client.connection.create_time";
    const BUDGET_LEFT: &str = "mysql_retry.budget_left";

    /// The operations that have a histogram of their own: what a caller writes after them would make any number of them.
    const OPERATIONS: [&str; 10] =
        ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "CALL", "BEGIN", "COMMIT", TRANSACTION, OTHER];
    /// A closure, with the statements in it.
    const TRANSACTION: &str = "TRANSACTION";
    const OTHER: &str = "_OTHER";

    /// The metrics of the connections to one target.
    pub(crate) struct Meters {
        labels: Vec<Label>,
        handles: OnceLock<Handles>,
    }

    struct Handles {
        durations: [Histogram; OPERATIONS.len()],
        wait_time: Histogram,
        create_time: Histogram,
        timeouts: Counter,
        used: Gauge,
        idle: Gauge,
        pending: Gauge,
        budget_left: Gauge,
    }

    impl Meters {
        pub(crate) fn new(opts: &Opts) -> Self {
            let address = opts.socket().unwrap_or(opts.ip_or_hostname()).to_owned();
            let mut labels = vec![Label::new("db.system.name", "mysql"), Label::new("server.address", address)];
            if opts.socket().is_none() {
                labels.push(Label::new("server.port", opts.tcp_port().to_string()));
            }
            if let Some(name) = opts.db_name() {
                labels.push(Label::new("db.namespace", name.to_owned()));
            }
            Meters { labels, handles: OnceLock::new() }
        }

        /// Asked for when something is measured first: what the program installs before is used.
        fn handles(&self) -> &Handles {
            self.handles.get_or_init(|| {
                describe();
                let labels = || self.labels.clone();
                let connections = |state| gauge!(CONNECTIONS, self.with([("state", state)]));
                Handles {
                    durations: OPERATIONS.map(|name| histogram!(DURATION, self.with([("db.operation.name", name)]))),
                    wait_time: histogram!(WAIT_TIME, labels()),
                    create_time: histogram!(CREATE_TIME, labels()),
                    timeouts: counter!(TIMEOUTS, labels()),
                    used: connections("used"),
                    idle: connections("idle"),
                    pending: gauge!(PENDING, labels()),
                    budget_left: gauge!(BUDGET_LEFT, labels()),
                }
            })
        }

        fn with<const N: usize>(&self, more: [(&'static str, &'static str); N]) -> Vec<Label> {
            self.labels.iter().cloned().chain(more.map(|(key, value)| Label::from_static_parts(key, value))).collect()
        }

        pub(crate) fn level(&self, level: impl FnOnce() -> Level) {
            let (handles, Level { used, idle, budget_left }) = (self.handles(), level());
            handles.used.set(used as f64);
            handles.idle.set(idle as f64);
            if let Some(left) = budget_left {
                handles.budget_left.set(f64::from(left));
            }
        }

        /// A call waits for a connection from now on.
        pub(crate) fn wait(&self, since: Instant) -> Waiting<'_> {
            let handles = self.handles();
            handles.pending.increment(1.0);
            Waiting { handles, since }
        }

        /// A connection was made.
        pub(crate) fn created(&self, since: Instant) {
            self.handles().create_time.record(since.elapsed());
        }
    }

    /// A call that waits for a connection.
    pub(crate) struct Waiting<'m> {
        handles: &'m Handles,
        since: Instant,
    }

    impl Waiting<'_> {
        /// It has one.
        pub(crate) fn served(&self) {
            self.handles.wait_time.record(self.since.elapsed());
        }

        /// It has waited for nothing.
        pub(crate) fn timed_out(&self) {
            self.handles.timeouts.increment(1);
        }
    }

    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            self.handles.pending.decrement(1.0);
        }
    }

    /// What is known of a call for the metrics: its operation, unless it was measured already.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct CallMeter(Option<usize>);

    impl CallMeter {
        pub(crate) fn new(text: &[u8]) -> Self {
            CallMeter::of(first_word(text))
        }

        pub(crate) fn of_transaction() -> Self {
            CallMeter::of(TRANSACTION.as_bytes())
        }

        fn of(word: &[u8]) -> Self {
            let position = OPERATIONS.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(word));
            CallMeter(Some(position.unwrap_or(OPERATIONS.len() - 1)))
        }

        /// Of a stream whose first row has arrived: it was measured then.
        pub(crate) fn silent() -> Self {
            CallMeter(None)
        }

        pub(crate) fn succeeded(self, meters: &Meters, took: impl FnOnce() -> Duration) {
            if let Some(operation) = self.0 {
                meters.handles().durations[operation].record(took());
            }
        }

        pub(crate) fn failed(self, meters: &Meters, took: Duration, error: &Error) {
            let Some(operation) = self.0 else { return };
            // made anew: failures are rare, and of many kinds
            let mut labels = meters.with([("db.operation.name", OPERATIONS[operation])]);
            let kind = match error.code() {
                Some(code) => code.to_string(),
                None => format!("{:?}", error.reason()),
            };
            if let Some(code) = error.code() {
                labels.push(Label::new("db.response.status_code", code.to_string()));
            }
            labels.push(Label::new("error.type", kind));
            histogram!(DURATION, labels).record(took);
        }
    }

    /// Counts something that is rare.
    pub(crate) fn count(name: &'static str) {
        counter!(name).increment(1);
    }

    fn describe() {
        describe_histogram!(DURATION, Unit::Seconds, "Duration of a call, with all its attempts");
        describe_histogram!(WAIT_TIME, Unit::Seconds, "Time that an attempt waited for its connection");
        describe_histogram!(CREATE_TIME, Unit::Seconds, "Time that it took to make a connection");
        describe_gauge!(CONNECTIONS, "Connections to the server, by state");
        describe_gauge!(PENDING, "Attempts that wait for a connection");
        describe_counter!(TIMEOUTS, "Attempts that found no connection before their deadline");
        describe_gauge!(BUDGET_LEFT, "Statements that may be sent again");
    }
}

#[cfg(not(feature = "metrics"))]
mod unmeasured {
    use std::{
        marker::PhantomData,
        time::{Duration, Instant},
    };

    use mysql_async::Opts;

    use super::Level;
    use crate::error::Error;

    pub(crate) struct Meters;

    impl Meters {
        pub(crate) fn new(_: &Opts) -> Self {
            Meters
        }

        pub(crate) fn level(&self, _: impl FnOnce() -> Level) {}

        pub(crate) fn wait(&self, _: Instant) -> Waiting<'_> {
            Waiting(PhantomData)
        }

        pub(crate) fn created(&self, _: Instant) {}
    }

    pub(crate) struct Waiting<'m>(PhantomData<&'m ()>);

    impl Waiting<'_> {
        pub(crate) fn served(&self) {}

        pub(crate) fn timed_out(&self) {}
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct CallMeter;

    impl CallMeter {
        pub(crate) fn new(_: &[u8]) -> Self {
            CallMeter
        }

        pub(crate) fn of_transaction() -> Self {
            CallMeter
        }

        pub(crate) fn silent() -> Self {
            CallMeter
        }

        pub(crate) fn succeeded(self, _: &Meters, _: impl FnOnce() -> Duration) {}

        pub(crate) fn failed(self, _: &Meters, _: Duration, _: &Error) {}
    }

    pub(crate) fn count(_: &'static str) {}
}
