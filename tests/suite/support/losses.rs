//! Hooks that wake a test when something happens to a call, or hold up the call.

use std::time::Instant;

use mysql_retry::Event;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The losses of an executor as they happen, and the probes while its server is down.
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

    /// Waits for this many losses and probes more.
    pub async fn wait_for(&mut self, losses: usize) {
        for _ in 0..losses {
            self.0.recv().await.expect("the executor is still there");
        }
    }
}

/// A hook that blocks each call between two attempts until this moment.
pub fn blocking_until(until: Instant) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    move |event| {
        if matches!(event, Event::RetryScheduled { .. }) {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }
}
