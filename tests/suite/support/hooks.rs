//! Hooks that wake a test when something happens to a call, and policies whose delays are known.

use std::{
    io,
    time::{Duration, Instant},
};

use mysql_retry::{Error, Event, RetryPolicy, RetryPolicyBuilder};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A policy with equal delays, for a test that knows when the attempts come: with a deadline of 1.9 delays there are two,
/// and the deadline cuts neither, unless the machine stands still for most of a delay.
pub fn every(delay: Duration) -> RetryPolicyBuilder {
    RetryPolicy::builder().initial_delay(delay).max_delay(delay).jitter(0.0)
}

/// The losses of an executor, as they happen, and the probes of one whose server is down.
pub struct Losses(UnboundedReceiver<()>);

impl Losses {
    /// A hook for an executor, and the losses that it will see.
    pub fn listen() -> (impl Fn(&Event<'_>) + Send + Sync + 'static, Losses) {
        let (sender, receiver) = unbounded_channel();
        let hook = move |event: &Event<'_>| {
            if matches!(event, Event::ConnectionLost { .. } | Event::Probing { .. }) {
                let _ = sender.send(());
            }
        };
        (hook, Losses(receiver))
    }

    /// Waits for so many losses more.
    pub async fn wait_for(&mut self, losses: usize) {
        for _ in 0..losses {
            self.0.recv().await.expect("the executor is still there");
        }
    }
}

/// A hook that holds up each call between two attempts until some time.
pub fn blocking_until(until: Instant) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    move |event| {
        if matches!(event, Event::RetryScheduled { .. }) {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}

/// What kind of I/O error the last attempt ended with.
pub fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    let Some(mysql_async::Error::Io(mysql_async::IoError::Io(io))) = error.driver_error() else {
        return None;
    };
    Some(io.kind())
}

/// Whether it says that nobody listens there: refused, or no such socket.
pub fn is_nobody_there(error: &Error) -> bool {
    matches!(io_kind(error), Some(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound))
}
