//! Transactions and statements that are executed exactly once.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
};

use mysql_async::{Params, TxOpts};

use super::{Again, Tx, guarded::run_guarded};
use crate::{
    error::Error,
    guard::Guard,
    handle::Handle,
    sql,
    statement::{AsStatement, Token},
    summary::Summary,
};

/// What became of work that is to be done exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// It was done by this call, and this is its value.
    Now(T),
    /// It had been done before, by another call with the same token.
    #[non_exhaustive]
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
pub struct ExactlyOnce<'a, F, T, E> {
    handle: Handle,
    opts: TxOpts,
    work: F,
    token: Token,
    payload: Option<Payload<'a, T>>,
    again: Option<Box<Again<'a, E>>>,
}

/// Makes of a value what is stored for later callers.
type Payload<'a, T> = Box<dyn Fn(&T) -> Vec<u8> + Send + Sync + 'a>;

impl<'a, F, T, E> ExactlyOnce<'a, F, T, E> {
    pub(crate) fn new(handle: Handle, opts: TxOpts, work: F, token: Token, again: Option<Box<Again<'a, E>>>) -> Self {
        ExactlyOnce { handle, opts, work, token, payload: None, again }
    }

    /// Stores something with the token, at most 4096 bytes, which later callers with the same token get.
    pub fn payload(mut self, payload: impl Fn(&T) -> Vec<u8> + Send + Sync + 'a) -> Self {
        self.payload = Some(Box::new(payload));
        self
    }
}

impl<'a, F, Fut, T, E> IntoFuture for ExactlyOnce<'a, F, T, E>
where
    F: FnMut(Tx) -> Fut + Send + 'a,
    Fut: Future<Output = Result<T, E>> + Send + 'a,
    T: Send + 'a,
    E: From<Error> + Send + 'a,
{
    type Output = Result<Done<T>, E>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Done<T>, E>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let ExactlyOnce { handle, opts, work, token, payload, again } = self;
        Box::pin(async move {
            let guard = Arc::new(Guard::new(token)?);
            run_guarded(&handle, &opts, work, &guard, payload.as_deref(), again.as_deref()).await
        })
    }
}

impl<F, T, E> fmt::Debug for ExactlyOnce<'_, F, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExactlyOnce").field("handle", &self.handle).field("token", &self.token).finish_non_exhaustive()
    }
}

/// Runs a statement as text, and in a guarded transaction of its own if it has a token.
pub(crate) async fn query_drop(handle: &Handle, statement: impl AsStatement) -> crate::Result<Summary> {
    match statement.token() {
        None => handle.query_drop(statement).await,
        Some(token) => Box::pin(guarded(handle, &statement, None, token)).await,
    }
}

/// The same, prepared.
pub(crate) async fn exec_drop(handle: &Handle, statement: impl AsStatement, params: Params) -> crate::Result<Summary> {
    match statement.token() {
        None => handle.exec_drop(statement, params).await,
        Some(token) => Box::pin(guarded(handle, &statement, Some(params), token)).await,
    }
}

async fn guarded(
    handle: &Handle,
    statement: &impl AsStatement,
    params: Option<Params>,
    token: &Token,
) -> crate::Result<Summary> {
    let sql: Arc<[u8]> = statement.text().into_owned().into();
    if let Some(refusal) = handle.refusal(sql::read(&sql)) {
        return Err(refusal);
    }
    let work = |mut tx: Tx| {
        let (sql, params) = (sql.to_vec(), params.clone());
        async move { tx.run(sql, params).await }
    };
    let done = ExactlyOnce::new(handle.clone(), TxOpts::default(), work, token.clone(), None).await?;
    let summary = done.now().unwrap_or_else(Summary::done_before);
    if let Some(slot) = handle.slot() {
        slot.note_guarded(summary.clone());
    }
    Ok(summary)
}
