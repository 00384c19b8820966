//! A block of a session that is idempotent as a whole.

use std::future::Future;

use super::Session;
use crate::{
    call::{Call, Stop, Work},
    error::Error,
    handle::Handle,
    pool::{Lease, Slot},
};

/// Runs it, and again from its start on another connection when it has failed and its connection was lost.
pub(crate) async fn run<F, Fut, T, E>(handle: &Handle, work: F) -> Result<T, E>
where
    F: FnMut(Session) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let mut call = handle.block_call();
    call.run_work(Block { handle, work }).await
}

struct Block<'h, F> {
    handle: &'h Handle,
    work: F,
}

impl<F, Fut, T, E> Work for Block<'_, F>
where
    F: FnMut(Session) -> Fut + Send,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    type Output = T;
    type Error = E;

    async fn once(&mut self, call: &mut Call<'_>, lease: Lease) -> Result<T, Stop<E>> {
        call.note_replay(&lease);
        let connection_id = lease.connection_id();
        let slot = Slot::holding(lease);
        slot.remember_losses();
        match (self.work)(Session::of(self.handle, &slot, false)).await {
            Ok(value) => Ok(value),
            Err(own) => match slot.take_losses() {
                // an error that has nothing to do with a loss is the caller's
                lost if lost.is_empty() => Err(Stop::Ended(own)),
                lost => Err(call.block_lost(connection_id, lost).into()),
            },
        }
    }
}
