//! What happens to the group, and how its callers reach it.

use std::time::Duration;

use mysql_async::OptsBuilder;
use mysql_retry::{Executor, RetryPolicy};
use mysql_retry_fixture::{
    Group, Router,
    failover::{Load, in_time},
    ms,
    skip::is_available,
};

use crate::tally::Tally;

/// The callers that are at work at the same time.
const CALLERS: u32 = 16;

/// How soon a silent attempt is asked after, and how long its server may fail to answer.
const WATCH: Duration = ms(1_000);

/// How long the session of a silent attempt may wait for a request.
const IDLE: Duration = ms(3_000);

/// Three connections may have to be given up, and the machine is busy.
const SLACK: Duration = ms(6_000);

/// How many calls have to succeed before something happens, and after it.
const CALLS: usize = 150;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// The primary is killed.
    Killed,
    /// The primary is frozen for some seconds.
    Frozen(u64),
    /// The other two nodes are frozen for 20 s; the primary gives up after this number of seconds, if not 0.
    MajorityFrozen(u64),
    /// The primary is switched four times, with a time-out of a second or without one.
    Switched { time_out: bool },
    /// The primary is expelled, and puts itself into offline mode.
    Expelled,
    /// The primary leaves the group, and another node is killed; both come back.
    Rejoined,
    /// Two primaries change the same rows for 20 s.
    Conflicts,
}

/// How callers reach the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Over three targets, with the right to see who is a member.
    Direct,
    /// Through Router, which leads to the primary.
    Router,
    /// Through Router, which knows three addresses.
    Static,
}

/// A scenario: what happens, and how callers reach the group meanwhile.
pub struct Scenario {
    pub name: &'static str,
    what: What,
    way: Way,
}

const fn scenario(name: &'static str, what: What, way: Way) -> Scenario {
    Scenario { name, what, way }
}

/// All of them; those on a group with one primary come first.
pub const ALL: [Scenario; 16] = [
    scenario("killed", What::Killed, Way::Direct),
    scenario("frozen-9", What::Frozen(9), Way::Direct),
    scenario("frozen-30", What::Frozen(30), Way::Direct),
    scenario("majority", What::MajorityFrozen(0), Way::Direct),
    scenario("majority-gives-up", What::MajorityFrozen(4), Way::Direct),
    scenario("switched", What::Switched { time_out: false }, Way::Direct),
    scenario("switched-in-time", What::Switched { time_out: true }, Way::Direct),
    scenario("expelled", What::Expelled, Way::Direct),
    scenario("rejoined", What::Rejoined, Way::Direct),
    scenario("router-killed", What::Killed, Way::Router),
    scenario("router-frozen-9", What::Frozen(9), Way::Router),
    scenario("router-majority", What::MajorityFrozen(0), Way::Router),
    scenario("router-switched", What::Switched { time_out: true }, Way::Router),
    scenario("router-expelled", What::Expelled, Way::Router),
    scenario("router-static-killed", What::Killed, Way::Static),
    scenario("conflicts", What::Conflicts, Way::Direct),
];

impl Scenario {
    /// Whether what it needs is there; if not, the reason is printed.
    pub fn is_possible(&self) -> bool {
        self.way == Way::Direct || is_available(Router::is_available(), "MYSQL_RETRY_GROUP")
    }

    pub fn is_single_primary(&self) -> bool {
        self.what != What::Conflicts
    }

