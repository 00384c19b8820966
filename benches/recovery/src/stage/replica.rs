//! A primary and the replica that takes over from it.

use mysql_retry_fixture::{Pair, Server};

use super::prepare;

/// A primary, and a replica that is read-only until it is promoted.
pub(crate) struct Replicas(Pair);

impl Replicas {
    pub(super) async fn start() -> Self {
        let pair = Pair::start().await;
        prepare(pair.first()).await;
        pair.catch_up(1).await;
        Replicas(pair)
    }

    pub(super) fn primary(&self) -> &Server {
        self.0.first()
    }

    pub(super) fn successor(&self) -> &Server {
        self.0.second()
    }

    /// Makes the second server the primary.
    pub(super) async fn promote(&self) {
        self.0.promote(1).await;
    }
}
