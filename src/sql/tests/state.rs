//! What leaves state behind is seen, however it is written.

use super::{StateKinds, all_leave, all_unknown, read};

#[test]
fn user_variables() {
    all_leave(
        StateKinds::USER_VARIABLES,
        &[
            "SET @a = 1",
            "SET @a = 1, @b := 2",
            "SET @'a' = 1",
            "SET @\"a\" = 1",
            "SET @`a` = 1",
            "select 1 into @a",
            "SELECT @a",
            "SELECT @a := @a + 1",
            "SELECT @ a",
            "SELECT a@b FROM t",
            "SELECT 'a'@b",
            "SELECT 'a' @b",
            "SELECT `a`@`b`",
            "SELECT @@a, @b",
            "SELECT @@global.a, @ `b`",
            "SELECT @a@@b",
            "UPDATE t SET a = (@x := a)",
            "INSERT INTO t (a) VALUES (@x)",
            "LOAD DATA INFILE 'x' INTO TABLE t (a, @b) SET c = @b + 1",
            "SELECT 1 /* ; */ INTO /**/ @a",
            "SELECT 1 INTO\n@a",
            "SHOW TABLES WHERE @a := 1",
            "SHOW VARIABLES LIKE 'a'@b",
            "EXPLAIN FORMAT=JSON INTO @x SELECT 1",
            "DO @a := 1",
            "(SELECT 1 INTO @a)",
            "WITH a AS (SELECT 1) SELECT 1 INTO @a",
            "CREATE USER 'u' @h",
            "CREATE TABLE t SELECT 'a'@b",
            "CREATE VIEW v AS SELECT 'a'@b",
            "ALTER TABLE t COMMENT 'a'@b",
            "SELECT 1-- 1\n, @a",
            "SELECT 1--1, @a",
            "SELECT 1 # x\n, @a",
            "SELECT '--', @a",
            "SELECT '#', @a",
            "SELECT '/*', @a",
            "SELECT `/*`, @a",
            "SELECT \"/*\", @a",
            "SELECT ''';', @a",
            "SELECT '''', @a",
            "SELECT `'`, @a, `'`",
            "SELECT /* ' */ @a /* ' */",
            "SELECT /*/ ' */ @a /* ' */",
            "SELECT /***/ @a /***/",
            "SELECT 1 -- '\n, @a -- '",
            "SELECT 1 -- \r, x\n, @a",
        ],
    );
}

#[test]
fn session_variables() {
    all_leave(
        StateKinds::SESSION_VARIABLES,
        &[
            "SET a = 1",
            "set session a = 1",
            "SET LOCAL a = 1",
            "SET @@a = 1",
            "SET @@session.a = 1",
            "SET @@local.a = 1",
            "SET `a` = 1",
            "SET NAMES utf8mb4",
            "SET CHARACTER SET utf8",
            "SET RESOURCE GROUP g",
            "SET GLOBAL a = 1, b = 2",
            "SET PASSWORD = 'x', a = 1",
            "/* x */ SET /* y */ a /* z */ = 1",
            "SET\ta=1",
            "SET sql_mode = 'ANSI_QUOTES'",
            "SET foreign_key_checks = (SELECT 1)",
            "SET transaction_isolation = 'READ-COMMITTED'",
            "SET SESSION TRANSACTION READ ONLY",
            "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SELECT LAST_INSERT_ID(5)",
            "SELECT last_insert_id /* x */ ( /* y */ a)",
            "UPDATE t SET id = LAST_INSERT_ID(id + 1)",
        ],
    );
    all_leave(StateKinds::ROLE, &["SET ROLE r", "SET ROLE 'r'@'h', `s`", "SET ROLE NONE", "SET ROLE ALL EXCEPT r"]);
    let both = StateKinds::SESSION_VARIABLES.union(StateKinds::USER_VARIABLES);
    all_leave(both, &["SET @a = 1, b = 2", "SET b = 2, @a = 1", "SET a = @b"]);
}

