//! The forms that an outage takes.

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
}

impl Form {
    pub(crate) const ALL: [Form; 7] =
        [Form::Refused, Form::AcceptAndClose, Form::Killed, Form::BlackHole, Form::Full, Form::Promoted, Form::Galera];

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
        }
    }
}
