//! What a new connection says about itself, and how it is restored to that after its use.
//!
//! `COM_RESET_CONNECTION` does not make a session new (seen on MariaDB 10.11 and 11.8, and MySQL 9.7): the role and the
//! current database stay; MySQL sets the character sets to the server's defaults, which need not be those of the login;
//! MariaDB keeps the statements of SHOW PROFILES, MySQL those of the optimizer trace. So what is known is restored after a
//! reset, and the session is compared with what it was. A connection whose session differs, or cannot be compared, is
//! closed. So is a connection whose questions are answered by another session than the one that greeted, as behind a proxy
//! that shares its connections.
//!
//! A reset removes all else that was tried on these servers: each session variable that can be set (173 on MariaDB 10.11,
//! 181 on 11.8, 142 on MySQL 9.7), user variables, temporary tables, prepared statements, handlers, all locks, the
//! transaction and its characteristics, the last insert id, the seeds of RAND(), the resource group.

use std::fmt::Write as _;

use mysql_async::{
    Conn, Row,
    prelude::{FromValue, Queryable},
};

use super::backend::{Backend, Mark, SERVER};

/// What a new connection says about itself.
#[derive(Debug, Default)]
pub(crate) struct Introduction {
    /// In seconds.
    pub(crate) wait_timeout: Option<u64>,
    /// `max_allowed_packet`, in bytes: the driver's limit unless its options set another one.
    pub(crate) max_allowed_packet: Option<usize>,
    /// The largest packet that the server takes, in bytes.
    pub(crate) packet_limit: Option<usize>,
    /// `None` if the server, or a proxy in front of it, does not support the mark, or if another session than the one that
    /// greeted has answered.
    pub(crate) session: Option<Backend>,
    /// The value of `@@autocommit`, if it is known. MySQL 9.7 that was started with `--autocommit=0` sets the status flag
    /// nevertheless.
    pub(crate) autocommit: Option<bool>,
    /// Whether the server commits by certification (Galera): it can abort a transaction at any time because of
    /// one of another node. `None` if it is not known.
    pub(crate) certifies: Option<bool>,
    /// `None` if the state of the session cannot be read.
    pub(crate) shape: Option<Shape>,
}

/// The state of a session that a reset may fail to restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Identifies the server: a router may send the text of a reset elsewhere.
    server: Option<String>,
    client: String,
    results: Option<String>,
    collation: String,
    database: Option<String>,
    role: Role,
    /// User, character sets of the database, and the variables that a server of another make may fail to reset.
    rest: String,
    /// Whether the session could be marked.
    marked: bool,
}

/// The role of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    /// The server has no roles.
    Unknown,
    None,
    /// As it is written in `SET ROLE`.
    Some(String),
}

/// A server takes a packet as large as its buffer, whatever the value of `max_allowed_packet` (seen on MariaDB 10.11 and
/// MySQL 9.7).
const LIMITS: &str = "@@wait_timeout, @@max_allowed_packet, GREATEST(@@max_allowed_packet, @@net_buffer_length)";

const REST: &str = "CONCAT_WS('/', CURRENT_USER(), USER(), @@character_set_database, @@collation_database, \
     @@character_set_server, @@collation_server, @@autocommit, @@sql_mode, @@time_zone, @@lc_time_names, \
     @@foreign_key_checks, @@unique_checks, @@sql_select_limit\
     /*!80000 , @@transaction_isolation, @@transaction_read_only */\
     /*M!110101 , @@transaction_isolation, @@transaction_read_only */)";

/// MariaDB does not execute what is in a comment for MySQL 8, nor MySQL what is in one for MariaDB.
const ROLE: &str = "/*!80000 , CURRENT_ROLE() *//*M!100005 , CURRENT_ROLE() */";

/// Shows whether it is a node of a cluster that commits by certification. MariaDB has a variable for it, unless it was built
/// without; for the others it is in the version (Percona XtraDB Cluster, Codership's builds).
const MAKE: &str = "CONCAT_WS(' ', VERSION(), @@version_comment)";
const MAKE_AND_WSREP: &str =
    "CONCAT_WS(' ', VERSION(), @@version_comment/*M!100104 , IF(@@global.wsrep_on, 'wsrep', '') */)";

/// Statements of an earlier caller that the session can still show.
const LEFTOVERS: &str = "0/*!80000 + (SELECT COUNT(*) FROM information_schema.OPTIMIZER_TRACE) */\
     /*M!100005 + (SELECT COUNT(*) FROM information_schema.PROFILING) */";

/// The question in one text; `lock` is the expression that marks the session.
fn question(lock: &str, leftovers: &str, make: &str) -> String {
    format!(
        "SELECT {lock}, {LIMITS}, CONNECTION_ID(), {SERVER}, {leftovers}, @@character_set_client, \
         @@character_set_results, @@collation_connection, DATABASE(), {REST}, @@autocommit, {make}{ROLE}"
    )
}

fn lock(mark: Mark) -> String {
    format!("GET_LOCK('{mark}', 0)")
}

