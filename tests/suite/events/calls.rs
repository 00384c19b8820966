//! What is told of a call: events in their order, and counters (issue 2, 'Events').

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use mysql_retry::{
    Annotate, Classification, Counters, Disconnect, Event, Executor, Fault, Outcome, Result, RetryPolicy, Unavailable,
};
use mysql_retry_fixture::{Place, Proxy, Rule, When};

use crate::{
    support::hooks::{Losses, ms},
    support::{Events, Ledger, Told, in_time, pool_of, shared},
};

const LOST: Classification = Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown);
const GONE: Classification = Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted);

fn cut(when: When, place: Place) -> Rule {
    Rule::new(when, place, mysql_retry_fixture::Fault::Fin)
}

fn listening(proxy: &Proxy) -> (Executor, Events) {
    let events = Events::default();
    let exec = Executor::builder().on_event(events.hook()).build(proxy.opts()).expect("good options");
    (exec, events)
}

/// Losses, resends, replays, recovered, given up.
fn counted(counters: Counters) -> [u64; 5] {
    [counters.losses, counters.resends, counters.replays, counters.recovered, counters.gave_up]
}

#[tokio::test]
async fn nothing_is_told_of_a_success_or_of_an_error_of_the_statement() {
    let proxy = Proxy::start(shared().await).await;
    let (exec, events) = listening(&proxy);
    exec.query_drop("SELECT 1").await.expect("success");
    exec.exec_drop("SELECT ?".idempotent(), (1,)).await.expect("success");
    exec.ping().await.expect("success");
    assert_eq!(exec.query_drop("SELEC 1").await.unwrap_err().code(), Some(1064));
    exec.exec_drop("SELECT ?".idempotent(), ()).await.unwrap_err();
    assert_eq!(events.told(), []);
    assert_eq!(counted(exec.counters()), [0; 5]);
}

#[tokio::test]
async fn a_replay_is_told_from_its_loss_to_its_success() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(cut(When::text("SELECT 7"), Place::AfterRequestWhenAnswered));
    let (exec, events) = listening(&proxy);
    in_time(exec.query_drop("SELECT 7".idempotent())).await.expect("a replay");
    let [first, second] = proxy.server_ids().into_iter().map(|(_, id)| id).collect::<Vec<_>>()[..] else {
        panic!("{:?}", proxy.server_ids());
    };
    let told = [
        Told::Lost { classification: LOST, connection_id: Some(first), attempt: 1 },
        Told::Scheduled { after: ms(0), outcome: Outcome::Unknown, attempt: 1 },
        Told::Replayed { attempt: 2, connection_id: second },
        Told::Recovered { attempts: 2 },
    ];
    assert_eq!(events.told(), told);
    assert_eq!(counted(exec.counters()), [1, 0, 1, 1, 0]);
}

#[tokio::test]
async fn a_resend_is_told_as_one_and_not_as_a_replay() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    // lost while it was being prepared: not executed
    proxy.rule(cut(When::Command(mysql_retry_fixture::Kind::Prepare), Place::AfterRequestWhenAnswered));
    let (exec, events) = listening(&proxy);
    in_time(exec.exec_drop(ledger.insert_param(), (1,))).await.expect("a resend");
    let first = proxy.server_ids()[0].1;
    let told = [
        Told::Lost { classification: GONE, connection_id: Some(first), attempt: 1 },
        Told::Scheduled { after: ms(0), outcome: Outcome::NotExecuted, attempt: 1 },
        Told::Recovered { attempts: 2 },
    ];
    assert_eq!(events.told(), told);
    assert_eq!(counted(exec.counters()), [1, 1, 0, 1, 0]);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_loss_that_surfaces_is_told_with_its_end() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(cut(When::text("INSERT"), Place::AfterRequestWhenAnswered));
    let (exec, events) = listening(&proxy);
    in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    let first = proxy.server_ids()[0].1;
    let told = [Told::Lost { classification: LOST, connection_id: Some(first), attempt: 1 }, Told::GaveUp];
    assert_eq!(events.told(), told);
    assert_eq!(counted(exec.counters()), [1, 0, 0, 0, 1]);
}

#[tokio::test]
async fn the_hook_gets_the_error_that_the_caller_gets() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(cut(When::text("SELECT 7"), Place::AfterRequestWhenAnswered));
    let (sender, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let hook = move |event: &Event<'_>| {
        if let Event::GaveUp { error, .. } = event {
            let _ = sender.send((error.to_string(), error.outcome(), error.attempts()));
        }
    };
    let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
    let error = in_time(exec.query_drop("SELECT 7")).await.unwrap_err();
    let told = given_up.try_recv().expect("the event came first");
    assert_eq!(told, (error.to_string(), error.outcome(), error.attempts()));
}

