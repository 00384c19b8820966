//! Which texts need a session, and which bring what they need?

use super::super::{StateKinds, read};

const TRANSACTION: StateKinds = StateKinds::TRANSACTION;
const VARIABLES: StateKinds = StateKinds::USER_VARIABLES;
const SETTINGS: StateKinds = StateKinds::SESSION_VARIABLES;
const TOLD: StateKinds = StateKinds::DIAGNOSTICS;
const ID: StateKinds = StateKinds::INSERT_ID;

#[track_caller]
fn all_need(kind: StateKinds, texts: &[&str]) {
    for text in texts {
        for text in [text.to_string(), format!("/* x */ {text} ;"), format!("-- x\n{text} # y")] {
            assert_eq!(read(text.as_bytes()).needs(), kind, "{text}");
        }
    }
}

#[track_caller]
fn all_leave_for_others(kind: StateKinds, texts: &[&str]) {
    for text in texts {
        for text in [text.to_string(), format!("/* x */ {text} ;"), format!("SELECT 1; {text}")] {
            let reading = read(text.as_bytes());
            assert_eq!((reading.needs(), reading.leaves_for_others()), (StateKinds::NONE, kind), "{text}");
        }
    }
}

#[track_caller]
fn all_stand_alone(texts: &[&str]) {
    for text in texts {
        let reading = read(text.as_bytes());
        let ties = (reading.needs(), reading.leaves_for_others());
        assert_eq!(ties, (StateKinds::NONE, StateKinds::NONE), "{text}");
    }
}

#[test]
fn what_is_used_and_not_provided_is_needed() {
    all_need(
        VARIABLES,
        &[
            "SELECT @a",
            "SELECT @a := @a + 1",
            "SET @a = @a + 1",
            "SET @a = 1, @b = @c",
            "SET x = @a",
            "INSERT INTO t VALUES (@a)",
            "UPDATE t SET a = @a",
            "SELECT @n := @n + 1 FROM t, (SELECT @m := 0) z",
            "SELECT @A, @B FROM t, (SELECT @a := 0) z",
            "SELECT @x := @y, @y := 5",
            "SELECT @`a b`",
            "SELECT @'a'",
            "KILL @a",
            "CALL p(@a + 1)",
            "PREPARE s FROM @sql; DEALLOCATE PREPARE s",
            "EXECUTE IMMEDIATE @sql",
            "SELECT 1; SELECT @a",
            "SELECT @a; SET @a = 1; SELECT @a",
            "INSERT INTO t SELECT f(@a)",
        ],
    );
    all_need(
        ID,
        &[
            "SELECT LAST_INSERT_ID()",
            "SELECT last_insert_id ( /* none */ )",
            "INSERT INTO child VALUES (LAST_INSERT_ID())",
            "INSERT INTO child VALUES (LAST_INSERT_ID()) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
            "SELECT @@last_insert_id",
            "SELECT @@identity",
            "SELECT @@session.identity",
            "SELECT @@`last_insert_id`",
            "SELECT 1; SELECT LAST_INSERT_ID()",
            "UPDATE t SET a = 1; SELECT LAST_INSERT_ID()",
            "SELECT LAST_INSERT_ID(LAST_INSERT_ID() + 1); SELECT LAST_INSERT_ID()".split(';').next().unwrap_or(""),
        ][..10],
    );
    all_need(
        TOLD,
        &[
            "SELECT FOUND_ROWS()",
            "SELECT ROW_COUNT()",
            "INSERT INTO t VALUES (ROW_COUNT())",
            "SHOW WARNINGS",
            "SHOW ERRORS LIMIT 1",
            "SHOW COUNT(*) WARNINGS",
            "SHOW PROFILE",
            "SHOW PROFILES",
            "SELECT @@warning_count",
            "SELECT @@session.error_count",
            "SELECT @@local.warning_count + 1",
        ],
    );
    all_need(
        StateKinds::SEQUENCE,
        &["SELECT LASTVAL(s)", "SELECT PREVIOUS VALUE FOR s", "INSERT INTO t VALUES (PREVIOUS VALUE FOR s)"],
    );
    all_need(StateKinds::PREPARED, &["EXECUTE s", "DEALLOCATE PREPARE s", "DROP PREPARE s"]);
    all_need(
        StateKinds::HANDLER,
        &["HANDLER t READ FIRST", "HANDLER t CLOSE", "HANDLER `open` CLOSE", "HANDLER open READ i = (1)"],
    );
    all_need(StateKinds::TABLE_LOCKS, &["UNLOCK TABLES", "UNLOCK INSTANCE", "BACKUP STAGE END", "BACKUP UNLOCK"]);
    all_need(
        StateKinds::USER_LOCK,
        &[
            "DO RELEASE_LOCK('a')",
            "SELECT RELEASE_ALL_LOCKS()",
            "SELECT RELEASE_LOCK('a'); SELECT 1",
            "SELECT GET_LOCK('a', 1); DO RELEASE_LOCK('a'); DO RELEASE_LOCK('b')",
        ],
    );
    all_need(StateKinds::TEMPORARY_TABLE, &["DROP TEMPORARY TABLE t", "DROP TEMPORARY TABLE a, b"]);
    all_need(
        TRANSACTION,
        &[
            "COMMIT",
            "ROLLBACK",
            "COMMIT WORK",
            "SAVEPOINT a",
            "RELEASE SAVEPOINT a",
            "XA COMMIT 'x'",
            "XA END 'x'",
            "INSERT INTO t VALUES (1); COMMIT",
            "BEGIN; COMMIT; COMMIT",
            "ROLLBACK; BEGIN; COMMIT",
        ],
    );
}

