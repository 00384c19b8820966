//! One outage for all clones of an executor: its events, the calls that wait for its end, and those that do not.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Event, Executor, Outcome, Reason, RetryPolicy, Unavailable};
use mysql_retry_fixture::{Events, Fault, Proxy, Recorded, in_time, ms, pool_of, until};

use crate::support::{Ledger, executor_of_one, patient, shared, until_waiting};

fn of_outage(event: &Recorded) -> bool {
    matches!(event, Recorded::Down { .. } | Recorded::Probing { .. } | Recorded::Back { .. } | Recorded::Moved { .. })
}

#[tokio::test]
async fn an_outage_is_told_once_for_all_clones_in_order_and_with_its_length() {
    const CALLS: u64 = 15;
    let proxy = Proxy::start(shared().await).await;
    let events = Events::default();
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let (note, noted) = (events.hook(), lengths.clone());
    let hook = move |event: &Event<'_>| {
        note(event);
        if let Event::Back { lasted, .. } = event {
            noted.lock().expect("no panic").push(*lasted);
        }
    };
    let exec = Executor::builder().policy(patient()).on_event(hook).build(proxy.opts()).expect("good options");
    for outage in 1..=2_usize {
        let before = events.recorded().into_iter().filter(of_outage).count();
        proxy.refuse(true).await;
        proxy.cut_all(Fault::Fin).await;
        let began = Instant::now();
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let clone = exec.clone();
                tokio::spawn(async move { clone.query_drop("SELECT 7").await })
            })
            .collect();
        until_waiting(&exec, CALLS).await;
        let known = Instant::now();
        let probes = exec.counters().probes;
        until(|| exec.counters().probes > probes + 3).await;
        let least = known.elapsed();
        proxy.refuse(false).await;
        for call in calls {
            in_time(call).await.expect("no panic").expect("the server is back");
        }
        let most = began.elapsed();
        let recorded: Vec<_> = events.recorded().into_iter().filter(of_outage).skip(before).collect();
        let mut wanted = vec![Recorded::Down { why: Unavailable::Unreachable }];
        wanted.extend((1..).map(|number| Recorded::Probing { number }).take(recorded.len() - 2));
        wanted.push(Recorded::Back { waiting: CALLS });
        assert_eq!(recorded, wanted);
        let lengths = lengths.lock().expect("no panic").clone();
        assert_eq!((lengths.len(), exec.counters().outages), (outage, outage as u64));
        assert!((least..=most).contains(&lengths[outage - 1]), "{lengths:?}, {least:?} to {most:?}");
    }
}

