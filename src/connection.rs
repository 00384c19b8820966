//! A raw connection on loan.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use mysql_async::Conn;

use crate::{
    pool::{End, Lease},
    sql::StateKinds,
};

/// A connection of the driver, borrowed from an executor's pool with [`Executor::connection`].
///
/// It was alive a moment ago. What is done on it is outside the contract of this crate: nothing is retried, no error is
/// classified, and a dropped future leaves a reply behind that the next statement reads as its own.
///
/// It is reset before it is lent, unless it is new. Before the next caller gets it, it is made as it was when it was new, or
/// closed. A connection that cannot be used again, because a future was dropped or it was lost, is closed, and the statement
/// that it may have left at the server is ended in the background.
///
/// [`Executor::connection`]: crate::Executor::connection
pub struct Connection {
    lease: Option<Lease>,
}

impl Connection {
    pub(crate) fn new(lease: Lease) -> Self {
        Connection { lease: Some(lease) }
    }
}

impl Deref for Connection {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.lease.as_ref().expect("there until it is dropped").connection()
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Conn {
        self.lease.as_mut().expect("there until it is dropped").conn()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(mut lease) = self.lease.take() {
            if !lease.has_its_own() {
                // the borrower has moved the connection elsewhere; it goes to the driver's pool when it is dropped
                lease.disown();
                return lease.end(End::Broken);
            }
            // the driver's reset would follow that of this crate, and undo the set-up and the mark
            lease.conn().reset_connection(false);
            lease.doubt_mark();
            // the driver has noted a command without a reply: its future was dropped, or its connection was lost
            if lease.connection().is_disconnected() {
                lease.sending();
                lease.end(End::Broken);
            } else {
                lease.end(End::Answered(StateKinds::UNKNOWN));
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).finish_non_exhaustive()
    }
}
