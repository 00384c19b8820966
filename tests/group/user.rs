//! An application on the group: its rights, its table, and what its executor meets.

use std::time::Duration;

use mysql_async::OptsBuilder;
use mysql_retry::{Event, Executor, ExecutorBuilder};
use mysql_retry_fixture::Events;

use crate::support::{Codes, with_deadline};

/// Two of them, one with the right to see who is a member and one without it, go through the same event side by side.
pub struct User {
    /// Of its table and, with an ending, of its guard's.
    pub name: &'static str,
    pub exec: Executor,
    pub events: Events,
    pub codes: Codes,
}

impl User {
    /// A user of these targets; the executor notices soon that a node hangs.
    pub fn new(name: &'static str, deadline: Duration, targets: impl IntoIterator<Item = OptsBuilder>) -> User {
        User::with(name, deadline, targets, |builder| builder)
    }

    /// The same with other settings.
    pub fn with(
        name: &'static str,
        deadline: Duration,
        targets: impl IntoIterator<Item = OptsBuilder>,
        set: impl FnOnce(ExecutorBuilder) -> ExecutorBuilder,
    ) -> User {
        let (events, codes) = (Events::default(), Codes::default());
        let builder = set(codes.record(with_deadline(name, &events, deadline), deadline));
        let exec = builder.build_targets(targets).expect("good options");
        User { name, exec, events, codes }
    }

    /// A user whose events are also heard by someone else.
    pub fn listening(
        name: &'static str,
        deadline: Duration,
        targets: impl IntoIterator<Item = OptsBuilder>,
        listen: impl Fn(&Event<'_>) + Send + Sync + 'static,
    ) -> User {
        let events = Events::default();
        let hook = events.hook();
        let heard = move |event: &Event<'_>| {
            listen(event);
            hook(event);
        };
        User { events, ..User::with(name, deadline, targets, |builder| builder.on_event(heard)) }
    }
}
