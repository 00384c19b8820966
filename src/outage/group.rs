//! Whether a node of MySQL's Group Replication is in touch with its group.
//!
//! A node that has lost the majority of its group, and one that was stopped while the others went on without it, calls itself
//! ONLINE and PRIMARY. It takes logins, reads and writes. Only their commits wait, without limit, or are answered with 3100.
//!
//! Each member sends a message to the group once in a period of its flow control, which is a second by default, and does so
//! also with flow control disabled. A message is delivered when a majority has agreed on it. So the time of the last agreement
//! shows whether there is a majority. Every account may read it, from MySQL 8.1 on. (Seen on MySQL 9.7.)

use std::{borrow::Cow, time::Duration};

use mysql_async::{Conn, Error, Opts, Row, Value, prelude::Queryable};
use tokio::time::timeout;

use super::question::{answered, is_on, is_read_only, variables};
use crate::{conditions::unavailable_at_statement, verdict::Unavailable};

/// A group, from the variables of one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) has_one_primary: bool,
    /// In which each member sends at least one message.
    period: Duration,
}

/// What a node is to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// A member in touch with a majority, as far as can be seen.
    Member,
    /// The group has agreed on nothing for this long, as far as this node has heard.
    OutOfTouch(Duration),
    /// It is joining, or has failed.
    NotOnline,
    /// Replication is not running on it.
    Outside,
}

/// The variables by which a node says that it belongs to a group. Other servers do not know them.
pub(super) const VARIABLES: &str =
    "'group_replication_group_name', 'group_replication_single_primary_mode', 'group_replication_flow_control_period'";

/// A member that is not heard of for 5 s is suspected, and may be expelled. Nobody is expelled sooner.
const SUSPECTED: Duration = Duration::from_secs(3);
const PERIODS: u32 = 2;

impl Group {
    /// From the rows of SHOW VARIABLES; `None` if the server has no group.
    pub(super) fn read(variables: &[Row]) -> Option<Group> {
        let of = |name: &str| {
            let row =
                variables.iter().find(|row| text(row.as_ref(0)).is_some_and(|it| it.eq_ignore_ascii_case(name)))?;
            row.as_ref(1)
        };
        let name = text(of("group_replication_group_name")).filter(|name| !name.is_empty())?.into_owned();
        let seconds = text(of("group_replication_flow_control_period")).and_then(|text| text.parse().ok());
        Some(Group {
            name,
            has_one_primary: of("group_replication_single_primary_mode").is_some_and(is_on),
            period: Duration::from_secs(seconds.unwrap_or(1)),
        })
    }

    /// What the node of this connection is to its group. Whether it is ONLINE is tried out if it cannot be asked for, and
    /// `tries`: a member that takes writes is.
    pub(super) async fn membership(&self, conn: &mut Conn, tries: bool) -> Result<Membership, Error> {
        // needs a privilege
        let (told, is_told) = match conn.query_first::<Row, _>(MEMBERS).await {
            Ok(row) => (row.map_or(Membership::Member, |row| among_members(&row)), true),
            Err(Error::Server(_)) => (Membership::Member, false),
            Err(error) => return Err(error),
        };
        // a node that was left behind calls itself ONLINE, and the others too
        if told != Membership::Member {
            return Ok(told);
        }
        let by_agreement = self.by_agreement(conn).await?;
        let tries = tries && !is_told && by_agreement == Membership::Member;
        if tries { by_trial(conn).await } else { Ok(by_agreement) }
    }

    /// By the time of the last agreement.
    async fn by_agreement(&self, conn: &mut Conn) -> Result<Membership, Error> {
        let last: Option<Row> = answered(conn.query_first(LAST_AGREEMENT).await)?;
        let limit = self.period.saturating_mul(PERIODS).saturating_add(SUSPECTED);
        Ok(match last.and_then(|last| last.get_opt::<Option<u64>, _>(0)) {
            Some(Ok(None)) => Membership::Outside,
            Some(Ok(Some(age))) if Duration::from_secs(age) > limit => Membership::OutOfTouch(Duration::from_secs(age)),
            Some(Ok(Some(_)) | Err(_)) | None => Membership::Member,
        })
    }
}

/// Seconds since the group last agreed on anything; NULL where replication is not running. No row before MySQL 8.1.
const LAST_AGREEMENT: &str = "SELECT TIMESTAMPDIFF(SECOND, NULLIF(VARIABLE_VALUE, ''), UTC_TIMESTAMP()) \
     FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Gr_last_consensus_end_timestamp'";

/// The state of this node, and whether it reaches a majority, in its own eyes.
const MEMBERS: &str = "SELECT MAX(IF(MEMBER_ID IN (@@server_uuid, ''), MEMBER_STATE, NULL)), \
     SUM(MEMBER_STATE IN ('ONLINE', 'RECOVERING')) * 2 > COUNT(*) FROM performance_schema.replication_group_members";

fn among_members(row: &Row) -> Membership {
    match text(row.as_ref(0)).as_deref() {
        Some("ONLINE") if !row.as_ref(1).is_some_and(is_on) => Membership::OutOfTouch(Duration::ZERO),
        Some("ONLINE") => Membership::Member,
        Some("OFFLINE") => Membership::Outside,
        Some(_) => Membership::NotOnline,
        None => Membership::Member,
    }
}

