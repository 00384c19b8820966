//! What commits, what ends and what begins a transaction is seen; what does neither is not taken for it.

use super::super::{Control, Then, read};

/// Begin as statements that leave a transaction alone begin, or hold nothing else.
const KEEPING: &[&str] = &[
    "SELECT 1",
    " insert into t values (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "REPLACE t VALUES (1)",
    "WITH a AS (SELECT 1) SELECT * FROM a",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "rollback to savepoint a",
    "ROLLBACK WORK TO SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "SET @a = 1",
    "SELECT a_stored_function(1)",
    "INSERT INTO t VALUES (';')",
    "/* traceparent=00-ab */ INSERT INTO t VALUES (1)",
    "-- x\nINSERT INTO t VALUES (1)",
    "# x\nINSERT INTO t VALUES (1)",
    "/* a */ /* b */ -- c\n # d\n UPDATE t SET a = 1 /* ; COMMIT */",
    "(SELECT 1) UNION (SELECT 2)",
    "(((SELECT 1)))",
    "( /* x */ SELECT 1 FROM t FOR UPDATE)",
    "TABLE t",
    "VALUES (1), (2)",
    "VALUES ROW(1)",
    "DO 1",
    "DO SLEEP(1)",
    "HELP 'SELECT'",
    "USE d",
    "SHOW TABLES",
    "SHOW CREATE TABLE t",
    "SHOW BINARY LOGS",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE SELECT 1",
    "EXPLAIN UPDATE t SET a = 1",
    "DESCRIBE t",
    "DESC t",
    "ANALYZE SELECT 1",
    "ANALYZE FORMAT=JSON UPDATE t SET a = 1",
    "CREATE TEMPORARY TABLE t (a INT)",
    "create /* x */ temporary table if not exists t like u",
    "CREATE OR REPLACE TEMPORARY TABLE t AS SELECT 1",
    "DROP TEMPORARY TABLE t",
    "DROP TEMPORARY TABLE IF EXISTS t, u",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "LOAD DATA LOCAL INFILE 'x' INTO TABLE t FIELDS ENCLOSED BY '\\'' LINES TERMINATED BY '\\n'",
    "LOAD XML INFILE 'x' INTO TABLE t",
    "SET STATEMENT max_statement_time = 1 FOR INSERT INTO t VALUES (1)",
    "SET STATEMENT a = 1, b = (SELECT 1 FOR UPDATE) FOR SELECT 1",
    "SET STATEMENT a = 1 FOR CREATE TEMPORARY TABLE t (a INT)",
    "SET NAMES utf8mb4",
    "SET CHARACTER SET utf8mb4",
    "SET sql_mode = ''",
    "SET SESSION sort_buffer_size = 1, @a = 2",
    "SET @@session.a = 1",
    "SET GLOBAL max_connections = 1",
    "SET @@global.max_connections = 1",
    "SET PERSIST max_connections = 1",
    "SET tx_read_only = 1",
    "SET SESSION transaction_read_only = 1",
    "SET ROLE r",
    "SET ROLE 'a'@'b', c",
    "SET RESOURCE GROUP g",
    "SET TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET GLOBAL TRANSACTION READ WRITE",
    "SET autocommit = 0",
    "SET autocommit = OFF, @a = 1",
    "SET @a = 1, @@autocommit := false",
    "HANDLER t OPEN",
    "HANDLER t READ FIRST",
    "PREPARE s FROM 'SELECT 1'",
    "DEALLOCATE PREPARE s",
    "DROP PREPARE s",
    "CHECKSUM TABLE t",
    "KILL QUERY 5",
    "PURGE BINARY LOGS BEFORE NOW()",
    "LOCK INSTANCE FOR BACKUP",
    "UNLOCK INSTANCE",
    "XA RECOVER",
    "GET DIAGNOSTICS @n = NUMBER",
    "SIGNAL SQLSTATE '45000'",
    "SELECT GET_LOCK('a', 1)",
    "SELECT 1; SELECT 2",
    "INSERT INTO t VALUES (1); UPDATE t SET a = 2;",
    "SAVEPOINT a; INSERT INTO t VALUES (1); RELEASE SAVEPOINT a",
    // odd, and one statement whatever it holds
    "INSERT INTO t VALUES ('it\\'s')",
    "SELECT /*!40001 SQL_NO_CACHE */ * FROM t",
    "INSERT /*! IGNORE */ INTO t VALUES (1)",
];

