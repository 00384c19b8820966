//! The group of all tests, and callers on it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::OptsBuilder;
use mysql_retry::{Error, Executor, ExecutorBuilder, Outcome, RetryPolicy, RetryPolicyBuilder};
use mysql_retry_fixture::{
    Events, Group,
    failover::Load,
    ms,
    skip::{is_available, skip},
};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The deadline of calls that do not outlive an outage.
pub const DEADLINE: Duration = ms(8_000);

/// How soon a silent attempt is asked after, and how long the server may fail to answer.
pub const WATCH: Duration = ms(1_000);

/// What a call may take beyond its deadline: the watch has to notice that it hangs, three connections may have to be made
/// and given up, and the machine is busy.
pub const SLACK: Duration = ms(7_000);

/// The longest that a call may take.
pub const LIMIT: Duration = ms(DEADLINE.as_millis() as u64 + 2 * WATCH.as_millis() as u64 + SLACK.as_millis() as u64);

/// Who looks at the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// May do everything in the database `test`, and nothing else.
    Ordinary,
    /// May also read who is a member.
    Informed,
}

/// The group, for one test at a time.
pub struct Scene {
    pub group: &'static Group,
    _alone: MutexGuard<'static, ()>,
}

/// For a test that takes long: `None` also where the other tests run, which is not with `GROUP=all` or `GROUP=ci`.
pub async fn long_scene() -> Option<Scene> {
    if is_long_run() { scene().await } else { None }
}

/// Whether this is a run for long tests; if not, that is printed.
fn is_long_run() -> bool {
    let is_long = std::env::var("GROUP").is_ok_and(|which| which == "all" || which == "ci");
    if !is_long {
        skip("takes long, and runs with GROUP=all (`make group`)");
    }
    is_long
}

/// Whole, with all variables as they were. `None` where there is no Group Replication.
pub async fn scene() -> Option<Scene> {
    static GROUP: OnceCell<Group> = OnceCell::const_new();
    let alone = alone().await?;
    let group = GROUP.get_or_init(Group::start).await;
    group.make_whole().await;
    group.set_global("group_replication_unreachable_majority_timeout = 0").await;
    Some(Scene { group, _alone: alone })
}

/// A group with three primaries, for one long test at a time.
pub async fn long_multi_scene() -> Option<Scene> {
    static GROUP: OnceCell<Group> = OnceCell::const_new();
    if !is_long_run() {
        return None;
    }
    let alone = alone().await?;
    let group = GROUP.get_or_init(|| Group::builder().multi_primary().start()).await;
    group.make_whole().await;
    Some(Scene { group, _alone: alone })
}

/// A group whose network can be cut, for one long test at a time. `None` also where there can be no such network.
pub async fn own_network_scene() -> Option<Scene> {
    static GROUP: OnceCell<Group> = OnceCell::const_new();
    if !is_long_run() {
        return None;
    }
    if let Err(reason) = Group::can_have_own_network() {
        skip(&reason);
        return None;
    }
    let alone = alone().await?;
    let group = GROUP.get_or_init(|| Group::builder().own_network().start()).await;
    Some(Scene { group, _alone: alone })
}

/// The right to start or disturb a group: a machine of two cores has no room for two at work.
async fn alone() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    if !is_available(Group::is_available(), "MYSQL_RETRY_GROUP") {
        return None;
    }
    Some(ALONE.lock().await)
}

impl Scene {
    /// Options of all nodes, this one first.
    pub fn targets(&self, first: usize, rights: Rights) -> [OptsBuilder; 3] {
        let [second, third] = self.group.others(first);
        [first, second, third].map(|number| self.opts(number, rights))
    }

    /// Options of one node.
    pub fn opts(&self, number: usize, rights: Rights) -> OptsBuilder {
        match rights {
            Rights::Ordinary => self.group.opts(number),
            Rights::Informed => self.group.informed_opts(number),
        }
    }

