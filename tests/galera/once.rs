//! Exactly once over several nodes.

use std::future::IntoFuture as _;

use mysql_retry::{Done, Error, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, failover::in_time};

use crate::support::{Bank, cluster};

#[tokio::test]
async fn sixteen_callers_with_one_token_on_three_nodes_do_the_work_once_and_all_learn_the_same() {
    let Some(cluster) = cluster().await else { return };
    for _ in 0..3 {
        let bank = Bank::open(cluster).await;
        let executors = bank.executors();
        let caller = async |number: usize| {
            let done: Result<Done<usize>, Error> = executors[number % 3]
                .transaction(TxOpts::default(), |mut tx| {
                    let bank = &bank;
                    async move { bank.make_transfer(&mut tx, number).await.map(|()| number) }
                })
                .exactly_once("one")
                .payload(|number| number.to_le_bytes().to_vec())
                .await;
            done.unwrap_or_else(|e| panic!("{e}: {e:?}"))
        };
        let all = in_time(futures_util::future::join_all((0..16).map(caller))).await;
        let winners: Vec<usize> = all.iter().filter_map(|done| done.clone().now()).collect();
        assert_eq!(winners.len(), 1, "{all:?}");
        let stored = winners[0].to_le_bytes().to_vec();
        let is_told = |done: &&Done<usize>| matches!(done, Done::Before { payload: Some(p), .. } if *p == stored);
        assert_eq!(all.iter().filter(is_told).count(), 15, "{all:?}");
        assert_eq!(bank.books().await, (1, 1, 999, 1001));
    }
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_found_out_about_on_another_node() {
    let Some(cluster) = cluster().await else { return };
    for place in [Place::Request(4), Place::AfterRequest, Place::AfterRequestWhenAnswered] {
        let bank = Bank::open(cluster).await;
        let proxy = Proxy::start(cluster.node(0)).await;
        let exec = bank.executor(proxy.opts());
        proxy.rule(Rule::new(When::text("COMMIT"), place, Fault::Fin));
        let transfer = exec
            .transaction(TxOpts::default(), |mut tx| {
                // a connection that is made from now on leads to another node
                proxy.point_at(cluster.node(1));
                let bank = &bank;
                async move { bank.make_transfer(&mut tx, 1).await }
            })
            .exactly_once("t");
        let done = in_time(transfer.into_future()).await;
        assert!(done.as_ref().is_ok_and(Done::is_now), "{place:?}: {done:?}");
        assert_eq!(bank.books().await, (1, 1, 999, 1001), "{place:?}");
        assert_eq!(exec.counters().losses, 1, "{place:?}");
    }
}
