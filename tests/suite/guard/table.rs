//! The guard's table: which tables will do, and how old tokens are purged.

use std::time::Duration;

use mysql_retry::{Executor, Outcome, RetryPolicy};
use mysql_retry_fixture::{Fault, Flavour, Place, Proxy, Rule, Server, When, pool_of};

use super::insert_once;
use crate::support::{Ledger, shared, unique};

#[tokio::test]
async fn old_tokens_are_purged_and_young_ones_are_not() {
    let server = shared().await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(server.opts()).expect("good options");
    exec.create_guard_table().await.expect("created");
    let ledger = Ledger::new(server).await;
    for token in ["old", "young"] {
        insert_once(&exec, &ledger, token).await.expect("done");
    }
    server.query_drop(format!("UPDATE {guard} SET created = NOW() - INTERVAL 2 HOUR WHERE token = 'old'")).await;
    assert_eq!(exec.purge_guard(Duration::from_secs(3600)).await.expect("purged"), 1);
    assert!(!insert_once(&exec, &ledger, "young").await.expect("before").is_now());
    assert!(insert_once(&exec, &ledger, "old").await.expect("again").is_now());

    let error = exec.purge_guard(Duration::from_secs(29)).await.expect_err("within the deadline");
    assert!(error.is_config(), "{error}");
    let patient = RetryPolicy::builder().deadline(Duration::from_secs(4000)).build().expect("valid");
    let _ = exec.with_policy(&patient);
    exec.purge_guard(Duration::from_secs(3600)).await.expect_err("within another deadline");
}

/// The beginning and the end of summer time in Berlin in 2026.
const SPRING: u64 = 1_774_746_000;

const AUTUMN: u64 = 1_792_890_000;

/// Makes a time zone with these two changes, and returns its name. The server has no time zones of its own.
async fn berlin(server: &Server) -> String {
    let name = unique("Berlin");
    server.query_drop("INSERT INTO mysql.time_zone (Use_leap_seconds) VALUES ('N')").await;
    let id: Option<u32> = server.query_first("SELECT MAX(Time_zone_id) FROM mysql.time_zone").await;
    let id = id.expect("an id");
    server.query_drop(format!("INSERT INTO mysql.time_zone_name VALUES ('{name}', {id})")).await;
    let types = format!("({id}, 0, 3600, 0, 'CET'), ({id}, 1, 7200, 1, 'CEST')");
    server.query_drop(format!("INSERT INTO mysql.time_zone_transition_type VALUES {types}")).await;
    let changes = format!("({id}, 1761440400, 0), ({id}, {SPRING}, 1), ({id}, {AUTUMN}, 0)");
    server.query_drop(format!("INSERT INTO mysql.time_zone_transition VALUES {changes}")).await;
    name
}

#[tokio::test]
async fn case_84_tokens_are_as_old_as_they_are_when_the_clocks_are_changed() {
    let server = Server::start().await;
    let zone = berlin(&server).await;
    let proxy = Proxy::start(&server).await;
    for now in [SPRING + 5, SPRING + 1800, SPRING + 3700, AUTUMN - 100, AUTUMN + 5, AUTUMN + 3005, AUTUMN + 5000] {
        let guard = unique("guard");
        let at = |second: u64| {
            let setup = [format!("SET time_zone = '{zone}'"), format!("SET timestamp = {second}")];
            Executor::builder().guard_table(&guard).setup(setup).build(pool_of(1, proxy.opts())).expect("good options")
        };
        at(now).create_guard_table().await.expect("created");
        let ledger = Ledger::new(&server).await;
        for (token, age) in [("young", 10), ("old", 3100), ("older", 9000)] {
            assert!(insert_once(&at(now - age), &ledger, token).await.expect("done").is_now());
        }
        // a token of the repeated hour may stay an hour longer; none is purged too early
        let purged = at(now).purge_guard(Duration::from_secs(3000)).await.expect("purged");
        assert!((1..=2).contains(&purged), "{purged} at {now}");
        assert!(!insert_once(&at(now), &ledger, "young").await.expect("before").is_now(), "at {now}");
        assert!(insert_once(&at(now), &ledger, "older").await.expect("again").is_now(), "at {now}");
        let mut sent = proxy.commands().into_iter().rev().filter_map(|seen| seen.text);
        let purge = sent.find(|text| text.starts_with("DELETE FROM")).expect("a purge");
        let explain = match server.flavour() {
            Flavour::MariaDb => "EXPLAIN",
            Flavour::MySql => "EXPLAIN FORMAT=TRADITIONAL",
        };
        let plan: Option<mysql_async::Row> = server.query_first(format!("{explain} {purge}")).await;
        let keys =
            plan.expect("a plan").get_opt::<Option<String>, _>("possible_keys").expect("a column").expect("a text");
        assert_eq!(keys.as_deref(), Some("created"));
    }
}

