//! How many statements may be sent again while the server is up but keeps losing them.
//!
//! Replays multiply the load of a server that already fails under it. So replays are bounded: each statement that succeeds
//! earns a share of one replay, and what is not used is kept, up to a reserve.

use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};

/// The share of an executor's load that may be replays. A token bucket, shared by all clones.
///
/// Each statement that succeeds puts `share` of a token into the bucket, which holds at most `reserve` and is full at the
/// beginning. Sending a statement again after its connection was lost takes one token. When none is left, the loss is
/// returned at once, with [`Reason::BudgetExhausted`](crate::Reason::BudgetExhausted). So in the long run replays are never
/// more than `share` of the statements that succeed.
///
/// A loss that belongs to an outage costs nothing, so that each call has its replay when the server is back. A refusal
/// (read-only, node not ready) and a deadlock cost nothing either. See
/// [the retry budget](crate::docs::outages#the-retry-budget).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    share: f64,
    reserve: u32,
}

impl RetryBudget {
    /// A budget of this share of the statements that succeed, from 0 to 1, and this reserve.
    ///
    /// # Errors
    /// The share is outside 0 to 1, or not a number.
    pub fn new(share: f64, reserve: u32) -> Result<Self> {
        if (0.0..=1.0).contains(&share) {
            return Ok(RetryBudget { share, reserve });
        }
        Err(Error::config(format!("the retry budget is bad: share is {share}: give a number from 0 to 1"), None))
    }
}

impl Default for RetryBudget {
    /// A fifth of the statements that succeed, and a reserve of 500.
    fn default() -> Self {
        RetryBudget { share: 0.2, reserve: 500 }
    }
}

/// A budget in use.
pub(crate) struct Budget {
    limits: RetryBudget,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    /// The number of successes that have been counted.
    successes: u64,
}

impl Budget {
    pub(crate) fn new(limits: RetryBudget) -> Self {
        Budget { limits, state: Mutex::new(State { tokens: limits.reserve.into(), successes: 0 }) }
    }

    /// Takes a token, after `successes` statements have succeeded; `false` if there is none.
    pub(crate) fn take(&self, successes: u64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pay_in(self.limits, successes);
        let enough = state.tokens >= 1.0;
        if enough {
            state.tokens -= 1.0;
        }
        enough
    }

    /// The whole tokens that are left.
    pub(crate) fn left(&self, successes: u64) -> u32 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.pay_in(self.limits, successes);
        state.tokens as u32
    }
}

impl State {
    fn pay_in(&mut self, limits: RetryBudget, successes: u64) {
        let new = successes.saturating_sub(self.successes);
        self.successes = self.successes.max(successes);
        self.tokens = (self.tokens + new as f64 * limits.share).min(limits.reserve.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(share: f64, reserve: u32) -> Budget {
        Budget::new(RetryBudget::new(share, reserve).expect("valid"))
    }

    #[test]
    fn the_reserve_is_there_at_once_and_then_nothing_without_successes() {
        let budget = budget(0.5, 3);
        assert_eq!((0..5).map(|_| budget.take(0)).collect::<Vec<_>>(), [true, true, true, false, false]);
    }

    #[test]
    fn in_the_long_run_replays_are_the_share_of_the_successes() {
        let budget = budget(0.25, 10);
        let replays = (1..=10_000).filter(|&successes| budget.take(successes)).count();
        assert_eq!(
            replays,
            2_500 + 9,
            "and once the reserve but for the first token, which was spent when it was full"
        );
    }

    #[test]
    fn no_more_than_the_reserve_is_kept() {
        let budget = budget(1.0, 5);
        assert_eq!(budget.left(1_000_000), 5);
        assert_eq!((0..9).filter(|_| budget.take(1_000_000)).count(), 5);
        assert_eq!(budget.left(1_000_002), 2);
    }

    #[test]
    fn successes_that_are_told_late_are_not_paid_twice() {
        let budget = budget(1.0, 5);
        assert_eq!((0..9).filter(|_| budget.take(3)).count(), 5);
        assert!(!budget.take(2));
        assert!(budget.take(4));
        assert!(!budget.take(4));
    }

    #[test]
    fn shares_that_make_no_sense_are_refused() {
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let error = RetryBudget::new(share, 1).expect_err("refused");
            assert!(error.is_config() && error.to_string().contains("share is"), "{error}");
        }
    }
}
