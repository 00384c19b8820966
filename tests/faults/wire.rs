//! What a connection's bytes look like on their way.

use std::fmt;

use mysql_async::{Compression, OptsBuilder, SslOpts};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// Packets as they are: the proxy sees what each is about.
    Plain,
    /// Compressed from the login on. Of a command the proxy sees only that there is one.
    Compressed,
    /// Encrypted from the greeting on.
    Tls,
}

impl Wire {
    /// Those under which the proxy sees no packets, as far as they can be had here.
    pub fn opaque() -> Vec<Wire> {
        if mysql_retry_fixture::TLS { vec![Wire::Compressed, Wire::Tls] } else { vec![Wire::Compressed] }
    }

    /// The options for connections of this kind.
    pub fn of(self, opts: OptsBuilder) -> OptsBuilder {
        match self {
            Wire::Plain => opts,
            Wire::Compressed => opts.compression(Compression::fast()),
            Wire::Tls => opts.ssl_opts(SslOpts::default().with_danger_accept_invalid_certs(true)),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wire::Plain => "",
            Wire::Compressed => " compressed",
            Wire::Tls => " TLS",
        })
    }
}
