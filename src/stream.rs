//! Rows one by one.

use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{FusedStream, Stream};
use mysql_async::{BinaryProtocol, Row, TextProtocol, prelude::FromRow};
use tokio::time::timeout;

use crate::{
    call::{Call, Facts, sink::convert},
    error::Result,
    handle::Handle,
    pool::{End, Lease},
    span::CallSpan,
    sql::StateKinds,
};

mod rows;

use rows::{Next, Rows};

/// The rows of a result set, as they arrive. Made by [`Executor::query_stream`](crate::Executor::query_stream) and
/// [`Executor::exec_stream`](crate::Executor::exec_stream).
///
/// It holds a connection until it ends. If it is dropped earlier, up to 1000 of the remaining rows are read in the background,
/// for half a second at most, and the connection is kept if they were all. Otherwise it is closed, and the statement is ended at the
/// server. After an error a stream ends; [`rows_delivered`](crate::Error::rows_delivered) of the error is the number of rows
/// that it had returned.
#[must_use = "a stream does nothing unless it is polled"]
pub struct RowStream<T> {
    handle: Handle,
    facts: Facts,
    span: CallSpan,
    state: State,
    delivered: u64,
    read: fn(Lease) -> Rows,
    row: PhantomData<fn() -> T>,
}

/// How many rows of a stream that was dropped are read.
const REST: usize = 1000;
/// For how long they are read.
const REST_TIME: Duration = Duration::from_millis(500);

enum State {
    /// The first row has arrived and was not returned yet.
    First(Row, Lease),
    Idle(Lease),
    Reading(Rows),
    Ended,
}

impl<T> RowStream<T> {
    pub(crate) fn text(handle: Handle, kept: (Facts, CallSpan), first: Option<Row>, lease: Lease) -> Self {
        RowStream::new(handle, kept, first, lease, Rows::read::<TextProtocol>)
    }

    pub(crate) fn binary(handle: Handle, kept: (Facts, CallSpan), first: Option<Row>, lease: Lease) -> Self {
        RowStream::new(handle, kept, first, lease, Rows::read::<BinaryProtocol>)
    }

    fn new(
        handle: Handle,
        (facts, span): (Facts, CallSpan),
        first: Option<Row>,
        mut lease: Lease,
        read: fn(Lease) -> Rows,
    ) -> Self {
        let state = match first {
            Some(row) => {
                // until the stream ends, its statement is under way at the server
                lease.sending();
                State::First(row, lease)
            }
            None => {
                lease.end(End::Answered(facts.leaves()));
                State::Ended
            }
        };
        RowStream { handle, facts, span, state, delivered: 0, read, row: PhantomData }
    }

    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Row>>> {
        loop {
            if let State::Reading(rows) = &mut self.state {
                let (ended, mut lease) = match ready!(rows.poll_next(cx)) {
                    Next::Row(row) => return Poll::Ready(Some(Ok(row))),
                    Next::End(ended, lease) => (ended, lease),
                };
                self.state = State::Ended;
                return Poll::Ready(match ended {
                    Ok(()) => {
                        lease.answered();
                        lease.end(End::Answered(self.facts.leaves()));
                        None
                    }
                    Err(error) => {
                        let broke = || self.call().stream_broke(error, lease, self.delivered);
                        Some(Err(self.span.within(broke)))
                    }
                });
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::First(row, lease) => {
                    self.state = State::Idle(lease);
                    return Poll::Ready(Some(Ok(row)));
                }
                State::Idle(lease) => self.state = State::Reading((self.read)(lease)),
                State::Reading(_) | State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn call(&self) -> Call<'_> {
        self.handle.resume(self.facts, self.span.clone())
    }

    /// Ends the stream before its last row.
    fn leave(&mut self) {
        let state = std::mem::replace(&mut self.state, State::Ended);
        // a session would go on without its connection meanwhile, and without a runtime the program is about to end
        let (None, Ok(runtime)) = (self.handle.slot(), tokio::runtime::Handle::try_current()) else { return };
        let rows = match state {
            State::First(_, lease) | State::Idle(lease) => (self.read)(lease),
            State::Reading(rows) => rows,
            State::Ended => return,
        };
        let rest = read_rest(rows, self.facts.leaves());
        runtime.spawn(async move {
            // what is not read to its end is dropped with its lease, which closes the connection
            let _ = timeout(REST_TIME, rest).await;
        });
    }
}

impl<T> Drop for RowStream<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Reads the rows that nobody wants, if they are few, and gives the connection back.
async fn read_rest(mut rows: Rows, leaves: StateKinds) {
    for _ in 0..REST {
        match poll_fn(|cx| rows.poll_next(cx)).await {
            Next::Row(_) => {}
            Next::End(Ok(()), mut lease) => {
                lease.answered();
                return lease.end(End::Answered(leaves));
            }
            Next::End(Err(_), lease) => return lease.end(End::Broken),
        }
    }
}

impl<T> Stream for RowStream<T>
where
    T: FromRow + Unpin + Send + 'static,
{
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let row = match ready!(this.poll_row(cx)) {
            Some(Ok(row)) => row,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(match convert(row) {
            Ok(value) => {
                this.delivered += 1;
                Ok(value)
            }
            Err(mismatch) => {
                this.leave();
                Err(this.call().mismatch(mismatch))
            }
        }))
    }
}

impl<T> FusedStream for RowStream<T>
where
    T: FromRow + Unpin + Send + 'static,
{
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

impl<T> fmt::Debug for RowStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream")
            .field("handle", &self.handle)
            .field("delivered", &self.delivered)
            .field("ended", &matches!(self.state, State::Ended))
            .finish_non_exhaustive()
    }
}

/// A [`RowStream`] on the connection of a session or transaction, which it borrows.
///
/// If it is dropped before its last row, the connection is closed: the session loses what it had there
/// ([`Error::lost_state`](crate::Error::lost_state)), and a transaction is rolled back. Read it to its end to keep both.
#[must_use = "a stream does nothing unless it is polled"]
pub struct SessionStream<'s, T> {
    rows: RowStream<T>,
    owner: PhantomData<&'s mut ()>,
}

impl<T> SessionStream<'_, T> {
    pub(crate) fn new(rows: RowStream<T>) -> Self {
        SessionStream { rows, owner: PhantomData }
    }
}

impl<T: FromRow + Unpin + Send + 'static> Stream for SessionStream<'_, T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.rows).poll_next(cx)
    }
}

impl<T: FromRow + Unpin + Send + 'static> FusedStream for SessionStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.rows.is_terminated()
    }
}

impl<T> fmt::Debug for SessionStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}
