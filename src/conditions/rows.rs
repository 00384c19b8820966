//! The rows.

use super::{Condition, Connect, Holds, Undone, When};
use crate::verdict::{Disconnect, Fault, Outcome, Unavailable};

use Connect::{Elsewhere, Surfaces, Waits};
use Unavailable::{Full, NotReady, ReadOnly, Silent, Unreachable};

/// What most rows begin with: the server's answer to the statement.
const BASE: Condition = Condition {
    when: When::Noticed(""),
    fault: Fault::Other,
    outcome: Outcome::Failed,
    holds: Holds::Always,
    undone: Undone::Nothing,
    server: None,
    of_the_session: false,
    connect: Surfaces,
    keeps_connection: true,
    meaning: "",
    proof: "",
};

/// A server's report that is in no other row.
pub(super) static ANSWERED: Condition = Condition {
    when: When::Noticed("every other error of a server"),
    meaning: "the server's answer: a duplicate key, a missing table, a bad value, a missing right",
    ..BASE
};

const LOST: Condition = Condition {
    fault: Fault::Disconnect(Disconnect::ServerLost),
    outcome: Outcome::Unknown,
    connect: Waits(Unreachable),
    keeps_connection: false,
    ..BASE
};

const GONE: Condition = Condition {
    fault: Fault::Disconnect(Disconnect::ServerGone),
    outcome: Outcome::NotExecuted,
    connect: Waits(Unreachable),
    keeps_connection: false,
    ..BASE
};

const REFUSED: Condition = Condition {
    fault: Fault::Refused,
    outcome: Outcome::NotExecuted,
    holds: Holds::OneCommand,
    keeps_connection: false,
    ..BASE
};

const ROLLED_BACK: Condition = Condition {
    fault: Fault::RolledBack,
    outcome: Outcome::NotExecuted,
    holds: Holds::RowsOfTransactionalTables,
    undone: Undone::Transaction,
    proof: "the server undid the statement before it said so",
    ..BASE
};

/// Not executed, and trying again does not help.
const TURNED_DOWN: Condition = Condition { outcome: Outcome::NotExecuted, holds: Holds::OneCommand, ..BASE };

const BEFORE: &str = "the server checks it before it executes a statement";

