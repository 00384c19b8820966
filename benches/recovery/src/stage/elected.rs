//! A group of Group Replication that elects another primary when one is killed.

use mysql_retry_fixture::{Group, Router, Server};

use super::prepare;
use crate::columns::USER;

/// Three nodes, and which of them is the primary.
pub(crate) struct Elected {
    group: Group,
    primary: usize,
}

impl Elected {
    pub(super) async fn start() -> Self {
        let group = Group::start().await;
        prepare(group.node(0)).await;
        // as the documentation tells people to
        let grant = format!("GRANT SELECT ON performance_schema.replication_group_members TO {USER}@'%'");
        group.node(0).query_drop(grant).await;
        for number in 1..3 {
            group.catch_up(number).await;
        }
        Elected { group, primary: 0 }
    }

    pub(super) fn nodes(&self) -> &[Server; 3] {
        self.group.nodes()
    }

    pub(super) async fn router(&self) -> Router {
        Router::start(&self.group).await
    }

    pub(super) fn primary(&self) -> &Server {
        self.group.node(self.primary)
    }

    pub(super) async fn kill_primary(&self) {
        self.primary().kill().await;
    }

    /// Waits until the others have another primary.
    pub(super) async fn elect(&mut self) {
        self.primary = self.group.primary_after(self.primary).await;
    }
}
