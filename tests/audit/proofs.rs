//! The error numbers that prove that nothing was executed, and why they cannot come after an execution.
//!
//! The audit says every number after an execution as well. `NotExecuted` is wrong there, except for these.

use crate::numbers::Said;

const CHECKED: &str = "the server checks it before it executes a statement";
const BEGINS: &str = "a member of a group finds it when a transaction begins";
const UNDONE: &str = "the server undid the rows of the statement before it said so";

/// A number, what its message has to contain, and the reason.
const PROOFS: &[(u16, &str, &str)] = &[
    (1036, "", "the server checks it before it changes a row"),
    (1040, "", "there was no connection to execute it on"),
    (1047, "", CHECKED),
    (1064, "", "the parser refused the text"),
    (1203, "", "there was no connection to execute it on"),
    (1226, "", CHECKED),
    (1243, "", "without the prepared statement there is nothing to execute"),
    (1290, "", CHECKED),
    (1615, "", "the server finds it when it opens the tables"),
    (1792, "", "the server checks it before it changes a row"),
    (1836, "", "the server checks it before it changes a row"),
    (1874, "", "the server checks it before it changes a row"),
    (3032, "", CHECKED),
    (6400, "", CHECKED),
    (4031, "inactivity", "the server says it in place of reading a command"),
    (4094, "group_replication_set_as_primary", CHECKED),
    (3781, "", BEGINS),
    (3782, "", BEGINS),
    (3783, "", BEGINS),
    (3796, "", BEGINS),
    (3797, "", BEGINS),
    (3798, "", BEGINS),
    (3799, "", BEGINS),
    (1020, "", UNDONE),
    (1180, "error 149", UNDONE),
    (1205, "", UNDONE),
    (1206, "", UNDONE),
    (1213, "", UNDONE),
    (1412, "", UNDONE),
    (3101, "", UNDONE),
    (8002, "", UNDONE),
    (8022, "", UNDONE),
    (8028, "", UNDONE),
    (9007, "rite conflict", UNDONE),
];

/// Why this error proves that nothing was executed, if it does.
pub fn reason(said: &Said) -> Option<&'static str> {
    let of_number = PROOFS.iter().find(|(code, part, _)| *code == said.code && said.message.contains(part));
    // a number that is in no row of the table: SQLSTATE class 40 says that the transaction was rolled back
    of_number.map(|(_, _, reason)| *reason).or_else(|| said.state.starts_with("40").then_some(UNDONE))
}
