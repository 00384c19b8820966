//! What the next caller of a connection can see: as wide as each server allows.

use std::collections::BTreeMap;

use mysql_async::{Conn, Error, Row, Value, consts::StatusFlags, prelude::Queryable as _};
use mysql_retry::Tx;
use mysql_retry_fixture::Flavour;

use crate::stage::Stage;

/// What was asked and what the answer was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

/// Variables that change by themselves, or with each statement.
const RESTLESS: [&str; 19] = [
    "timestamp",
    "rand_seed1",
    "rand_seed2",
    "error_count",
    "warning_count",
    "last_insert_id",
    "identity",
    "pseudo_thread_id",
    "gtid_binlog_pos",
    "gtid_binlog_state",
    "gtid_current_pos",
    "gtid_executed",
    "last_gtid",
    "innodb_sync_debug",
    "innodb_buffer_pool_load_now",
    "statement_id",
    "in_predicate_conversion_threshold",
    "external_user",
    "wsrep_last_seen",
];

/// One question for what every server tells.
const COMMON: &str = "LAST_INSERT_ID() AS last_insert_id, CURRENT_USER() AS user, CURRENT_ROLE() AS role, DATABASE() AS current_database, \
    ABS(UNIX_TIMESTAMP(SYSDATE()) - UNIX_TIMESTAMP(NOW())) < 1000000 AS has_the_time, RAND() < 0.000001 AS seeded_rand, \
    @@insert_id AS insert_id, CONCAT_WS('|', @left_behind, @other, @`left behind`, @n, @into, @assigned) AS user_variables, \
    (SELECT COUNT(*) FROM information_schema.PROFILING) AS profiles, \
    (SELECT COUNT(*) FROM information_schema.OPTIMIZER_TRACE) AS optimizer_traces, \
    (SELECT GROUP_CONCAT(STATEMENT_NAME) FROM performance_schema.prepared_statements_instances \
    WHERE OWNER_THREAD_ID = @@THREAD AND STATEMENT_NAME IS NOT NULL) AS sql_prepared_statements, \
    (SELECT BIT_XOR(CRC32(CONCAT(VARIABLE_NAME, '=', COALESCE(VARIABLE_VALUE, '')))) FROM @@VARIABLES \
    WHERE VARIABLE_NAME NOT IN (@@RESTLESS)) AS sum_of_variables";

const OF_MARIADB: &str =
    "(SELECT GROUP_CONCAT(VARIABLE_NAME) FROM information_schema.USER_VARIABLES) AS names_of_user_variables";
const OF_MYSQL: &str = "(SELECT GROUP_CONCAT(VARIABLE_NAME) FROM performance_schema.user_variables_by_thread \
    WHERE THREAD_ID = @@THREAD) AS names_of_user_variables, \
    (SELECT RESOURCE_GROUP FROM performance_schema.threads WHERE THREAD_ID = @@THREAD) AS resource_group";
/// Asked from another connection: table locks would end with the probes, and reading would end the rest.
const LOCKS: &str = "SELECT GROUP_CONCAT(OBJECT_TYPE, ' ', LOCK_TYPE, ' ', COALESCE(OBJECT_NAME, '') ORDER BY 1) \
    FROM performance_schema.metadata_locks WHERE OBJECT_TYPE <> 'USER LEVEL LOCK' AND OWNER_THREAD_ID = \
    (SELECT THREAD_ID FROM performance_schema.threads WHERE PROCESSLIST_ID = ";

const THREAD: &str = "(SELECT THREAD_ID FROM performance_schema.threads WHERE PROCESSLIST_ID = CONNECTION_ID())";

fn question(flavour: Flavour) -> String {
    let (own, variables) = match flavour {
        Flavour::MariaDb => (OF_MARIADB, "information_schema.SESSION_VARIABLES"),
        Flavour::MySql => (OF_MYSQL, "performance_schema.session_variables"),
    };
    let restless = RESTLESS.map(|name| format!("'{name}'")).join(", ");
    format!("SELECT {COMMON}, {own}")
        .replace("@@THREAD", THREAD)
        .replace("@@RESTLESS", &restless)
        .replace("@@VARIABLES", variables)
}

