//! A fold that takes each row as it arrives, and keeps none.
//!
//! Once the caller's function has seen a row it cannot begin anew: what it began with is gone. So this is for statements that are not
//! run again after a reply has begun.

use std::marker::PhantomData;

use mysql_async::{Conn, prelude::FromRow};

use super::{
    request::{Attempt, Progress, Request},
    sink::{Mismatch, convert},
};
use crate::pool::Record;

pub(crate) struct Folding<R, T, U, F> {
    request: R,
    /// `None` while a row is being folded.
    value: Option<U>,
    fold: F,
    rows: u64,
    row: PhantomData<fn() -> T>,
}

impl<R, T, U, F> Folding<R, T, U, F> {
    pub(crate) fn new(request: R, init: U, fold: F) -> Self {
        Folding { request, value: Some(init), fold, rows: 0, row: PhantomData }
    }
}

impl<R, T, U, F> Attempt for Folding<R, T, U, F>
where
    R: Request,
    T: FromRow + Send + 'static,
    U: Send,
    F: FnMut(U, T) -> U + Send,
{
    type Output = Result<U, Mismatch>;

    fn size(&self) -> usize {
        self.request.size()
    }

    fn longest_packet(&self) -> usize {
        self.request.longest_packet()
    }

    fn rows_given(&self) -> u64 {
        self.rows
    }

    async fn run(
        &mut self,
        conn: &mut Conn,
        record: &Record,
        progress: &Progress,
    ) -> mysql_async::Result<Self::Output> {
        let mut result = self.request.send(conn, record, progress).await?;
        progress.replies();
        let mut fits = Ok(());
        while let Some(row) = result.next().await? {
            if fits.is_ok() {
                match convert(row) {
                    Ok(row) => {
                        self.rows += 1;
                        self.value = self.value.take().map(|value| (self.fold)(value, row));
                    }
                    Err(mismatch) => fits = Err(mismatch),
                }
            }
        }
        result.drop_result().await?;
        Ok(fits.map(|()| self.value.take().expect("it is there between two rows")))
    }
}
