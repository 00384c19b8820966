//! What happens to the group, and how its callers reach it.

use std::time::Duration;

use futures_util::future::join_all;
use mysql_async::OptsBuilder;
use mysql_retry::{Executor, RetryPolicy};
use mysql_retry_fixture::{
    Group, Router,
    failover::{Load, in_time},
    ms,
};

use crate::tally::Tally;

/// The callers of each way that are at work at the same time.
const CALLERS: u32 = 8;

/// Between two calls of a caller: a node that was away has to catch up with them on a machine of two cores.
const PAUSE: Duration = ms(20);

/// How soon a silent attempt is asked after, and how long its server may fail to answer.
const WATCH: Duration = ms(1_000);

/// How long the session of a silent attempt may wait for a request.
const IDLE: Duration = ms(3_000);

/// Three connections may have to be given up, and the machine is busy.
const SLACK: Duration = ms(6_000);

/// How many calls of each way have to succeed before something happens, and after it.
const CALLS: usize = 75;

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
pub enum Way {
    /// Over three targets, with the right to see who is a member.
    Direct,
    /// Through Router, which leads to the primary, with a user who may not look at the group.
    Router,
    /// The same through Router, which knows three addresses.
    Static,
}

/// A scenario: what happens, and the ways of those who go through it side by side.
pub struct Scenario {
    pub name: &'static str,
    what: What,
    ways: &'static [Way],
}

const fn scenario(name: &'static str, what: What, ways: &'static [Way]) -> Scenario {
    Scenario { name, what, ways }
}

const BOTH: &[Way] = &[Way::Direct, Way::Router];

/// All of them; those on a group with one primary come first.
pub const ALL: [Scenario; 10] = [
    scenario("killed", What::Killed, &[Way::Direct, Way::Router, Way::Static]),
    scenario("frozen-9", What::Frozen(9), BOTH),
    scenario("frozen-30", What::Frozen(30), BOTH),
    scenario("majority", What::MajorityFrozen(0), BOTH),
    scenario("majority-gives-up", What::MajorityFrozen(4), BOTH),
    scenario("switched", What::Switched { time_out: false }, BOTH),
    scenario("switched-in-time", What::Switched { time_out: true }, BOTH),
    scenario("expelled", What::Expelled, BOTH),
    scenario("rejoined", What::Rejoined, BOTH),
    scenario("conflicts", What::Conflicts, &[Way::Direct]),
];

/// Callers of one way.
struct Callers {
    way: Way,
    load: Load,
}

impl Scenario {
    pub fn is_single_primary(&self) -> bool {
        self.what != What::Conflicts
    }

    /// Plays it on a group, which it leaves whole. Without Router only direct callers go through it.
    pub async fn play(&self, group: &Group, with_router: bool) -> Tally {
        group.make_whole().await;
        let gives_up = if let What::MajorityFrozen(seconds) = self.what { seconds } else { 0 };
        group.set_global(&format!("group_replication_unreachable_majority_timeout = {gives_up}")).await;
        let ways: Vec<Way> = self.ways.iter().copied().filter(|way| with_router || *way == Way::Direct).collect();
        self.lead_to_the_primary(group, &ways).await;
        let first = if self.is_single_primary() { group.primary().await } else { 0 };
        let router = if ways.iter().any(|way| *way != Way::Direct) { Some(Router::start(group).await) } else { None };
        let mut callers = Vec::new();
        for way in &ways {
            callers.push(self.begin(group, first, *way, router.as_ref()).await);
        }
        reach(&callers, CALLS).await;
        self.happen(group, first, &callers).await;
        group.make_whole().await;
        self.lead_to_the_primary(group, &ways).await;
        reach(&callers, CALLS).await;
        let last = if self.is_single_primary() { group.primary().await } else { 0 };
        group.catch_up(last).await;
        let mut tally = Tally::of_a_scenario();
        for Callers { way, load } in callers {
            tally.add(way, &load.close(group.node(last)).await, self.limit());
        }
        group.set_global("group_replication_unreachable_majority_timeout = 0").await;
        tally
    }

