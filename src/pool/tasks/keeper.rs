//! Keeps one task for a kind of work that any call may ask for: at most one such task runs at a time.

use std::sync::{
    Weak,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use crate::pool::Shared;

/// Whether the task is running.
#[derive(Debug, Default)]
pub(crate) struct Keeper(AtomicBool);

impl Keeper {
    /// Whether the caller has to start the task. Called after work was left for it.
    pub(crate) fn begins(&self) -> bool {
        !self.0.load(SeqCst) && !self.0.swap(true, SeqCst)
    }

    /// Called by the task when it has found no work. With `true` it ends. With `false` it goes on, because work was left
    /// meanwhile by a caller that saw the task running.
    pub(crate) fn ends(&self, is_work_left: impl FnOnce() -> bool) -> bool {
        self.0.store(false, SeqCst);
        !is_work_left() || !self.begins()
    }

    fn stops(&self) {
        self.0.store(false, SeqCst);
    }
}

/// Held by the task: if it ends in another way than by [`Keeper::ends`] (a hook of the user may panic), the next call
/// starts another task.
pub(in crate::pool) struct Turn {
    shared: Weak<Shared>,
    keeper: fn(&Shared) -> &Keeper,
    /// What is to be done then, beside that.
    then: fn(&Shared),
}

impl Turn {
    pub(in crate::pool) fn new(shared: &Weak<Shared>, keeper: fn(&Shared) -> &Keeper, then: fn(&Shared)) -> Self {
        Turn { shared: shared.clone(), keeper, then }
    }

    /// Ends the task's turn unless there is work left.
    pub(in crate::pool) fn ends(&mut self, shared: &Shared, is_work_left: impl FnOnce() -> bool) -> bool {
        let ends = (self.keeper)(shared).ends(is_work_left);
        if ends {
            self.shared = Weak::new();
        }
        ends
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            (self.keeper)(&shared).stops();
            (self.then)(&shared);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use super::*;

    #[test]
    fn one_task_begins_and_another_one_when_it_has_ended() {
        let keeper = Keeper::default();
        assert!(keeper.begins() && !keeper.begins());
        assert!(keeper.ends(|| false));
        assert!(keeper.begins());
        keeper.stops();
        assert!(keeper.begins(), "after a bad end");
    }

    #[test]
    fn work_that_comes_while_a_task_ends_is_done_by_it_or_by_the_next() {
        let keeper = Keeper::default();
        assert!(keeper.begins());
        assert!(!keeper.ends(|| true), "it goes on");
        let taken_over = keeper.ends(|| {
            assert!(keeper.begins(), "a caller is faster");
            true
        });
        assert!(taken_over);
    }

    #[test]
    fn no_work_is_left_behind_and_no_two_tasks_do_it() {
        let (keeper, list, at_work, done) =
            (Keeper::default(), Mutex::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let task = || {
            assert_eq!(at_work.fetch_add(1, Relaxed), 0, "two at once");
            loop {
                let found = std::mem::take(&mut *list.lock().expect("no panic"));
                done.fetch_add(found, Relaxed);
                if found == 0 {
                    // before the turn ends: afterwards another task may begin
                    at_work.fetch_sub(1, Relaxed);
                    if keeper.ends(|| *list.lock().expect("no panic") > 0) {
                        return;
                    }
                    at_work.fetch_add(1, Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        *list.lock().expect("no panic") += 1;
                        if keeper.begins() {
                            task();
                        }
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 8_000);
    }
}