#[test]
fn the_current_database_and_temporary_tables() {
    all_leave(
        StateKinds::DATABASE,
        &[
            "USE d",
            "use `d`",
            "DROP DATABASE d",
            "DROP SCHEMA IF EXISTS d",
            "CREATE OR REPLACE DATABASE d",
            "/* x */USE d",
        ],
    );
    all_leave(
        StateKinds::TEMPORARY_TABLE,
        &[
            "CREATE TEMPORARY TABLE t (a INT)",
            "create/**/temporary/**/table t select 1",
            "CREATE OR REPLACE TEMPORARY TABLE t (a INT)",
            "CREATE TEMPORARY SEQUENCE s",
            "DROP TEMPORARY TABLE t",
        ],
    );
}

#[test]
fn locks() {
    all_leave(
        StateKinds::TABLE_LOCKS,
        &[
            "LOCK TABLES t WRITE",
            "lock table t read",
            "UNLOCK TABLES",
            "LOCK INSTANCE FOR BACKUP",
            "UNLOCK INSTANCE",
            "FLUSH TABLES WITH READ LOCK",
            "FLUSH TABLES t WITH READ LOCK",
            "FLUSH TABLES t FOR EXPORT",
            "FLUSH LOCAL TABLES /* x */ WITH READ LOCK",
            "BACKUP STAGE START",
            "BACKUP LOCK t",
            "BACKUP UNLOCK",
        ],
    );
    all_leave(
        StateKinds::USER_LOCK,
        &[
            "SELECT GET_LOCK('a', 1)",
            "SELECT/**/GET_LOCK('a',1)",
            "SELECT get_lock /* x */ ('a', 1)",
            "SELECT Get_Lock -- x\n('a', 1)",
            "SELECT GET_LOCK # x\n ('a', 1)",
            "DO RELEASE_LOCK('a')",
            "SELECT RELEASE_ALL_LOCKS()",
            "SELECT IS_FREE_LOCK('a')",
            "SELECT IS_USED_LOCK('a')",
            "SELECT BENCHMARK(1, GET_LOCK('a', 1))",
            "SELECT * FROM t WHERE a = IF(GET_LOCK('a', 1), 1, 2)",
            "INSERT INTO t (a) VALUES (GET_LOCK('a', 1))",
            "SELECT 1GET_LOCK, GET_LOCK('a', 1)",
            "SELECT 'a'GET_LOCK('a',1)",
            "SELECT 1+GET_LOCK('a',1)",
            "SELECT--1+GET_LOCK('a',1)",
            "SELECT 1.5,GET_LOCK('a',1)",
            "SELECT '',GET_LOCK('a',1)",
            "CREATE TABLE t (a INT DEFAULT (GET_LOCK('a', 1)))",
            "SHOW TABLES WHERE GET_LOCK('a', 1)",
            "KILL GET_LOCK('a', 1)",
            "SELECT {fn GET_LOCK('a', 1)}",
        ],
    );
}

#[test]
fn prepared_statements_handlers_and_transactions() {
    all_leave(StateKinds::PREPARED, &["PREPARE s FROM 'SELECT 1'", "DEALLOCATE PREPARE s", "DROP PREPARE s"]);
    all_leave(StateKinds::HANDLER, &["HANDLER t OPEN", "HANDLER t READ FIRST", "HANDLER t CLOSE"]);
    all_leave(
        StateKinds::TRANSACTION,
        &[
            "BEGIN",
            "begin work",
            "BEGIN;",
            "/* x */ BEGIN /* y */",
            "START TRANSACTION",
            "START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT",
            "COMMIT",
            "COMMIT AND CHAIN",
            "ROLLBACK",
            "ROLLBACK TO SAVEPOINT a",
            "SAVEPOINT a",
            "RELEASE SAVEPOINT a",
            "XA START 'x'",
            "XA COMMIT 'x'",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
            "SET autocommit = 0",
            "SET `autocommit` = 0",
            "SET @@autocommit=0",
            "SET SESSION autocommit = 0",
            "SET @@session.autocommit = 0",
        ],
    );
}

