//! Transactions and statements that are executed exactly once.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
};

use mysql_async::TxOpts;

use super::{
    table::{LONGEST_PAYLOAD, LONGEST_TOKEN, Table},
    token::{Token, random_bytes},
};
use crate::{
    error::Error,
    executor::Executor,
    transaction::{Tx, run_guarded},
};

/// What became of work that is to be done exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// It was done by this call, and this is its value.
    Now(T),
    /// It had been done before, by another call with the same token.
    Before {
        /// What that call had stored, see [`ExactlyOnce::payload`].
        payload: Option<Vec<u8>>,
    },
}

impl<T> Done<T> {
    /// The value, if the work was done by this call.
    pub fn now(self) -> Option<T> {
        match self {
            Done::Now(value) => Some(value),
            Done::Before { .. } => None,
        }
    }

    /// Whether the work was done by this call.
    pub fn is_now(&self) -> bool {
        matches!(self, Done::Now(_))
    }
}

/// A guarded transaction that is about to be run, made by
/// [`Transaction::exactly_once`](crate::Transaction::exactly_once). It runs when it is awaited.
#[must_use = "a transaction does nothing unless it is awaited"]
pub struct ExactlyOnce<'a, F, T> {
    exec: Executor,
    opts: TxOpts,
    work: F,
    token: Token,
    payload: Option<Payload<'a, T>>,
}

/// Makes of a value what is stored for later callers.
type Payload<'a, T> = Box<dyn Fn(&T) -> Vec<u8> + Send + Sync + 'a>;

impl<'a, F, T> ExactlyOnce<'a, F, T> {
    pub(crate) fn new(exec: Executor, opts: TxOpts, work: F, token: Token) -> Self {
        ExactlyOnce { exec, opts, work, token, payload: None }
    }

    /// Stores something with the token, at most 4096 bytes, which later callers with the same token get.
    pub fn payload(mut self, payload: impl Fn(&T) -> Vec<u8> + Send + Sync + 'a) -> Self {
        self.payload = Some(Box::new(payload));
        self
    }
}

impl<'a, F, Fut, T, E> IntoFuture for ExactlyOnce<'a, F, T>
where
    F: FnMut(Tx) -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
    T: Send + 'a,
    E: From<Error> + Send + 'a,
{
    type Output = Result<Done<T>, E>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Done<T>, E>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let ExactlyOnce { exec, opts, work, token, payload } = self;
        Box::pin(async move {
            let guard = Guard::new(&exec, token)?;
            run_guarded(&exec, &opts, work, &guard, payload.as_deref()).await
        })
    }
}

impl<F, T> fmt::Debug for ExactlyOnce<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExactlyOnce").field("exec", &self.exec).field("token", &self.token).finish_non_exhaustive()
    }
}

/// So many bytes of an owner are the call's, the rest is the number of its run.
const OF_CALL: usize = 12;

/// The guard of one call.
pub(crate) struct Guard {
    table: Table,
    token: Token,
    /// Tells this call's rows from another's with the same token; the last bytes are the run's.
    owner: [u8; 16],
}

/// What a row of the guard's table says.
pub(crate) enum Taken {
    /// This run of this call has written it: its lost COMMIT took effect.
    ByUs(u32),
    Before(Option<Vec<u8>>),
}

impl Guard {
    fn new(exec: &Executor, token: Token) -> Result<Self, Error> {
        let length = token.as_bytes().len();
        if length > LONGEST_TOKEN {
            let message =
                format!("the token has {length} bytes, and the guard's table takes {LONGEST_TOKEN}: give a hash of it");
            return Err(Error::config(message, None));
        }
        Ok(Guard { table: exec.guard_table().clone(), token, owner: random_bytes() })
    }

    /// Takes the token for this run of the call. On a cluster several lost COMMITs may be on their way, and the row is to
    /// tell which of them took effect.
    pub(crate) fn take(&self, run: u32) -> String {
        let mut owner = self.owner;
        owner[OF_CALL..].copy_from_slice(&run.to_be_bytes());
        self.table.take(&self.token, &owner)
    }

    pub(crate) fn find(&self) -> String {
        self.table.find(&self.token)
    }

    pub(crate) fn definition(&self) -> String {
        self.table.definition()
    }

    /// What is sent to commit with this payload.
    pub(crate) fn commit(&self, payload: Option<Vec<u8>>) -> Result<String, Error> {
        let Some(payload) = payload else { return Ok("COMMIT".into()) };
        if payload.len() > LONGEST_PAYLOAD {
            let length = payload.len();
            let message = format!("the payload has {length} bytes, and the guard's table takes {LONGEST_PAYLOAD}");
            return Err(Error::config(message, None));
        }
        Ok(format!("{}; COMMIT", self.table.note(&self.token, &payload)))
    }

    /// Whose row it is.
    pub(crate) fn read(&self, (owner, payload): (Vec<u8>, Option<Vec<u8>>)) -> Taken {
        match owner.split_at_checked(OF_CALL) {
            Some((call, run)) if call == &self.owner[..OF_CALL] => {
                Taken::ByUs(run.try_into().map_or(0, u32::from_be_bytes))
            }
            _ => Taken::Before(payload),
        }
    }

    /// Why the table, as `SHOW CREATE TABLE` tells it, is no good.
    pub(crate) fn objection(&self, definition: &str) -> Option<String> {
        let table = &self.table;
        (!definition.contains("ENGINE=InnoDB"))
            .then(|| format!("the guard's table {table} is not transactional: ALTER TABLE {table} ENGINE=InnoDB"))
    }

    /// What to do about a table that is not there.
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
        let guard = |owner| Guard { table: Table::default(), token: "t".into(), owner };
        let one = guard(random_bytes());
        let hex = |run: u32| {
            one.owner[..OF_CALL].iter().map(|byte| format!("{byte:02x}")).collect::<String>() + &format!("{run:08x}")
        };
        assert!(one.take(300).contains(&hex(300)), "{}", one.take(300));
        let owner = [&one.owner[..OF_CALL], &300_u32.to_be_bytes()].concat();
        assert!(matches!(one.read((owner.clone(), None)), Taken::ByUs(300)));
        assert!(matches!(guard(random_bytes()).read((owner, None)), Taken::Before(None)));
        assert!(matches!(one.read((Vec::new(), None)), Taken::Before(None)), "a row of somebody's own making");
    }
}