#[tokio::test]
async fn an_outage_is_told_from_the_attempt_that_found_out_to_its_end() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.refuse(true).await;
    let (wake, mut losses) = Losses::listen();
    let events = Events::default();
    let note = events.hook();
    let exec = Executor::builder()
        .on_event(move |event| {
            note(event);
            wake(event);
        })
        .build(proxy.opts())
        .expect("good options");
    let comes_back = async {
        losses.wait_for(5).await;
        proxy.refuse(false).await;
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), comes_back) }).await;
    result.expect("the server came back");
    let told = events.told();
    let probes = u64::try_from(told.len()).expect("few") - 5;
    assert!(probes >= 4, "{told:?}");
    let mut wanted = vec![
        Told::Down { why: Unavailable::Unreachable },
        Told::Lost { classification: GONE, connection_id: None, attempt: 1 },
        Told::Scheduled { after: ms(0), outcome: Outcome::NotExecuted, attempt: 1 },
    ];
    wanted.extend((1..=probes).map(|number| Told::Probing { number }));
    wanted.extend([Told::Back { waiting: 1 }, Told::Recovered { attempts: 2 }]);
    assert_eq!(told, wanted);
    // no statement was sent again: the first one that reached the server is the one that succeeded
    assert_eq!(counted(exec.counters()), [1, 0, 0, 1, 0]);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn losses_one_after_the_other_are_told_with_growing_bounded_delays() {
    const LOSSES: u32 = 6;
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(cut(When::text("SELECT 7"), Place::AfterRequestWhenAnswered).times(LOSSES as usize));
    let events = Events::default();
    let delays = RetryPolicy::builder().initial_delay(ms(10)).max_delay(ms(40)).jitter(0.0);
    let policy = delays.max_replays(LOSSES).build().expect("valid");
    let builder = Executor::builder().policy(policy).on_event(events.hook());
    let exec = builder.build(proxy.opts()).expect("good options");
    in_time(exec.query_drop("SELECT 7".idempotent())).await.expect("the last replay");
    let scheduled = |told: Told| match told {
        Told::Scheduled { after, outcome, attempt } => Some((after, outcome, attempt)),
        _ => None,
    };
    let told: Vec<_> = events.told().into_iter().filter_map(scheduled).collect();
    let delays = [0, 20, 40, 40, 40, 40].into_iter().zip(1..);
    assert_eq!(told, delays.map(|(delay, attempt)| (ms(delay), Outcome::Unknown, attempt)).collect::<Vec<_>>());
    assert_eq!(counted(exec.counters()), [6, 0, 6, 1, 0]);
}

fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::ConnectionLost { .. } => "lost",
        Event::RetryScheduled { .. } => "scheduled",
        Event::Replayed { .. } => "replayed",
        Event::Recovered { .. } => "recovered",
        Event::GaveUp { .. } => "gave up",
        _ => "new",
    }
}

#[tokio::test]
async fn a_hook_that_panics_fails_its_call_and_the_executor_goes_on() {
    let server = shared().await;
    for wanted in ["lost", "scheduled", "replayed", "recovered", "gave up"] {
        let proxy = Proxy::start(server).await;
        proxy.rule(cut(When::text("SELECT 7"), Place::AfterRequestWhenAnswered));
        let armed = Arc::new(AtomicBool::new(true));
        let panics = armed.clone();
        let hook = move |event: &Event<'_>| {
            if name(event) == wanted && panics.swap(false, Ordering::SeqCst) {
                panic!("the hook of a test, at '{wanted}'");
            }
        };
        // a connection or a place in the pool that is lost would be missed
        let opts = pool_of(1, proxy.opts());
        let exec = Executor::builder().on_event(hook).build(opts).expect("good options");
        let handle = if wanted == "gave up" { exec.with_policy(&RetryPolicy::none()) } else { exec.clone() };
        let call = tokio::spawn(async move {
            let result: Result<Option<u8>> = handle.query_first("SELECT 7".idempotent()).await;
            result
        });
        let panicked = in_time(call).await.expect_err("the panic reaches the caller");
        assert!(panicked.is_panic(), "{wanted}: {panicked}");
        assert!(!armed.load(Ordering::SeqCst), "{wanted}");
        let next = in_time(exec.query_first::<u8, _>("SELECT 8")).await.expect("the next statement");
        assert_eq!(next, Some(8), "after '{wanted}'");
    }
}

#[tokio::test]
async fn a_classification_that_panics_fails_its_call_and_the_executor_goes_on() {
    let exec = Executor::new(pool_of(1, shared().await.opts())).expect("good options");
    let policy = RetryPolicy::builder()
        .classify_with(|_, table| {
            assert_ne!(table.fault(), Fault::Other, "the classification of a test panics");
            table
        })
        .build()
        .expect("valid");
    let handle = exec.with_policy(&policy);
    let call = tokio::spawn(async move { handle.query_drop("SELEC 1").await });
    assert!(in_time(call).await.expect_err("the panic reaches the caller").is_panic());
    assert_eq!(in_time(exec.query_first::<u8, _>("SELECT 8")).await.expect("the next statement"), Some(8));
}
