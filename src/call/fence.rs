//! The fence: ends what lost attempts may have left at the server.
//!
//! A server does not notice that its client is gone while it executes a statement. The session of a lost attempt is ended
//! before a replay. It is also ended when the call ends without a replay, or when the caller drops its future.

use std::sync::Arc;

use crate::{
    event::Unfenced,
    pool::{Backend, Fate, Lease, Limits, Shared},
};

/// The sessions of the attempts of one call that may have executed its statement, or may do so yet.
pub(crate) struct Past<'c> {
    shared: &'c Arc<Shared>,
    /// Those that are not settled yet. `None`: a session that was never marked.
    sessions: Vec<Option<Backend>>,
    /// The servers of all of them, if known.
    servers: Vec<Option<Arc<str>>>,
}

/// Whether the lost attempts can still have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// They cannot, or it does not matter.
    All,
    /// It is not known of one session. The others are still to be settled.
    Unfenced(Unfenced),
    /// A session did not end before the deadline.
    Late,
}

impl<'c> Past<'c> {
    pub(crate) fn new(shared: &'c Arc<Shared>) -> Self {
        Past { shared, sessions: Vec::new(), servers: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// An attempt on this connection was lost.
    pub(crate) fn add(&mut self, lease: &Lease) {
        self.add_session(lease.session());
    }

    pub(crate) fn add_session(&mut self, session: Option<Backend>) {
        self.servers.push(session.as_ref().map(Backend::server).cloned());
        self.sessions.push(session);
    }

    /// Whether all lost attempts were on the server of this connection. Another server may replicate their effect later, or
    /// never.
    pub(crate) fn was_on_the_server_of(&self, lease: &Lease) -> bool {
        let here = lease.session();
        let server = here.as_ref().map(Backend::server);
        server.is_some() && self.servers.iter().all(|lost| lost.as_ref() == server)
    }

    /// It is proved that no lost attempt has had an effect.
    pub(crate) fn came_to_nothing(&mut self) {
        self.servers.clear();
    }

    /// Ends the sessions, from the connection of the replay.
    ///
    /// With `wait` it returns only when each has been seen gone. `hidden`: the statement may have released the lock that marks
    /// its session, so that a session that is not found may still be there.
    pub(crate) async fn settle(
        &mut self,
        lease: &mut Lease,
        wait: bool,
        hidden: bool,
        limits: Limits,
    ) -> mysql_async::Result<Settled> {
        while let Some(session) = self.sessions.last() {
            let fate = match session {
                None => Fate::Unmarked,
                Some(session) if session.target() != lease.target_index() && !wait => {
                    // best effort, in the background
                    self.shared.abandon(session.clone());
                    Fate::StillThere
                }
                Some(session) if session.target() != lease.target_index() => {
                    self.shared.end_elsewhere(session, wait, limits).await
                }
                // after an error the connection is closed: its next statement could read a late answer as its own
                Some(session) => lease.end_session(session, wait, limits).await?,
            };
            if fate == Fate::StillThere && wait {
                return Ok(Settled::Late);
            }
            self.sessions.pop();
            let why = match fate {
                Fate::Gone if hidden => Unfenced::Unmarked,
                Fate::Gone | Fate::StillThere => continue,
                Fate::OtherServer => Unfenced::OtherServer,
                Fate::NotAllowed => Unfenced::NotAllowed,
                Fate::Unmarked => Unfenced::Unmarked,
                Fate::Unreachable => Unfenced::Unreachable,
                Fate::NoMajority => Unfenced::NoMajority,
            };
            if wait {
                return Ok(Settled::Unfenced(why));
            }
        }
        Ok(Settled::All)
    }
}

impl Drop for Past<'_> {
    fn drop(&mut self) {
        // nearly every call: to drain nothing costs more than to look
        if !self.sessions.is_empty() {
            for session in self.sessions.drain(..).flatten() {
                self.shared.abandon(session);
            }
        }
    }
}
