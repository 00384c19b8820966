//! A connection that one caller gives back is as it was made when the next one gets it, or it is closed.

use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use mysql_retry::{Annotate as _, Executor, RetryPolicy};
use mysql_retry_fixture::{Flavour, Proxy, Server, in_time, pool_of};

use crate::support::{Ledger, connection_id, cut, executor_of_one, patient, register, shared, unique};

/// Runs these texts in a session on the only connection of an executor.
async fn leave(exec: &Executor, texts: &[&str]) {
    let mut session = in_time(exec.session()).await.expect("a session");
    for text in texts {
        session.query_drop(*text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

/// Options for an account that may take a role, and the role.
async fn may_be_boss(server: &Server) -> (OptsBuilder, String) {
    let (user, role) = (unique("clerk"), unique("boss"));
    for text in [
        format!("CREATE ROLE {role}"),
        format!("CREATE USER {user}@'%' IDENTIFIED BY ''"),
        format!("CREATE USER {user}@localhost IDENTIFIED BY ''"),
        format!("GRANT ALL ON test.* TO {user}@'%'"),
        format!("GRANT ALL ON test.* TO {user}@localhost"),
        format!("GRANT {role} TO {user}@'%'"),
        format!("GRANT {role} TO {user}@localhost"),
    ] {
        server.query_drop(text).await;
    }
    (server.opts().user(Some(user)), role)
}

async fn role(exec: &Executor) -> Option<String> {
    let role: Option<Option<String>> = in_time(exec.query_first("SELECT CURRENT_ROLE()")).await.expect("an answer");
    role.flatten().filter(|role| role != "NONE")
}

#[tokio::test]
async fn case_76_a_role_that_a_caller_took_is_not_the_next_ones() {
    let server = shared().await;
    let (opts, boss) = may_be_boss(server).await;
    let exec = executor_of_one(opts);
    let old = connection_id(&exec).await;
    leave(&exec, &[&format!("SET ROLE {boss}")]).await;
    assert_eq!(role(&exec).await, None);
    assert_eq!(connection_id(&exec).await, old, "it was restored, not closed");
    in_time(exec.connection())
        .await
        .expect("a connection")
        .query_drop(format!("SET ROLE {boss}"))
        .await
        .expect("a role");
    assert_eq!(role(&exec).await, None);
}

#[tokio::test]
async fn case_76_a_role_that_stored_code_took_is_not_the_next_callers() {
    let server = shared().await;
    let (opts, boss) = may_be_boss(server).await;
    let (procedure, function) = (unique("p"), unique("f"));
    server.query_drop(format!("CREATE PROCEDURE {procedure}() SQL SECURITY INVOKER SET ROLE {boss}")).await;
    let mut maker = server.connect().await;
    let body = format!(
        "CREATE FUNCTION {function}() RETURNS INT DETERMINISTIC SQL SECURITY INVOKER BEGIN SET ROLE {boss}; RETURN 1; END"
    );
    // on MySQL no function may take a role
    let has_function = maker.query_drop(body).await.is_ok();
    let exec = executor_of_one(opts);
    in_time(exec.query_drop(format!("CALL {procedure}()"))).await.expect("called");
    assert_eq!(role(&exec).await, None);
    if has_function && exec.query_drop(format!("SELECT {function}()")).await.is_ok() {
        assert_eq!(role(&exec).await, None);
    }
}

#[tokio::test]
async fn case_76_a_role_that_the_set_up_takes_is_there_again() {
    let server = shared().await;
    let (opts, boss) = may_be_boss(server).await;
    let exec = Executor::builder().setup([format!("SET ROLE {boss}")]).build(pool_of(1, opts)).expect("good options");
    let taken = role(&exec).await.expect("the role of the set-up");
    leave(&exec, &["SET ROLE NONE"]).await;
    assert_eq!(role(&exec).await, Some(taken));
}

/// The bytes of the column `v`, row by row.
async fn stored(server: &Server, table: &str) -> Vec<String> {
    let mut conn = server.connect().await;
    let hex = conn.query(format!("SELECT HEX(v) FROM {table} ORDER BY id")).await.expect("rows");
    conn.disconnect().await.expect("a goodbye");
    hex
}

#[tokio::test]
async fn case_77_a_text_is_stored_alike_whatever_the_caller_before_did_to_the_character_sets() {
    let server = Server::builder().flag("--character-set-server=latin1").start().await;
    let dirt: [&[&str]; 8] = [
        &["SET @x = 1"],
        &["SET NAMES latin1"],
        &["SET NAMES latin2 COLLATE latin2_bin"],
        &["SET CHARACTER SET latin1"],
        &["SET character_set_client = latin1"],
        &["SET character_set_results = NULL"],
        &["SET collation_connection = utf8mb4_bin"],
        &["SET character_set_connection = latin1"],
    ];
    for with_database in [true, false] {
        let table = unique("accents");
        let create =
            format!("CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(9) CHARACTER SET utf8mb4)");
        server.query_drop(create).await;
        let opts = if with_database { server.opts() } else { server.opts().db_name(None::<String>) };
        let exec = executor_of_one(opts);
        let insert = format!("INSERT INTO test.{table} (v) VALUES ('é')");
        let collation = "SELECT CONCAT_WS(' ', @@character_set_client, COALESCE(@@character_set_results, '-'), \
                         @@character_set_connection, @@collation_connection, @@character_set_database)";
        let before: Option<String> = exec.query_first(collation).await.expect("an answer");
        exec.query_drop(insert.as_str()).await.expect("inserted");
        let old = connection_id(&exec).await;
        for texts in dirt {
            leave(&exec, texts).await;
            exec.query_drop(insert.as_str()).await.expect("inserted");
            let now: Option<String> = exec.query_first(collation).await.expect("an answer");
            assert_eq!(now, before, "{texts:?}");
        }
        assert_eq!(connection_id(&exec).await, old, "it was restored, not closed");
        assert_eq!(stored(&server, &table).await, vec!["C3A9"; dirt.len() + 1]);
    }
}

#[tokio::test]
async fn case_78_a_session_that_was_made_read_only_is_not_the_next_callers() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    for texts in [
        &["SET SESSION TRANSACTION READ ONLY", "BEGIN", "SELECT 1", "COMMIT"][..],
        &["SET SESSION TRANSACTION READ ONLY"],
        &["SET TRANSACTION READ ONLY"],
    ] {
        leave(&exec, texts).await;
        in_time(exec.query_drop(ledger.insert())).await.unwrap_or_else(|error| panic!("{texts:?}: {error}"));
    }
    assert_eq!(ledger.rows().await, 3);
}

// a reset keeps the profile of a session on MariaDB, and its optimizer trace on MySQL: both show texts of an earlier caller
#[tokio::test]
async fn statements_of_a_caller_are_not_shown_to_the_next_one() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let (dirt, look): (&[&str], _) = match server.flavour() {
        Flavour::MariaDb => {
            (&["SET profiling = 1", "SELECT 'secret'"], "SELECT COUNT(*) FROM information_schema.PROFILING")
        }
        Flavour::MySql => (
            &["SET optimizer_trace = 'enabled=on'", "SELECT 'secret' FROM information_schema.ENGINES"],
            "SELECT COUNT(*) FROM information_schema.OPTIMIZER_TRACE",
        ),
    };
    leave(&exec, dirt).await;
    let shown: Option<u32> = in_time(exec.query_first(look)).await.expect("an answer");
    assert_eq!(shown, Some(0));
}

// on MariaDB a session that has prepared an XA transaction cannot read its table
#[tokio::test]
async fn a_connection_with_a_prepared_xa_transaction_serves_nobody_else_with_half_of_it() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts());
    let xid = unique("xa");
    let texts =
        [format!("XA START '{xid}'"), ledger.insert(), format!("XA END '{xid}'"), format!("XA PREPARE '{xid}'")];
    leave(&exec, &texts.each_ref().map(String::as_str)).await;
    let rows: Option<u64> =
        in_time(exec.query_first(format!("SELECT COUNT(*) FROM {}", ledger.table))).await.expect("an answer");
    assert_eq!(rows, Some(0));
    server.query_drop(format!("XA ROLLBACK '{xid}'")).await;
}