/// Asks a new connection to this target for its limits and its shape, and marks its session, in one round trip.
pub(crate) async fn introduce(conn: &mut Conn, target: usize) -> mysql_async::Result<Introduction> {
    let mark = Mark::new();
    // a server or proxy that rejects a part of this can still be used
    let texts = [
        question(&lock(mark), "0", MAKE_AND_WSREP),
        question(&lock(mark), "0", MAKE),
        question("NULL", "0", MAKE),
        format!("SELECT NULL, {LIMITS}"),
    ];
    for text in texts {
        match conn.query_first::<Row, _>(text).await {
            Ok(Some(row)) => return Ok(read(&row, conn, mark, target)),
            Ok(None) | Err(mysql_async::Error::Server(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Introduction::default())
}

/// Restores the session of a connection after a reset, and marks it again. `None` if it is not as it was.
pub(crate) async fn restore(
    conn: &mut Conn,
    shape: &Shape,
    target: usize,
) -> mysql_async::Result<Option<Introduction>> {
    let mark = Mark::new();
    let Some(mut text) = shape.restoring() else { return Ok(None) };
    text += &question(if shape.marked { lock(mark) } else { "NULL".into() }.as_str(), LEFTOVERS, MAKE);
    let mut answers = conn.query_iter(text).await?;
    let mut last = None;
    while !answers.is_empty() {
        last = answers.collect::<Row>().await?.into_iter().next().or(last);
    }
    let Some(row) = last else { return Ok(None) };
    let introduction = read(&row, conn, mark, target);
    let is_same = column::<u64>(&row, 6) == Some(0) && introduction.shape.as_ref() == Some(shape);
    Ok(is_same.then_some(introduction))
}

/// A column that is there, not NULL, and of this type; the driver's own conversion panics.
fn column<T: FromValue>(row: &Row, index: usize) -> Option<T> {
    row.get_opt::<Option<T>, _>(index)?.ok()?
}

fn read(row: &Row, conn: &Conn, mark: Mark, target: usize) -> Introduction {
    let mut introduction = Introduction {
        wait_timeout: column(row, 1),
        max_allowed_packet: column(row, 2),
        packet_limit: column(row, 3),
        autocommit: column(row, 12),
        certifies: None,
        session: None,
        shape: None,
    };
    // A proxy that sends questions to several servers greets with one id and answers with another.
    // The id in a greeting has 32 bits.
    let id: Option<u64> = column(row, 4);
    if id.is_none_or(|id| id & u64::from(u32::MAX) != u64::from(conn.id())) {
        return introduction;
    }
    let marked = column(row, 0) == Some(1_u32);
    if marked && let Some(server) = column::<String>(row, 5) {
        introduction.session = Some(Backend::new(mark, conn.id(), server.into(), target));
    }
    introduction.certifies = column::<String>(row, 13).map(|make| is_of_a_cluster(&make));
    introduction.shape = Shape::read(row, marked);
    introduction
}

fn is_of_a_cluster(make: &str) -> bool {
    let make = make.to_ascii_lowercase();
    ["wsrep", "galera", "xtradb cluster"].into_iter().any(|word| make.contains(word))
}

impl Shape {
    fn read(row: &Row, marked: bool) -> Option<Self> {
        let role = match (row.len(), column::<String>(row, 14)) {
            (..=14, _) => Role::Unknown,
            (_, None) => Role::None,
            (_, Some(role)) if role == "NONE" => Role::None,
            // MySQL quotes the names itself
            (_, Some(roles)) if roles.starts_with('`') => Role::Some(roles),
            (_, Some(role)) => Role::Some(format!("`{}`", role.replace('`', "``"))),
        };
        Some(Shape {
            server: column(row, 5),
            client: column(row, 7)?,
            results: column(row, 8),
            collation: column(row, 9)?,
            database: column(row, 10),
            role,
            rest: column(row, 11)?,
            marked,
        })
    }

    /// The text that restores it after a reset.
    fn restoring(&self) -> Option<String> {
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let results = self.results.as_deref().unwrap_or("NULL");
        if ![&self.client, results, &self.collation].into_iter().all(is_name) {
            return None;
        }
        let mut text = format!(
            "SET character_set_client = {}, character_set_results = {results}, collation_connection = {}; ",
            self.client, self.collation
        );
        // a session cannot go back to having no database: the comparison of the shapes finds that
        if let Some(name) = &self.database {
            write!(text, "USE `{}`; ", name.replace('`', "``")).expect("a string takes everything");
        }
        match &self.role {
            Role::Unknown => {}
            Role::None => text += "SET ROLE NONE; ",
            Role::Some(role) => write!(text, "SET ROLE {role}; ").expect("a string takes everything"),
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape {
            server: None,
            client: "utf8mb4".into(),
            results: None,
            collation: "utf8mb4_bin".into(),
            database: Some("a`b".into()),
            role: Role::None,
            rest: String::new(),
            marked: true,
        }
    }

    #[test]
    fn a_node_of_a_cluster_is_known_by_its_make() {
        assert!(is_of_a_cluster("8.0.36-28.1 Percona XtraDB Cluster (GPL), Release rel28"));
        assert!(is_of_a_cluster("10.11.6-MariaDB-1 Debian 12 wsrep"));
        assert!(!is_of_a_cluster("10.11.6-MariaDB-1 Debian 12 "));
        assert!(!is_of_a_cluster("9.7.0 (Debian)"));
    }

    #[test]
    fn names_are_quoted_and_character_sets_are_names() {
        let text = shape().restoring().expect("a text");
        assert!(
            text.contains("character_set_results = NULL, collation_connection = utf8mb4_bin; USE `a``b`; "),
            "{text}"
        );
        assert_eq!(Shape { client: "x; DROP".into(), ..shape() }.restoring(), None);
    }
}