#[tokio::test]
async fn calls_fail_fast_when_it_has_lasted_long_enough_and_succeed_when_it_is_over() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let events = Events::default();
    let limit = ms(300);
    let builder = Executor::builder().policy(patient()).fail_fast_after(limit).probe_interval(ms(50));
    let exec = builder.on_event(events.hook()).build(proxy.opts()).expect("good options");
    proxy.refuse(true).await;
    let began = Instant::now();
    // calls that wait when the time is over, and later ones
    let waiting = join_all((0..10).map(|_| exec.query_drop(ledger.insert())));
    let mut errors: Vec<_> = in_time(waiting).await.into_iter().map(|result| result.unwrap_err()).collect();
    assert!(began.elapsed() >= limit);
    for _ in 0..20 {
        let error = in_time(exec.query_drop(ledger.insert().idempotent())).await.unwrap_err();
        assert_eq!(error.attempts(), 1, "{error}");
        errors.push(error);
    }
    for error in errors {
        assert_eq!((error.reason(), error.outcome()), (Reason::FailFast, Outcome::NotExecuted), "{error}");
        assert!(error.is_disconnect() && !error.is_deadline(), "{error}");
        assert!(error.down_for().is_some_and(|time| time >= limit), "{error}");
        assert!(error.elapsed() < Duration::from_secs(20), "{error}");
        let text = error.to_string();
        assert!(text.contains("down for ") && text.contains("nothing was tried"), "{text}");
    }
    // the probe needs no calls to find that the server is back
    proxy.refuse(false).await;
    events.wait_for(|event| matches!(event, Recorded::Back { .. })).await;
    in_time(exec.query_drop(ledger.insert())).await.expect("the server is back");
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_policy_without_retries_does_not_wait_for_the_end_of_an_outage() {
    let proxy = Proxy::start(shared().await).await;
    let exec = Executor::builder().policy(patient()).build(proxy.opts()).expect("good options");
    let bare = exec.with_policy(&RetryPolicy::none());
    proxy.accept_and_close(true);
    for call in 0..30 {
        let error = in_time(bare.query_drop("SELECT 7".idempotent())).await.unwrap_err();
        assert_eq!((error.reason(), error.outcome()), (Reason::SwitchedOff, Outcome::NotExecuted), "{error}");
        assert!(error.is_disconnect() && error.attempts() == 1, "{error}");
        assert_eq!(error.down_for().is_some(), call > 0, "{error}");
    }
    // the first one found out; the others know from it
    assert_eq!(exec.counters().losses, 1);
    proxy.accept_and_close(false);
    in_time(exec.query_drop("SELECT 7")).await.expect("the server is back");
    in_time(bare.query_drop("SELECT 7")).await.expect("the server is back");
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_leaves_nothing_behind() {
    let proxy = Proxy::start(shared().await).await;
    let exec = executor_of_one(proxy.opts()).with_policy(&patient());
    proxy.refuse(true).await;
    let waiting = |calls| {
        let one = |_| {
            let exec = exec.clone();
            tokio::spawn(async move { exec.query_drop("SELECT 7").await })
        };
        (0..calls).map(one).collect::<Vec<_>>()
    };
    let (dropped, kept) = (waiting(10), waiting(3));
    until_waiting(&exec, 13).await;
    for call in dropped {
        call.abort();
    }
    until_waiting(&exec, 3).await;
    proxy.refuse(false).await;
    for call in kept {
        in_time(call).await.expect("no panic").expect("the server is back");
    }
    assert_eq!(exec.counters().waiting, 0);
}

#[tokio::test]
async fn an_executor_that_is_dropped_stops_probing() {
    let proxy = Proxy::start(shared().await).await;
    let builder = Executor::builder().policy(patient()).probe_interval(ms(20));
    let exec = builder.build(proxy.opts()).expect("good options");
    proxy.accept_and_close(true);
    in_time(exec.with_policy(&RetryPolicy::none()).ping()).await.unwrap_err();
    // the probe goes on for a while although no call waits
    until(|| proxy.accepted() > 5).await;
    drop(exec);
    in_time(async {
        let mut accepted = 0;
        while accepted != proxy.accepted() {
            accepted = proxy.accepted();
            tokio::time::sleep(ms(300)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_hook_that_panics_at_an_event_of_an_outage_leaves_nobody_waiting() {
    let server = shared().await;
    for wanted in ["down", "probing", "back"] {
        let proxy = Proxy::start(server).await;
        let armed = Arc::new(AtomicBool::new(true));
        let panics = armed.clone();
        let hook = move |event: &Event<'_>| {
            let is_wanted = match event {
                Event::Down { .. } => wanted == "down",
                Event::Probing { .. } => wanted == "probing",
                Event::Back { .. } => wanted == "back",
                _ => false,
            };
            assert!(!(is_wanted && panics.swap(false, SeqCst)), "the hook of a test, at '{wanted}'");
        };
        let builder = Executor::builder().policy(patient()).probe_interval(ms(50)).on_event(hook);
        let exec = builder.build(pool_of(5, proxy.opts())).expect("good options");
        proxy.refuse(true).await;
        let call = |_| {
            let exec = exec.clone();
            tokio::spawn(async move { exec.query_drop("SELECT 7").await })
        };
        let calls: Vec<_> = (0..20).map(call).collect();
        // `Down` is emitted by the call that finds out, which panics with its hook
        let panicked = usize::from(wanted == "down");
        until_waiting(&exec, 20 - panicked as u64).await;
        proxy.refuse(false).await;
        let results = in_time(join_all(calls)).await;
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), panicked, "{wanted}");
        for result in results.into_iter().flatten() {
            result.expect("the server is back");
        }
        assert!(!armed.load(SeqCst), "{wanted}");
        assert_eq!(exec.counters().waiting, 0, "{wanted}");
        in_time(exec.query_drop("SELECT 7")).await.expect("the next statement");
    }
}
