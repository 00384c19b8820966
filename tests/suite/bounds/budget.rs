//! The retry budget: while the server is up, losses are replayed up to a share of what succeeds.

use mysql_async::OptsBuilder;
use mysql_retry::{Annotate as _, Executor, Outcome, Reason, RetryBudget, RetryPolicy};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, When, in_time, ms, pool_of};

use crate::support::{Ledger, fired, shared};

/// An executor whose policy allows so many replays that the budget ends the call.
fn exec_with(budget: impl Into<Option<RetryBudget>>, opts: OptsBuilder) -> Executor {
    let policy = RetryPolicy::builder().max_replays(1_000).initial_delay(ms(1)).max_delay(ms(1));
    let policy = policy.deadline(ms(50_000)).build().expect("valid");
    let builder = Executor::builder().policy(policy).retry_budget(budget).probe_interval(ms(20));
    builder.build(opts).expect("good options")
}

fn budget(share: f64, reserve: u32) -> RetryBudget {
    RetryBudget::new(share, reserve).expect("valid")
}

/// The first executions of `SELECT 7` lose their replies.
fn lose_replies(times: usize) -> Rule {
    Rule::reply_lost(When::text("SELECT 7")).times(times)
}

#[tokio::test]
async fn when_the_budget_is_spent_a_loss_surfaces_and_says_so() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = exec_with(budget(0.0, 2), proxy.opts());
    assert_eq!(exec.counters().budget_left, Some(2));
    proxy.rule(lose_replies(4));
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.attempts(), error.reason()), (3, Reason::BudgetExhausted), "{error}");
    assert_eq!((error.outcome(), error.code()), (Outcome::Unknown, Some(2013)), "{error}");
    assert!(error.to_string().contains("the retry budget is empty"), "{error}");
    assert_eq!((exec.counters().budget_left, exec.counters().replays), (Some(0), 2));
    // all clones have one budget, and a loss that is proved not executed costs as much
    let clone = exec.clone();
    let error = in_time(clone.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.attempts(), error.reason()), (1, Reason::BudgetExhausted), "{error}");
    proxy.rule(Rule::new(When::text(&ledger.table), Place::Request(0), Fault::Fin));
    let error = in_time(exec.exec_drop(ledger.insert_param(), (1,))).await.unwrap_err();
    assert_eq!((error.outcome(), error.reason()), (Outcome::NotExecuted, Reason::BudgetExhausted), "{error}");
    assert_eq!((fired(&proxy, 5).await, ledger.rows().await), (5, 0));
    // a statement that is not lost needs no budget
    in_time(exec.query_drop("SELECT 7".idempotent())).await.expect("an answer");
}

#[tokio::test]
async fn what_succeeds_fills_the_budget_up_to_its_reserve() {
    let proxy = Proxy::start(shared().await).await;
    let exec = exec_with(budget(0.5, 3), proxy.opts());
    proxy.rule(lose_replies(100));
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.attempts(), exec.counters().budget_left), (4, Some(0)), "{error}");
    for (successes, left) in [(1, 0), (1, 1), (2, 2), (10, 3)] {
        for _ in 0..successes {
            in_time(exec.query_drop("SELECT 8")).await.expect("an answer");
        }
        assert_eq!(exec.counters().budget_left, Some(left), "{successes} more");
    }
    let error = in_time(exec.query_drop("SELECT 7".idempotent())).await.unwrap_err();
    assert_eq!((error.attempts(), error.reason()), (4, Reason::BudgetExhausted), "{error}");
}

#[tokio::test]
async fn a_budget_of_a_share_holds_replays_to_it_when_every_other_statement_is_lost() {
    const CALLS: u64 = 200;
    let proxy = Proxy::start(shared().await).await;
    let exec = exec_with(budget(0.1, 5), proxy.opts());
    let mut succeeded = 0;
    for call in 0..CALLS {
        if call % 2 == 0 {
            proxy.rule(lose_replies(1));
        }
        succeeded += u64::from(in_time(exec.query_drop("SELECT 7".idempotent())).await.is_ok());
    }
    let replays = exec.counters().replays;
    assert!(replays <= 5 + succeeded / 10, "{replays} replays, {succeeded} successes");
    assert!(replays >= 5 + CALLS / 20 - 1, "the share was not used: {replays}");
}

#[tokio::test]
async fn losses_through_an_outage_cost_nothing() {
    const TASKS: u32 = 3;
    let server = Server::start().await;
    let exec = exec_with(budget(0.0, TASKS), pool_of(10, server.opts()));
    for outage in 0..3 {
        let calls: Vec<_> = (0..TASKS)
            .map(|task| {
                let (exec, sql) = (exec.clone(), format!("SELECT SLEEP(1) /* task {outage} {task} */"));
                tokio::spawn(async move { exec.query_drop(sql.idempotent()).await })
            })
            .collect();
        for task in 0..TASKS {
            server.wait_until_running(&format!("/* task {outage} {task} */")).await;
        }
        server.kill().await;
        server.start_again().await;
        for call in calls {
            in_time(call).await.expect("no panic").expect("the server is back");
        }
        assert_eq!(exec.counters().budget_left, Some(TASKS), "{:?}", exec.counters());
    }
    assert!(exec.counters().replays > 0, "nothing was lost");
}

#[tokio::test]
async fn what_never_reached_a_server_or_was_refused_by_it_costs_nothing() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = exec_with(budget(0.0, 0), proxy.opts());
    proxy.rule(Rule::new(When::Greeting, Place::Reply(0), Fault::Fin).times(3));
    in_time(exec.query_drop(ledger.insert())).await.expect("the server is back");
    proxy.rule(Rule::new(When::text("INSERT"), Place::Request(0), Fault::read_only()).times(3));
    in_time(exec.query_drop(ledger.insert())).await.expect("it takes writes");
    assert_eq!((proxy.rules_left(), exec.counters().budget_left), (vec![], Some(0)));
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn without_a_budget_only_the_policy_bounds_the_replays() {
    const LOSSES: usize = 600;
    let proxy = Proxy::start(shared().await).await;
    let exec = exec_with(None, proxy.opts());
    assert_eq!(exec.counters().budget_left, None);
    proxy.rule(lose_replies(LOSSES));
    in_time(exec.query_drop("SELECT 7".idempotent())).await.expect("the last replay");
    assert_eq!(exec.counters().replays, LOSSES as u64);
}

#[tokio::test]
async fn a_loss_that_an_outage_began_with_costs_nothing_even_if_nothing_is_left() {
    let server = Server::start().await;
    let exec = exec_with(budget(0.0, 0), server.opts());
    let call = exec.query_drop("SELECT SLEEP(1) /* loss */".idempotent());
    let restart = async {
        server.wait_until_running("/* loss */").await;
        server.restart().await;
    };
    let (result, ()) = in_time(async { tokio::join!(call, restart) }).await;
    result.expect("the server is back");
}
