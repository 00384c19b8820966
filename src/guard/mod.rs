//! Exactly once: a row with the caller's token, written in the same transaction as the work.
//!
//! When the reply to COMMIT is lost, the transaction is run again from its start, and its first statement takes the token
//! again. A duplicate key says that the lost COMMIT took effect. Success says that it did not, and never will: the
//! unique key makes the newcomer wait for a predecessor that still lives, and keeps it out once the newcomer has its
//! row. That needs no clock, no privilege and no guess.

mod claim;
mod table;

pub(crate) use claim::{Claim, Guard, MARK, Taken, checked};
pub(crate) use table::Table;