    /// Plays it on a group, which it leaves whole.
    pub async fn play(&self, group: &Group) -> Tally {
        group.make_whole().await;
        let gives_up = if let What::MajorityFrozen(seconds) = self.what { seconds } else { 0 };
        group.set_global(&format!("group_replication_unreachable_majority_timeout = {gives_up}")).await;
        self.lead_to_the_primary(group).await;
        let first = if self.is_single_primary() { group.primary().await } else { 0 };
        let router = if self.way == Way::Direct { None } else { Some(Router::start(group).await) };
        let executors = match &router {
            None if self.is_single_primary() => vec![self.build(targets(group, first))],
            None => [0, 1].map(|node| self.build(vec![group.informed_opts(node)])).into(),
            Some(router) if self.way == Way::Router => vec![self.build(vec![group.as_app(router.opts())])],
            Some(router) => vec![self.build(vec![group.as_app(router.static_opts())])],
        };
        Load::lay_out(self.name, group.node(first), &executors[0], CALLERS).await;
        for number in 0..3 {
            group.catch_up(number).await;
        }
        let load = Load::begin_on(self.name, &executors.iter().collect::<Vec<_>>(), CALLERS, false);
        load.reach(CALLS).await;
        self.happen(group, first).await;
        group.make_whole().await;
        self.lead_to_the_primary(group).await;
        load.reach(CALLS).await;
        let last = if self.is_single_primary() { group.primary().await } else { 0 };
        group.catch_up(last).await;
        let books = load.close(group.node(last)).await;
        group.set_global("group_replication_unreachable_majority_timeout = 0").await;
        Tally::of(&books, self.limit())
    }

    /// A way that always leads to the first node leads to the primary.
    async fn lead_to_the_primary(&self, group: &Group) {
        if self.way == Way::Static && group.primary().await != 0 {
            in_time(group.switch_primary(0, Some(1))).await.expect("switched");
            group.until_whole().await;
        }
    }

    /// The deadline of each call: longer than an election, but shorter than the time for which a majority is away, so that a
    /// call that waits for it is noticed.
    fn deadline(&self) -> Duration {
        if matches!(self.what, What::MajorityFrozen(_)) { ms(6_000) } else { ms(20_000) }
    }

    /// A call that takes longer is stuck.
    fn limit(&self) -> Duration {
        self.deadline() + 2 * WATCH + IDLE + SLACK
    }

    fn build(&self, targets: Vec<OptsBuilder>) -> Executor {
        let policy = RetryPolicy::builder().deadline(self.deadline()).max_replays(100).build().expect("valid");
        Executor::builder()
            .policy(policy)
            .guard_table(format!("{}_guard", self.name.replace('-', "_")))
            .probe_interval(ms(100))
            .watch_after(WATCH)
            .give_up_after(WATCH)
            .retry_budget(None)
            .build_targets(targets)
            .expect("good options")
    }

    async fn happen(&self, group: &Group, primary: usize) {
        let seconds = |seconds: u64| tokio::time::sleep(Duration::from_secs(seconds));
        match self.what {
            What::Killed => {
                group.node(primary).kill().await;
                group.primary_after(primary).await;
                seconds(3).await;
            }
            What::Frozen(time) => {
                group.node(primary).freeze();
                seconds(time).await;
                group.node(primary).thaw();
                seconds(5).await;
            }
            What::MajorityFrozen(_) => {
                group.freeze_majority(primary);
                seconds(20).await;
                group.thaw_all();
                seconds(5).await;
            }
            What::Switched { time_out } => {
                for _ in 0..4 {
                    let next = group.others(group.primary().await)[0];
                    let switched = in_time(group.switch_primary(next, time_out.then_some(1))).await;
                    switched.expect("switched");
                    seconds(2).await;
                }
            }
            What::Expelled => {
                group.expel_into_offline_mode(primary).await;
                seconds(3).await;
            }
            What::Rejoined => {
                group.node(primary).query_drop("STOP GROUP_REPLICATION").await;
                let next = group.primary_after(primary).await;
                seconds(3).await;
                group.rejoin(primary).await;
                group.until_whole().await;
                let other = 3 - primary - next;
                group.node(other).kill().await;
                group.until_members(next, 2).await;
                seconds(3).await;
            }
            What::Conflicts => seconds(20).await,
        }
    }
}

/// All nodes, this one first.
fn targets(group: &Group, first: usize) -> Vec<OptsBuilder> {
    let [second, third] = group.others(first);
    [first, second, third].map(|number| group.informed_opts(number)).into()
}
