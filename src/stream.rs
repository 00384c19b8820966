//! Rows one by one.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::{FusedStream, Stream};
use mysql_async::{
    BinaryProtocol, QueryResult, Row, TextProtocol,
    prelude::{FromRow, Protocol},
};
use tokio::time::timeout;

use crate::{
    call::{
        Call, Facts,
        sink::{convert, next_row},
    },
    error::Result,
    handle::Handle,
    pool::{End, Lease, watch::watched},
    span::CallSpan,
    sql::StateKinds,
};

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
    read: fn(Lease) -> ReadRow,
    row: PhantomData<fn() -> T>,
}

type ReadRow = Pin<Box<dyn Future<Output = (mysql_async::Result<Option<Row>>, Lease)> + Send>>;

/// How many rows of a stream that was dropped are read.
const REST: usize = 1000;
/// For how long they are read.
const REST_TIME: Duration = Duration::from_millis(500);

enum State {
    /// The first row has arrived and was not returned yet.
    First(Row, Lease),
    Idle(Lease),
    Reading(ReadRow),
    Ended,
}

impl<T> RowStream<T> {
    pub(crate) fn text(handle: Handle, kept: (Facts, CallSpan), first: Option<Row>, lease: Lease) -> Self {
        RowStream::new(handle, kept, first, lease, read::<TextProtocol>)
    }

    pub(crate) fn binary(handle: Handle, kept: (Facts, CallSpan), first: Option<Row>, lease: Lease) -> Self {
        RowStream::new(handle, kept, first, lease, read::<BinaryProtocol>)
    }

    fn new(
        handle: Handle,
        (facts, span): (Facts, CallSpan),
        first: Option<Row>,
        mut lease: Lease,
        read: fn(Lease) -> ReadRow,
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
            match std::mem::replace(&mut self.state, State::Ended) {
                State::First(row, lease) => {
                    self.state = State::Idle(lease);
                    return Poll::Ready(Some(Ok(row)));
                }
                State::Idle(lease) => self.state = State::Reading((self.read)(lease)),
                State::Reading(mut reading) => {
                    let Poll::Ready((row, mut lease)) = reading.as_mut().poll(cx) else {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    return Poll::Ready(match row {
                        Ok(Some(row)) => {
                            self.state = State::Idle(lease);
                            Some(Ok(row))
                        }
                        Ok(None) => {
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
                State::Ended => return Poll::Ready(None),
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
        let reading = match state {
            State::First(_, lease) | State::Idle(lease) => (self.read)(lease),
            State::Reading(reading) => reading,
            State::Ended => return,
        };
        let rest = read_rest(reading, self.read, self.facts.leaves());
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
async fn read_rest(mut reading: ReadRow, read: fn(Lease) -> ReadRow, leaves: StateKinds) {
    for _ in 0..REST {
        match reading.await {
            (Ok(Some(_)), lease) => reading = read(lease),
            (Ok(None), mut lease) => {
                lease.answered();
                return lease.end(End::Answered(leaves));
            }
            (Err(_), lease) => return lease.end(End::Broken),
        }
    }
}

fn read<P: Protocol>(mut lease: Lease) -> ReadRow {
    Box::pin(async move {
        let (shared, place) = (lease.shared().clone(), lease.place());
        let row = watched(&shared, place, true, || false, next_row(QueryResult::<P>::new(lease.conn()))).await;
        lease.unpark();
        (row, lease)
    })
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
