//! What holds of each decision, whatever has happened.

use super::*;

use proptest::{prelude::*, sample::select};

use crate::{
    policy::{Delays, Schedule},
    verdict::Disconnect,
};
use Decision::{Replay, Resend, Surface};
use Delivery::{AtLeastOnce, AtMostOnce, ExactlyOnce};
use Outcome::{Failed, NotExecuted, Unknown};

fn outcomes() -> impl Strategy<Value = Outcome> {
    select(vec![NotExecuted, Failed, Unknown])
}

fn classifications() -> impl Strategy<Value = Classification> {
    let make = select(vec![
        (|outcome| Classification::disconnect(Disconnect::ServerGone, outcome)) as fn(Outcome) -> Classification,
        |outcome| Classification::disconnect(Disconnect::ServerLost, outcome),
        Classification::refused,
        Classification::rolled_back,
        Classification::other,
    ]);
    (make, outcomes()).prop_map(|(make, outcome)| make(outcome))
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => Just(Duration::from_nanos(1)),
        1 => Just(Duration::MAX),
        2 => (0_u64..10).prop_map(Duration::from_nanos),
        4 => (0_u64..100_000).prop_map(Duration::from_millis),
    ]
}

fn counts() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0_u32..5, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

prop_compose! {
    fn situations()(
        classification in classifications(),
        before in outcomes(),
        delivery in select(vec![AtMostOnce, AtLeastOnce, ExactlyOnce]),
        [once_only, reached_connection, of_the_server] in any::<[bool; 3]>(),
        replays in counts(),
        delay in times(),
        remaining in times(),
    ) -> Situation {
        let outcome = before.then(classification.outcome());
        Situation {
            classification,
            outcome,
            delivery,
            once_only,
            reached_connection,
            of_the_server,
            replays,
            delay,
            remaining,
            obstacle: None,
        }
    }
}

/// What a decision asks of a policy.
#[derive(Clone, Copy, Debug)]
struct Policy {
    retries: bool,
    resend_rolled_back: bool,
    max_replays: u32,
}

prop_compose! {
    fn policies()([retries, resend_rolled_back] in any::<[bool; 2]>(), max_replays in counts()) -> Policy {
        Policy { retries, resend_rolled_back, max_replays }
    }
}

/// A policy that does send again, for the rules about what it then does.
fn willing() -> impl Strategy<Value = Policy> {
    policies().prop_map(|policy| Policy { retries: true, ..policy })
}

fn decided(situation: &Situation, policy: &Policy) -> Decision {
    let Policy { retries, resend_rolled_back, max_replays } = *policy;
    decide(situation, &Settings { retries, resend_rolled_back, max_replays, ..Settings::default() })
}

fn waits(decision: Decision) -> Option<Duration> {
    match decision {
        Resend(delay) | Replay(delay) => Some(delay),
        Surface(_) => None,
    }
}