const COMMITTING: &[&str] = &[
    "COMMIT",
    "/* x */ COMMIT",
    "-- x\nCOMMIT",
    "COMMIT AND CHAIN",
    "COMMIT WORK RELEASE",
    "ROLLBACK",
    "ROLLBACK AND CHAIN",
    "BEGIN",
    "BEGIN WORK",
    "START TRANSACTION",
    "CREATE TABLE t (a INT)",
    "CREATE TABLE temporary (a INT)",
    "CREATE TEMPORARY SEQUENCE s",
    "CREATE OR REPLACE TABLE t AS SELECT 1",
    "DROP TABLE t",
    "ALTER TABLE t ADD b INT",
    "RENAME TABLE a TO b",
    "CREATE INDEX i ON t (a)",
    "CREATE VIEW v AS SELECT 1",
    "CREATE USER u",
    "ALTER USER u IDENTIFIED BY 'x'",
    "GRANT SELECT ON t TO u",
    "REVOKE SELECT ON t FROM u",
    "TRUNCATE t",
    "CALL p()",
    "/* x */ CALL p()",
    "SET autocommit = 1",
    "SET autocommit = 0 + 1",
    "SET autocommit = DEFAULT",
    "SET `autocommit` = 1",
    "SET @@session.`autocommit` = 1",
    "SET @@autocommit = ON",
    "SET @a = 1, autocommit = 1",
    "SET autocommit = 0, autocommit = 1",
    "SET PASSWORD = 'x'",
    "SET @a = 1, PASSWORD FOR u = 'x'",
    "SET DEFAULT ROLE r TO u",
    "SET DEFAULT ROLE r FOR u",
    "SET GLOBAL read_only = 1",
    "SET @@global.super_read_only = 1",
    "SET gtid_next = 'AUTOMATIC'",
    "SET STATEMENT a = 1 FOR COMMIT",
    "SET STATEMENT a = 1 FOR CREATE TABLE t (a INT)",
    "SET STATEMENT a = 1",
    "SAVEPOINT a; COMMIT",
    "LOCK TABLES t WRITE",
    "UNLOCK TABLES",
    "BACKUP STAGE START",
    "FLUSH TABLES",
    "FLUSH STATUS",
    "FLUSH TABLES WITH READ LOCK",
    "INSERT INTO t VALUES (1); COMMIT",
    "SELECT 1; CREATE TABLE t (a INT)",
    "ANALYZE TABLE t",
    "ANALYZE NO_WRITE_TO_BINLOG TABLE t",
    "CHECK TABLE t",
    "OPTIMIZE TABLE t",
    "REPAIR TABLE t",
    "CACHE INDEX t IN c",
    "LOAD INDEX INTO CACHE t",
    "INSTALL PLUGIN x SONAME 'y'",
    "INSTALL COMPONENT 'x'",
    "UNINSTALL SONAME 'x'",
    "RESET MASTER",
    "CHANGE MASTER TO a = 1",
    "STOP SLAVE",
    "EXECUTE s",
    "EXECUTE IMMEDIATE 'SELECT 1'",
    "XA START 'x'",
    "XA COMMIT 'x'",
    "BEGIN NOT ATOMIC COMMIT; END",
    "IF 1 THEN COMMIT; END IF",
    "FROBNICATE",
    "(COMMIT)",
    "",
    ";",
    // comments that the server runs, and what may be another statement
    "/*! COMMIT */",
    "/*!50000 COMMIT */ SELECT 1",
    "/*M! CREATE TABLE t AS */ SELECT 1",
    "SELECT 1 /*! ; COMMIT */",
    "SET @a = 1 /*! , autocommit = 1 */",
    "SET @a = 'it\\'s', autocommit = 1, @b = 'it\\'s'",
    "DROP /*! TEMPORARY */ TABLE t",
    "SELECT '\\'; COMMIT -- '",
];

#[test]
fn what_leaves_a_transaction_alone_does_not_count_as_committing() {
    for text in KEEPING {
        assert!(!read(text.as_bytes()).may_commit(), "{text}");
        assert!(!read(format!("{text};").as_bytes()).may_commit() || text.contains(['\\', '!']), "{text};");
    }
}

#[test]
fn all_else_may_commit() {
    for text in COMMITTING {
        assert!(read(text.as_bytes()).may_commit(), "{text}");
        for before in ["/* x */", "-- x\n", "#\n"] {
            assert!(read(format!("{before}{text}").as_bytes()).may_commit(), "{before}{text}");
        }
        for keeping in KEEPING {
            let both = format!("{keeping}; {text}");
            assert!(read(both.as_bytes()).may_commit() || text.len() < 2, "{both}");
        }
    }
}