/// What servers and proxies report. The first row that fits counts; rows by class come after all numbers.
pub(crate) static SERVER_ROWS: &[Condition] = &[
    // the connection is lost
    Condition {
        when: When::Says(&[1184], &["init_connect"]),
        meaning: "the server's own `init_connect` fails on each connection",
        connect: Surfaces,
        ..LOST
    },
    Condition {
        when: When::Code(&[1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169]),
        meaning: "the server shuts down, killed the session or lost its peer; it says so before, during and after an execution",
        ..LOST
    },
    Condition {
        when: When::Between(2000, 2999),
        meaning: "an error of a client library, relayed by a proxy that lost its server",
        ..LOST
    },
    Condition {
        when: When::Code(&[9001, 9501]),
        meaning: "a proxy (ProxySQL, RDS Proxy) had no server in time; ProxySQL may have sent the statement to one before",
        ..LOST
    },
    Condition {
        when: When::ClassOrSays(1105, "08", &["code = Unavailable", "Seamless Scaling"]),
        meaning: "the tablet behind Vitess or PlanetScale is gone; Aurora Serverless is being scaled",
        ..LOST
    },
    Condition {
        when: When::Code(&[3100]),
        meaning: "Group Replication could not bring the transaction to its end; the group may do it later",
        ..LOST
    },
    Condition {
        when: When::Says(&[1180], &["Not connected to Primary Component"]),
        meaning: "a Galera node lost the others under a COMMIT: they may have it (seen on MariaDB 10.11 with Galera 4.23)",
        ..LOST
    },
    Condition {
        when: When::Says(&[4031], &["inactivity"]),
        holds: Holds::OneCommand,
        meaning: "the server closed the connection because it idled for too long",
        proof: "the server says it in place of reading a command",
        ..GONE
    },
    // the server does not take the statement, for a reason of its own
    Condition {
        when: When::Code(&[1047]),
        server: Some(NotReady),
        connect: Waits(NotReady),
        meaning: "a cluster node without quorum or not yet in step",
        proof: BEFORE,
        ..REFUSED
    },
    Condition {
        when: When::Code(&[3032, 6400]),
        server: Some(NotReady),
        connect: Waits(NotReady),
        meaning: "offline mode",
        proof: BEFORE,
        ..REFUSED
    },
    Condition {
        when: When::Says(&[4094], &["group_replication_set_as_primary"]),
        server: Some(NotReady),
        connect: Waits(NotReady),
        meaning: "the primary of the group is being changed",
        proof: BEFORE,
        ..REFUSED
    },
    Condition {
        when: When::Code(&[3781, 3782, 3783, 3796, 3797, 3798, 3799]),
        server: Some(NotReady),
        connect: Waits(NotReady),
        meaning: "a member of a group (Group Replication) that is not ONLINE, or that has not applied yet what the group \
                  committed, where `group_replication_consistency` demands it",
        proof: "a member finds it when a transaction begins",
        ..REFUSED
    },
    Condition {
        when: When::Says(&[1290], &["read-only", "read_only"]),
        server: Some(ReadOnly),
        meaning: "read-only: a demoted primary, a replica",
        proof: BEFORE,
        ..REFUSED
    },
    Condition {
        when: When::Code(&[1792]),
        server: Some(ReadOnly),
        of_the_session: true,
        meaning: "read-only: Aurora's demoted writer, `SET GLOBAL transaction_read_only`; in a session or transaction that the \
                  caller made read-only it is the answer to the statement",
        proof: "the server checks it before it changes a row",
        ..REFUSED
    },
    Condition {
        when: When::Code(&[1836, 1874, 1036]),
        server: Some(ReadOnly),
        meaning: "read-only: the server, its InnoDB, or the table",
        proof: "the server checks it before it changes a row",
        ..REFUSED
    },
    Condition {
        when: When::Code(&[1040, 1203]),
        connect: Waits(Full),
        meaning: "full: no connection more; from a proxy also as the answer to a statement",
        proof: "there was no connection to execute it on",
        ..REFUSED
    },
    Condition {
        when: When::Code(&[1243]),
        holds: Holds::PreparedByDriver,
        meaning: "the server has forgotten a prepared statement; it is prepared again",
        proof: "without the statement there is nothing to execute",
        ..REFUSED
    },
    Condition {
        when: When::Code(&[1615]),
        meaning: "the prepared statement has to be prepared again, which is done",
        proof: "the server finds it when it opens the tables",
        ..REFUSED
    },
    // the server undid it
    Condition { when: When::Code(&[1205]), undone: Undone::Statement, meaning: "lock wait time-out", ..ROLLED_BACK },
    Condition { when: When::Code(&[1213]), meaning: "deadlock", ..ROLLED_BACK },
    Condition {
        when: When::Code(&[1020]),
        meaning: "the record has changed since the transaction read it (`innodb_snapshot_isolation`)",
        ..ROLLED_BACK
    },
    Condition {
        when: When::Code(&[1412]),
        undone: Undone::Statement,
        meaning: "the table's definition has changed since the transaction began",
        ..ROLLED_BACK
    },
    Condition { when: When::Code(&[1206]), meaning: "InnoDB has no room for more locks", ..ROLLED_BACK },
    Condition { when: When::Code(&[3101]), meaning: "Group Replication found a conflict", ..ROLLED_BACK },
    Condition {
        when: When::Says(&[1180], &["error 149", "Deadlock", "deadlock"]),
        meaning: "a conflict found at COMMIT",
        ..ROLLED_BACK
    },
    Condition {
        when: When::Code(&[8002, 8022, 8028]),
        meaning: "TiDB: the schema changed, or the transaction has to be run again",
        ..ROLLED_BACK
    },
    Condition {
        when: When::Says(&[9007], &["Write conflict", "write conflict"]),
        meaning: "TiDB: write conflict",
        ..ROLLED_BACK
    },
    Condition {
        when: When::Between(9000, 9999),
        meaning: "every other error of a proxy, or of TiDB about its storage",
        ..LOST
    },
    // no loss
    Condition {
        when: When::Code(&[1226]),
        connect: Waits(Full),
        meaning: "the account has used up its quota",
        proof: BEFORE,
        ..TURNED_DOWN
    },
    Condition {
        when: When::Code(&[1064]),
        meaning: "syntax error",
        proof: "the parser refused the text",
        ..TURNED_DOWN
    },
    Condition {
        when: When::Code(&[1290]),
        meaning: "another option forbids the statement (`--secure-file-priv`, `--skip-grant-tables`)",
        proof: BEFORE,
        ..TURNED_DOWN
    },
    Condition {
        when: When::Code(&[1180]),
        outcome: Outcome::Unknown,
        meaning: "the storage engine failed under COMMIT",
        ..BASE
    },
    Condition {
        when: When::Code(&[1153]),
        outcome: Outcome::Unknown,
        keeps_connection: false,
        meaning: "a packet larger than the server's `max_allowed_packet`, and the server closes the connection",
        ..BASE
    },
    Condition {
        when: When::Code(&[1317]),
        outcome: Outcome::Unknown,
        keeps_connection: false,
        meaning: "interrupted by a KILL, which may have been one of the connection (MySQL 9.7 after `KILL CONNECTION_ID()`)",
        ..BASE
    },
    Condition { when: When::Code(&[1815]), connect: Waits(NotReady), meaning: "internal error", ..BASE },
    Condition {
        when: When::Code(&[3168]),
        connect: Waits(NotReady),
        meaning: "a proxy (Vitess) has no server",
        ..LOST
    },
    Condition {
        when: When::Code(&[1129, 1130]),
        connect: Elsewhere(NotReady),
        meaning: "this host is not let in; another target may let it in",
        ..BASE
    },
    // by class
    Condition { when: When::Class("08"), meaning: "connection exception", ..LOST },
    Condition { when: When::Class("40"), meaning: "transaction rollback", ..ROLLED_BACK },
];