#[test]
fn what_only_a_later_text_can_use_is_left_for_others() {
    all_leave_for_others(
        TRANSACTION,
        &[
            "BEGIN",
            "begin work",
            "START TRANSACTION READ ONLY",
            "BEGIN; INSERT INTO t VALUES (1)",
            "BEGIN; INSERT INTO t VALUES (1); COMMIT AND CHAIN",
            "BEGIN; SAVEPOINT a; ROLLBACK TO a",
            "BEGIN; COMMIT; BEGIN",
            "XA START 'x'",
            "SET autocommit = 0",
            "SET autocommit = 1",
            "SET autocommit = 0; INSERT INTO t VALUES (1)",
            "SET TRANSACTION READ ONLY",
        ],
    );
    all_leave_for_others(
        VARIABLES,
        &[
            "SET @a = 1",
            "SET @a := 1, @b = 2",
            "SET @'a b' = 1",
            "SELECT 1 INTO @a",
            "SELECT 1, 2 INTO @a, @b",
            "SELECT a FROM t LIMIT 1 INTO\n@a",
            "SELECT @a := 1",
            "DO @a := 1",
            "UPDATE t SET a = (@x := a)",
            "SET @a = 1; SET @b = @a",
            "SELECT @a := 1 FROM t; SELECT 2 INTO @b",
        ],
    );
    all_leave_for_others(
        SETTINGS,
        &[
            "SET a = 1",
            "SET SESSION a = 1",
            "SET @@session.a = 1",
            "SET `a` = 1",
            "SET NAMES utf8mb4",
            "SET CHARACTER SET utf8mb4",
            "SET SESSION TRANSACTION READ ONLY",
            "SET transaction_isolation = 'SERIALIZABLE'",
            "SET last_insert_id = 5",
            "SET @@last_insert_id = 5",
            "SET a = 1, GLOBAL b = 2",
            "SET @@global.a = 1, @@session.b = 2",
            "SET GLOBAL a = 1, SESSION b = 2",
        ],
    );
    all_leave_for_others(SETTINGS.union(VARIABLES), &["SET @a = 1, b = 2"]);
    all_leave_for_others(StateKinds::ROLE, &["SET ROLE r", "SET ROLE NONE"]);
    all_leave_for_others(StateKinds::DATABASE, &["USE d", "use `d`"]);
    all_leave_for_others(
        StateKinds::TABLE_LOCKS,
        &[
            "LOCK TABLES t WRITE",
            "LOCK TABLES t WRITE; INSERT INTO t VALUES (1)",
            "FLUSH TABLES WITH READ LOCK",
            "FLUSH TABLES t FOR EXPORT",
            "LOCK INSTANCE FOR BACKUP",
            "BACKUP STAGE START",
            "BACKUP LOCK t",
            "LOCK TABLES t READ; UNLOCK TABLES; LOCK TABLES t READ",
        ],
    );
    all_leave_for_others(
        StateKinds::USER_LOCK,
        &[
            "SELECT GET_LOCK('a', 1)",
            "DO GET_LOCK('a', 1); UPDATE t SET a = 1",
            "SELECT GET_LOCK('a', 1), GET_LOCK('b', 1); DO RELEASE_LOCK('a')",
        ],
    );
    all_leave_for_others(
        StateKinds::TEMPORARY_TABLE,
        &[
            "CREATE TEMPORARY TABLE t (a INT)",
            "CREATE OR REPLACE TEMPORARY TABLE t SELECT 1",
            "CREATE TEMPORARY SEQUENCE s",
        ],
    );
    all_leave_for_others(StateKinds::PREPARED, &["PREPARE s FROM 'SELECT 1'"]);
    all_leave_for_others(StateKinds::HANDLER, &["HANDLER t OPEN", "HANDLER d.t OPEN AS h"]);
}

