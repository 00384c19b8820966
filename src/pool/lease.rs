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
    lane::Warm,
    poll_once,
    record::{Condition, Record, Returned, Status},
    records::Records,
};
use crate::sql::StateKinds;

mod renewal;

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
    /// What is known of it.
    record: Arc<Record>,
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
    /// Of a connection that was in the driver's pool, or is new.
    pub(super) fn new(conn: Conn, shared: &Arc<Shared>, target: usize) -> Self {
        let record = shared.targets[target].records.find(&conn);
        Lease::with_record(conn, record, shared, target)
    }

    pub(super) fn with_record(conn: Conn, record: Arc<Record>, shared: &Arc<Shared>, target: usize) -> Self {
        Lease {
            conn: Some(conn),
            record,
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
        self.record.unpark();
    }

    /// The connection, what is known of it, and what all clones of its executor share.
    pub(crate) fn parts(&mut self) -> (&mut Conn, &Record, &Arc<Shared>) {
        let conn = self.conn.as_mut().expect(HAS_ONE);
        (conn, &self.record, &self.shared)
    }

    fn records(&self) -> &Records {
        &self.target().records
    }

    /// What is known of the connection.
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    /// When the connection was made; in doubt long ago.
    pub(super) fn made(&self) -> Instant {
        self.record.made().unwrap_or(self.shared.made)
    }

    /// Whether it is fit for use, as far as is known.
    pub(super) fn condition(&self, now: Instant) -> Condition {
        self.record.condition(self.records(), now)
    }

    /// Whether the connection was made since the present ones of its target were given up.
    pub(super) fn is_current(&self) -> bool {
        self.record.is_current(self.records())
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
        self.record.autocommit()
    }

    /// Whether a session that has idled for this time is used without a look.
    pub(super) fn is_fresh(idle: Duration) -> bool {
        idle < CHECK_AFTER
    }

    /// Whether the server still has the session after this idle time. After a long one it is pinged.
    pub(crate) async fn is_alive(&mut self, idle: Duration, limits: Limits) -> bool {
        Lease::is_fresh(idle) || bounded(self.conn().ping(), "ping", limits).await.is_ok()
    }

    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect(HAS_ONE)
    }

    pub(crate) fn connection(&self) -> &Conn {
        self.conn.as_ref().expect(HAS_ONE)
    }

    /// The client sends no packet that is longer than this, if it is known.
    pub(crate) fn sends_at_most(&self) -> Option<usize> {
        let own = self.connection().opts().max_allowed_packet();
        // without one of its own the driver keeps to the server's
        own.or_else(|| self.record.max_allowed_packet())
    }

    /// Whether the server takes no packet that holds a text of this length.
    pub(crate) fn is_too_small_for(&self, length: usize) -> bool {
        self.record.packet_limit().is_some_and(|limit| length > limit)
    }

    /// The session, as it can be found from another connection; `None` if it has no mark.
    pub(crate) fn session(&self) -> Option<Backend> {
        self.record.session()
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
        self.record.doubt_mark();
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
        match self.give_back(now, answers) {
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
        self.record.is_known_well()
    }

    /// Whether its server may abort a transaction between two statements of one text, and say so to neither (see
    /// [`savepoint`](crate::savepoint)).
    pub(crate) fn may_certify(&self) -> bool {
        self.record.may_certify()
    }

    /// The savepoint of a transaction has told whether it was whole.
    pub(crate) fn note_transaction(&self, whole: bool) {
        self.record.note_transaction(whole);
    }

    /// No call has used it: the next one that waits does.
    pub(super) fn give_to_next(self) {
        let now = Instant::now();
        match self.give_back(now, 0) {
            Returned::AsItBegan | Returned::Unseen => self.hand_on(now),
            Returned::Changed | Returned::Over => {}
        }
    }

    /// Whether it has the connection that was leased: a borrower may have put another one in its place.
    pub(crate) fn has_its_own(&self) -> bool {
        self.record.is_of(self.connection())
    }

    /// The connection that was leased here was moved elsewhere by its borrower: it is not used again.
    pub(crate) fn disown(&self) {
        self.records().disown(&self.record);
    }

    fn give_back(&self, now: Instant, answers: u64) -> Returned {
        self.record.give_back(self.records(), self.connection(), now, answers)
    }

    /// To the next caller.
    fn hand_on(mut self, now: Instant) {
        if let Some(conn) = self.conn.take() {
            let record = self.record.clone();
            self.shared.put_into_lane(Warm { conn, record, target: self.target, since: now });
        }
        self.shared.outage.note_return();
        self.shared.slow_start.note_return();
    }

    fn put_back(mut self, now: Instant) {
        self.shared.lane.note_return(now);
        self.conn = None; // to the pool
        self.shared.outage.note_return();
        self.shared.slow_start.note_return();
    }

    /// Whether no statement of a caller's has run on the connection since it was made or reset.
    pub(crate) fn is_pristine(&self) -> bool {
        self.record.is_pristine()
    }

    /// Has the session ended that still has a statement under way. Returns whether it keeps the place in the pool until then.
    fn leave_behind(&self) -> bool {
        self.session().is_some_and(|session| self.shared.abandon_with_place(session, self.permit))
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

const HAS_ONE: &str = "a lease has its connection until it ends";

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.lost(self.session());
        }
        if self.permit && self.conn.is_some() {
            self.shared.slow_start.note_loss();
        }
        let keeps_its_place = self.under_way && self.leave_behind();
        self.close();
        if self.permit && !keeps_its_place {
            self.shared.permits.add_permits(1);
            self.shared.measure();
        }
    }
}
