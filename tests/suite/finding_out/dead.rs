//! A connection that has died is noticed before a statement is sent on it.

use mysql_async::prelude::Queryable as _;
use mysql_retry::{Disconnect, Outcome};
use mysql_retry_fixture::{Fault, Place, Proxy, Rule, Server, Transport, When, in_time, ms};

use crate::support::{Ledger, assert_no_loss, connection_id, executor, executor_of_one, shared, unique};

// case 1
#[tokio::test]
async fn a_connection_that_died_in_the_pool_is_noticed_before_an_insert_is_sent() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    for turn in 1..=2 {
        let id = connection_id(&exec).await;
        server.kill_connection(id).await;
        server.wait_gone(id).await;
        if turn == 1 {
            exec.query_drop(ledger.insert()).await.expect("an insert as text");
        } else {
            exec.exec_drop(ledger.insert_param(), (1,)).await.expect("a prepared insert");
        }
        assert_eq!(ledger.rows().await, turn);
    }
    assert_no_loss(&exec);
}

// case 4
#[tokio::test]
async fn the_statement_after_a_kill_runs_on_another_connection() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    assert_eq!(connection_id(&exec).await, id);
    server.kill_connection(id).await;
    server.wait_gone(id).await;
    assert_ne!(connection_id(&exec).await, id);
    assert_no_loss(&exec);
}

// case 1: the runtime has no chance to see that the socket is closed before the statement is sent
#[tokio::test]
async fn a_connection_that_died_while_the_task_blocked_its_thread_is_noticed_before_an_insert_is_sent() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    for _ in 0..20 {
        tokio::task::yield_now().await; // the driver returns the connection to its pool
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                server.kill_connection(id).await;
                server.wait_gone(id).await;
            });
        });
    });
    exec.query_drop(ledger.insert()).await.expect("an insert that goes to a living connection");
    assert_eq!(ledger.rows().await, 1);
    assert_no_loss(&exec);
}

// case 2
#[tokio::test]
async fn an_executor_that_idled_past_wait_timeout_inserts_once_and_loses_nothing() {
    let server = Server::builder().flag("--wait-timeout=1").start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    server.wait_gone(id).await;
    exec.query_drop(ledger.insert()).await.expect("an insert after the server's time-out");
    assert_eq!(ledger.rows().await, 1);

    // again, with the runtime's only thread blocked while the server closes the connection
    let id = connection_id(&exec).await;
    std::thread::sleep(ms(2_500));
    exec.exec_drop(ledger.insert_param(), (1,)).await.expect("an insert after a blocked thread");
    assert_eq!(ledger.rows().await, 2);
    assert_ne!(connection_id(&exec).await, id);
    assert_no_loss(&exec);
}

// case 5: MySQL sends 4031 before it closes, MariaDB closes without an error packet. The trigger lowers the time-out, which the
// executor cannot see.
#[tokio::test]
async fn a_connection_on_which_the_server_said_goodbye_is_replaced_before_an_insert() {
    let server = shared().await;
    let (ledger, hasty) = (Ledger::new(server).await, Ledger::new(server).await);
    let trigger = unique("hasty");
    let set = "SET SESSION wait_timeout = 1";
    let sql = format!("CREATE TRIGGER {trigger} BEFORE INSERT ON {} FOR EACH ROW {set}", hasty.table);
    server.query_drop(sql).await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    exec.query_drop(hasty.insert()).await.expect("an insert with a trigger");
    server.wait_gone(id).await;
    exec.query_drop(ledger.insert()).await.expect("an insert after the goodbye");
    assert_eq!(ledger.rows().await, 1);
    assert_no_loss(&exec);
}

// case 5: the packet of MySQL on every server
#[tokio::test]
async fn unread_bytes_on_an_idle_connection_mean_that_it_is_dead() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start(server).await;
    let exec = executor_of_one(proxy.opts());
    exec.query_drop("SELECT 'last one'").await.expect("a whole reply");
    assert_eq!(proxy.cut_all(goodbye()).await, 1);
    exec.query_drop(ledger.insert()).await.expect("an insert on a new connection");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(proxy.accepted(), 2);
    assert_no_loss(&exec);
}

// The program reads so late that one read takes the reply and the goodbye: the second is in the driver's buffer, which nobody can
// look into. Where a busy machine lets more than a moment pass, the end of the connection is seen, and the next statement is not sent
// on it.
#[tokio::test]
async fn a_goodbye_that_was_read_with_the_reply_before_it_is_a_loss_of_which_nothing_is_known() {
    const TRIES: u64 = 20;
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let proxy = Proxy::start_over(Transport::Tcp, server).await; // a write to a closed unix socket fails at once
    let exec = executor_of_one(proxy.opts());
    for inserted in 0..TRIES {
        let fired = proxy.fired();
        proxy.rule(Rule::new(When::text("last one"), Place::AfterReply, goodbye()));
        let text = format!("SELECT SLEEP(0.3), 'last one', {inserted}");
        let late = async {
            while !proxy.commands().iter().any(|seen| seen.text.as_deref().is_some_and(|seen| seen.contains(&text))) {
                tokio::task::yield_now().await;
            }
            while proxy.fired() == fired {
                std::thread::sleep(ms(1)); // the only thread of the runtime
            }
        };
        let (read, ()) = tokio::join!(biased; exec.query_drop(text.as_str()), late);
        read.expect("a whole reply");
        let Err(error) = exec.query_drop(ledger.insert()).await else {
            assert_eq!(ledger.rows().await, inserted + 1, "it was noticed, and the statement ran once");
            continue;
        };
        assert_eq!((error.disconnect(), error.outcome()), (Some(Disconnect::ServerLost), Outcome::Unknown));
        assert_eq!(ledger.rows().await, inserted);
        exec.query_drop(ledger.insert()).await.expect("an insert on a new connection");
        assert_eq!(ledger.rows().await, inserted + 1);
        return;
    }
    panic!("the statement was never sent a moment after the goodbye");
}

/// What MySQL sends before it closes a connection that idled for too long.
fn goodbye() -> Fault {
    Fault::ErrPacket {
        code: 4031,
        state: Some("HY000".into()),
        message: "The client was disconnected by the server because of inactivity.".into(),
        sequence: Some(0),
    }
}

#[tokio::test]
async fn a_borrowed_connection_is_alive() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let id = connection_id(&exec).await;
    server.kill_connection(id).await;
    server.wait_gone(id).await;
    let mut conn = exec.connection().await.expect("a connection");
    assert_eq!(conn.query_first("SELECT 7").await.unwrap(), Some(7));
    assert_ne!(conn.id(), id);
    assert_no_loss(&exec);
}

#[tokio::test]
async fn a_server_that_restarted_while_nothing_ran_is_found_without_a_loss() {
    let server = Server::start().await;
    let ledger = Ledger::new(&server).await;
    let exec = executor(&server);
    exec.ping().await.expect("a server");
    server.restart().await;
    in_time(exec.query_drop(ledger.insert())).await.expect("the server is back");
    assert_eq!(ledger.rows().await, 1);
    assert_eq!(exec.counters().losses, 0, "a dead connection was used");
}