#[tokio::test]
async fn case_85_a_view_is_no_guard_s_table() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let (table, view) = (unique("guard"), unique("view"));
    let exec = Executor::builder().guard_table(&table).build(server.opts()).expect("good options");
    exec.create_guard_table().await.expect("created");
    server.query_drop(format!("CREATE VIEW {view} AS SELECT * FROM {table}")).await;
    for name in [view.clone(), format!("test.{view}")] {
        let exec = Executor::builder().guard_table(&name).build(server.opts()).expect("good options");
        let error = insert_once(&exec, &ledger, "t").await.expect_err("a view");
        assert!(error.is_config() && error.to_string().contains("is a view"), "{error}");
        assert_eq!(error.outcome(), Outcome::NotExecuted);
    }
    // a table with other columns
    let other = unique("other");
    server.query_drop(format!("CREATE TABLE {other} (token INT PRIMARY KEY, owner INT, payload POINT)")).await;
    let exec = Executor::builder().guard_table(&other).build(server.opts()).expect("good options");
    insert_once(&exec, &ledger, "t").await.map(drop).expect_err("no such columns, or no such values");
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn case_86_a_good_table_is_found_good_in_every_sql_mode() {
    let server = shared().await;
    let modes: &[&str] = match server.flavour() {
        Flavour::MariaDb => {
            &["ANSI", "ORACLE", "NO_TABLE_OPTIONS", "MSSQL", "ANSI,NO_BACKSLASH_ESCAPES,EMPTY_STRING_IS_NULL"]
        }
        Flavour::MySql => &["ANSI", "ANSI,NO_BACKSLASH_ESCAPES", "TRADITIONAL"],
    };
    for mode in modes {
        let ledger = Ledger::new(server).await;
        let guard = unique("guard");
        let of = |name: String| {
            let builder = Executor::builder().guard_table(name).setup([format!("SET sql_mode = '{mode}'")]);
            builder.build(pool_of(1, server.opts())).expect("good options")
        };
        let exec = of(guard.clone());
        exec.create_guard_table().await.expect("created");
        for name in [guard.clone(), format!("test.{guard}")] {
            let exec = of(name);
            insert_once(&exec, &ledger, "t").await.unwrap_or_else(|error| panic!("{mode}: {error}"));
        }
        assert_eq!(ledger.rows().await, 1, "{mode}");
        server.query_drop(format!("ALTER TABLE {guard} ENGINE=MyISAM")).await;
        let error = insert_once(&of(guard), &ledger, "u").await.expect_err("MyISAM");
        assert!(error.to_string().contains("ENGINE=InnoDB"), "{mode}: {error}");
    }
}

#[tokio::test]
async fn case_87_a_token_that_is_purged_before_it_is_looked_up_is_taken_again() {
    let server = shared().await;
    let proxy = Proxy::start(server).await;
    let guard = unique("guard");
    let exec = Executor::builder().guard_table(&guard).build(pool_of(1, proxy.opts())).expect("good options");
    exec.create_guard_table().await.expect("created");
    let ledger = Ledger::new(server).await;
    for (policy, rows) in [(RetryPolicy::default(), 2), (RetryPolicy::none(), 3)] {
        let exec = exec.with_policy(&policy);
        insert_once(&exec, &ledger, "t").await.expect("done");
        let fired = proxy.fired();
        proxy.rule(Rule::new(When::text("SELECT owner"), Place::Request(0), Fault::Silence));
        let purge = async {
            proxy.wait_fired(fired + 1).await;
            server.query_drop(format!("DELETE FROM {guard}")).await;
            proxy.heal().await;
        };
        let (again, ()) = tokio::join!(insert_once(&exec, &ledger, "t"), purge);
        assert!(again.expect("no duplicate key").is_now());
        assert_eq!(ledger.rows().await, rows);
        server.query_drop(format!("DELETE FROM {guard}")).await;
        // so that the next round begins with one row
        server.query_drop(format!("DELETE FROM {} ORDER BY id LIMIT 1", ledger.table)).await;
    }
}
