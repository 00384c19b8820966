//! The use of one connection, from checkout to its return.

use std::{pin::pin, sync::Arc, time::Instant};

use mysql_async::{Conn, prelude::Queryable};
use mysql_common::constants::StatusFlags;

use super::{Fate, Record, Session, Shared, poll_once};

/// A connection taken out of the pool. Goes back with [`finish`](Lease::finish); is closed when dropped without.
pub(crate) struct Lease {
    conn: Option<Conn>,
    record: Record,
    shared: Arc<Shared>,
    permit: bool,
    under_way: bool,
}

/// What a statement may have left behind on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// Nothing, as far as its text tells.
    Nothing,
    /// Session state, possibly.
    State,
}

impl Lease {
    pub(super) fn new(conn: Conn, shared: &Arc<Shared>) -> Self {
        Lease { conn: Some(conn), record: Record::new(), shared: shared.clone(), permit: false, under_way: false }
    }

    pub(super) fn with_permit(mut self) -> Self {
        self.permit = true;
        self
    }

    pub(super) fn set_record(&mut self, record: Record) {
        self.record = record;
    }

    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a lease has its connection until it ends")
    }

    pub(crate) fn connection(&self) -> &Conn {
        self.conn.as_ref().expect("a lease has its connection until it ends")
    }

    /// The session, as others can find it.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.record.session.as_ref()
    }

    /// A statement is being sent: if the lease is dropped before [`answered`](Self::answered), its caller has gone away.
    pub(crate) fn sending(&mut self) {
        self.under_way = true;
    }

    pub(crate) fn answered(&mut self) {
        self.under_way = false;
    }

    /// Ends another session from this one. See [`Session::end`].
    pub(crate) async fn end(&mut self, other: &Session, wait: bool, deadline: Instant) -> mysql_async::Result<Fate> {
        let own = self.record.session.take();
        let fate = other.end(self.conn(), own.as_ref(), wait, deadline).await;
        self.record.session = own;
        fate
    }

    /// Whether the server takes no packet that holds a text of this length.
    pub(crate) fn is_too_small_for(&self, length: usize) -> bool {
        self.record.packet_limit.is_some_and(|limit| length > limit)
    }

    pub(crate) fn connection_id(&self) -> u32 {
        self.connection().id()
    }

    /// Gives the connection back after a statement whose reply was read to its end.
    ///
    /// It goes straight into the pool if the statement left nothing behind, by its text and by the server's status
    /// flags; otherwise it is reset first, in the background, under a time-out.
    pub(crate) fn finish(self, leaves: Leaves) {
        // after an error of the server there are no flags; a text that leaves nothing changed none
        let as_before = Status::of(self.connection())
            .is_none_or(|status| !status.in_transaction && status.autocommit == self.record.autocommit);
        if leaves == Leaves::Nothing && as_before {
            self.put_back();
        } else if self.shared.resettable {
            self.reset();
        } else {
            self.retire();
        }
    }

    /// Closes the connection, saying goodbye if that can be done without waiting.
    pub(crate) fn retire(mut self) {
        self.close();
    }

    fn put_back(mut self) {
        let now = Instant::now();
        self.record.last_used = now;
        self.shared.note_return(now);
        if let Some(conn) = self.conn.take() {
            let record = std::mem::replace(&mut self.record, Record::new());
            self.shared.records.put(&conn, record);
            drop(conn); // to the pool
        }
    }

    fn reset(mut self) {
        // without a runtime (a stream dropped at the very end of a program) it is just closed
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.retire();
        };
        self.shared.listeners.counting.resets.add_one();
        runtime.spawn(async move {
            let limit = self.shared.reset_timeout;
            if matches!(tokio::time::timeout(limit, self.renew()).await, Ok(Ok(true))) {
                self.put_back();
            } else {
                self.retire();
            }
        });
    }

    /// Makes the session as a new one is; `false` if that cannot be done.
    async fn renew(&mut self) -> mysql_async::Result<bool> {
        // `false`: a server so old that it has no reset
        if !self.conn().reset().await? {
            return Ok(false);
        }
        // a reset leaves the current database as it is (seen on MariaDB 10.11 and MySQL 9.7)
        let database = self.connection().opts().db_name().map(|name| name.replace('`', "``"));
        match database {
            Some(name) => self.conn().query_drop(format!("USE `{name}`")).await?,
            // there is no way to have none again
            None => {
                let current: Option<Option<String>> = self.conn().query_first("SELECT DATABASE()").await?;
                if current.flatten().is_some() {
                    return Ok(false);
                }
            }
        }
        // and it releases the lock that marks the session
        let Some(session) = self.record.session.take() else {
            return Ok(true);
        };
        let marked = session.mark_again(self.conn()).await;
        self.record.session = Some(session);
        marked
    }

    fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            // The first poll marks the connection as disconnected, so that the pool will not clean and keep it, and
            // writes COM_QUIT if nothing is in the way. There is no second poll: nothing is waited for.
            let _ = poll_once(pin!(conn.disconnect()));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.close();
        if self.under_way
            && let Some(session) = self.record.session.take()
        {
            self.shared.abandon(session);
        }
        if self.permit {
            self.shared.permits.add_permits(1);
        }
    }
}

/// What the server's last OK packet says of the session. MySQL and MariaDB send it with every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) autocommit: bool,
    in_transaction: bool,
}

impl Status {
    /// `None` after an error of the server.
    pub(super) fn of(conn: &Conn) -> Option<Self> {
        let flags = conn.last_ok_packet()?.status_flags();
        Some(Status {
            autocommit: flags.contains(StatusFlags::SERVER_STATUS_AUTOCOMMIT),
            in_transaction: flags.contains(StatusFlags::SERVER_STATUS_IN_TRANS),
        })
    }
}