/// Begins a transaction of a kind that only an ONLINE member takes. It sends nothing to the group. A new primary that has to
/// apply what was committed before holds it, for the `wait_timeout` at most.
async fn by_trial(conn: &mut Conn) -> Result<Membership, Error> {
    let trial = "SET SESSION wait_timeout = 1, group_replication_consistency = 'AFTER'; BEGIN; ROLLBACK";
    match conn.query_drop(trial).await {
        Err(error) if unavailable_at_statement(&error) == Some(Unavailable::NotReady) => Ok(Membership::NotOnline),
        Ok(()) | Err(Error::Server(_)) => Ok(Membership::Member),
        Err(error) => Err(error),
    }
}

/// How long a node has been out of touch with the majority of its group; `None` if it is not, or has no group.
pub(crate) async fn out_of_touch(conn: &mut Conn) -> Result<Option<Duration>, Error> {
    let Some(group) = Group::read(&variables(conn).await?) else { return Ok(None) };
    Ok(match group.membership(conn, false).await? {
        Membership::OutOfTouch(age) => Some(age),
        Membership::Member | Membership::NotOnline | Membership::Outside => None,
    })
}

/// Whether a preferred target should not be used in place of the current one, because the group has gone on without it: both
/// call themselves its only primary, or it lacks what the current one has. It says itself that it was left only when it has
/// heard of that.
pub(crate) async fn is_left_behind(preferred: Opts, current: Opts, limit: Duration) -> bool {
    timeout(limit, compare(preferred, current)).await.is_ok_and(|compared| compared.unwrap_or(false))
}

async fn compare(preferred: Opts, current: Opts) -> Result<bool, Error> {
    let mut preferred = Conn::new(preferred).await?;
    let (group, is_primary) = standing(&mut preferred).await?;
    let Some(group) = group else { return Ok(false) };
    let mut current = Conn::new(current).await?;
    let (other, other_is_primary) = standing(&mut current).await?;
    if other.is_none_or(|other| other.name != group.name) {
        return Ok(false);
    }
    let executed: Option<String> = current.query_first("SELECT @@global.gtid_executed").await?;
    let has_all = "SELECT GTID_SUBSET(?, @@global.gtid_executed)";
    let has_all: Option<bool> = preferred.exec_first(has_all, (executed,)).await?;
    Ok((group.has_one_primary && is_primary && other_is_primary) || has_all == Some(false))
}

/// The group of a node, and whether the node takes writes.
async fn standing(conn: &mut Conn) -> Result<(Option<Group>, bool), Error> {
    let variables = variables(conn).await?;
    Ok((Group::read(&variables), !is_read_only(&variables)))
}

/// For messages.
pub(crate) fn out_of_touch_for(age: Duration) -> Cow<'static, str> {
    match age.is_zero() {
        true => "it has lost the majority of its group".into(),
        false => format!("it has lost the majority of its group, which it last heard of {age:?} ago").into(),
    }
}

fn text(value: Option<&Value>) -> Option<Cow<'_, str>> {
    match value? {
        Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes)),
        Value::NULL
        | Value::Int(_)
        | Value::UInt(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Date(..)
        | Value::Time(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use mysql_common::{constants::ColumnType, packets::Column, row::new_row};

    use super::*;

    fn row(values: [Value; 2]) -> Row {
        let column = Column::new(ColumnType::MYSQL_TYPE_VAR_STRING);
        new_row(values.into(), [column.clone(), column].into())
    }

    fn variables(pairs: &[(&str, &str)]) -> Vec<Row> {
        pairs.iter().map(|&(name, value)| row([name.into(), value.into()])).collect()
    }

    #[test]
    fn a_server_without_a_group_has_none() {
        assert_eq!(Group::read(&[]), None);
        assert_eq!(Group::read(&variables(&[("read_only", "OFF")])), None);
        // the plugin is there, and not set up
        assert_eq!(Group::read(&variables(&[("group_replication_group_name", "")])), None);
    }

    #[test]
    fn a_group_has_a_name_a_mode_and_a_period() {
        let group = Group::read(&variables(&[
            ("read_only", "OFF"),
            ("group_replication_flow_control_period", "20"),
            ("group_replication_group_name", "g"),
            ("group_replication_single_primary_mode", "ON"),
        ]));
        let period = Duration::from_secs(20);
        assert_eq!(group, Some(Group { name: "g".into(), has_one_primary: true, period }));
        let group = Group::read(&variables(&[("group_replication_group_name", "g")]));
        let period = Duration::from_secs(1);
        assert_eq!(group, Some(Group { name: "g".into(), has_one_primary: false, period }));
    }

    #[test]
    fn a_member_is_online_and_reaches_more_than_half() {
        for (state, reaches, membership) in [
            (Value::from("ONLINE"), Value::from("1"), Membership::Member),
            ("ONLINE".into(), "0".into(), Membership::OutOfTouch(Duration::ZERO)),
            ("RECOVERING".into(), "1".into(), Membership::NotOnline),
            ("ERROR".into(), "0".into(), Membership::NotOnline),
            ("OFFLINE".into(), "0".into(), Membership::Outside),
            // no row of its own
            (Value::NULL, Value::NULL, Membership::Member),
        ] {
            assert_eq!(among_members(&row([state.clone(), reaches])), membership, "{state:?}");
        }
    }
}
