//! The use of one connection, from checkout to its return.

use std::{
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use mysql_async::{Conn, Statement, prelude::Queryable};
use tokio::task::unconstrained;

use super::{
    Backend, Fate, Limits, Shared, Slot, Target, bounded,
    introduction::restore,
    parking::Place,
    poll_once,
    records::{Records, Returned, Status, key},
};
use crate::sql::StateKinds;

/// A connection that a session has held idle for this long is pinged before it is used. (Only the driver's pool can look at
/// its socket.) The shortest `wait_timeout` of a server is twice as long.
const CHECK_AFTER: Duration = Duration::from_millis(500);

/// How the use of a connection ends.
pub(crate) enum End {
    /// A statement of a caller was answered, and its reply read to the end. It may have left this state.
    Answered(StateKinds),
    /// No statement of a caller was answered on it.
    Unused,
    /// It cannot be used again, and is closed.
    Broken,
}

/// A connection taken out of the pool. It goes back with [`end`](Lease::end), and is closed when it is dropped without.
pub(crate) struct Lease {
    conn: Option<Conn>,
    shared: Arc<Shared>,
    /// Which target it is a connection to.
    target: usize,
    permit: bool,
    under_way: bool,
    /// It was used by more than one call, so the flags of the last answer do not show what earlier ones left.
    bound: bool,
    /// A prepared statement that the driver does not keep.
    statement: Option<Statement>,
    /// The session that it returns to, if it does not return to the pool.
    home: Option<Arc<Slot>>,
}

impl Lease {
    pub(super) fn new(conn: Conn, shared: &Arc<Shared>, target: usize) -> Self {
        Lease {
            conn: Some(conn),
            shared: shared.clone(),
            target,
            permit: false,
            under_way: false,
            bound: false,
            statement: None,
            home: None,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.shared.targets[self.target]
    }

    /// Which target it is a connection to.
    pub(crate) fn target_index(&self) -> usize {
        self.target
    }

    /// Its statement has been answered, and the connection is kept: no task waits for an answer any more.
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

    /// Where the watch finds it.
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
        self.bound = true;
        self
    }

    /// From now on it does not return to its session by itself.
    pub(super) fn leave_home(&mut self) -> Option<Arc<Slot>> {
        self.home.take()
    }

    /// The server's status flags in its last answer.
    pub(crate) fn status(&self) -> Option<Status> {
        Status::of(self.connection())
    }

    /// Whether the session commits each statement that is in no transaction, as it did when it began.
    pub(crate) fn began_with_autocommit(&self) -> bool {
        self.records().autocommit(self.connection())
    }

    /// Whether the server still has the session after this idle time. After a long one it is pinged.
    pub(crate) async fn is_alive(&mut self, idle: Duration, limits: Limits) -> bool {
        idle < CHECK_AFTER || bounded(self.conn().ping(), "ping", limits).await.is_ok()
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
        own.or_else(|| self.records().max_allowed_packet(self.connection()))
    }

    /// Whether the server takes no packet that holds a text of this length.
    pub(crate) fn is_too_small_for(&self, length: usize) -> bool {
        self.records().packet_limit(self.connection()).is_some_and(|limit| length > limit)
    }

    /// The session, as it can be found from another connection; `None` if it has no mark.
    pub(crate) fn session(&self) -> Option<Backend> {
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

    /// Ends another session from this one. See [`Backend::end`].
    pub(crate) async fn end_session(
        &mut self,
        other: &Backend,
        wait: bool,
        limits: Limits,
    ) -> mysql_async::Result<Fate> {
        let own = self.session();
        let fate = other.end(self.conn(), own.as_ref(), wait, limits).await?;
        if fate == Fate::Unmarked {
            self.doubt_mark();
        }
        Ok(fate)
    }

    /// A statement may have released the lock that marks the session.
    pub(crate) fn doubt_mark(&self) {
        self.records().doubt_mark(self.connection());
    }

    /// The statement is closed before the connection is used again.
    pub(crate) fn close_later(&mut self, statement: Statement) {
        self.statement = Some(statement);
    }

    /// Closes the prepared statement that the driver does not keep; `false` if that would have to be waited for.
    fn close_statement(&mut self) -> bool {
        let Some(statement) = self.statement.take() else { return true };
        // There is no reply, and a request this short leaves at once. Unconstrained: a task that has used up its share of
        // tokio's cooperative budget would be told to wait.
        matches!(poll_once(pin!(unconstrained(self.conn().close(statement)))), Poll::Ready(Ok(())))
    }

    pub(crate) fn connection_id(&self) -> u32 {
        self.connection().id()
    }

    /// Ends the use of the connection. A lease that is dropped without this ends as [`End::Broken`].
    ///
    /// After a statement it goes straight to the next caller if that left nothing behind, by its text and by the server's
    /// status flags. Otherwise it is reset first, in the background, within a time-out. The connection of a session goes back
    /// to the session.
    pub(crate) fn end(mut self, how: End) {
        let (leaves, answers) = match how {
            End::Answered(leaves) => (leaves, 1),
            End::Unused => (StateKinds::NONE, 0),
            End::Broken => return,
        };
        if !self.close_statement() {
            return;
        }
        if let Some(home) = self.home.take() {
            self.unpark();
            return home.put_back(self, leaves);
        }
        let now = Instant::now();
        match self.records().give_back(self.connection(), now, answers) {
            // to the pool: who looks after its connections has no permit, and a call may wait for this one there
            Returned::AsItBegan | Returned::Unseen if answers == 0 => self.put_back(now),
            Returned::AsItBegan if leaves.is_neutral() => self.hand_on(now),
            // a text that leaves nothing behind changed none of the flags
            Returned::Unseen if leaves.is_neutral() && !self.bound => self.hand_on(now),
            Returned::AsItBegan | Returned::Unseen | Returned::Changed if answers > 0 && self.is_resettable() => {
                self.reset()
            }
            Returned::AsItBegan | Returned::Unseen | Returned::Changed | Returned::Over => {}
        }
    }

    /// Whether the status flags alone tell what becomes of a transaction on the connection.
    pub(crate) fn is_known_well(&self) -> bool {
        self.records().is_known_well(self.connection())
    }

    /// Whether its server may abort a transaction between two statements of one text, and say so to neither (see
    /// [`savepoint`](crate::savepoint)).
    pub(crate) fn may_certify(&self) -> bool {
        self.records().may_certify(self.connection())
    }

    /// The savepoint of a transaction has told whether it was whole.
    pub(crate) fn note_transaction(&self, whole: bool) {
        self.records().note_transaction(self.connection(), whole);
    }

    /// No call has used it: the next one that waits does.
    pub(super) fn give_to_next(self) {
        let now = Instant::now();
        match self.records().give_back(self.connection(), now, 0) {
            Returned::AsItBegan | Returned::Unseen => self.hand_on(now),
            Returned::Changed | Returned::Over => {}
        }
    }

    fn is_resettable(&self) -> bool {
        self.target().resettable && self.records().shape(self.connection()).is_some()
    }

    /// The connection that was leased here was moved elsewhere by its borrower: it is not used again.
    pub(crate) fn disown(&self, place: Place) {
        self.shared.records(place).disown(place.key);
    }

    /// To the next caller.
    fn hand_on(mut self, now: Instant) {
        self.shared.note_return(now);
        if let Some(conn) = self.conn.take() {
            self.shared.put_into_lane(conn, self.target, now);
        }
        self.shared.outage.note_return();
        self.shared.slow_start.note_return();
    }

    fn put_back(mut self, now: Instant) {
        self.shared.note_return(now);
        self.conn = None; // to the pool
        self.shared.outage.note_return();
        self.shared.slow_start.note_return();
    }

    fn reset(mut self) {
        // without a runtime (a stream dropped at the very end of a program) it is just closed
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.end(End::Broken);
        };
        self.shared.listeners.counting.resets.add_one();
        runtime.spawn(async move {
            let limit = self.shared.reset_timeout;
            // without an answer a statement may still be under way, with rows that were not read
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
                self.end(End::Broken);
            }
        });
    }

    /// Resets the session, so that it knows nothing of its earlier users; `false` if that is not possible.
    pub(crate) async fn forget_callers(&mut self, limits: Limits) -> bool {
        if self.is_pristine() {
            return true;
        }
        self.shared.listeners.counting.resets.add_one();
        self.sending();
        let answer = bounded(self.renew(), "reset", limits).await;
        if answer.is_ok() {
            self.answered();
        }
        answer.is_ok_and(|renewed| renewed)
    }

    /// Whether no statement of a caller's has run on the connection since it was made or reset.
    pub(crate) fn is_pristine(&self) -> bool {
        self.records().is_pristine(self.connection())
    }

    /// Restores the session to the state of a new one; `false` if that is not possible.
    async fn renew(&mut self) -> mysql_async::Result<bool> {
        match self.try_to_renew().await {
            Err(mysql_async::Error::Server(_)) => Ok(false),
            renewed => renewed,
        }
    }

    async fn try_to_renew(&mut self) -> mysql_async::Result<bool> {
        let Some(shape) = self.records().shape(self.connection()) else { return Ok(false) };
        // A reset rolls back too. But MariaDB 10.11 leaves its session with half of an XA transaction that was prepared, and
        // there ROLLBACK fails.
        if self.status().is_none_or(|status| status.in_transaction) {
            self.conn().query_drop("ROLLBACK").await?;
        }
        // `false`: a server so old that it has no reset
        if !self.conn().reset().await? {
            return Ok(false);
        }
        let target = self.target;
        let Some(introduction) = restore(self.conn(), &shape, target).await? else { return Ok(false) };
        self.records().remark(self.connection(), introduction.session);
        let shared = self.shared.clone();
        shared.setup.run(self.conn()).await?;
        Ok(true)
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
            home.lost(self.session());
        }
        if self.under_way
            && let Some(session) = self.session()
        {
            self.shared.abandon(session);
        }
        if self.permit && self.conn.is_some() {
            self.shared.slow_start.note_loss();
        }
        self.close();
        if self.permit {
            self.shared.permits.add_permits(1);
            self.shared.measure();
        }
    }
}
