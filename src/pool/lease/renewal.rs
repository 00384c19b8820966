//! How a connection is made as it was when it was new.

use std::time::Instant;

use mysql_async::prelude::Queryable;

use super::{End, Lease};
use crate::pool::{Limits, bounded, introduction::restore, record::Returned};

impl Lease {
    /// Whether a reset can make the connection as it was when it was new.
    pub(super) fn is_resettable(&self) -> bool {
        self.target().resettable && self.record.shape().is_some()
    }

    /// Resets the session in the background, and gives the connection back.
    pub(super) fn reset(mut self) {
        // without a runtime (a stream dropped at the very end of a program) it is just closed
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return self.end(End::Broken);
        };
        self.shared.listeners.counting.resets.add_one();
        runtime.spawn(async move {
            let limit = self.shared.reset_timeout;
            // without an answer a statement may still be under way, with rows that were not read
            self.sending();
            let answer = tokio::time::timeout(limit, self.renew()).await;
            if matches!(answer, Ok(Ok(_))) {
                self.answered();
            }
            let renewed = matches!(answer, Ok(Ok(true)));
            let now = Instant::now();
            if renewed && self.give_back(now, 0) == Returned::AsItBegan {
                self.put_back(now);
            } else {
                self.end(End::Broken);
            }
        });
    }

    /// Resets the session, so that it knows nothing of its earlier users; `false` if that is not possible.
    pub(crate) async fn forget_callers(&mut self, limits: Limits) -> bool {
        if self.is_pristine() {
            return true;
        }
        self.shared.listeners.counting.resets.add_one();
        self.sending();
        let answer = bounded(self.renew(), "reset", limits).await;
        if answer.is_ok() {
            self.answered();
        }
        answer.is_ok_and(|renewed| renewed)
    }

    /// Restores the session to the state of a new one; `false` if that is not possible.
    async fn renew(&mut self) -> mysql_async::Result<bool> {
        match self.try_to_renew().await {
            Err(mysql_async::Error::Server(_)) => Ok(false),
            renewed => renewed,
        }
    }

    async fn try_to_renew(&mut self) -> mysql_async::Result<bool> {
        let Some(shape) = self.record.shape() else { return Ok(false) };
        // A reset rolls back too. But MariaDB 10.11 leaves its session with half of an XA transaction that was prepared, and
        // there ROLLBACK fails.
        if self.status().is_none_or(|status| status.in_transaction) {
            self.conn().query_drop("ROLLBACK").await?;
        }
        self.record.forget_statements();
        // `false`: a server so old that it has no reset
        if !self.conn().reset().await? {
            return Ok(false);
        }
        let target = self.target;
        let Some(introduction) = restore(self.conn(), &shape, target).await? else { return Ok(false) };
        self.record.remark(introduction.session);
        let shared = self.shared.clone();
        shared.setup.run(self.conn()).await?;
        Ok(true)
    }
}