#[test]
fn a_text_that_brings_what_it_needs_stands_alone() {
    all_stand_alone(&[
        "SELECT @n := @n + 1 FROM t, (SELECT @n := 0) z",
        "SELECT @n := @n + 1 AS n, t.* FROM t CROSS JOIN (SELECT @N := 0) AS init ORDER BY a",
        "SELECT IF(@p = g, @r := @r + 1, @r := 1), @p := g FROM t JOIN (SELECT @r := 0, @p := NULL) z",
        "SELECT x.n FROM (SELECT @n := @n + 1 AS n FROM (SELECT @n := 0) i, t) x",
        "SET @n = 0; UPDATE t SET a = (@n := @n + 1)",
        "SET @a = 1; SELECT @a",
        "SET @a = 1, @b = @a; SELECT @b",
        "SELECT 1 INTO @a; SELECT @a",
        "SELECT 1, 2 INTO @a, @b; INSERT INTO t VALUES (@a, @b)",
        "UPDATE t SET a = (@x := a) LIMIT 1; SELECT @x",
        "CALL p(1, @out); SELECT @out",
        "CALL p(1, @out)",
        "CREATE USER 'u' @ 'h'",
        "GRANT SELECT ON t TO u @h",
        "KILL USER u@h",
        "SHOW GRANTS FOR 'u' @ 'h'",
        "SET @in = 1; CALL p(@in)",
        "CALL p(); SELECT @a",
        "LOAD DATA INFILE 'x' INTO TABLE t (a, @b) SET c = @b + 1",
        "LOAD DATA INFILE 'x' INTO TABLE t (a, @skipped, b)",
        "BEGIN; INSERT INTO t VALUES (1); COMMIT",
        "START TRANSACTION; SAVEPOINT a; INSERT INTO t VALUES (1); ROLLBACK TO a; ROLLBACK;",
        "begin; commit and no chain",
        "SET autocommit = 0; INSERT INTO t VALUES (1); COMMIT",
        "SET autocommit = 0; INSERT INTO t VALUES (1); SET autocommit = 1",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION; SELECT 1; COMMIT",
        "XA START 'x'; INSERT INTO t VALUES (1); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'",
        "XA RECOVER",
        "USE d; SELECT 1",
        "SET NAMES utf8mb4; SELECT 1",
        "SET sql_mode = ''; INSERT INTO t VALUES (1)",
        "SET ROLE r; SELECT 1",
        "LOCK TABLES t WRITE; UPDATE t SET a = 1; UNLOCK TABLES",
        "FLUSH TABLES WITH READ LOCK; SHOW MASTER STATUS; UNLOCK TABLES",
        "BACKUP STAGE START; BACKUP STAGE END",
        "SELECT GET_LOCK('a', 0); UPDATE t SET a = 1; DO RELEASE_LOCK('a')",
        "SELECT GET_LOCK('a', 0), SLEEP(1), RELEASE_LOCK('a')",
        "SELECT GET_LOCK('a', 0), GET_LOCK('b', 0); SELECT RELEASE_LOCK('a') + RELEASE_LOCK('b')",
        "DO GET_LOCK('a', 0), GET_LOCK('b', 0); DO RELEASE_ALL_LOCKS()",
        "SELECT IS_FREE_LOCK('a'), IS_USED_LOCK('b')",
        "CREATE TEMPORARY TABLE t (a INT); INSERT INTO t VALUES (1); DROP TEMPORARY TABLE t",
        "CREATE TEMPORARY TABLE t SELECT 1; SELECT * FROM t",
        "DROP TEMPORARY TABLE IF EXISTS t",
        "INSERT INTO t VALUES (1); SELECT LAST_INSERT_ID()",
        "INSERT INTO t VALUES (1); INSERT INTO c VALUES (LAST_INSERT_ID())",
        "REPLACE INTO t VALUES (1); SELECT @@identity",
        "CALL p(); SELECT LAST_INSERT_ID(), ROW_COUNT()",
        "UPDATE t SET id = LAST_INSERT_ID(id + 1)",
        "UPDATE t SET id = LAST_INSERT_ID(id + 1); SELECT LAST_INSERT_ID()",
        "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(id)",
        "SELECT LAST_INSERT_ID(5)",
        "SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1; SELECT FOUND_ROWS()",
        "UPDATE t SET a = 1; SELECT ROW_COUNT()",
        "UPDATE t SET a = 1; SHOW WARNINGS",
        "SELECT 1; SELECT @@warning_count",
        "SELECT NEXT VALUE FOR s; SELECT PREVIOUS VALUE FOR s, LASTVAL(s)",
        "SELECT NEXTVAL(s), LASTVAL(s)",
        "SELECT LASTVAL('a function of a user')",
        "PREPARE s FROM 'SELECT 1'; EXECUTE s; DEALLOCATE PREPARE s",
        "SET @q = 'SELECT 1'; PREPARE s FROM @q; EXECUTE s",
        "EXECUTE IMMEDIATE 'SELECT 1'",
        "HANDLER t OPEN; HANDLER t READ FIRST; HANDLER t CLOSE",
        "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
        // of no session
        "SELECT @@version, @@global.warning_count, @@session.wait_timeout, @@max_connections",
        "SELECT last_insert_id, identity, warning_count FROM t",
        "SET GLOBAL a = 1",
        "SET @@global.a = 1",
        "SET PERSIST a = 1",
        "SET GLOBAL a = 1, b = 2",
        "SET PASSWORD = 'x'",
        "SET DEFAULT ROLE r TO u",
        "SHOW VARIABLES",
        "SHOW STATUS",
        "SELECT DATABASE(), CONNECTION_ID(), CURRENT_ROLE()",
        "DROP DATABASE d",
        "FLUSH TABLES",
        "KILL 5",
        "",
    ]);
}

