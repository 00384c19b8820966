//! A proxy without a backend is an outage, whichever way it reports that.

use mysql_retry::{Disconnect, Executor, Outcome};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, When, in_time, ms};

use crate::support::{Ledger, Losses, every, shared};

// case 38
#[tokio::test]
async fn a_proxy_without_a_backend_counts_as_a_server_that_is_down() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    proxy.accept_and_close(true);
    let (hook, mut losses) = Losses::listen();
    let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
    let policy = every(ms(1_000)).deadline(ms(1_900)).build().expect("valid");
    let error = in_time(exec.with_policy(&policy).query_drop(ledger.insert())).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
    assert_eq!(error.disconnect(), Some(Disconnect::ServerGone), "{error}");
    assert!(error.is_deadline() && error.attempts() > 1, "{error}");

    losses.wait_for(error.attempts().try_into().expect("few")).await;
    let backend = async {
        losses.wait_for(2).await;
        proxy.accept_and_close(false);
    };
    let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), backend) }).await;
    assert_eq!(result.expect("there is a backend").affected_rows(), 1);
    assert_eq!(ledger.rows().await, 1);
}

// case 38: each way in which a proxy reports that, for every connection until there is a backend
#[tokio::test]
async fn a_proxy_that_says_that_it_has_no_backend_is_waited_for_until_it_has_one() {
    let server = shared().await;
    let says = |code: u16, state: Option<&str>, sequence| Fault::ErrPacket {
        code,
        state: state.map(str::to_owned),
        message: "Can't connect to MySQL server".into(),
        sequence,
    };
    let ways = [
        // MySQL Router
        (When::Greeting, Place::Reply(0), says(2003, None, Some(0))),
        (When::Greeting, Place::Reply(0), says(2003, Some("HY000"), Some(0))),
        // ProxySQL accepts the login, and then finds no backend
        (When::Login, Place::AfterRequest, says(9001, Some("HY000"), None)),
        (When::text("wait_timeout"), Place::Request(0), says(9001, Some("HY000"), None)),
        // proxies that forward bytes
        (When::Greeting, Place::Reply(0), Fault::Fin),
        (When::Greeting, Place::Reply(20), Fault::Fin),
        (When::Login, Place::Request(0), Fault::Rst),
    ];
    for (when, place, fault) in ways {
        let shown = format!("{when:?} {place:?} {fault:?}");
        let ledger = Ledger::new(server).await;
        let proxy = Proxy::start(server).await;
        proxy.rule(Rule::new(when, place, fault).times(1_000));
        let (hook, mut losses) = Losses::listen();
        let exec = Executor::builder().on_event(hook).build(proxy.opts()).expect("good options");
        let hasty = every(ms(1)).deadline(ms(1_000)).build().expect("valid");
        let error = in_time(exec.with_policy(&hasty).query_drop(ledger.insert())).await.unwrap_err();
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 2), "{shown}: {error}");
        assert_eq!(error.disconnect(), Some(Disconnect::ServerGone), "{shown}: {error}");
        assert!(error.is_deadline(), "{shown}: {error}");
        losses.wait_for(2).await;
        let backend = async {
            losses.wait_for(2).await;
            proxy.clear_rules();
        };
        let (result, ()) = in_time(async { tokio::join!(exec.query_drop(ledger.insert()), backend) }).await;
        assert_eq!(result.expect("there is a backend").affected_rows(), 1, "{shown}");
        assert_eq!(ledger.rows().await, 1, "{shown}");
    }
}
