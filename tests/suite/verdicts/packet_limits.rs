//! Statements that are larger than a limit of the client or the server.

use mysql_retry::{Annotate as _, Outcome};
use mysql_retry_fixture::{Kind, Proxy, Rule, Seen, Server, When, in_time};

use super::callers_bugs::assert_surfaced_at_once;
use crate::support::{Ledger, executor_of_one, shared};

// case 6: the driver asks the server for its limit when it connects
#[tokio::test]
async fn a_statement_over_the_servers_packet_limit_is_not_even_sent() {
    let server = Server::builder().flag("--max-allowed-packet=1M").start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts());
    for size in [1 << 20, 3 << 20] {
        let sql = format!("{} /* {} */", ledger.insert(), "x".repeat(size));
        let error = exec.query_drop(sql.as_str().idempotent()).await.expect_err("too large");
        assert_surfaced_at_once(&error, &exec);
        let error = exec.exec_drop(ledger.insert_param(), (vec![b'1'; size],)).await.expect_err("too large");
        assert_surfaced_at_once(&error, &exec);
        assert_eq!(ledger.rows().await, 0);
    }
    exec.query_drop(ledger.insert()).await.expect("a small insert");
    assert_eq!(ledger.rows().await, 1);
}

// case 6: with a limit in the options the driver does not ask for the server's. The server closes the connection during the write, and
// its 1153 can be read only by chance.
#[tokio::test]
async fn a_statement_over_the_servers_packet_limit_that_was_sent_is_no_loss() {
    let server = Server::builder().flag("--max-allowed-packet=1M").start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts().max_allowed_packet(Some(64 << 20)));
    for (done, size) in (0..).zip([1 << 20, 3 << 20, 20 << 20]) {
        let sql = format!("{} /* {} */", ledger.insert(), "x".repeat(size));
        let error = in_time(exec.query_drop(sql)).await.expect_err("too large");
        assert_surfaced_at_once(&error, &exec);
        assert_eq!(ledger.rows().await, done);
        // on another connection: the old one is about to be closed
        exec.query_drop(ledger.insert()).await.expect("a small insert");
    }
}

// case 6, too
#[tokio::test]
async fn case_69_a_text_that_the_client_does_not_send_says_which_limit() {
    let server = shared().await;
    let (proxy, ledger) = (Proxy::start(server).await, Ledger::new(server).await);
    let exec = executor_of_one(proxy.opts().max_allowed_packet(Some(2_000)));
    exec.ping().await.expect("a server");
    let long = "x".repeat(3_000);
    let (text, prepared) =
        (format!("{} /* {long} */", ledger.insert()), format!("{} /* {long} */", ledger.insert_param()));
    let errors = [
        in_time(exec.query_drop(text.as_str())).await.unwrap_err(),
        in_time(exec.query_drop(text.idempotent())).await.unwrap_err(),
        in_time(exec.exec_drop(prepared, (1,))).await.unwrap_err(),
        in_time(exec.exec_drop(ledger.insert_param(), (long,))).await.unwrap_err(),
    ];
    for error in errors {
        assert_surfaced_at_once(&error, &exec);
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        let says = error.to_string();
        assert!(says.contains("max_allowed_packet of this client (2000 bytes"), "{says}");
        assert!(!says.contains("xxx"), "{says}");
    }
    let is_insert = |seen: &Seen| seen.text.as_deref().is_some_and(|text| text.contains(&ledger.table));
    let sent: Vec<Kind> = proxy.commands().into_iter().filter(is_insert).map(|seen| seen.kind).collect();
    assert_eq!(sent, [Kind::Prepare], "the short text with a long parameter is prepared, and nothing else is sent");
    assert_eq!(ledger.rows().await, 0);
    in_time(exec.query_drop(ledger.insert())).await.expect("a small insert");
    assert_eq!(ledger.rows().await, 1);
}

// a server accepts packets up to the size of its buffer, which is larger here than the limit
#[tokio::test]
async fn case_68_a_statement_that_a_server_takes_in_spite_of_its_limit_may_have_been_executed() {
    let server = Server::builder().flag("--max-allowed-packet=1024").start().await;
    let ledger = Ledger::new(&server).await;
    let proxy = Proxy::start(&server).await;
    let exec = executor_of_one(proxy.opts().max_allowed_packet(Some(16 << 20)));
    proxy.rule(Rule::reply_lost(When::text(&ledger.table)));
    let insert = format!("{} /* {} */", ledger.insert(), "x".repeat(5_000));
    let error = in_time(exec.query_drop(insert)).await.expect_err("its reply was lost");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
}