// what the driver and the transport notice

pub(super) static CLOSED_BEFORE: Condition = Condition {
    when: When::Noticed("the driver finds its own connection closed"),
    meaning: "nothing was sent",
    proof: "the driver looks before it writes",
    ..GONE
};

pub(super) static WRITE_FAILED: Condition = Condition {
    when: When::Noticed("the write failed (`BrokenPipe`)"),
    holds: Holds::PlainWrite,
    meaning: "the server cannot have the whole command; not over TLS, nor where a LOCAL INFILE may be under way",
    proof: "half a packet does nothing",
    ..GONE
};

pub(super) static TIMED_OUT: Condition =
    Condition { when: When::Noticed("time-out"), connect: Waits(Silent), meaning: "no reply in time", ..LOST };

pub(super) static CUT: Condition = Condition {
    when: When::Noticed("end of file, connection reset, every other I/O error"),
    meaning: "the connection ended after bytes of the statement may have reached the server",
    ..LOST
};

pub(super) static UNREADABLE: Condition = Condition {
    when: When::Noticed("packets out of order or unreadable"),
    meaning: "the driver closes the connection",
    ..LOST
};

pub(super) static TLS_FAILED: Condition = Condition {
    when: When::Noticed("TLS or compression failed"),
    connect: Surfaces,
    meaning: "the connection cannot be read any more",
    ..LOST
};

pub(super) static PACKET_TOO_LARGE: Condition = Condition {
    when: When::Noticed("the driver's `PacketTooLarge`"),
    outcome: Outcome::Unknown,
    keeps_connection: false,
    meaning: "the reply is larger than the client reads; a text that is larger than the client sends is `NotExecuted`",
    ..BASE
};

pub(super) static FOUND_BEFORE_SENDING: Condition = Condition {
    when: When::Noticed("wrong parameters, a bad URL"),
    outcome: Outcome::NotExecuted,
    keeps_connection: false,
    meaning: "found by the driver before it sends the command",
    proof: "nothing was sent",
    ..BASE
};

pub(super) static FOREIGN: Condition = Condition {
    when: When::Noticed("every other error of the driver, or of a hook"),
    outcome: Outcome::Unknown,
    keeps_connection: false,
    meaning: "no loss, and nobody can say what became of the statement",
    ..BASE
};

/// The conditions that the client notices, for the documentation.
#[cfg(test)]
pub(super) static NOTICED_ROWS: [&Condition; 10] = [
    &CLOSED_BEFORE,
    &WRITE_FAILED,
    &CUT,
    &TIMED_OUT,
    &UNREADABLE,
    &TLS_FAILED,
    &PACKET_TOO_LARGE,
    &FOUND_BEFORE_SENDING,
    &FOREIGN,
    &ANSWERED,
];
