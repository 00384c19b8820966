//! What is known of an outage, without a server.

use std::sync::Arc;

use mysql_async::ServerError;

use super::*;

const INTERVAL: Duration = Duration::from_millis(10);

fn outage(fail_fast_after: Option<Duration>) -> Arc<Outage> {
    Arc::new(Outage::new(Tuning { probe_interval: INTERVAL, fail_fast_after, accept_read_only: false }))
}

fn refused() -> Error {
    io::Error::from(io::ErrorKind::ConnectionRefused).into()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn pass(outage: &Outage, need: Need, deadline: Instant, at_once: bool) -> Result<(), Closed> {
    outage.pass(need, deadline, at_once, || false, || false, || {}).await
}

#[test]
fn an_outage_is_news_once() {
    let outage = outage(None);
    assert!(!outage.is_troubled());
    assert!(outage.note(0, Unavailable::Unreachable, &refused(), Instant::now()));
    assert!(!outage.note(0, Unavailable::Silent, &refused(), Instant::now()));
    assert!(outage.is_troubled() && outage.is_down());
    assert_eq!(outage.epoch(), 1);
    assert!(outage.end(0, false).is_some());
    assert!(outage.end(0, false).is_none(), "it ends once");
    assert!(!outage.is_troubled());
}

#[test]
fn what_is_no_longer_true_begins_no_outage() {
    let outage = outage(None);
    let before = Instant::now();
    assert!(!outage.note(1, Unavailable::Unreachable, &refused(), before), "a target that is not in use");
    assert!(outage.note(0, Unavailable::Unreachable, &refused(), before));
    outage.end(0, false);
    assert!(!outage.note(0, Unavailable::Unreachable, &refused(), before), "an attempt from before the end");
    assert!(outage.note(0, Unavailable::Unreachable, &refused(), Instant::now()));
}

#[test]
fn what_may_pass_depends_on_what_is_wrong() {
    use Unavailable::{Full, NotReady, ReadOnly, Silent, Unreachable};
    //                  read, idle or not; write, idle or not
    for (why, open) in [
        (Unreachable, [true, false, true, false]),
        (Full, [true, false, true, false]),
        (Silent, [false, false, false, false]),
        (NotReady, [false, false, false, false]),
        (ReadOnly, [true, true, false, false]),
    ] {
        let outage = outage(None);
        outage.note(0, why, &refused(), Instant::now());
        let found = [(Need::Read, true), (Need::Read, false), (Need::Write, true), (Need::Write, false)]
            .map(|(need, idle)| outage.is_open(need, idle));
        assert_eq!(found, open, "{why:?}");
    }
}

#[test]
fn a_server_that_comes_back_read_only_serves_reads() {
    let outage = outage(None);
    let refusal = Error::Server(ServerError { code: 1290, message: "read-only".into(), state: "HY000".into() });
    outage.note(0, Unavailable::ReadOnly, &refusal, Instant::now());
    outage.note(0, Unavailable::Unreachable, &refused(), Instant::now());
    assert!(!outage.is_open(Need::Read, false));
    assert!(outage.end(0, true).is_some());
    assert!(outage.is_open(Need::Read, false) && !outage.is_open(Need::Write, false));
    assert!(outage.end(0, true).is_none(), "nothing new");
    let ended = outage.end(1, false).expect("another one takes writes");
    assert_eq!((ended.left, outage.current()), (Some(0), 1));
    assert!(outage.is_open(Need::Write, false));
}

#[tokio::test]
async fn all_that_wait_are_released_together() {
    let outage = outage(None);
    outage.note(0, Unavailable::Unreachable, &refused(), Instant::now());
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let outage = outage.clone();
            tokio::spawn(async move { pass(&outage, Need::Write, far(), false).await })
        })
        .collect();
    while outage.waiting() < 50 {
        tokio::task::yield_now().await;
    }
    outage.end(0, false);
    for one in waiting {
        one.await.expect("no panic").expect("released");
    }
    assert_eq!(outage.waiting(), 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_waits_no_more() {
    let outage = outage(None);
    outage.note(0, Unavailable::Unreachable, &refused(), Instant::now());
    let passing = pass(&outage, Need::Read, far(), false);
    assert!(tokio::time::timeout(INTERVAL, passing).await.is_err());
    assert_eq!(outage.waiting(), 0);
}

#[tokio::test]
async fn nobody_waits_beyond_a_deadline_or_for_what_is_closed() {
    let outage = outage(None);
    outage.note(0, Unavailable::Full, &refused(), Instant::now());
    let closed = pass(&outage, Need::Read, soon(), false).await.expect_err("still down");
    assert_eq!((closed.obstacle, closed.why), (Obstacle::OutOfTime, Unavailable::Full));
    assert!(closed.lasted >= Duration::from_millis(50), "{:?}", closed.lasted);
    outage.close();
    pass(&outage, Need::Read, far(), false).await.expect("the pool will tell");
}

#[tokio::test]
async fn what_does_not_wait_is_refused_on_fresh_news_only() {
    let outage = outage(Some(INTERVAL));
    outage.note(0, Unavailable::Unreachable, &refused(), Instant::now());
    let at_once = pass(&outage, Need::Read, far(), true).await.expect_err("at once");
    assert_eq!(at_once.obstacle, Obstacle::NotWaited);
    let fast = pass(&outage, Need::Read, far(), false).await.expect_err("after the limit");
    assert_eq!(fast.obstacle, Obstacle::DownForTooLong);
    // nobody has looked for a long time
    outage.lock().confirmed = Instant::now().checked_sub(Duration::from_secs(5));
    let looking = pass(&outage, Need::Read, far(), false);
    assert!(tokio::time::timeout(INTERVAL * 3, looking).await.is_err(), "refused for what may not be true any more");
    let looking = pass(&outage, Need::Read, far(), false);
    let (found, ()) = tokio::join!(looking, async { outage.confirm(None) });
    assert_eq!(found.expect_err("still down").obstacle, Obstacle::DownForTooLong);
}

#[test]
fn a_task_probes_while_anything_is_wrong_and_anybody_asks() {
    let outage = outage(None);
    assert!(!outage.is_wrong(), "nothing is wrong");
    outage.note(0, Unavailable::Silent, &refused(), Instant::now());
    assert!(outage.is_wrong());
    let is_silent = |plan| matches!(plan, Plan::Probe(Trouble { why: Unavailable::Silent, is_refused: true, .. }));
    assert!(is_silent(outage.plan()), "{:?}", outage.plan());
    outage.lock().asked = Instant::now().checked_sub(INTEREST * 2);
    assert_eq!(outage.plan(), Plan::Rest);
    assert!(outage.is_wrong(), "after a rest");
    outage.end(0, false);
    assert_eq!(outage.plan(), Plan::Rest);
    assert!(!outage.is_wrong());
}
