//! A batch: one statement, many rows of parameters, and which of them another attempt would find.

use std::io;

use mysql_async::{Conn, Params, prelude::Queryable};

use super::{
    params::size_of_params,
    request::{Attempt, Progress, prepare},
};
use crate::{driver::own, pool::Record};

/// A batch: one prepared statement, many rows of parameters.
pub(crate) struct Batch<'q, I> {
    pub(crate) sql: &'q [u8],
    pub(crate) rows: Rows<I>,
    pub(crate) cached: bool,
}

/// The rows of a batch: those that another attempt may need, and those that are taken once.
pub(crate) struct Rows<I> {
    kept: Vec<Params>,
    rest: Option<I>,
    /// The rest is not whole any more.
    is_begun: bool,
}

/// How many rows of a batch are kept that runs once at most. Its second row is asked for when the first was answered, or is
/// about to be sent with it; nothing is sent again from then on.
const KEPT: usize = 1000;

impl<I: Iterator<Item = Params>> Rows<I> {
    pub(crate) fn new(mut rows: I, once: bool) -> Self {
        let kept: Vec<Params> = rows.by_ref().take(if once { KEPT } else { usize::MAX }).collect();
        let rest = (once && kept.len() == KEPT).then_some(rows);
        Rows { kept, rest, is_begun: false }
    }
}

impl<I: Iterator<Item = Params> + Send> Attempt for Batch<'_, I> {
    type Output = ();

    fn longest_packet(&self) -> usize {
        (1 + self.sql.len()).max(self.rows.kept.first().map_or(0, size_of_params))
    }

    fn size(&self) -> usize {
        match self.rows.rest {
            // it is not known
            Some(_) => usize::MAX,
            None => self.sql.len() + self.rows.kept.iter().map(size_of_params).sum::<usize>(),
        }
    }

    async fn run(&mut self, conn: &mut Conn, record: &Record, progress: &Progress) -> mysql_async::Result<()> {
        let Rows { kept, rest, is_begun } = &mut self.rows;
        if *is_begun {
            // a classification of the user's wants it sent again
            let what = "a part of the batch was sent, and its rows are not there any more: annotate it as idempotent";
            return Err(own(io::ErrorKind::Other, what));
        }
        let statement = prepare((&mut *conn, record), self.sql, self.cached, progress).await?;
        let rest = rest.iter_mut().flatten().inspect(|_| *is_begun = true);
        // The driver asks for the second row after the first one was answered, or, where it sends many rows in one
        // command (MariaDB), while it builds the first. From then on a failure may be one of a later command.
        let rows = kept.iter().cloned().chain(rest).enumerate().map(|(index, row)| {
            if index > 0 {
                progress.replies();
            }
            row
        });
        conn.exec_batch(statement, rows).await
    }
}