#[test]
fn what_is_not_certain_has_no_ties() {
    all_stand_alone(&[
        "CALL p()",
        "SELECT f(1)",
        "FROBNICATE @a",
        "INSERT INTO t VALUES ('it\\'s me@home.example')",
        "INSERT INTO t VALUES ('\\'; COMMIT; SET @a = 1; -- ')",
        "SELECT @x := 'it\\'s', @x",
        "SELECT GET_LOCK('a', 1), 'it\\'s', RELEASE_LOCK('a')",
        "/*!40101 SET NAMES utf8 */",
        "/*! BEGIN */",
        "CREATE PROCEDURE p() BEGIN SET @a = 1; COMMIT; END",
        "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = LAST_INSERT_ID()",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SET @a = @b",
        "CREATE VIEW v AS SELECT LAST_INSERT_ID()",
        "BEGIN NOT ATOMIC DECLARE a INT; SET a = 1; SELECT a; END",
        "IF 1 THEN SET @a = 1; END IF",
    ]);
    // The statement is certain, what is in it is not.
    all_leave_for_others(VARIABLES, &["SET @a = 1"]);
    for text in ["SET @a = 'it\\'s'", "SET names = 'it\\'s'", "USE d /*! x */", "BEGIN /*! WORK */"] {
        assert!(!read(text.as_bytes()).leaves_for_others().is_empty(), "{text}");
    }
}

#[test]
fn what_later_questions_ask_for_is_given() {
    for (text, kinds) in [
        ("INSERT INTO t VALUES (1)", ID.union(TOLD)),
        ("REPLACE INTO t VALUES (1)", ID.union(TOLD)),
        ("UPDATE t SET a = 1", TOLD),
        ("UPDATE t SET a = LAST_INSERT_ID(5)", ID.union(TOLD)),
        ("SELECT NEXTVAL(s)", StateKinds::SEQUENCE.union(TOLD)),
        ("SELECT NEXT VALUE FOR s", StateKinds::SEQUENCE.union(TOLD)),
        ("INSERT INTO t VALUES (NEXT VALUE FOR s)", StateKinds::TOLD),
        ("CALL p()", StateKinds::TOLD),
        ("SELECT f(1)", StateKinds::TOLD),
        ("", StateKinds::NONE),
    ] {
        assert_eq!(read(text.as_bytes()).gives(), kinds, "{text}");
    }
}

#[test]
fn a_long_text_of_variables_is_read_in_one_go() {
    let _ = read("SELECT @a := ".repeat(1 << 13).as_bytes());
    let _ = read(["SELECT 1 INTO @a", &", @a".repeat(1 << 16)].concat().as_bytes());
    let _ = read("@a,".repeat(1 << 16).as_bytes());
}

#[test]
fn statements_of_sqls_own_preparing_are_known() {
    for text in
        ["DEALLOCATE PREPARE s", "DROP PREPARE s", "EXECUTE s", "/* x */ EXECUTE s USING @a", "EXECUTE immediate"]
    {
        assert!(read(text.as_bytes()).names_prepared(), "{text}");
    }
    for text in ["PREPARE s FROM 'SELECT 1'", "EXECUTE IMMEDIATE 'SELECT 1'", "DROP TABLE prepare", "SELECT 1"] {
        assert!(!read(text.as_bytes()).names_prepared(), "{text}");
    }
}
