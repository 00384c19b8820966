//! A raw connection on loan.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use mysql_async::Conn;

use crate::{connections::Lease, reading::StateKinds};

/// A connection of the driver, borrowed from an executor's pool with [`Executor::connection`].
///
/// It was alive a moment ago. What is done on it is outside this library's contract: nothing is retried, no error is
/// classified, and a future dropped half-way leaves replies behind that the next statement would take for its own.
/// It is reset before anybody else gets it. One that cannot be used again, because a future was dropped half-way or it
/// was lost, is closed, and the statement that it may have left at the server is ended in the background.
///
/// [`Executor::connection`]: crate::Executor::connection
pub struct Connection(Option<Lease>);

impl Connection {
    pub(crate) fn new(lease: Lease) -> Self {
        Connection(Some(lease))
    }
}

impl Deref for Connection {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        self.0.as_ref().expect("there until it is dropped").connection()
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Conn {
        self.0.as_mut().expect("there until it is dropped").conn()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(mut lease) = self.0.take() {
            // the driver's mark of a command without a reply: its future was dropped, or its connection was lost
            if lease.connection().is_disconnected() {
                lease.sending();
                lease.retire();
            } else {
                lease.finish(StateKinds::UNKNOWN);
            }
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id()).finish_non_exhaustive()
    }
}
