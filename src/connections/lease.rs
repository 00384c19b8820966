//! The use of one connection, from checkout to its return.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use mysql_async::{Conn, prelude::Queryable};

use super::{
    Fate, Session, Shared, Slot, Target, bounded,
    parking::Place,
    poll_once,
    records::{Records, Returned, Status, key},
};
use crate::{policy::Settings, reading::StateKinds};

/// A held connection that has idled for this long is pinged before it is used: the driver has no way to look at its
/// socket, as its pool has. No server's `wait_timeout` is shorter than twice that.
const CHECK_AFTER: Duration = Duration::from_millis(500);

/// A connection taken out of the pool. Goes back with [`finish`](Lease::finish); is closed when dropped without.
pub(crate) struct Lease {
    conn: Option<Conn>,
    shared: Arc<Shared>,
    /// Which target it is a connection to.
    target: usize,
    permit: bool,
    under_way: bool,
    /// Where it belongs between statements, if not in the pool.
    home: Option<Arc<Slot>>,
}

impl Lease {
    pub(super) fn new(conn: Conn, shared: &Arc<Shared>, target: usize) -> Self {
        Lease { conn: Some(conn), shared: shared.clone(), target, permit: false, under_way: false, home: None }
    }

    pub(super) fn target(&self) -> &Target {
        &self.shared.targets[self.target]
    }

    /// Which target it is a connection to.
    pub(crate) fn target_index(&self) -> usize {
        self.target
    }

    /// Its statement has been answered, and the connection is kept: nobody waits.
    pub(crate) fn unpark(&self) {
        self.records().unpark(self.place());
    }

    /// What all clones of its executor share.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn records(&self) -> &Records {
        &self.target().records
    }

    /// When the connection was made; in doubt long ago.
    pub(super) fn made(&self) -> Instant {
        self.records().made(self.connection()).unwrap_or(self.shared.made)
    }

    /// Where others look whether it has fallen silent.
    pub(crate) fn place(&self) -> Place {
        Place { target: self.target, key: key(self.connection()) }
    }

    pub(super) fn with_permit(mut self) -> Self {
        self.permit = true;
        self
    }

    /// The lease of a session: it goes back there.
    pub(crate) fn at_home(mut self, home: &Arc<Slot>) -> Self {
        self.home = Some(home.clone());
        self
    }

    /// From now on it belongs to nobody but the caller.
    pub(super) fn leave_home(&mut self) -> Option<Arc<Slot>> {
        self.home.take()
    }

    /// What the server says of the session after its last answer.
    pub(crate) fn status(&self) -> Option<Status> {
        Status::of(self.connection())
    }

    pub(super) fn began_with_autocommit(&self) -> bool {
        self.records().autocommit(self.connection())
    }

    /// Whether the server still holds the session after it has idled for so long. Asks it only where that is in doubt.
    pub(crate) async fn is_alive(&mut self, idle: Duration, deadline: Instant, settings: &Settings) -> bool {
        idle < CHECK_AFTER || bounded(self.conn().ping(), "ping", deadline, settings).await.is_ok()
    }

    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a lease has its connection until it ends")
    }

    pub(crate) fn connection(&self) -> &Conn {
        self.conn.as_ref().expect("a lease has its connection until it ends")
    }

    /// The client sends no packet that is longer than this, if it is known.
    pub(crate) fn sends_at_most(&self) -> Option<usize> {
        let own = self.connection().opts().max_allowed_packet();
        // without one of its own the driver keeps to the server's
        own.or_else(|| self.records().packet_limit(self.connection()))
    }

    /// Whether the server takes no packet that holds a text of this length.
    pub(crate) fn is_too_small_for(&self, length: usize) -> bool {
        self.records().packet_limit(self.connection()).is_some_and(|limit| length > limit)
    }

    /// The session, as others can find it; `None` if the server does not go along.
    pub(crate) fn session(&self) -> Option<Session> {
        self.records().session(self.connection())
    }

    /// A statement is about to be sent: if the lease is dropped before [`answered`](Self::answered), its caller has
    /// gone away.
    pub(crate) fn sending(&mut self) {
        self.under_way = true;
    }

    pub(crate) fn answered(&mut self) {
        self.under_way = false;
    }

    /// Ends another session from this one. See [`Session::end`].
    pub(crate) async fn end(
        &mut self,
        other: &Session,
        wait: bool,
        deadline: Instant,
        settings: &Settings,
    ) -> mysql_async::Result<Fate> {
        let own = self.session();
        let server = own.as_ref().map(|own| &**own.server());
        other.end(self.conn(), server, wait, deadline, settings).await
    }

    pub(crate) fn connection_id(&self) -> u32 {
        self.connection().id()
    }

    /// Gives the connection back after a statement whose reply was read to its end.
    ///
    /// It goes straight into the pool if the statement left nothing behind, by its text and by the server's status
    /// flags; otherwise it is reset first, in the background, under a time-out. That of a session goes back to it.
    pub(crate) fn finish(mut self, leaves: StateKinds) {
        if let Some(home) = self.home.take() {
            self.unpark();
            return home.put_back(self, leaves);
        }
        let now = Instant::now();
        match self.records().give_back(self.connection(), now, 1) {
            Returned::AsItBegan if leaves.is_neutral() => self.put_back(now),
            Returned::AsItBegan | Returned::Changed if self.target().resettable => self.reset(),
            Returned::AsItBegan | Returned::Changed | Returned::Over => self.retire(),
        }
    }

    /// Gives the connection back after housekeeping: no statement of a caller's was answered on it.
    pub(crate) fn put_by(self) {
        let now = Instant::now();
        match self.records().give_back(self.connection(), now, 0) {
            Returned::AsItBegan => self.put_back(now),
            Returned::Changed | Returned::Over => self.retire(),
        }
    }

    /// Closes the connection, saying goodbye if that can be done without waiting.
    pub(crate) fn retire(self) {
        drop(self);
    }

    fn put_back(mut self, now: Instant) {
        self.shared.note_return(now);
        self.conn = None; // to the pool
        if self.shared.outage.is_troubled() {
            self.shared.outage.wake_one();
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
            // without an answer there may be a statement under way still, whose rows were not read to their end
            self.sending();
            let answer = tokio::time::timeout(limit, self.renew()).await;
            if matches!(answer, Ok(Ok(_))) {
                self.answered();
            }
            let renewed = matches!(answer, Ok(Ok(true)));
            let now = Instant::now();
            if renewed && self.records().give_back(self.connection(), now, 0) == Returned::AsItBegan {
                self.put_back(now);
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
        let shared = self.shared.clone();
        shared.setup.run(self.conn()).await?;
        // and it releases the lock that marks the session
        match self.session() {
            Some(session) => session.mark_again(self.conn()).await,
            None => Ok(true),
        }
    }

    fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.records().forget(&conn);
            // The first poll marks the connection as disconnected, so that the pool will not clean and keep it, and
            // writes COM_QUIT if nothing is in the way. There is no second poll: nothing is waited for.
            let _ = poll_once(pin!(conn.disconnect()));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.lost();
        }
        if self.under_way
            && let Some(session) = self.session()
        {
            self.shared.abandon(session);
        }
        self.close();
        if self.permit {
            self.shared.permits.add_permits(1);
        }
    }
}