// an error packet has no status flags, which would say that a transaction is open
#[tokio::test]
async fn a_transaction_that_an_error_left_open_does_not_pass_to_the_next_caller() {
    let server = shared().await;
    let ledger = Ledger::new(server).await;
    let exec = executor_of_one(server.opts()).with_policy(&RetryPolicy::none());
    for texts in [&["BEGIN"][..], &["SET autocommit = 0"]] {
        let mut session = in_time(exec.session()).await.expect("a session");
        for text in texts {
            session.query_drop(*text).await.expect("begun");
        }
        session.query_drop(ledger.insert()).await.expect("inserted");
        session.query_drop("SELECT nonsense").await.expect_err("nonsense");
        drop(session);
        in_time(exec.query_drop(ledger.insert())).await.expect("inserted");
    }
    assert_eq!(ledger.rows().await, 2);
}

#[tokio::test]
async fn case_74_a_borrower_that_wants_a_reset_by_the_driver_takes_nothing_from_the_next_caller() {
    let server = shared().await;
    let table = register(server).await;
    let proxy = Proxy::start(server).await;
    let policy = patient().to_builder().replay_unfenced(false).build().expect("valid");
    let builder = Executor::builder().setup(["SET SESSION group_concat_max_len = 77"]).policy(policy);
    let exec = builder.build(pool_of(1, proxy.opts())).expect("good options");
    for misuse in 0..4 {
        let mut conn = in_time(exec.connection()).await.expect("a connection");
        match misuse {
            0 => conn.reset_connection(true),
            1 => assert!(conn.reset().await.expect("reset")),
            2 => conn.change_user(Default::default()).await.expect("changed"),
            _ => drop(conn.query_iter("SELECT 1 UNION SELECT 2; SELECT 3").await.expect("rows")),
        }
        drop(conn);
        let longest: Option<u64> = in_time(exec.query_first("SELECT @@group_concat_max_len")).await.expect("an answer");
        assert_eq!(longest, Some(77), "{misuse}");
        // the connection has a mark, so that a lost statement is fenced
        proxy.rule(cut(&table));
        let update = format!("UPDATE {table} SET v = {misuse} WHERE id = 1");
        in_time(exec.query_drop(update.idempotent())).await.unwrap_or_else(|error| panic!("{misuse}: {error}"));
        assert_eq!((exec.counters().replays, exec.counters().unfenced), (misuse + 1, 0));
    }
}