/// Asked first: what is set for the next transaction counts for the first statement alone.
const FIRST: [(&str, &str); 4] = [
    ("transaction", "START TRANSACTION"),
    ("writing in the next transaction", "DELETE FROM only_probed WHERE x = -1"),
    (
        "isolation of the next transaction",
        "SELECT CONCAT_WS('|', ISOLATION_LEVEL, ACCESS_MODE) FROM performance_schema.events_transactions_current \
         WHERE THREAD_ID = (SELECT THREAD_ID FROM performance_schema.threads WHERE PROCESSLIST_ID = CONNECTION_ID())",
    ),
    ("end of the next transaction", "ROLLBACK"),
];

/// Asked last: they end what they look for. Those that a server does not know have an error as their answer, the same each time.
const LAST: [(&str, &str); 8] = [
    ("sequence", "SELECT LASTVAL(seq)"),
    ("temporary table tmp", "SELECT 1 FROM tmp LIMIT 0"),
    ("temporary table t2", "SHOW CREATE TABLE t2"),
    ("handler h", "HANDLER h READ FIRST LIMIT 0"),
    ("handler t", "HANDLER t READ FIRST LIMIT 0"),
    ("locks held", "SELECT RELEASE_ALL_LOCKS()"),
    ("write without transaction", "DELETE FROM only_probed WHERE x = -1"),
    // 1243 ends a transaction of the library
    ("prepared statement", "EXECUTE ps"),
];

impl Snapshot {
    /// `known`: another one of this server, whose list of variables will do if their sum is the same.
    pub async fn take(caller: &mut Caller<'_>, own: &mut Conn, flavour: Flavour, known: Option<&Snapshot>) -> Snapshot {
        let mut answers = BTreeMap::new();
        answers.insert("status".into(), caller.status().await);
        let id = caller.id().await;
        answers.insert("metadata_locks".into(), Caller::Conn(own).ask(&format!("{LOCKS}{})", id)).await);
        for (name, question) in FIRST {
            if matches!(caller, Caller::Tx(_)) && ["START TRANSACTION", "ROLLBACK"].contains(&question) {
                // it is in one
                continue;
            }
            answers.insert(format!("probe: {name}"), caller.ask(question).await);
        }
        match caller.first(&question(flavour)).await {
            Ok(Some(row)) => {
                for (index, column) in row.columns_ref().iter().enumerate() {
                    answers.insert(column.name_str().into_owned(), shown(row.as_ref(index)));
                }
            }
            other => panic!("the question about a session: {other:?}"),
        }
        // they are many, and nearly always the same
        if known.is_none_or(|known| known.0.get(SUM) != answers.get(SUM)) {
            caller.variables(&mut answers).await;
        } else if let Some(known) = known {
            let same = known.0.iter().filter(|(name, _)| name.starts_with("@@"));
            answers.extend(same.map(|(name, value)| (name.clone(), value.clone())));
        }
        for (name, question) in LAST {
            if matches!(caller, Caller::Tx(_)) && name == "sequence" {
                // the library gives a transaction that asks another connection
                continue;
            }
            answers.insert(format!("probe: {name}"), caller.ask(question).await);
        }
        Snapshot(answers)
    }

    /// What is different here from what it was there, in words.
    pub fn differences(&self, other: &Snapshot) -> BTreeMap<String, String> {
        let names = self.0.keys().chain(other.0.keys());
        let here = |snapshot: &Snapshot, name: &String| snapshot.0.get(name).cloned().unwrap_or_default();
        names
            .filter(|name| name.as_str() != SUM && self.0.get(*name) != other.0.get(*name))
            .map(|name| {
                (name.clone(), format!("{name}: {} instead of {}", short(here(self, name)), short(here(other, name))))
            })
            .collect()
    }
}

const SUM: &str = "sum_of_variables";

/// Who looks: a borrower of the driver's connection, or a transaction of the executor's next caller.
pub enum Caller<'c> {
    Conn(&'c mut Conn),
    Tx(Tx),
}