#[test]
fn what_is_not_recognised_may_leave_anything() {
    all_unknown(&[
        "CALL p()",
        "call p",
        "CALL db.p(1)",
        "SELECT f(1)",
        "SELECT a.f(1)",
        "SELECT a.b(1)",
        "SELECT `f`(1)",
        "SELECT `a`.`f` (1)",
        "SELECT \"f\"(1)",
        "SELECT f /* x */ (1)",
        "SELECT f\n(1)",
        "SELECT now (1)",
        "SELECT now/**/(1)",
        "SELECT NOW -- x\n(1)",
        "SELECT a, max (b) FROM t",
        "SELECT rank (1)",
        "SELECT VECTOR(1)",
        "SELECT f -- x\n(1)",
        "SELECT db.COUNT(1)",
        "SELECT db . count (1)",
        "SELECT 1.COUNT(1)",
        "SELECT `count`(1)",
        "SELECT db.GET_LOCK('a')",
        "SELECT 2f(1)",
        "SELECT 1, f(1)",
        "SELECT 1 + f(1)",
        "SELECT DISTINCT f(1)",
        "SELECT HIGH_PRIORITY f(1)",
        "SELECT (f(1))",
        "SELECT COUNT(f(1))",
        "SELECT a = f(1)",
        "SELECT NOT f(1)",
        "SELECT CASE f(1) WHEN 1 THEN 2 END",
        "SELECT a FROM t WHERE f(1)",
        "SELECT a FROM t ORDER BY a, f(1)",
        "SELECT a FROM t GROUP BY a WITH ROLLUP, f(1)",
        "SELECT a FROM t JOIN u ON f(1)",
        "SELECT a IN (1, f(1))",
        "SELECT a LIKE 'x' ESCAPE f(1)",
        "SELECT größe(1)",
        "SELECT a FROM t LIMIT f(1)",
        "SELECT INTERVAL f(1) DAY + b",
        "SELECT 'a', f(1)",
        "SELECT ?, f(?)",
        "SELECT LATERAL(1)",
        "SELECT a, LATERAL(1)",
        "SELECT a, COLUMNS(1)",
        "SELECT OF(1)",
        "SELECT AGAINST(1)",
        "SELECT a, f(x) AS y",
        "SELECT a, f(x) AS 'y'",
        "SELECT a, f(x, 1) AS (y)",
        "SELECT @f(1)",
        "SELECT x, g(f(f(f(f(1)))))",
        "INSERT INTO t (a) VALUES (f(1))",
        "INSERT INTO t (a) SELECT f(1)",
        "INSERT INTO t SELECT f(1)",
        "INSERT INTO t SELECT HIGH_PRIORITY f(1)",
        "INSERT INTO t SET a = f(1)",
        "UPDATE t SET a = f(1)",
        "UPDATE t SET a = 1, b = f(1)",
        "DELETE FROM t WHERE f(1)",
        "DO f(1)",
        "SET GLOBAL x = f(1)",
        "SHOW TABLES WHERE f(1)",
        "EXPLAIN SELECT f(1)",
        "ANALYZE SELECT f(1)",
        "ANALYZE f",
        "WITH a AS (SELECT f(1)) SELECT 1",
        "CREATE TABLE t SELECT f(1)",
        "CREATE TABLE t (a INT) VALUES (f(1))",
        "CREATE VIEW v AS SELECT f(1)",
        "LOAD DATA INFILE 'x' INTO TABLE t (a) SET b = f(1)",
        "EXECUTE s",
        "EXECUTE s USING @a",
        "EXECUTE IMMEDIATE 'SET @a = 1'",
        "BEGIN NOT ATOMIC SET @a = 1; END",
        "BEGIN SELECT 1; END",
        "BEGIN WORK WORK",
        "x: BEGIN END",
        "SET STATEMENT max_statement_time = 1 FOR SELECT 1",
        "SET",
        "SET SESSION",
        "SET a = 1,",
        "CREATE",
        "CREATE OR",
        "ALTER",
        "DROP",
        "RENAME",
        "LOAD",
        "LOAD DATA",
        "START",
        "ANALYZE",
        "CREATE PROCEDURE p() SELECT 1",
        "CREATE FUNCTION f() RETURNS INT RETURN 1",
        "CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = 1",
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "CREATE DEFINER=u@h PROCEDURE p() SELECT 1",
        "CREATE AGGREGATE FUNCTION f RETURNS INT SONAME 'x'",
        "ALTER EVENT e DO SELECT 1",
        "CREATE PACKAGE p AS END",
        "INSTALL PLUGIN x SONAME 'y'",
        "RESET MASTER",
        "CHANGE MASTER TO a = 1",
        "START SLAVE",
        "STOP REPLICA",
        "SHUTDOWN",
        "RESTART",
        "BINLOG 'x'",
        "GET DIAGNOSTICS a = NUMBER",
        "SIGNAL SQLSTATE '45000'",
        "LOAD INDEX INTO CACHE t",
        "CACHE INDEX t IN c",
        "IF 1 THEN SELECT 1; END IF",
        "DECLARE a INT",
        "FLUSH QUERY CACHE",
        "FROBNICATE",
        "SELECTED 1",
        "1",
        "'x'",
        "`SELECT` 1",
        "?",
        ")",
        "(",
        "()",
        "(INSERT INTO t VALUES (1))",
        "(SET a = 1)",
        "(CALL p())",
        "@a",
        "= 1",
    ]);
}

