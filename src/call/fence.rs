//! What lost attempts may have left at the server.
//!
//! A server does not notice that its client is gone while it executes. What a lost attempt left there is ended before a
//! replay, and when the call ends without one: also when its caller just goes away.

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

/// How far the past is behind us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Nothing of it will happen any more, or it does not matter.
    All,
    /// Of one session it is not known; the others are still to be settled.
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

    /// Whether all of it happened on the server of this connection: others may never hear of it, or hear of it later.
    pub(crate) fn was_on_the_server_of(&self, lease: &Lease) -> bool {
        let here = lease.session();
        let server = here.as_ref().map(Backend::server);
        server.is_some() && self.servers.iter().all(|lost| lost.as_ref() == server)
    }

    /// Nothing has come of it, wherever it happened.
    pub(crate) fn came_to_nothing(&mut self) {
        self.servers.clear();
    }

    /// Ends the sessions, from the connection of the replay.
    ///
    /// With `wait` it returns only when each has been seen gone. `hidden` says that the statement may have released the
    /// lock that marks its session, which then tells nothing.
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
                    // best effort, and nobody waits for it
                    self.shared.abandon(session.clone());
                    Fate::StillThere
                }
                Some(session) if session.target() != lease.target_index() => {
                    self.shared.end_elsewhere(session, wait, limits).await
                }
                // an error ends the connection: a late answer would be taken for that to its statement
                Some(session) => lease.end(session, wait, limits).await?,
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
        for session in self.sessions.drain(..).flatten() {
            self.shared.abandon(session);
        }
    }
}
