//! Without autocommit `Ok` promises nothing: an executor refuses such connections.

use mysql_retry::{Executor, Outcome};
use mysql_retry_fixture::{Server, in_time, pool_of};

use crate::support::{Ledger, executor_of_one, shared};

#[tokio::test]
async fn case_80_a_set_up_that_turns_autocommit_off_is_refused() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    for text in ["SET autocommit = 0", "SET SESSION autocommit = OFF, @x = 1"] {
        let exec = Executor::builder().setup([text]).build(pool_of(1, server.opts())).expect("good options");
        let error = in_time(exec.query_drop(ledger.insert())).await.expect_err("it would not be committed");
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{error}");
        assert!(error.to_string().contains("autocommit"), "{error}");
        assert!(error.disconnect().is_none(), "{error}");
        assert!(in_time(exec.session()).await.is_err());
    }
    assert_eq!(ledger.rows().await, 0);
}

#[tokio::test]
async fn case_80_a_server_without_autocommit_is_refused_or_told_to_have_it() {
    for flag in ["--autocommit=0", "--init-connect=SET autocommit=0"] {
        let server = Server::builder().flag(flag).start().await;
        server.query_drop("CREATE USER app@'%'").await;
        server.query_drop("CREATE USER app@localhost").await;
        server.query_drop("GRANT ALL ON test.* TO app@'%'").await;
        server.query_drop("GRANT ALL ON test.* TO app@localhost").await;
        let ledger = Ledger::new(&server).await;
        let opts = || server.opts().user(Some("app"));
        let error = in_time(executor_of_one(opts()).query_drop(ledger.insert())).await.expect_err(flag);
        assert_eq!((error.outcome(), error.attempts()), (Outcome::NotExecuted, 1), "{flag}: {error}");
        assert!(error.to_string().contains("autocommit"), "{flag}: {error}");

        let exec = Executor::builder().setup(["SET autocommit = 1"]).build(pool_of(1, opts())).expect("good options");
        for rows in 1..=2 {
            in_time(exec.query_drop(ledger.insert())).await.unwrap_or_else(|error| panic!("{flag}: {error}"));
            assert_eq!(ledger.rows().await, rows, "{flag}");
            // the next caller has no old snapshot, also after a reset
            let own: Option<u64> =
                exec.query_first(format!("SELECT COUNT(*) FROM {}", ledger.table)).await.expect("an answer");
            assert_eq!(own, Some(rows), "{flag}");
            in_time(exec.session()).await.expect("a session").query_drop("SET @x = 1").await.expect("set");
        }
    }
}

#[tokio::test]
async fn case_80_the_drivers_own_init_is_looked_at_too() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    for opts in [server.opts().init(vec!["SET autocommit = 0"]), server.opts().setup(vec!["SET autocommit = 0"])] {
        let error = in_time(executor_of_one(opts).query_drop(ledger.insert())).await.expect_err("not committed");
        assert_eq!(error.outcome(), Outcome::NotExecuted, "{error}");
        assert!(error.to_string().contains("autocommit"), "{error}");
    }
}
