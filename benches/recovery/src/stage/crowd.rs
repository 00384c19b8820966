//! A server that is full: others have taken all places, and new connections get 1040.
//!
//! The others are there from the beginning and do nothing. The outage begins when the limit is set to what they take and
//! the sessions of the columns are killed: no new one can slip in between.

use mysql_async::{Conn, prelude::Queryable};
use mysql_retry_fixture::Server;

use super::sessions;

/// The least that servers allow.
const FULL: usize = 10;

/// Those who take the places, and the session that says how many there are.
pub(crate) struct Crowd {
    admin: Conn,
    roomy: u64,
    _others: Vec<Conn>,
}

impl Crowd {
    pub(super) async fn gather(server: &Server) -> Self {
        let mut admin = server.connect().await;
        let roomy = admin.query_first("SELECT @@GLOBAL.max_connections").await.expect("a variable");
        let mut others = Vec::new();
        for _ in 0..FULL {
            others.push(server.connect().await);
        }
        Crowd { admin, roomy: roomy.expect("a number"), _others: others }
    }

    pub(super) async fn shut_out(&mut self) {
        self.limit(FULL as u64).await;
        loop {
            let sessions = sessions(&mut self.admin).await;
            if sessions.is_empty() {
                break;
            }
            for id in sessions {
                match self.admin.query_drop(format!("KILL {id}")).await {
                    // 1094: it is gone already
                    Err(mysql_async::Error::Server(error)) if error.code == 1094 => {}
                    done => done.expect("a session to be killed"),
                }
            }
        }
    }

    pub(super) async fn let_in(&mut self) {
        self.limit(self.roomy).await;
    }

    async fn limit(&mut self, connections: u64) {
        self.admin.query_drop(format!("SET GLOBAL max_connections = {connections}")).await.expect("a variable");
    }
}
