//! Exactly once: a row with the caller's token, written in the same transaction as the work.
//!
//! When the reply to COMMIT is lost, the transaction is run again from its start, and its first statement takes the token
//! again. A duplicate key proves that the lost COMMIT took effect. Success proves that it did not and never will: the unique
//! key makes the new transaction wait for an old one that is still open, and once the new one has its row, the old one cannot
//! write it. That needs no clock and no privilege.

mod claim;
mod table;

pub(crate) use claim::{Claim, Guard, MARK, Taken, checked};
pub(crate) use table::Table;
