//! The claim of a run to its token: what its row contains, and what others read in it.
//!
//! The first 12 bytes of `owner` identify the call, the last 4 the run. While a statement is under way that may commit,
//! `owner` is a mark instead. If something commits in the middle, the mark stays, and a later call with the token learns
//! that the work was done only in part. The text that commits restores the owner.

use std::sync::Arc;

use mysql_async::Row;

use super::table::{LONGEST_PAYLOAD, LONGEST_TOKEN, Table};
use crate::{
    error::Error,
    statement::{Token, random_bytes},
};

/// The number of bytes of `owner` that identify the call.
const OF_CALL: usize = 12;

/// The owner in the row of work that was done in part. It is readable text, for people who look at the table.
pub(crate) const MARK: &[u8; 16] = b"mysql_retry:open";

/// The guard of one call.
pub(crate) struct Guard {
    token: Token,
    /// Distinguishes the rows of this call from those of others with the same token; the last bytes identify the run.
    owner: [u8; 16],
}

/// The meaning of a row of the guard's table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// This run of this call has written it: its lost COMMIT took effect.
    ByUs(u32),
    Before(Option<Vec<u8>>),
    /// The work was ended in the middle, by this call or another one.
    InPart,
}

impl Guard {
    pub(crate) fn new(token: Token) -> Result<Self, Error> {
        let length = token.as_bytes().len();
        if length > LONGEST_TOKEN {
            let message =
                format!("the token has {length} bytes, and the guard's table takes {LONGEST_TOKEN}: give a hash of it");
            return Err(Error::config(message, None));
        }
        Ok(Guard { token, owner: random_bytes() })
    }

    /// The meaning of the row; `None` if it cannot be read.
    fn read(&self, row: &Row) -> Option<Taken> {
        let owner: Vec<u8> = row.get_opt(0)?.ok()?;
        let payload: Option<Vec<u8>> = row.get_opt(1)?.ok()?;
        Some(self.read_owner(&owner, payload))
    }

    fn read_owner(&self, owner: &[u8], payload: Option<Vec<u8>>) -> Taken {
        if owner == MARK {
            return Taken::InPart;
        }
        match owner.split_at_checked(OF_CALL) {
            Some((call, run)) if call == &self.owner[..OF_CALL] => {
                Taken::ByUs(run.try_into().map_or(0, u32::from_be_bytes))
            }
            _ => Taken::Before(payload),
        }
    }
}

/// What is stored with a token, if it is not too long.
pub(crate) fn checked(payload: Vec<u8>) -> Result<Vec<u8>, Error> {
    if payload.len() > LONGEST_PAYLOAD {
        let length = payload.len();
        let message = format!("the payload has {length} bytes, and the guard's table takes {LONGEST_PAYLOAD}");
        return Err(Error::config(message, None));
    }
    Ok(payload)
}

/// One run's claim to the token of its call, in the table of the server that it runs on.
#[derive(Clone)]
pub(crate) struct Claim {
    guard: Arc<Guard>,
    table: Arc<Table>,
    run: u32,
}

impl Claim {
    pub(crate) fn new(guard: &Arc<Guard>, table: &Arc<Table>, run: u32) -> Self {
        Claim { guard: guard.clone(), table: table.clone(), run }
    }

    /// On a cluster several lost COMMITs may still be applied, and the row shows which of them took effect.
    fn owner(&self) -> [u8; 16] {
        let mut owner = self.guard.owner;
        owner[OF_CALL..].copy_from_slice(&self.run.to_be_bytes());
        owner
    }

    /// Takes the token.
    pub(crate) fn take(&self) -> String {
        self.table.take(&self.guard.token, &self.owner())
    }

    pub(crate) fn find(&self) -> String {
        self.table.find(&self.guard.token)
    }

    /// Stores the payload for later callers.
    pub(crate) fn note(&self, payload: &[u8]) -> String {
        self.table.note(&self.guard.token, payload)
    }

    /// Marks the row: what is committed from now on is only a part of the work.
    pub(crate) fn mark(&self) -> String {
        self.table.own(&self.guard.token, MARK, None)
    }

    /// Restores the owner.
    pub(crate) fn settle(&self, payload: Option<&[u8]>) -> String {
        self.table.own(&self.guard.token, &self.owner(), payload)
    }

    /// Writes a row with the mark if there is no row, in a transaction of its own.
    pub(crate) fn spoil(&self) -> String {
        self.table.spoil(&self.guard.token, MARK)
    }

    /// Whether a text names the guard's table.
    pub(crate) fn is_named_in(&self, text: &[u8]) -> bool {
        self.table.is_named_in(text)
    }

    /// The meaning of the row of the token; `None` if it cannot be read.
    pub(crate) fn read(&self, row: &Row) -> Option<Taken> {
        self.guard.read(row)
    }

    pub(crate) fn is_row_of_this_run(&self, row: &Row) -> bool {
        self.guard.read(row) == Some(Taken::ByUs(self.run))
    }

    /// The message for a row of the token that cannot be read.
    pub(crate) fn unreadable(&self) -> String {
        format!("the guard's table {} has other columns than those of guard_ddl()", self.table)
    }

    /// The message for a row that the closure has removed.
    pub(crate) fn removed(&self) -> String {
        format!("the work has removed or changed the row of its own token in {}: nothing was committed", self.table)
    }

    /// The message for a row with the mark.
    pub(crate) fn in_part(&self) -> String {
        format!(
            "the work of this token was ended in the middle, by a statement that committed or rolled back on its own: check \
             what is there, and delete the row of the token from {} to have the work done again",
            self.table
        )
    }

    /// The message for a table that does not exist.
    pub(crate) fn missing(&self) -> String {
        format!(
            "the guard's table {} does not exist: create it with create_guard_table(), or as guard_ddl() says",
            self.table
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_which_run_of_which_call_wrote_it() {
        let guard = |owner| Arc::new(Guard { token: "t".into(), owner });
        let one = guard(random_bytes());
        let hex = |run: u32| {
            one.owner[..OF_CALL].iter().map(|byte| format!("{byte:02x}")).collect::<String>() + &format!("{run:08x}")
        };
        let claim = Claim::new(&one, &Arc::new(Table::default()), 300);
        assert!(claim.take().contains(&hex(300)), "{}", claim.take());
        let owner = claim.owner();
        assert_eq!(one.read_owner(&owner, None), Taken::ByUs(300));
        assert_eq!(guard(random_bytes()).read_owner(&owner, None), Taken::Before(None));
        assert_eq!(one.read_owner(b"", None), Taken::Before(None), "a row of somebody's own making");
        assert_eq!(one.read_owner(MARK, None), Taken::InPart);
    }
}