#[test]
fn a_call_is_told_from_what_commits_by_itself() {
    for text in ["CALL p()", "/* x */ call p", "CALL p('it\\'s')", "CALL p(); SELECT 1", "SELECT 1; CALL p()"] {
        assert!(read(text.as_bytes()).is_call(), "{text}");
    }
    for text in ["CALL p(); COMMIT", "COMMIT; CALL p()", "SELECT p()", "CREATE TABLE t (a INT)", "CALL p('\\';')"] {
        assert!(!read(text.as_bytes()).is_call(), "{text}");
    }
}

#[test]
fn another_transaction_is_seen() {
    for text in [
        "BEGIN",
        "begin work",
        "START TRANSACTION READ ONLY",
        "XA BEGIN 'a'",
        "XA START 'a'",
        "  START  TRANSACTION",
        "/* x */ BEGIN",
        "SELECT 1; BEGIN",
    ] {
        assert!(read(text.as_bytes()).begins_transaction(), "{text}");
    }
    for text in ["START SLAVE", "SELECT 1", "XA END 'a'", "COMMIT", "SAVEPOINT begin"] {
        assert!(!read(text.as_bytes()).begins_transaction(), "{text}");
    }
}

#[test]
fn a_text_that_only_controls_a_transaction_is_known_for_what_it_is() {
    use Control::{Begin, Commit, None, Rollback, Savepoint};
    use Then::{Chains, Disconnects, Ends};
    for (text, control) in [
        ("BEGIN", Begin),
        ("/* x */ begin /* y */ work ; -- z", Begin),
        ("START TRANSACTION", Begin),
        ("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;", Begin),
        ("COMMIT", Commit(Ends)),
        ("COMMIT WORK;", Commit(Ends)),
        ("# x\ncommit", Commit(Ends)),
        ("COMMIT AND NO CHAIN", Commit(Ends)),
        ("COMMIT AND NO CHAIN NO RELEASE", Commit(Ends)),
        ("COMMIT AND CHAIN", Commit(Chains)),
        ("COMMIT WORK AND CHAIN NO RELEASE", Commit(Chains)),
        ("COMMIT RELEASE", Commit(Disconnects)),
        ("ROLLBACK", Rollback(Ends)),
        ("ROLLBACK WORK AND CHAIN", Rollback(Chains)),
        ("ROLLBACK AND NO CHAIN RELEASE", Rollback(Disconnects)),
        ("ROLLBACK TO a", Savepoint),
        ("ROLLBACK WORK TO SAVEPOINT a", Savepoint),
        ("SAVEPOINT a", Savepoint),
        ("RELEASE SAVEPOINT a", Savepoint),
        ("", None),
        ("SELECT 1", None),
        ("COMMIT 1", None),
        ("COMMIT; SELECT 1", None),
        ("SELECT 1; COMMIT", None),
        ("BEGIN NOT ATOMIC SELECT 1; END", None),
        ("BEGIN SELECT 1", None),
        ("XA START 'x'", None),
        ("SET STATEMENT a = 1 FOR COMMIT", None),
        ("COMMIT /*! AND CHAIN */", None),
        ("CALL p()", None),
    ] {
        assert_eq!(read(text.as_bytes()).control(), control, "{text}");
    }
}

#[test]
fn the_end_of_the_only_statement_is_found() {
    for (text, statement) in [
        ("BEGIN", "BEGIN"),
        ("BEGIN;", "BEGIN"),
        ("  COMMIT ; \n-- end", "  COMMIT"),
        ("COMMIT -- end", "COMMIT"),
        ("/* x */ COMMIT/* y */;;", "/* x */ COMMIT"),
        ("INSERT INTO t VALUES ('a;') # x", "INSERT INTO t VALUES ('a;')"),
        ("SELECT `a`", "SELECT `a`"),
        ("SELECT a /* x */ .5", "SELECT a /* x */ .5"),
    ] {
        assert_eq!(read(text.as_bytes()).end(), Some(statement.len()), "{text}");
    }
    for text in [
        "",
        ";",
        "-- x",
        "COMMIT; COMMIT",
        "SELECT '\\''",
        "COMMIT /*! x */",
        "SELECT 'a",
        "SET STATEMENT a=1 FOR BEGIN",
    ] {
        assert_eq!(read(text.as_bytes()).end(), None, "{text}");
    }
}
