//! Statements and what they leave behind, as tables.

mod control;
mod fuzz;
mod neutral;
mod several;
mod state;
mod ties;

use super::lists::{FUNCTIONS, KEYWORDS, MARIADB_FUNCTIONS, MYSQL_FUNCTIONS, SPACED_FUNCTIONS};
use super::{Reading, StateKinds, read};

/// Every statement of the table leaves exactly these kinds behind and is one statement.
#[track_caller]
fn all_leave(kinds: StateKinds, statements: &[&str]) {
    for sql in statements {
        let reading = read(sql.as_bytes());
        assert_eq!(reading.state(), kinds, "{sql}");
        assert!(!reading.several(), "one statement: {sql}");
        assert!(!reading.reads_only(), "not only reading: {sql}");
    }
}

/// Every statement of the table may leave anything and may be several.
#[track_caller]
fn all_unknown(statements: &[&str]) {
    for sql in statements {
        let reading = read(sql.as_bytes());
        assert!(reading.state().contains(StateKinds::UNKNOWN), "{sql}");
        assert!(reading.several(), "maybe several: {sql}");
        assert!(!reading.reads_only(), "not only reading: {sql}");
    }
}

/// Every statement of the table leaves nothing behind and is one statement.
#[track_caller]
fn all_neutral(reads_only: bool, statements: &[&str]) {
    for sql in statements {
        let reading = read(sql.as_bytes());
        assert_eq!(reading.state(), StateKinds::NONE, "{sql}");
        assert!(!reading.several(), "one statement: {sql}");
        assert_eq!(reading.reads_only(), reads_only, "reads_only: {sql}");
        assert!(!reading.local_infile(), "no file: {sql}");
    }
}

#[test]
fn the_lists_are_sorted_in_capitals_and_without_names_that_leave_state() {
    for list in [KEYWORDS, FUNCTIONS, MYSQL_FUNCTIONS, MARIADB_FUNCTIONS, SPACED_FUNCTIONS] {
        assert!(list.is_sorted_by(|a, b| a < b), "sorted");
        for name in list {
            assert_eq!(*name, name.to_ascii_uppercase());
            let lasting = ["LOCK", "NEXTVAL", "SETVAL", "LAST_INSERT_ID", "INTERNAL"];
            let lasting = lasting.iter().any(|part| name.contains(part));
            assert!(!lasting, "{name}");
        }
    }
}

#[test]
fn every_listed_name_is_found_in_any_case() {
    for list in [KEYWORDS, FUNCTIONS, MYSQL_FUNCTIONS, MARIADB_FUNCTIONS, SPACED_FUNCTIONS] {
        for name in list {
            for name in [name.to_string(), name.to_ascii_lowercase()] {
                let sql = format!("SELECT a + {name}(1)");
                assert!(read(sql.as_bytes()).state().is_neutral(), "{sql}");
                let qualified = format!("SELECT a + db.{name}(1)");
                assert!(!read(qualified.as_bytes()).state().is_neutral(), "{qualified}");
                let longer = format!("SELECT a + {name}_(1)");
                assert!(!read(longer.as_bytes()).state().is_neutral(), "{longer}");
            }
        }
    }
}

#[test]
fn kinds_display_in_plain_words() {
    let kinds = StateKinds::USER_LOCK.union(StateKinds::USER_VARIABLES);
    let names: Vec<_> = kinds.kinds().map(|kind| kind.to_string()).collect();
    assert_eq!(names, ["user variables", "user-level locks"]);
    assert_eq!(StateKinds::NONE.kinds().count(), 0);
    assert!(kinds.contains(StateKinds::USER_LOCK));
    assert!(!StateKinds::USER_LOCK.contains(kinds));
}