#[test]
fn comments_that_the_server_runs_may_hold_anything() {
    all_unknown(&[
        "/*!50000 SET @x=1 */",
        "/*! SELECT 1 */",
        "/*M! SET @x=1 */",
        "/*M!100100 SELECT 1 */",
        "SELECT 1 /*!50000 + 1 */",
        "SELECT /*!99999 f(1) */ 1",
        "/*!",
        "CREATE /*!50017 DEFINER=`u`@`h` */ VIEW v AS SELECT 1",
        "SELECT 1/*!*/",
        "SELECT /*+ QB_NAME(`a*/`) */ 1",
    ]);
}

#[test]
fn a_text_that_depends_on_the_sql_mode_may_hold_anything() {
    all_unknown(&[
        r"SELECT 'it\'s'",
        r"SELECT 'C:\\'",
        r"SELECT '\'', 1, '\''",
        r#"SELECT "a\"b""#,
        r"SELECT '\', GET_LOCK(1, 1) -- '",
        r"SELECT '''\''",
        r"INSERT INTO t (a) VALUES ('\\\'')",
        r"SELECT \N",
        r"SELECT 1 \",
    ]);
}

#[test]
fn what_is_unterminated_or_no_text_may_hold_anything() {
    all_unknown(&[
        "SELECT 'a",
        "SELECT \"a",
        "SELECT `a",
        "SELECT /* a",
        "SELECT /*",
        "SELECT /*/",
        "SELECT '",
        "SELECT 'a''",
        "'",
        "\"",
        "`",
        "/*",
        "SELECT 1\0",
        "SELECT\0 1",
        "SELECT 1 -- a\0b\n",
        "SELECT `a\0`",
        "SELECT \"a\0\"",
        "SELECT 1 \x01",
        "SELECT [a]",
        "SELECT $$a$$",
        "SELECT $a$ ' $a$",
        "SELECT 1 --\u{e9}",
    ]);
    for sql in [
        &b"SELECT \xff"[..],
        b"SELECT a\xa0INTO\xa0OUTFILE 'x'",
        b"SELECT `\x81`, GET_LOCK(1, 1), `\x81`",
        b"SELECT \x81`a`",
        b"\xef\xbb\xbfSELECT 1",
        b"\xff",
        b"SET\xa0a = 1",
    ] {
        let reading = read(sql);
        assert!(reading.state().contains(StateKinds::UNKNOWN), "{sql:?}");
        assert!(reading.several() && !reading.reads_only(), "{sql:?}");
    }
    // A blob inside a string is nobody's business.
    assert!(read(b"INSERT INTO t (a) VALUES ('\x00\xff\x81')").state().is_neutral());
}
