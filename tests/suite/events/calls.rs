//! The events of a call in their order, and counters.

use mysql_retry::{
    Annotate as _, Classification, Counters, Disconnect, Event, Executor, Outcome, Reason, RetryPolicy, Unavailable,
};
use mysql_retry_fixture::{Events, Fault, Kind, Place, Proxy, Recorded, Rule, When, in_time, ms};

use crate::support::{Ledger, Losses, recording, shared};

const LOST: Classification = Classification::disconnect(Disconnect::ServerLost, Outcome::Unknown);

const GONE: Classification = Classification::disconnect(Disconnect::ServerGone, Outcome::NotExecuted);

/// The client loses the connection at this place.
fn lost_at(when: When, place: Place) -> Rule {
    Rule::new(when, place, Fault::Fin)
}

/// The counters of losses, resends, replays, recovered calls and given up calls.
fn counted(counters: Counters) -> [u64; 5] {
    [counters.losses, counters.resends, counters.replays, counters.recovered, counters.gave_up]
}

#[tokio::test]
async fn nothing_is_told_of_a_success_or_of_an_error_of_the_statement() {
    let proxy = Proxy::start(shared().await).await;
    let (exec, events) = recording(Executor::builder(), proxy.opts());
    exec.query_drop("SELECT 1").await.expect("success");
    exec.exec_drop("SELECT ?".idempotent(), (1,)).await.expect("success");
    exec.ping().await.expect("success");
    assert_eq!(exec.query_drop("SELEC 1").await.unwrap_err().code(), Some(1064));
    exec.exec_drop("SELECT ?".idempotent(), ()).await.unwrap_err();
    assert_eq!(events.recorded(), []);
    assert_eq!(counted(exec.counters()), [0; 5]);
}

#[tokio::test]
async fn a_replay_is_told_from_its_loss_to_its_success() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(lost_at(When::text("SELECT 7"), Place::AfterRequestWhenAnswered));
    let (exec, events) = recording(Executor::builder(), proxy.opts());
    in_time(exec.query_drop("SELECT 7".idempotent())).await.expect("a replay");
    let [first, second] = proxy.server_ids().into_iter().map(|(_, id)| id).collect::<Vec<_>>()[..] else {
        panic!("{:?}", proxy.server_ids());
    };
    let expected = [
        Recorded::Lost { classification: LOST, connection_id: Some(first), attempt: 1 },
        Recorded::Scheduled { after: ms(0), outcome: Outcome::Unknown, attempt: 1 },
        Recorded::Replayed { attempt: 2, connection_id: second },
        Recorded::Recovered { attempts: 2 },
    ];
    assert_eq!(events.recorded(), expected);
    assert_eq!(counted(exec.counters()), [1, 0, 1, 1, 0]);
}

#[tokio::test]
async fn a_resend_is_told_as_one_and_not_as_a_replay() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    // lost while it is prepared: not executed
    proxy.rule(lost_at(When::Command(Kind::Prepare), Place::AfterRequestWhenAnswered));
    let (exec, events) = recording(Executor::builder(), proxy.opts());
    in_time(exec.exec_drop(ledger.insert_param(), (1,))).await.expect("a resend");
    let first = proxy.server_ids()[0].1;
    let expected = [
        Recorded::Lost { classification: GONE, connection_id: Some(first), attempt: 1 },
        Recorded::Scheduled { after: ms(0), outcome: Outcome::NotExecuted, attempt: 1 },
        Recorded::Recovered { attempts: 2 },
    ];
    assert_eq!(events.recorded(), expected);
    assert_eq!(counted(exec.counters()), [1, 1, 0, 1, 0]);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn a_loss_that_surfaces_is_told_with_its_end() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.rule(lost_at(When::text("INSERT"), Place::AfterRequestWhenAnswered));
    let (exec, events) = recording(Executor::builder(), proxy.opts());
    in_time(exec.query_drop(ledger.insert())).await.unwrap_err();
    let first = proxy.server_ids()[0].1;
    let expected = [Recorded::Lost { classification: LOST, connection_id: Some(first), attempt: 1 }, Recorded::GaveUp];
    assert_eq!(events.recorded(), expected);
    assert_eq!(counted(exec.counters()), [1, 0, 0, 0, 1]);
}

