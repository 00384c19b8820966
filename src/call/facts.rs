//! What is known of a call, and of its failed attempts, as plain data.

use std::time::{Duration, Instant};

use crate::{
    error::Kind,
    meter::CallMeter,
    outage::Need,
    sql::{Reading, StateKinds},
    statement::Delivery,
    verdict::{Classification, Fault, Obstacle, Outcome},
};

/// What is known of a call. Outlives it where a stream goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(super) reading: Reading,
    /// `None` if the call has no statement and only needs a connection.
    pub(super) length: Option<usize>,
    /// It may release the lock that marks its session: then a question about the mark has no answer.
    pub(super) hides_its_session: bool,
    /// It may release that lock and succeed: from then on the connection counts as unmarked.
    pub(super) doubts_its_mark: bool,
    pub(super) delivery: Delivery,
    /// It is a whole transaction.
    pub(super) transaction: bool,
    pub(super) started: Instant,
    pub(super) deadline: Instant,
    pub(super) attempts: u32,
    pub(super) replays: u32,
    pub(super) outcome: Outcome,
    /// A server has refused it for its own condition.
    pub(super) refused: bool,
    pub(super) meter: CallMeter,
}

impl Facts {
    /// What the statement may leave on its connection.
    pub(crate) fn leaves(&self) -> StateKinds {
        self.reading.state().union(self.reading.gives())
    }

    /// What it needs from a server. A call without a statement needs no more than a read.
    pub(super) fn need(&self) -> Need {
        let reads = (self.reading.reads_only() || self.length.is_none()) && !self.transaction;
        if reads && !self.refused { Need::Read } else { Need::Write }
    }

    pub(super) fn may_load_a_local_file(&self) -> bool {
        self.reading.local_infile() || self.reading.state().contains(StateKinds::UNKNOWN)
    }
}

/// A failed attempt.
pub(crate) struct Failed {
    pub(super) error: mysql_async::Error,
    pub(super) classification: Classification,
    /// The connection that it was made on; `None` if there was none.
    pub(super) connection_id: Option<u32>,
    /// What stands in the way of another attempt.
    pub(super) obstacle: Option<Obstacle>,
    /// `ConnectionLost` has already been emitted for it, by a statement of the transaction, or `Down` by the call that found
    /// the outage.
    pub(super) told: bool,
    /// How many rows the caller had got.
    pub(super) rows: u64,
    /// How long the outage that it belongs to has lasted.
    pub(super) down_for: Option<Duration>,
    /// What the error says instead of its classification.
    pub(super) kind: Option<Kind>,
}

impl Failed {
    /// An error whose meaning is known without the table.
    pub(super) fn known(error: mysql_async::Error, classification: Classification) -> Self {
        Failed {
            error,
            classification,
            connection_id: None,
            obstacle: None,
            told: false,
            rows: 0,
            down_for: None,
            kind: None,
        }
    }

    /// The same after the caller has got so many rows.
    pub(super) fn after_rows(mut self, rows: u64) -> Self {
        self.rows = rows;
        if rows > 0 && self.classification.fault() != Fault::Other {
            self.obstacle = self.obstacle.or(Some(Obstacle::RowsDelivered));
        }
        self
    }

    /// Whether what failed may have happened all the same.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.classification.outcome() == Outcome::Unknown
    }
}

/// `RELEASE_ALL_LOCKS()`, seen or in stored code.
pub(super) fn hides_its_session(text: &[u8], state: StateKinds) -> bool {
    const NAME: &[u8] = b"RELEASE_ALL_LOCKS";
    state.contains(StateKinds::UNKNOWN)
        || (state.contains(StateKinds::USER_LOCK)
            && text.windows(NAME.len()).any(|part| part.eq_ignore_ascii_case(NAME)))
}

/// Whether a text that only reads may ask for locks on its rows (`FOR UPDATE`, `FOR SHARE`, `LOCK IN SHARE MODE`). True also where
/// one of the words means something else.
pub(super) fn may_lock_rows(text: &[u8]) -> bool {
    let is_part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii();
    let mut words = text.split(|byte| !is_part_of_word(byte));
    words.any(|word| word.eq_ignore_ascii_case(b"UPDATE") || word.eq_ignore_ascii_case(b"SHARE"))
}