proptest! {
    // what failed is printed, and made a test; no files beside the source
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_may_have_been_executed_is_never_sent_again_by_default(situation in situations(), policy in policies()) {
        let situation = Situation { delivery: AtMostOnce, outcome: Unknown, ..situation };
        prop_assert_eq!(waits(decided(&situation, &policy)), None);
    }

    #[test]
    fn file_data_are_never_sent_again_after_doubt(situation in situations(), policy in policies()) {
        let situation = Situation { once_only: true, outcome: Unknown, ..situation };
        prop_assert_eq!(waits(decided(&situation, &policy)), None);
    }

    #[test]
    fn with_retries_off_nothing_is_sent_again(situation in situations(), policy in policies()) {
        let policy = Policy { retries: false, ..policy };
        prop_assert_eq!(waits(decided(&situation, &policy)), None);
    }

    #[test]
    fn no_wait_reaches_the_deadline(situation in situations(), policy in willing()) {
        if let Some(delay) = waits(decided(&situation, &policy)) {
            prop_assert!(delay < situation.remaining);
            prop_assert!(delay == situation.delay || delay.is_zero());
        }
    }

    #[test]
    fn losses_of_a_connection_are_answered_as_often_as_the_policy_says(
        situation in situations(), policy in willing(), more in any::<u32>()
    ) {
        let exhausted = Situation { replays: policy.max_replays.saturating_add(more), ..situation };
        if counts_as_replay(&exhausted) {
            prop_assert_eq!(waits(decided(&exhausted, &policy)), None);
        }
    }

    #[test]
    fn nothing_but_losses_of_a_connection_counts(situation in situations(), policy in willing(), replays in counts()) {
        if !counts_as_replay(&situation) {
            prop_assert_eq!(decided(&situation, &policy), decided(&Situation { replays, ..situation }, &policy));
        }
    }

    #[test]
    fn an_error_that_is_no_loss_surfaces(situation in situations(), outcome in outcomes(), policy in policies()) {
        let situation = Situation { classification: Classification::other(outcome), ..situation };
        prop_assert_eq!(decided(&situation, &policy), Surface(Reason::NotALoss));
    }

    #[test]
    fn after_a_proof_the_delivery_makes_no_difference(
        situation in situations(), policy in policies(), once_only in any::<bool>()
    ) {
        let default = Situation { outcome: NotExecuted, delivery: AtMostOnce, ..situation };
        let idempotent = Situation { delivery: AtLeastOnce, once_only, ..default };
        prop_assert_eq!(decided(&default, &policy), decided(&idempotent, &policy));
    }

    #[test]
    fn after_a_proof_it_is_a_resend_and_after_doubt_a_replay(situation in situations(), policy in willing()) {
        match decided(&situation, &policy) {
            Resend(_) => prop_assert_eq!(situation.outcome, NotExecuted),
            Replay(_) => {
                prop_assert_ne!(situation.outcome, NotExecuted);
                prop_assert_ne!(situation.delivery, AtMostOnce);
                prop_assert!(!situation.once_only);
            }
            Surface(_) => {}
        }
    }

    #[test]
    fn more_time_and_more_replays_never_make_it_give_up(
        situation in situations(), policy in willing(), time in times(), replays in any::<u32>()
    ) {
        let decision = decided(&situation, &policy);
        if waits(decision).is_some() {
            let policy = Policy { max_replays: policy.max_replays.saturating_add(replays), ..policy };
            let situation = Situation { remaining: situation.remaining.saturating_add(time), ..situation };
            prop_assert_eq!(decided(&situation, &policy), decision);
        }
    }

    #[test]
    fn what_is_surfaced_says_the_truth(situation in situations(), policy in policies()) {
        let Surface(reason) = decided(&situation, &policy) else { return Ok(()) };
        let fault = situation.classification.fault();
        let true_of_it = match reason {
            Reason::NotALoss => fault == Fault::Other,
            Reason::SwitchedOff => !policy.retries || (fault == Fault::RolledBack && !policy.resend_rolled_back),
            Reason::NotIdempotent => situation.outcome != NotExecuted && situation.delivery == AtMostOnce,
            Reason::OnceOnly => situation.outcome != NotExecuted && situation.once_only,
            Reason::ReplaysExhausted => counts_as_replay(&situation) && situation.replays >= policy.max_replays,
            Reason::Deadline => situation.delay >= situation.remaining || situation.remaining.is_zero(),
            // of the loop, not of this function
            Reason::RowsDelivered
            | Reason::Unfenced
            | Reason::StateLost
            | Reason::InSession
            | Reason::InTransaction
            | Reason::CommitLost
            | Reason::TransactionEnded
            | Reason::NotRolledBack
            | Reason::BudgetExhausted
            | Reason::FailFast => false,
        };
        prop_assert!(true_of_it, "{reason:?}");
    }

    /// The loop of `call`, with a clock of its own: attempts fail one after the other, each taking its time.
    #[test]
    fn a_whole_call_keeps_its_bounds(
        losses in prop::collection::vec((classifications(), any::<bool>(), 0_u64..50), 1..200),
        first in situations(),
        policy in policies(),
        deadline in 1_u64..5_000,
        (initial, maximum, multiplier, jitter) in (1_u64..50, 50_u64..500, 1.0..4.0, 0.0..=1.0),
    ) {
        let delays = Delays {
            initial: Duration::from_millis(initial),
            maximum: Duration::from_millis(maximum),
            multiplier,
            jitter,
        };
        let deadline = Duration::from_millis(deadline);
        let mut schedule = Schedule::new(&delays);
        let (mut clock, mut replays, mut outcome, mut lost) = (Duration::ZERO, 0, NotExecuted, 0);
        for (classification, reached_connection, takes) in losses {
            clock += Duration::from_millis(takes);
            outcome = outcome.then(classification.outcome());
            let situation = Situation {
                classification,
                outcome,
                reached_connection,
                replays,
                delay: schedule.next(),
                remaining: deadline.saturating_sub(clock),
                ..first
            };
            let Some(delay) = waits(decided(&situation, &policy)) else { break };
            prop_assert!(policy.retries);
            prop_assert!(outcome == NotExecuted || (first.delivery != AtMostOnce && !first.once_only));
            prop_assert!(delay <= delays.maximum);
            clock += delay;
            prop_assert!(clock < deadline, "waited until {clock:?} of {deadline:?}");
            if counts_as_replay(&situation) {
                replays += 1;
                lost += 1;
            }
            prop_assert!(lost <= policy.max_replays);
        }
    }
}