    /// Callers of a way, in tables of their own.
    async fn begin(&self, group: &Group, first: usize, way: Way, router: Option<&Router>) -> Callers {
        let name: &'static str = match way {
            Way::Direct => self.name,
            // lives as long as the process, as the names of scenarios do
            Way::Router => format!("{}-router", self.name).leak(),
            Way::Static => format!("{}-static", self.name).leak(),
        };
        let executors = match (way, router) {
            (Way::Router, Some(router)) => vec![self.build(name, vec![group.as_app(router.opts())])],
            (Way::Static, Some(router)) => vec![self.build(name, vec![group.as_app(router.static_opts())])],
            _ if self.is_single_primary() => vec![self.build(name, targets(group, first))],
            _ => [0, 1].map(|node| self.build(name, vec![group.informed_opts(node)])).into(),
        };
        Load::lay_out(name, group.node(first), &executors[0], CALLERS).await;
        for number in 0..3 {
            group.catch_up(number).await;
        }
        let load = Load::begin_with_pause(name, &executors.iter().collect::<Vec<_>>(), CALLERS, PAUSE);
        Callers { way, load }
    }

    /// A way that always leads to the first node leads to the primary.
    async fn lead_to_the_primary(&self, group: &Group, ways: &[Way]) {
        if ways.contains(&Way::Static) && group.primary().await != 0 {
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

    fn build(&self, name: &str, targets: Vec<OptsBuilder>) -> Executor {
        let policy = RetryPolicy::builder().deadline(self.deadline()).max_replays(100).build().expect("valid");
        Executor::builder()
            .policy(policy)
            .guard_table(format!("{}_guard", name.replace('-', "_")))
            .probe_interval(ms(100))
            .watch_after(WATCH)
            .give_up_after(WATCH)
            .retry_budget(None)
            .build_targets(targets)
            .expect("good options")
    }

    async fn happen(&self, group: &Group, primary: usize, callers: &[Callers]) {
        let seconds = |seconds: u64| tokio::time::sleep(Duration::from_secs(seconds));
        // a way that leads to a dead or read-only node has to wait for the end
        let led: Vec<&Callers> = callers.iter().filter(|callers| callers.way != Way::Static).collect();
        let go_on = async || reach(led.iter().copied(), CALLS).await;
        match self.what {
            What::Killed => {
                group.node(primary).kill().await;
                group.primary_after(primary).await;
                go_on().await;
            }
            What::Frozen(time) => {
                group.node(primary).freeze();
                seconds(time).await;
                group.node(primary).thaw();
                // it believes in itself for 3 s
                seconds(5).await;
            }
            What::MajorityFrozen(_) => {
                group.freeze_majority(primary).await;
                seconds(20).await;
                group.thaw_all();
                seconds(2).await;
            }
            What::Switched { time_out } => {
                for _ in 0..4 {
                    let next = group.others(group.primary().await)[0];
                    let switched = in_time(group.switch_primary(next, time_out.then_some(1))).await;
                    switched.expect("switched");
                    go_on().await;
                }
            }
            What::Expelled => {
                group.expel_into_offline_mode(primary).await;
                go_on().await;
            }
            What::Rejoined => {
                group.node(primary).query_drop("STOP GROUP_REPLICATION").await;
                let next = group.primary_after(primary).await;
                go_on().await;
                group.rejoin(primary).await;
                group.until_whole().await;
                let other = 3 - primary - next;
                group.node(other).kill().await;
                group.until_members(next, 2).await;
                go_on().await;
            }
            What::Conflicts => seconds(20).await,
        }
    }
}

/// Waits until this many more calls of each way have succeeded.
async fn reach(callers: impl IntoIterator<Item = &Callers>, more: usize) {
    join_all(callers.into_iter().map(|callers| callers.load.reach(more))).await;
}

/// All nodes, this one first.
fn targets(group: &Group, first: usize) -> Vec<OptsBuilder> {
    let [second, third] = group.others(first);
    [first, second, third].map(|number| group.informed_opts(number)).into()
}