#[tokio::test]
async fn case_74_a_connection_that_became_another_users_is_closed() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let (opts, _) = may_be_boss(server).await;
    let user = mysql_async::Opts::from(opts).user().map(str::to_owned);
    let own: Option<String> = exec.query_first("SELECT CURRENT_USER()").await.expect("an answer");
    let mut conn = in_time(exec.connection()).await.expect("a connection");
    conn.change_user(mysql_async::ChangeUserOpts::new().with_user(user)).await.expect("changed");
    drop(conn);
    let next: Option<String> = in_time(exec.query_first("SELECT CURRENT_USER()")).await.expect("an answer");
    assert_eq!(next, own);
}

#[tokio::test]
async fn case_74_a_connection_that_was_taken_out_of_its_loan_is_not_used_again() {
    let server = shared().await;
    let exec = executor_of_one(server.opts());
    let mut loan = in_time(exec.connection()).await.expect("a connection");
    let id = loan.id();
    let mut taken = std::mem::replace(&mut *loan, Conn::new(server.opts()).await.expect("a connection"));
    drop(loan);
    taken.query_drop("SET @mine = 1").await.expect("set");
    drop(taken);
    let mut next = in_time(exec.session()).await.expect("a session");
    let mine: Option<(Option<i32>, u32)> =
        in_time(next.query_first("SELECT @mine, CONNECTION_ID()")).await.expect("an answer");
    let (mine, now) = mine.expect("a row");
    assert_eq!(mine, None);
    assert_ne!(now, id);
}
