//! Why a server cannot be used: what its errors say of itself.

use std::fmt;

use mysql_async::Error;

use crate::conditions::condition;

/// Why a server is not available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unavailable {
    /// Nobody is there, or whoever accepts a connection closes it: refused, no route, no socket file, DNS, a proxy
    /// without a server, shutting down.
    Unreachable,
    /// It accepts, or does not even refuse, and then says nothing: a black hole, a stopped process.
    Silent,
    /// It has all the connections that it takes. Those that are open work.
    Full,
    /// It is up and does not serve: a cluster node without quorum, offline mode, a host that is not let in.
    NotReady,
    /// It takes no writes: a demoted primary, a replica.
    ReadOnly,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unavailable::Unreachable => "it cannot be reached",
            Unavailable::Silent => "it does not answer",
            Unavailable::Full => "it takes no more connections",
            Unavailable::NotReady => "it is not ready to serve",
            Unavailable::ReadOnly => "it is read-only",
        })
    }
}

impl Unavailable {
    /// What the failure to make a connection says; `None` if the server is there and waiting cannot help. `several` says that
    /// there are other targets.
    pub(crate) fn at_connect(error: &Error, several: bool) -> Option<Self> {
        condition(error).connect.unavailable(several)
    }

    /// What the refusal of a statement says; `None` if it is not about the server's condition.
    pub(crate) fn at_statement(error: &Error) -> Option<Self> {
        condition(error).server
    }

    /// It answers.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Unavailable::Full | Unavailable::NotReady | Unavailable::ReadOnly => true,
            Unavailable::Unreachable | Unavailable::Silent => false,
        }
    }

    /// Only writes are refused.
    pub(crate) fn serves_reads(self) -> bool {
        match self {
            Unavailable::ReadOnly => true,
            Unavailable::Unreachable | Unavailable::Silent | Unavailable::Full | Unavailable::NotReady => false,
        }
    }

    /// Connections that are open are as good as ever.
    pub(crate) fn spares_open_connections(self) -> bool {
        match self {
            Unavailable::Unreachable | Unavailable::Full | Unavailable::ReadOnly => true,
            Unavailable::Silent | Unavailable::NotReady => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use mysql_async::ServerError;

    use super::*;

    fn server(code: u16) -> Error {
        Error::Server(ServerError { code, message: "of a test".into(), state: "HY000".into() })
    }

    fn io(kind: io::ErrorKind) -> Error {
        io::Error::from(kind).into()
    }

    #[test]
    fn what_a_failed_connect_says() {
        use Unavailable::{Full, NotReady, Silent, Unreachable};
        for (error, said) in [
            (io(io::ErrorKind::ConnectionRefused), Some(Unreachable)),
            (io(io::ErrorKind::NotFound), Some(Unreachable)),
            (io(io::ErrorKind::UnexpectedEof), Some(Unreachable)),
            (io(io::ErrorKind::HostUnreachable), Some(Unreachable)),
            (io::Error::other("failed to lookup address information").into(), Some(Unreachable)),
            (io(io::ErrorKind::TimedOut), Some(Silent)),
            (server(1040), Some(Full)),
            (server(1203), Some(Full)),
            (server(1226), Some(Full)),
            (server(1053), Some(Unreachable)),
            (server(2003), Some(Unreachable)),
            (server(1047), Some(NotReady)),
            (server(3032), Some(NotReady)),
            // a wrong password, an unknown database, a host that may not connect, a certificate
            (server(1045), None),
            (server(1049), None),
            (server(1130), None),
            (io(io::ErrorKind::InvalidData), None),
        ] {
            assert_eq!(Unavailable::at_connect(&error, false), said, "{error}");
        }
    }

    #[test]
    fn a_server_that_refuses_is_there() {
        use Unavailable::{Full, NotReady, ReadOnly, Silent, Unreachable};
        assert!([Full, NotReady, ReadOnly].into_iter().all(Unavailable::is_there));
        assert!(![Silent, Unreachable].into_iter().any(Unavailable::is_there));
    }

    #[test]
    fn what_a_refused_statement_says() {
        for (code, said) in [
            // of another option
            (1290, None),
            (1836, Some(Unavailable::ReadOnly)),
            (1047, Some(Unavailable::NotReady)),
            (3032, Some(Unavailable::NotReady)),
            (1243, None),
            (1040, None),
        ] {
            assert_eq!(Unavailable::at_statement(&server(code)), said, "{code}");
        }
        let message = "The MariaDB server is running with the --read-only option so it cannot execute this statement";
        let refusal = ServerError { code: 1290, message: message.into(), state: "HY000".into() };
        assert_eq!(Unavailable::at_statement(&Error::Server(refusal)), Some(Unavailable::ReadOnly));
        assert_eq!(Unavailable::at_statement(&io(io::ErrorKind::UnexpectedEof)), None);
    }
}