    /// An empty table of numbers `n` with a value `v`, on all nodes.
    pub async fn table(&self, name: &str) {
        let primary = self.group.primary().await;
        for sql in [
            format!("DROP TABLE IF EXISTS {name}"),
            format!(
                "CREATE TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL, v INT NOT NULL DEFAULT 0)"
            ),
        ] {
            self.group.node(primary).query_drop(sql).await;
        }
        for number in 0..3 {
            self.group.catch_up(number).await;
        }
    }

    /// How often a number is in a table, in the eyes of the whole group.
    pub async fn count(&self, table: &str, n: u32) -> u32 {
        let primary = self.group.primary().await;
        self.group.catch_up(primary).await;
        let count = self.group.node(primary).query_first(format!("SELECT COUNT(*) FROM {table} WHERE n = {n}")).await;
        count.expect("a row")
    }
}

/// Makes the tables of callers, on this node and by that on all.
pub async fn lay_out(group: &Group, node: usize, scenario: &'static str, exec: &Executor, callers: u32) {
    Load::lay_out(scenario, group.node(node), exec, callers).await;
    for number in 0..3 {
        group.catch_up(number).await;
    }
}

/// Notices soon that a node hangs; the deadline is [`DEADLINE`]. Tokens of tests with other names mean nothing to it.
pub fn builder(name: &str, events: &Events) -> ExecutorBuilder {
    with_deadline(name, events, DEADLINE)
}

/// The same with another deadline.
pub fn with_deadline(name: &str, events: &Events, deadline: Duration) -> ExecutorBuilder {
    Executor::builder()
        .policy(policy(deadline).build().expect("valid"))
        .guard_table(format!("{name}_guard"))
        .probe_interval(ms(100))
        .watch_after(WATCH)
        .give_up_after(WATCH)
        .retry_budget(None)
        .on_event(events.hook())
}

fn policy(deadline: Duration) -> RetryPolicyBuilder {
    RetryPolicy::builder().deadline(deadline).max_replays(30)
}

/// The error numbers that an executor has met, and how often.
#[derive(Clone, Default)]
pub struct Codes(Arc<StdMutex<BTreeMap<String, u32>>>);

impl Codes {
    /// Makes an executor with this deadline write down what it meets.
    pub fn record(&self, builder: ExecutorBuilder, deadline: Duration) -> ExecutorBuilder {
        let codes = self.0.clone();
        let policy = policy(deadline).classify_with(move |error, classification| {
            let name = match error {
                mysql_async::Error::Server(error) => error.code.to_string(),
                mysql_async::Error::Io(_) => "io".to_owned(),
                _ => "driver".to_owned(),
            };
            let key = format!("{name} {:?}/{:?}", classification.fault(), classification.outcome());
            *codes.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
            classification
        });
        builder.policy(policy.build().expect("valid"))
    }

    /// All of them.
    pub fn line(&self) -> String {
        format!("{:?}", self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there was such a number.
    pub fn has(&self, code: u16) -> bool {
        let begin = format!("{code} ");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().any(|key| key.starts_with(&begin))
    }
}

/// How a call ended, and when.
#[derive(Debug)]
pub struct Timed<T> {
    pub name: String,
    pub result: Result<T, Error>,
    pub took: Duration,
}

impl<T> Timed<T> {
    /// One line about it.
    pub fn line(&self) -> String {
        let took = self.took.as_millis();
        match &self.result {
            Ok(_) => format!("{}: Ok after {took} ms", self.name),
            Err(error) => format!(
                "{}: {:?} {:?} code={:?} attempts={} after {took} ms: {error}",
                self.name,
                error.outcome(),
                error.reason(),
                error.code(),
                error.attempts()
            ),
        }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.result.as_ref().err().map(Error::outcome)
    }
}

/// Runs a call, with its time, and panics if it has not ended after two minutes.
pub async fn timed<T>(name: impl Into<String>, call: impl Future<Output = Result<T, Error>>) -> Timed<T> {
    let (name, begun) = (name.into(), Instant::now());
    let Ok(result) = tokio::time::timeout(ms(120_000), call).await else {
        panic!("{name} hangs for longer than two minutes");
    };
    let timed = Timed { name, result, took: begun.elapsed() };
    println!("{}", timed.line());
    timed
}
