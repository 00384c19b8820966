//! The rows of a result set, read by one future for all of them, and a few ahead of the caller.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use mysql_async::{Column, QueryResult, Row, Value, prelude::Protocol};

use crate::pool::{Lease, watch::watched};

/// So many rows that have arrived are read at a time, and no more when they have so many bytes. Few, so that an allocator has their
/// memory at hand for the next ones.
const ROWS_AHEAD: usize = 6;
const BYTES_AHEAD: usize = 16 * 1024;

/// Rows that are read one by one.
pub(super) struct Rows {
    reading: Pin<Box<dyn Future<Output = Ended> + Send>>,
    /// Where that puts rows. It goes on when they have been taken.
    arrived: Arc<Arrived>,
    /// Rows that were taken from there.
    taken: VecDeque<Row>,
    /// How the reading has ended, behind the rows that were taken.
    ended: Option<Ended>,
}

type Arrived = Mutex<VecDeque<Row>>;
type Ended = (mysql_async::Result<()>, Lease);

/// What comes next.
pub(super) enum Next {
    Row(Row),
    End(mysql_async::Result<()>, Lease),
}

impl Rows {
    pub(super) fn read<P: Protocol>(mut lease: Lease) -> Self {
        let slot = Arc::<Arrived>::default();
        let arrived = slot.clone();
        let reading = Box::pin(async move {
            let mut ahead = Ahead::new(&slot);
            let ended = read::<P>(&mut lease, &mut ahead).await;
            // those that had arrived before the end, or the error
            ahead.hand_over();
            lease.unpark();
            (ended, lease)
        });
        Rows { reading, arrived, taken: VecDeque::new(), ended: None }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if let Some(row) = self.taken.pop_front() {
                return Poll::Ready(Next::Row(row));
            }
            if let Some((ended, lease)) = self.ended.take() {
                return Poll::Ready(Next::End(ended, lease));
            }
            let polled = self.reading.as_mut().poll(cx);
            mem::swap(&mut self.taken, &mut *lock(&self.arrived));
            if self.taken.is_empty() || polled.is_ready() {
                self.ended = Some(ready!(polled));
            }
        }
    }
}

/// The rows that have arrived, and were not handed over yet.
struct Ahead<'s> {
    arrived: &'s Arrived,
    rows: VecDeque<Row>,
    bytes: usize,
    /// The columns are so narrow that so few rows need not be measured.
    are_narrow: bool,
}

impl<'s> Ahead<'s> {
    fn new(arrived: &'s Arrived) -> Self {
        Ahead { arrived, rows: VecDeque::new(), bytes: 0, are_narrow: false }
    }

    fn note_columns(&mut self, columns: &[Column]) {
        let longest: u64 = columns.iter().map(|column| u64::from(column.column_length())).sum();
        self.are_narrow = longest <= (BYTES_AHEAD / ROWS_AHEAD) as u64;
    }

    /// Keeps a row. Returns whether there are enough.
    fn push(&mut self, row: Row) -> bool {
        if !self.are_narrow {
            self.bytes += size(&row);
        }
        self.rows.push_back(row);
        self.rows.len() >= ROWS_AHEAD || self.bytes >= BYTES_AHEAD
    }

    fn hand_over(&mut self) {
        self.bytes = 0;
        // the caller has taken all that was there
        mem::swap(&mut self.rows, &mut *lock(self.arrived));
    }
}

fn size(row: &Row) -> usize {
    let size = |value: Option<&Value>| match value {
        Some(Value::Bytes(bytes)) => bytes.len(),
        _ => 0,
    };
    (0..row.len()).map(|index| size(row.as_ref(index))).sum::<usize>() + size_of::<Row>()
}

/// Reads the rows of the first result set, and at its end everything behind it.
async fn read<P: Protocol>(lease: &mut Lease, ahead: &mut Ahead<'_>) -> mysql_async::Result<()> {
    let (conn, record, shared) = lease.parts();
    let mut result = QueryResult::<P>::new(conn);
    ahead.note_columns(result.columns_ref());
    loop {
        // the driver's stream would put the future of each row into a box
        let mut next = pin!(result.next());
        let mut waits = false;
        let row = loop {
            let arriving = poll_fn(|cx| match next.as_mut().poll(cx) {
                Poll::Ready(row) => Poll::Ready(row.map(Some)),
                // the caller gets what there is; nobody waits for the server until it has asked for more
                Poll::Pending if !ahead.rows.is_empty() => Poll::Ready(Ok(None)),
                Poll::Pending => {
                    waits = true;
                    Poll::Pending
                }
            });
            match watched(shared, record, true, || false, arriving).await? {
                Some(row) => break row,
                None => until_taken(ahead).await,
            }
        };
        if waits {
            record.unpark();
        }
        let Some(row) = row else { break };
        if ahead.push(row) {
            until_taken(ahead).await;
        }
    }
    watched(shared, record, true, || false, result.drop_result()).await
}

/// Hands the rows over, and goes on when the caller has taken them and asks for more.
async fn until_taken(ahead: &mut Ahead<'_>) {
    ahead.hand_over();
    let mut handed = false;
    poll_fn(|_| if mem::replace(&mut handed, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn lock(arrived: &Arrived) -> MutexGuard<'_, VecDeque<Row>> {
    arrived.lock().unwrap_or_else(PoisonError::into_inner)
}
