//! Options that cannot work are refused when the executor is built, without a server and without a runtime.

use futures_util::future::join_all;
use mysql_retry::{Annotate as _, Executor, Outcome};
use mysql_retry_fixture::{ms, pool_of};

use crate::support::{PASSWORD, assert_keeps_nothing_in_debug, assert_keeps_secrets, shared};

fn bad_options() -> [(String, &'static str); 7] {
    let url = |text: &str| format!("mysql://root:{PASSWORD}@localhost{text}");
    [
        ("no url at all".into(), ""),
        (String::new(), ""),
        (format!("http://root:{PASSWORD}@localhost/"), "http"),
        (url(":99999/"), "port"),
        (url("/?no_such_parameter=1"), "no_such_parameter"),
        (url("/?pool_min=many"), "pool_min"),
        (url("/?pool_min=20&pool_max=10"), "pool"),
    ]
}

// without a runtime: nothing is connected, nothing is spawned
#[test]
fn bad_options_are_an_error_that_says_what_is_wrong() {
    for (url, word) in bad_options() {
        let errors = [
            Executor::new(url.as_str()).unwrap_err(),
            Executor::from_url(&url).unwrap_err(),
            Executor::builder().build(url.as_str()).unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_config() && !error.is_disconnect(), "{url}: {error}");
            assert_eq!((error.attempts(), error.outcome()), (0, Outcome::NotExecuted), "{url}");
            let text = error.to_string();
            assert!(text.starts_with("the connection ") && text.contains(word), "{url}: {text}");
            assert_keeps_secrets(&error);
        }
    }
}

#[test]
fn an_executor_can_be_made_and_dropped_without_a_runtime() {
    let exec = Executor::from_url(format!("mysql://root:{PASSWORD}@localhost/")).expect("good options");
    assert_keeps_nothing_in_debug(&exec);
    drop(exec.clone());
    drop(exec);
}

#[test]
fn a_maximum_age_of_zero_is_refused() {
    let error = Executor::builder().max_age(ms(0)).build("mysql://root@localhost/").unwrap_err();
    assert!(error.is_config(), "{error}");
    assert!(error.to_string().contains("max_age is 0"), "{error}");
}

#[test]
fn a_pool_that_can_hold_nothing_is_refused() {
    for (min, max) in [(0, 0), (5, 4)] {
        let error = Executor::builder().pool(min, max).build("mysql://root@localhost/").unwrap_err();
        assert!(error.is_config(), "{error}");
        assert!(error.to_string().contains(&format!("pool({min}, {max})")), "{error}");
    }
}

#[tokio::test]
async fn the_builders_bound_of_the_pool_takes_the_place_of_the_options_one() {
    let server = shared().await;
    let exec = Executor::builder().pool(0, 2).build(pool_of(5, server.opts())).expect("good options");
    let calls = join_all((0..6).map(|_| exec.query_drop("DO SLEEP(0.1)".idempotent()))).await;
    assert!(calls.iter().all(Result::is_ok), "{calls:?}");
    assert_eq!(exec.counters().connections, 2);
}
