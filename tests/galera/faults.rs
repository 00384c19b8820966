//! A part of the fault matrix: each case loses the connection of one guarded transfer at one place.

use std::future::IntoFuture as _;

use mysql_retry::{Done, TxOpts};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, failover::in_time};

use crate::support::{Bank, cluster};

const PLACES: [Place; 11] = [
    Place::Request(0),
    Place::Request(1),
    Place::Request(4),
    Place::Request(5),
    Place::Request(8),
    Place::AfterRequest,
    Place::AfterRequestWhenAnswered,
    Place::Reply(1),
    Place::Reply(4),
    Place::Reply(7),
    Place::AfterReply,
];

const FAULTS: [(Fault, bool); 3] = [(Fault::Fin, false), (Fault::Rst, false), (Fault::Fin, true)];

#[tokio::test]
async fn wherever_the_connection_is_lost_and_wherever_it_goes_next_each_transfer_is_made_once() {
    let Some(cluster) = cluster().await else { return };
    let bank = Bank::open(cluster).await;
    let mut number = 0;
    for text in ["START TRANSACTION", "balance + 1", "COMMIT"] {
        for place in PLACES {
            for (fault, keep_server) in FAULTS {
                for next in [0, 1] {
                    number += 1;
                    let case = format!("case {number}: {text} {place:?} {fault:?} {keep_server}, then node {next}");
                    let proxy = Proxy::start(cluster.node(0)).await;
                    let exec = bank.executor(proxy.opts());
                    exec.ping().await.expect("a connection to the first node");
                    proxy.point_at(cluster.node(next));
                    proxy.rule(Rule { keep_server, ..Rule::new(When::text(text), place, fault.clone()) });
                    let token = number.to_string();
                    let transfer = exec
                        .transaction(TxOpts::default(), |mut tx| {
                            let bank = &bank;
                            async move { bank.make_transfer(&mut tx, number).await }
                        })
                        .exactly_once(token);
                    let done = in_time(transfer.into_future()).await;
                    assert!(done.as_ref().is_ok_and(Done::is_now), "{case}: {done:?}");
                    assert!(proxy.rules_left().is_empty(), "{case}: nothing was lost");
                }
            }
        }
    }
    let moved = i64::try_from(number).expect("a few hundred");
    assert_eq!(bank.books().await, (number, number, 1000 - moved, 1000 + moved));
}