#[tokio::test]
async fn the_hook_gets_the_error_that_the_caller_gets() {
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(lost_at(When::text("SELECT 7"), Place::AfterRequestWhenAnswered));
    let (sender, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let hook = move |event: &Event<'_>| {
        if let Event::GaveUp { error, .. } = event {
            let _ = sender.send((error.to_string(), error.outcome(), error.attempts()));
        }
    };
    let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
    let error = in_time(exec.query_drop("SELECT 7")).await.unwrap_err();
    let recorded = given_up.try_recv().expect("the event came first");
    assert_eq!(recorded, (error.to_string(), error.outcome(), error.attempts()));
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
    let recorded = events.recorded();
    let probes = u64::try_from(recorded.len()).expect("few") - 5;
    assert!(probes >= 4, "{recorded:?}");
    let mut wanted = vec![
        Recorded::Down { why: Unavailable::Unreachable },
        Recorded::Lost { classification: GONE, connection_id: None, attempt: 1 },
        Recorded::Scheduled { after: ms(0), outcome: Outcome::NotExecuted, attempt: 1 },
    ];
    wanted.extend((1..=probes).map(|number| Recorded::Probing { number }));
    wanted.extend([Recorded::Back { waiting: 1 }, Recorded::Recovered { attempts: 2 }]);
    assert_eq!(recorded, wanted);
    // no statement was sent again: the first one that reached the server succeeded
    assert_eq!(counted(exec.counters()), [1, 0, 0, 1, 0]);
    assert_eq!(ledger.rows().await, 1);
}

#[tokio::test]
async fn losses_one_after_the_other_are_told_with_growing_bounded_delays() {
    const LOSSES: u32 = 6;
    let proxy = Proxy::start(shared().await).await;
    proxy.rule(lost_at(When::text("SELECT 7"), Place::AfterRequestWhenAnswered).times(LOSSES as usize));
    let events = Events::default();
    let delays = RetryPolicy::builder().initial_delay(ms(10)).max_delay(ms(40)).jitter(0.0);
    let policy = delays.max_replays(LOSSES).build().expect("valid");
    let builder = Executor::builder().policy(policy).on_event(events.hook());
    let exec = builder.build(proxy.opts()).expect("good options");
    in_time(exec.query_drop("SELECT 7".idempotent())).await.expect("the last replay");
    let scheduled = |event: Recorded| match event {
        Recorded::Scheduled { after, outcome, attempt } => Some((after, outcome, attempt)),
        _ => None,
    };
    let recorded: Vec<_> = events.recorded().into_iter().filter_map(scheduled).collect();
    let delays = [0, 20, 40, 40, 40, 40].into_iter().zip(1..);
    assert_eq!(recorded, delays.map(|(delay, attempt)| (ms(delay), Outcome::Unknown, attempt)).collect::<Vec<_>>());
    assert_eq!(counted(exec.counters()), [6, 0, 6, 1, 0]);
}

#[tokio::test]
async fn case_92_the_resends_counter_counts_what_was_sent() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let policy = RetryPolicy::builder()
        .initial_delay(ms(1))
        .max_delay(ms(5))
        .deadline(ms(600))
        .connect_timeout(ms(300))
        .build()
        .expect("valid");
    let exec = Executor::builder().policy(policy).build(proxy.opts()).expect("good options");
    let sql = ledger.insert_param();
    // lost while it is prepared, and afterwards nothing listens: it is not sent again
    proxy.rule(Rule::new(When::text(&sql), Place::Request(0), Fault::Refuse));
    let error = in_time(exec.exec_drop(&*sql, (2,))).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::Deadline), "{error}");
    assert!(error.attempts() > 1, "{error}");
    assert_eq!(exec.counters().resends, 0, "{error}");
    // with a server that listens it is
    proxy.refuse(false).await;
    proxy.rule(Rule::new(When::text(&sql), Place::Request(0), Fault::Fin).times(2));
    let patient = exec.with_policy(&RetryPolicy::default());
    in_time(patient.exec_drop(&*sql, (2,))).await.expect("a resend");
    assert_eq!((exec.counters().resends, exec.counters().replays), (2, 0));
    assert_eq!(ledger.rows().await, 1);
}
