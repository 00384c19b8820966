//! Attempts of one call that fail in different ways, in every order: the error says what is true for the whole call (case 16).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Classification, Event, Executor, Outcome, Reason, RetryPolicy, Statement};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms, pool_of};

use crate::support::{Ledger, shared};

/// How an attempt fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failure {
    NoConnection,
    /// By a server that is read-only.
    Refused,
    LostWhilePreparing,
    /// The only one after which it is unknown whether the statement was executed. (It was.)
    Lost,
}

const PROVED: [Failure; 3] = [Failure::NoConnection, Failure::Refused, Failure::LostWhilePreparing];

const ALL: [Failure; 4] = [Failure::NoConnection, Failure::Refused, Failure::LostWhilePreparing, Failure::Lost];

impl Failure {
    fn rule(self, sql: &str) -> Rule {
        match self {
            // the first question on each new connection of the pool, which a probe does not ask
            Failure::NoConnection => Rule::new(When::text("GET_LOCK"), Place::Request(0), Fault::Fin),
            Failure::Refused => Rule::new(When::executes(sql), Place::Request(0), Fault::read_only()),
            Failure::LostWhilePreparing => Rule::new(When::text(sql), Place::AfterRequest, Fault::Fin),
            Failure::Lost => Rule::reply_lost(When::executes(sql)),
        }
    }

    /// Whether it counts among the replays.
    fn counts(self) -> bool {
        matches!(self, Failure::LostWhilePreparing | Failure::Lost)
    }
}

/// All sequences of this length.
fn sequences(of: &[Failure], length: usize) -> Vec<Vec<Failure>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let shorter = sequences(of, length - 1);
    shorter.iter().flat_map(|start| of.iter().map(|&last| [start.as_slice(), &[last]].concat())).collect()
}

/// A policy under which the last of these failures surfaces at once: as one replay too many, or as an error that retrying cannot fix.
fn policy(failures: &[Failure]) -> RetryPolicy {
    let replays = failures[..failures.len() - 1].iter().filter(|failure| failure.counts()).count();
    let builder = RetryPolicy::builder().initial_delay(ms(1)).deadline(ms(50_000));
    let builder = builder.max_replays(replays.try_into().expect("few"));
    let (seen, last) = (AtomicUsize::new(0), failures.len());
    match failures[last - 1].counts() {
        true => builder.build().expect("valid"),
        false => builder
            .classify_with(move |_, table| match seen.fetch_add(1, Relaxed) + 1 < last {
                true => table,
                false => Classification::other(table.outcome()),
            })
            .build()
            .expect("valid"),
    }
}

/// Makes the attempts of an insert fail like this, one after the other, and checks the error.
async fn assert_true(failures: &[Failure], idempotent: bool) {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let sql = ledger.insert_param();
    let proxy = Arc::new(Proxy::start(server).await);
    let mut rules: VecDeque<Rule> = failures.iter().map(|failure| failure.rule(&sql)).collect();
    proxy.rule(rules.pop_front().expect("one at least"));
    let (waiting, arming) = (Mutex::new(rules), proxy.clone());
    let hook = move |event: &Event<'_>| {
        if let Event::ConnectionLost { .. } = event
            && let Some(rule) = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
        {
            arming.rule(rule);
        }
    };
    let builder = Executor::builder().policy(policy(failures)).probe_interval(ms(5)).on_event(hook);
    let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
    let statement = Statement::new(sql.as_str());
    let statement = if idempotent { statement.idempotent() } else { statement };
    let result = in_time(exec.exec_drop(statement, (1,))).await;
    let error = result.expect_err(&format!("no attempt was to succeed: {failures:?}"));
    let shown = format!("{failures:?}: {error}");
    assert_eq!(usize::try_from(error.attempts()).expect("few"), failures.len(), "{shown}");
    let executed = failures.iter().filter(|&&failure| failure == Failure::Lost).count();
    let outcome = if executed > 0 { Outcome::Unknown } else { Outcome::NotExecuted };
    assert_eq!(error.outcome(), outcome, "{shown}");
    let last = failures[failures.len() - 1];
    let reason = match last {
        Failure::Lost if !idempotent => Reason::NotIdempotent,
        _ if last.counts() => Reason::ReplaysExhausted,
        _ => Reason::NotALoss,
    };
    assert_eq!(error.reason(), reason, "{shown}");
    assert_eq!(ledger.rows().await, executed as u64, "{shown}");
}

async fn assert_all_true(all: &[Vec<Failure>], idempotent: bool) {
    for some in all.chunks(8) {
        join_all(some.iter().map(|failures| assert_true(failures, idempotent))).await;
    }
}

#[tokio::test]
async fn one_unknown_attempt_of_an_idempotent_write_makes_the_call_unknown_and_only_that() {
    for length in 1..=3 {
        assert_all_true(&sequences(&ALL, length), true).await;
    }
}

#[tokio::test]
async fn a_plain_write_is_unknown_only_if_it_ends_with_an_unknown_attempt() {
    for length in 1..=3 {
        assert_all_true(&sequences(&PROVED, length), false).await;
        let lost_at_last =
            sequences(&PROVED, length - 1).into_iter().map(|start| [start, vec![Failure::Lost]].concat());
        assert_all_true(&lost_at_last.collect::<Vec<_>>(), false).await;
    }
}

// a condition that lasts: the deadline ends the call
#[tokio::test]
async fn a_call_that_waits_until_its_deadline_tells_what_became_of_its_earlier_attempt() {
    let server = shared().await;
    let scene = async |lost: bool, lasting: Failure| {
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        let sql = ledger.insert_param();
        if lost {
            proxy.rule(Failure::Lost.rule(&sql));
        }
        let policy = RetryPolicy::builder().deadline(ms(2_000)).max_replays(1_000_000).build().expect("valid");
        let builder = Executor::builder().policy(policy).probe_interval(ms(100));
        let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
        if lost && lasting == Failure::NoConnection {
            // the connection of the first attempt
            in_time(exec.ping()).await.expect("a server");
        }
        // the first attempt is prepared
        let skip = usize::from(lost && lasting == Failure::LostWhilePreparing);
        proxy.rule(lasting.rule(&sql).skip(skip).times(1_000_000));
        let error = in_time(exec.exec_drop(sql.as_str().idempotent(), (1,))).await.expect_err("it lasts");
        let outcome = if lost { Outcome::Unknown } else { Outcome::NotExecuted };
        assert_eq!(error.outcome(), outcome, "{lasting:?}: {error}");
        assert!(error.is_deadline() && error.attempts() > 1, "{lasting:?}: {error}");
        assert_eq!(ledger.rows().await, u64::from(lost), "{lasting:?}: {error}");
    };
    let scenes = [false, true].into_iter().flat_map(|lost| PROVED.map(|lasting| scene(lost, lasting)));
    join_all(scenes).await;
}
