//! A refusal proves something only about one statement.

use super::{StateKinds, read};

#[test]
fn more_than_one_statement_is_several() {
    for (sql, kinds) in [
        ("SELECT 1; SELECT 2", StateKinds::NONE),
        ("SELECT 1;;SELECT 2;", StateKinds::NONE),
        ("SELECT 1;/* x */SELECT 2", StateKinds::NONE),
        ("; SELECT 1", StateKinds::NONE),
        ("SELECT 1 -- x\n; SELECT 2", StateKinds::NONE),
        ("SELECT 1; (SELECT 2)", StateKinds::NONE),
        ("SELECT '-- ';SELECT 2", StateKinds::NONE),
        ("INSERT INTO t (a) VALUES (1); SET @a = 1", StateKinds::USER_VARIABLES),
        ("BEGIN; COMMIT", StateKinds::TRANSACTION),
        ("USE d; SELECT 1", StateKinds::DATABASE),
        ("SELECT 1; SET a = 1", StateKinds::SESSION_VARIABLES),
        ("GRANT SELECT ON t TO u; SELECT 'a'@b", StateKinds::USER_VARIABLES),
        ("SELECT (1; SET a = 1", StateKinds::SESSION_VARIABLES),
        ("SHOW; SET a = 1", StateKinds::SESSION_VARIABLES),
        ("CREATE TABLE t (a INT); DO GET_LOCK('a', 1)", StateKinds::USER_LOCK),
        ("SET GLOBAL a = 1; SET b = 1", StateKinds::SESSION_VARIABLES),
    ] {
        let reading = read(sql.as_bytes());
        assert!(reading.several(), "{sql}");
        assert_eq!(reading.state(), kinds, "{sql}");
    }
    let mixed = read(b"CREATE TABLE t (a INT); SELECT f(1)");
    assert!(mixed.state().contains(StateKinds::UNKNOWN));
}

#[test]
fn only_reading_takes_all_statements() {
    assert!(read(b"SELECT 1; SHOW TABLES").reads_only());
    assert!(!read(b"SELECT 1; DELETE FROM t").reads_only());
    assert!(!read(b"DELETE FROM t; SELECT 1").reads_only());
    assert!(!read(b"SELECT 1; SET @a = 1").reads_only());
    assert!(read(b"WITH a AS (SELECT 1) SELECT * FROM a FOR SHARE").reads_only());
    // in doubt
    assert!(!read(b"WITH a AS (SELECT 1) SELECT * FROM a FOR UPDATE").reads_only());
}

#[test]
fn a_semicolon_in_a_string_name_or_comment_ends_nothing() {
    for sql in [
        "SELECT ';' , \";\", `;`",
        "SELECT 1 -- ; SELECT 2",
        "SELECT 1 # ; SELECT 2",
        "SELECT 1 /* ; SELECT 2 */",
        "SELECT 1; -- SELECT 2",
        "SELECT 1; # SELECT 2\n ; /* ; */",
    ] {
        assert!(!read(sql.as_bytes()).several(), "{sql}");
    }
}

#[test]
fn a_file_of_the_clients_is_seen() {
    for sql in [
        "LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
        "load data low_priority local infile 'x' into table t (a, b)",
        "LOAD /* x */ XML CONCURRENT LOCAL INFILE 'x' INTO TABLE t",
        "SELECT 1; LOAD DATA LOCAL INFILE 'x' INTO TABLE t",
    ] {
        let reading = read(sql.as_bytes());
        assert!(reading.local_infile() && reading.several(), "{sql}");
        assert_eq!(reading.state(), StateKinds::NONE, "{sql}");
    }
    for sql in ["LOAD DATA INFILE 'LOCAL' INTO TABLE local", "SELECT local FROM t", "SET LOCAL a = 1"] {
        assert!(!read(sql.as_bytes()).local_infile(), "{sql}");
    }
}
