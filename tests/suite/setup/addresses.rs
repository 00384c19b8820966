//! A statement goes to the address that the user named, by the way that was named.

use mysql_async::OptsBuilder;
use mysql_retry::Executor;
use mysql_retry_fixture::{Fault, Proxy, Server, Transport, in_time, pool_of};

use crate::support::{Ledger, executor_of_one};

/// Options as a user writes them, without `prefer_socket`.
fn plain(port: u16) -> OptsBuilder {
    OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).user(Some("root")).db_name(Some("test"))
}

#[tokio::test]
async fn case_71_what_goes_to_a_port_does_not_leave_it_for_the_servers_socket() {
    let (one, two) = tokio::join!(Server::start(), Server::start());
    assert!(one.socket().exists(), "the server's socket is on this machine");
    let ledger = Ledger::new(&one).await;
    ledger.create_on(&two).await;
    let proxy = Proxy::start_over(Transport::Tcp, &one).await;
    // the proxy is reached over TCP; the driver by itself would switch to the server's socket
    let exec = executor_of_one(plain(proxy.port()));
    let by_url = Executor::from_url(format!("mysql://root@127.0.0.1:{}/test", proxy.port())).expect("a good URL");
    for exec in [&exec, &by_url] {
        in_time(exec.query_drop(ledger.insert())).await.expect("inserted");
    }
    let inserts = |proxy: &Proxy| {
        let has = |text: &str| text.contains(&ledger.table);
        proxy.commands().iter().filter(|seen| seen.text.as_deref().is_some_and(has)).count()
    };
    assert_eq!((ledger.rows().await, inserts(&proxy)), (2, 2));
    proxy.point_at(&two);
    proxy.cut_all(Fault::Fin).await;
    for exec in [&exec, &by_url] {
        in_time(exec.query_drop(ledger.insert())).await.expect("inserted");
    }
    assert_eq!((ledger.rows().await, ledger.rows_on(&two).await, inserts(&proxy)), (2, 2, 4));
}

#[tokio::test]
async fn case_71_the_drivers_way_can_be_asked_for() {
    let server = Server::start().await;
    let proxy = Proxy::start_over(Transport::Tcp, &server).await;
    let builder = Executor::builder().prefer_socket(true);
    let exec = builder.build(pool_of(1, plain(proxy.port()))).expect("good options");
    in_time(exec.query_drop("SELECT 'moved'")).await.expect("an answer");
    assert!(!proxy.commands().iter().any(|seen| seen.text.as_deref().is_some_and(|text| text.contains("moved"))));
}
