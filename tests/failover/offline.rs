//! MySQL's offline mode (3032), which MariaDB does not have.

use mysql_async::{Conn, Error, prelude::Queryable as _};
use mysql_retry_fixture::{
    Events, Flavour, Pair,
    failover::{Call, until_counters},
    ms,
    skip::skip,
};

use crate::support::{begin_load, over, shorten_lock_waits};

#[tokio::test]
async fn a_server_that_went_offline_ends_open_sessions_executes_nothing_and_tells_new_ones() {
    let pair = Pair::start().await;
    if pair.first().flavour() != Flavour::MySql {
        return skip("only MySQL has an offline mode");
    }
    pair.first().query_drop("CREATE TABLE t (n INT NOT NULL)").await;
    for round in 0..5 {
        let mut conn = Conn::new(pair.opts(0)).await.expect("a connection");
        pair.first().query_drop("SET GLOBAL offline_mode = ON").await;
        if round % 2 == 1 {
            tokio::time::sleep(ms(100)).await;
        }
        let told = conn.query_drop("INSERT INTO t VALUES (1)").await.expect_err("offline");
        let new = Conn::new(pair.opts(0)).await.expect_err("offline");
        pair.first().query_drop("SET GLOBAL offline_mode = OFF").await;
        // the session is closed without an error packet, which proves nothing (seen on MySQL 9.7)
        assert!(matches!(told, Error::Io(_)), "{told:?}");
        assert!(matches!(&new, Error::Server(error) if error.code == 3032), "{new:?}");
    }
    assert_eq!(pair.first().query_first("SELECT COUNT(*) FROM t").await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_offline_is_left() {
    let pair = Pair::start().await;
    shorten_lock_waits(&pair).await;
    if pair.first().flavour() != Flavour::MySql {
        return skip("only MySQL has an offline mode");
    }
    // offline mode ends replication too, unless its user may administer connections, which takes effect at its next login
    pair.first().query_drop("GRANT CONNECTION_ADMIN ON *.* TO replica@'127.0.0.1'").await;
    pair.catch_up(1).await;
    pair.stop_replication(1).await;
    pair.start_replication(1).await;
    let events = Events::default();
    let exec = over(&pair, &events);
    let load = begin_load("offline", &pair, &exec).await;
    load.reach(150).await;
    pair.first().query_drop("SET GLOBAL offline_mode = ON").await;
    until_counters(&exec, |it| it.waiting > 0).await;
    pair.demote(0).await;
    pair.catch_up(1).await;
    pair.promote(1).await;
    load.reach(150).await;
    assert_eq!(events.moves(), [(pair.first().address(), pair.second().address())]);
    let books = load.close(pair.second()).await;
    books.assert_true();
    books.assert_nothing_surfaced_to(&[Call::Set, Call::Read, Call::Guarded]);
}