impl Caller<'_> {
    async fn all(&mut self, question: &str) -> Result<Vec<Row>, String> {
        match self {
            Caller::Conn(conn) => conn.query(question).await.map_err(|error| match error {
                Error::Server(error) => format!("error {}", error.code),
                other => other.to_string(),
            }),
            Caller::Tx(tx) => tx.query(question).await.map_err(|error| match error.server_error() {
                Some(error) => format!("error {}", error.code),
                // without the time that is in its text
                None => format!("{:?}", error.reason()),
            }),
        }
    }

    async fn first(&mut self, question: &str) -> Result<Option<Row>, String> {
        self.all(question).await.map(|rows| rows.into_iter().next())
    }

    async fn ask(&mut self, question: &str) -> String {
        match self.first(question).await {
            Ok(Some(row)) => (0..row.len()).map(|column| shown(row.as_ref(column))).collect::<Vec<_>>().join("|"),
            Ok(None) => "no row".into(),
            Err(error) => error,
        }
    }

    /// What the server says of the transaction, for a borrower.
    async fn status(&mut self) -> String {
        let Caller::Conn(conn) = self else { return String::new() };
        let pinged = conn.ping().await;
        let flags = StatusFlags::SERVER_STATUS_IN_TRANS
            | StatusFlags::SERVER_STATUS_AUTOCOMMIT
            | StatusFlags::SERVER_STATUS_IN_TRANS_READONLY
            | StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES;
        format!("{:?} {:?}", pinged.is_ok(), conn.last_ok_packet().map(|ok| ok.status_flags() & flags))
    }

    async fn id(&mut self) -> String {
        match self {
            Caller::Conn(conn) => conn.id().to_string(),
            Caller::Tx(_) => self.ask("SELECT CONNECTION_ID()").await,
        }
    }

    async fn variables(&mut self, answers: &mut BTreeMap<String, String>) {
        match self.all("SHOW SESSION VARIABLES").await {
            Ok(rows) => {
                for row in rows {
                    let name = shown(row.as_ref(0)).to_lowercase();
                    if !RESTLESS.contains(&&*name) {
                        answers.insert(format!("@@{name}"), shown(row.as_ref(1)));
                    }
                }
            }
            Err(error) => drop(answers.insert("variables".into(), error)),
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::NULL) | None => "NULL".into(),
        Some(other) => other.as_sql(true),
    }
}

fn short(text: String) -> String {
    let cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() { format!("`{cut}..`") } else { format!("`{cut}`") }
}

/// What a statement is seen by.
const SEEN: [(&str, &str); 18] = [
    ("SET @left_behind = 1", "user_variables"),
    ("SET @unheard_of = 1", "names_of_user_variables"),
    ("SET ROLE boss", "role"),
    ("USE elsewhere", "current_database"),
    ("SET sql_mode = 'ANSI'", "@@sql_mode"),
    ("SET NAMES latin1", "@@character_set_client"),
    ("SET timestamp = 5", "has_the_time"),
    ("SET rand_seed1 = 1, rand_seed2 = 2", "seeded_rand"),
    ("SELECT LAST_INSERT_ID(7)", "last_insert_id"),
    ("SET insert_id = 7", "insert_id"),
    ("START TRANSACTION", "status"),
    ("SET TRANSACTION READ ONLY", "probe: writing in the next transaction"),
    ("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "probe: isolation of the next transaction"),
    ("CREATE TEMPORARY TABLE tmp (x INT)", "probe: temporary table tmp"),
    ("LOCK TABLES t READ", "metadata_locks"),
    ("SELECT GET_LOCK('lk', 0)", "probe: locks held"),
    ("PREPARE ps FROM 'SELECT 1'", "probe: prepared statement"),
    ("HANDLER t OPEN AS h", "probe: handler h"),
];

/// Whether a snapshot shows what it is there for.
pub async fn assert_that_it_sees(stage: &Stage) {
    let flavour = stage.server.flavour();
    let mut own = stage.bare().await;
    let fresh = Snapshot::take(&mut Caller::Conn(&mut stage.bare().await), &mut own, flavour, None).await;
    for (sql, name) in SEEN {
        let mut conn = stage.bare().await;
        conn.query_drop(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let seen =
            Snapshot::take(&mut Caller::Conn(&mut conn), &mut own, flavour, Some(&fresh)).await.differences(&fresh);
        assert!(seen.contains_key(name), "`{sql}` is not seen by `{name}`, only by {:?}", seen.keys());
    }
}
