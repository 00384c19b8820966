//! The forms that an outage takes.

use mysql_retry_fixture::{Cluster, Group, Router};

/// How the server is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All connections are reset, and nobody listens: connects are refused.
    Refused,
    /// All connections are reset, and new ones are accepted and closed: a proxy without a backend.
    AcceptAndClose,
    /// The server is killed with SIGKILL, and started again.
    Killed,
    /// Nothing gets through on open connections and on new ones, and nothing is closed.
    BlackHole,
    /// All connections are killed, and others have taken their places: connects get 1040.
    Full,
    /// The primary is killed, and its replica made the primary.
    Promoted,
    /// A node of a Galera cluster is killed; the others go on.
    Galera,
    /// The primary of a group (Group Replication) is killed, and another node is elected.
    Group,
    /// The same behind MySQL Router, which refuses connections until the election.
    Router,
}

impl Form {
    pub(crate) const ALL: [Form; 9] = [
        Form::Refused,
        Form::AcceptAndClose,
        Form::Killed,
        Form::BlackHole,
        Form::Full,
        Form::Promoted,
        Form::Galera,
        Form::Group,
        Form::Router,
    ];

    /// The name in `RECOVERY_FORMS`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Form::Refused => "refused",
            Form::AcceptAndClose => "accept_and_close",
            Form::Killed => "killed",
            Form::BlackHole => "black_hole",
            Form::Full => "full",
            Form::Promoted => "promoted",
            Form::Galera => "galera",
            Form::Group => "group",
            Form::Router => "router",
        }
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Form::Refused => "refused",
            Form::AcceptAndClose => "accepted, closed",
            Form::Killed => "SIGKILL, restart",
            Form::BlackHole => "black hole",
            Form::Full => "full (1040)",
            Form::Promoted => "replica promoted",
            Form::Galera => "Galera node killed",
            Form::Group => "group: primary killed",
            Form::Router => "router",
        }
    }

    /// Whether the outage takes as long as the nodes need, and uses them up.
    pub(crate) fn is_of_a_cluster(self) -> bool {
        matches!(self, Form::Galera | Form::Group | Form::Router)
    }

    /// What is missing for it here.
    pub(crate) fn is_available(self) -> Result<(), String> {
        match self {
            Form::Galera => Cluster::is_available(),
            Form::Group => Group::is_available(),
            Form::Router => Group::is_available().and_then(|()| Router::is_available()),
            _ => Ok(()),
        }
    }

    /// The servers that a client with several targets chooses from.
    pub(crate) fn servers(self) -> usize {
        match self {
            Form::Promoted | Form::Galera => 2,
            Form::Group => 3,
            _ => 1,
        }
    }
}
