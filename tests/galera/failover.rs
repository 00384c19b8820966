//! Failover among three nodes: killed, frozen, without a quorum, and back.

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry::{Executor, ExecutorBuilder, RetryPolicy};
use mysql_retry_fixture::{
    Cluster,
    failover::{Call, Load, until_counters, until_true},
    ms,
};
use tokio::sync::Mutex;

use crate::support::{give_quorum_back, own_cluster, take_quorum};

/// The callers that are at work at the same time.
const CALLERS: u32 = 10;

/// One test at a time: a machine of two cores has no room for several clusters at work.
static DISTURBED: Mutex<()> = Mutex::const_new(());

/// Notices soon that a node hangs, and waits longer than a cluster needs to form again.
fn builder() -> ExecutorBuilder {
    let policy = RetryPolicy::builder().deadline(ms(100_000)).max_replays(100).build().expect("valid");
    Executor::builder()
        .policy(policy)
        .probe_interval(ms(100))
        .watch_after(ms(1_000))
        .give_up_after(ms(1_000))
        // certification failures would use it up
        .retry_budget(None)
}

fn over(cluster: &Cluster) -> Executor {
    builder().build_targets(cluster.nodes().each_ref().map(|node| node.opts())).expect("good options")
}

/// Callers on an executor over all nodes.
async fn begin(scenario: &'static str, cluster: &Cluster) -> (Executor, Load) {
    let exec = over(cluster);
    Load::lay_out(scenario, cluster.node(0), &exec, CALLERS).await;
    for number in 0..3 {
        cluster.catch_up(number).await;
    }
    // a node may lag behind the one that was left
    let load = Load::begin(scenario, &exec, CALLERS, false);
    (exec, load)
}

/// The node that statements go to.
async fn current(exec: &Executor, cluster: &Cluster) -> Option<usize> {
    let port: Option<u16> = exec.query_first("SELECT @@port").await.expect("an answer");
    (0..3).find(|number| Some(cluster.node(*number).port()) == port)
}

/// Waits until all nodes agree that they are one cluster again: a node that comes back may not have noticed that it was away.
async fn until_whole(cluster: &Cluster) {
    let names = "'wsrep_cluster_size', 'wsrep_local_state_comment', 'wsrep_ready'";
    let question = format!("SHOW STATUS WHERE Variable_name IN ({names})");
    let is_whole = async |number: usize| {
        // a node that joins closes its connections
        let mut conn = Conn::new(cluster.node(number).opts()).await?;
        let status: Vec<(String, String)> = conn.query(&question).await?;
        let agrees = status.iter().all(|(_, value)| ["3", "Synced", "ON"].contains(&value.as_str()));
        Ok::<_, mysql_async::Error>(agrees)
    };
    until_true(async || {
        matches!((is_whole(0).await, is_whole(1).await, is_whole(2).await), (Ok(true), Ok(true), Ok(true)))
    })
    .await;
}

async fn until_current(exec: &Executor, cluster: &Cluster, number: usize) {
    until_true(async || current(exec, cluster).await == Some(number)).await;
}

/// Ends the callers, and compares what they were told with a node that has applied everything.
async fn close(mut load: Load, cluster: &Cluster, number: usize) {
    load.stop().await;
    cluster.catch_up(number).await;
    let books = load.close(cluster.node(number)).await;
    books.assert_true();
    books.assert_nothing_surfaced_to(&[Call::Set, Call::Read, Call::Guarded]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_is_left_and_taken_again_when_it_has_rejoined() {
    let _alone = DISTURBED.lock().await;
    let Some(cluster) = own_cluster().await else { return };
    let (exec, load) = begin("galera-killed", cluster).await;
    load.reach(150).await;
    cluster.node(0).kill().await;
    load.reach(150).await;
    assert_eq!(exec.counters().moves, 1);
    assert_eq!(current(&exec, cluster).await, Some(1));
    cluster.rejoin(0).await;
    until_current(&exec, cluster, 0).await;
    load.reach(150).await;
    assert!(exec.counters().moves >= 2, "{:?}", exec.counters());
    close(load, cluster, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_is_left_and_taken_again_when_the_cluster_has_it_back() {
    let _alone = DISTURBED.lock().await;
    let Some(cluster) = own_cluster().await else { return };
    let (exec, load) = begin("galera-frozen", cluster).await;
    load.reach(150).await;
    cluster.node(0).freeze();
    load.reach(150).await;
    assert_eq!(current(&exec, cluster).await, Some(1), "{:?}", exec.counters());
    cluster.node(0).thaw();
    until_whole(cluster).await;
    until_current(&exec, cluster, 0).await;
    load.reach(150).await;
    close(load, cluster, 0).await;
}

// case 37
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_quorum_is_left_although_it_answers_and_calls_wait_where_no_node_has_one() {
    let _alone = DISTURBED.lock().await;
    let Some(cluster) = own_cluster().await else { return };
    let (exec, load) = begin("galera-quorum", cluster).await;
    load.reach(150).await;
    let mut own = cluster.node(0).connect().await;
    take_quorum(cluster, &mut own).await;
    own.ping().await.expect("it answers pings");
    own.query_drop("SELECT 1").await.expect("and this");
    until_counters(&exec, |it| it.waiting > 0).await;
    let probes = exec.counters().probes;
    until_counters(&exec, |it| it.probes > probes + 6).await;
    // no node has a quorum
    assert_eq!(exec.counters().moves, 0);
    give_quorum_back(cluster);
    load.reach(150).await;
    until_whole(cluster).await;
    drop(own);
    until_current(&exec, cluster, 0).await;
    close(load, cluster, 0).await;
}

/// One node is cut off from the others, which have a quorum: not killed, not frozen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_left_its_group_is_left_for_one_that_has_a_quorum() {
    let _alone = DISTURBED.lock().await;
    let Some(cluster) = own_cluster().await else { return };
    let (exec, load) = begin("galera-isolated", cluster).await;
    load.reach(150).await;
    // it drops what comes from the others, and answers its clients
    cluster.node(0).query_drop("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'").await;
    load.reach(150).await;
    assert_ne!(current(&exec, cluster).await, Some(0));
    let mut own = cluster.node(0).connect().await;
    own.ping().await.expect("it answers pings");
    own.query_drop("SELECT 1").await.expect("and this");
    own.query_drop("SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'").await.expect("back again");
    until_whole(cluster).await;
    drop(own);
    until_current(&exec, cluster, 0).await;
    load.reach(150).await;
    close(load, cluster, 0).await;
}
