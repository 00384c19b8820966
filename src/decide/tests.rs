//! Every cell of the decision, both ways.

use super::*;
use crate::verdict::Disconnect::{ServerGone, ServerLost};
use Outcome::{Failed, NotExecuted, Unknown};

const DELAY: Duration = Duration::from_millis(50);

fn settings() -> Settings {
    Settings { max_replays: 2, ..Settings::default() }
}

fn gone() -> Classification {
    Classification::disconnect(ServerGone, NotExecuted)
}

fn lost() -> Classification {
    Classification::disconnect(ServerLost, Unknown)
}

fn after(classification: Classification) -> Situation {
    Situation {
        classification,
        outcome: classification.outcome(),
        delivery: Delivery::AtMostOnce,
        once_only: false,
        reached_connection: true,
        of_the_server: true,
        replays: 0,
        delay: DELAY,
        remaining: Duration::from_secs(10),
        obstacle: None,
    }
}

fn idempotent(classification: Classification) -> Situation {
    Situation { delivery: Delivery::AtLeastOnce, ..after(classification) }
}

fn decided(situation: Situation) -> Decision {
    decide(&situation, &settings())
}

#[test]
fn the_matrix_of_outcome_and_delivery() {
    use Decision::{Replay, Resend, Surface};
    use Delivery::{AtLeastOnce, AtMostOnce, ExactlyOnce};

    let now = Duration::ZERO;
    let disconnects = [ServerGone, ServerLost];
    for disconnect in disconnects {
        for (outcome, delivery, expected) in [
            (NotExecuted, AtMostOnce, Resend(now)),
            (NotExecuted, AtLeastOnce, Resend(now)),
            (Unknown, AtMostOnce, Surface(Reason::NotIdempotent)),
            (Unknown, AtLeastOnce, Replay(now)),
            (NotExecuted, ExactlyOnce, Resend(now)),
            (Unknown, ExactlyOnce, Replay(now)),
        ] {
            let situation = Situation { delivery, ..after(Classification::disconnect(disconnect, outcome)) };
            assert_eq!(decided(situation), expected, "{disconnect:?} {outcome:?} {delivery:?}");
        }
    }
    for (make, outcome, delivery, expected) in [
        (Classification::refused as fn(Outcome) -> Classification, NotExecuted, AtMostOnce, Resend(DELAY)),
        (Classification::refused, NotExecuted, AtLeastOnce, Resend(DELAY)),
        (Classification::refused, Unknown, AtMostOnce, Surface(Reason::NotIdempotent)),
        (Classification::refused, Unknown, AtLeastOnce, Replay(DELAY)),
        (Classification::rolled_back, NotExecuted, AtMostOnce, Resend(DELAY)),
        (Classification::rolled_back, NotExecuted, AtLeastOnce, Resend(DELAY)),
        (Classification::rolled_back, Unknown, AtMostOnce, Surface(Reason::NotIdempotent)),
        (Classification::rolled_back, Unknown, AtLeastOnce, Replay(DELAY)),
        (Classification::rolled_back, Failed, AtMostOnce, Surface(Reason::NotIdempotent)),
        (Classification::rolled_back, Failed, AtLeastOnce, Replay(DELAY)),
        (Classification::other, Failed, AtMostOnce, Surface(Reason::NotALoss)),
        (Classification::other, Failed, AtLeastOnce, Surface(Reason::NotALoss)),
        (Classification::other, NotExecuted, AtMostOnce, Surface(Reason::NotALoss)),
        (Classification::other, NotExecuted, AtLeastOnce, Surface(Reason::NotALoss)),
        (Classification::other, Unknown, AtMostOnce, Surface(Reason::NotALoss)),
        (Classification::other, Unknown, AtLeastOnce, Surface(Reason::NotALoss)),
    ] {
        let situation = Situation { delivery, ..after(make(outcome)) };
        assert_eq!(decided(situation), expected, "{situation:?}");
    }
}

#[test]
fn one_unknown_attempt_keeps_a_default_statement_from_being_sent_again() {
    // the last attempt is proved not executed, an earlier one was not
    let situation = Situation { outcome: Unknown, ..after(gone()) };
    assert_eq!(decided(situation), Decision::Surface(Reason::NotIdempotent));
}

#[test]
fn with_retries_off_every_loss_surfaces() {
    let none = Settings { retries: false, ..settings() };
    for classification in
        [gone(), lost(), Classification::refused(NotExecuted), Classification::rolled_back(NotExecuted)]
    {
        let decision = decide(&idempotent(classification), &none);
        assert_eq!(decision, Decision::Surface(Reason::SwitchedOff));
    }
}

#[test]
fn rolled_back_statements_are_sent_again_only_if_the_policy_says_so() {
    let off = Settings { resend_rolled_back: false, ..settings() };
    let situation = idempotent(Classification::rolled_back(NotExecuted));
    assert_eq!(decide(&situation, &off), Decision::Surface(Reason::SwitchedOff));
    assert_eq!(decided(situation), Decision::Resend(DELAY));
    assert_eq!(decide(&after(gone()), &off), Decision::Resend(Duration::ZERO));
}

#[test]
fn file_data_are_not_sent_twice_but_may_be_sent_after_a_proof() {
    let unknown = Situation { once_only: true, ..idempotent(lost()) };
    assert_eq!(decided(unknown), Decision::Surface(Reason::OnceOnly));
    let proved = Situation { once_only: true, ..after(gone()) };
    assert_eq!(decided(proved), Decision::Resend(Duration::ZERO));
}

#[test]
fn the_first_loss_is_answered_at_once_and_later_ones_after_a_delay() {
    assert_eq!(decided(idempotent(lost())), Decision::Replay(Duration::ZERO));
    let second = Situation { replays: 1, ..idempotent(lost()) };
    assert_eq!(decided(second), Decision::Replay(DELAY));
}

#[test]
fn replays_end_at_their_maximum() {
    for (replays, expected) in [
        (1, Decision::Replay(DELAY)),
        (2, Decision::Surface(Reason::ReplaysExhausted)),
        (u32::MAX, Decision::Surface(Reason::ReplaysExhausted)),
    ] {
        let situation = Situation { replays, ..idempotent(lost()) };
        assert_eq!(decided(situation), expected);
        let proved = Situation { replays, ..after(gone()) };
        assert_eq!(
            matches!(decided(proved), Decision::Surface(_)),
            matches!(expected, Decision::Surface(_)),
            "a statement whose write fails each time is bounded too"
        );
    }
    let never = Settings { max_replays: 0, ..settings() };
    assert_eq!(decide(&after(gone()), &never), Decision::Surface(Reason::ReplaysExhausted));
}

#[test]
fn attempts_without_a_connection_and_refusals_are_bounded_by_the_deadline_alone() {
    let unreachable = Situation { reached_connection: false, replays: u32::MAX, ..after(gone()) };
    assert_eq!(decided(unreachable), Decision::Resend(DELAY));
    let refused = Situation { replays: u32::MAX, ..after(Classification::refused(NotExecuted)) };
    assert_eq!(decided(refused), Decision::Resend(DELAY));
}

#[test]
fn nothing_is_tried_at_or_after_the_deadline() {
    for (remaining, surfaces) in [(Duration::ZERO, true), (DELAY, true), (DELAY + Duration::from_nanos(1), false)] {
        let situation = Situation { reached_connection: false, remaining, ..after(gone()) };
        assert_eq!(decided(situation) == Decision::Surface(Reason::Deadline), surfaces, "{remaining:?}");
    }
    let at_once = Situation { remaining: Duration::ZERO, ..after(gone()) };
    assert_eq!(decided(at_once), Decision::Surface(Reason::Deadline));
}

#[test]
fn a_refusal_that_is_about_the_statement_is_bounded_as_losses_are() {
    let refused = Situation { of_the_server: false, ..after(Classification::refused(NotExecuted)) };
    assert_eq!(decided(refused), Decision::Resend(DELAY));
    let again = Situation { replays: 2, ..refused };
    assert_eq!(decided(again), Decision::Surface(Reason::ReplaysExhausted));
}

#[test]
fn what_stands_in_the_way_ends_the_call_whatever_the_error() {
    use Obstacle::*;
    let all = [
        (RowsDelivered, Reason::RowsDelivered),
        (StateLost, Reason::StateLost),
        (InSession, Reason::InSession),
        (InTransaction, Reason::InTransaction),
        (CommitLost, Reason::CommitLost),
        (Unfenced, Reason::Unfenced),
        (BudgetSpent, Reason::BudgetExhausted),
        (DownForTooLong, Reason::FailFast),
        (NotWaited, Reason::SwitchedOff),
        (OutOfTime, Reason::Deadline),
        (PoolBusy, Reason::Deadline),
    ];
    for (obstacle, reason) in all {
        for classification in [gone(), lost(), Classification::other(Failed), Classification::refused(NotExecuted)] {
            let situation = Situation { obstacle: Some(obstacle), ..idempotent(classification) };
            assert_eq!(decided(situation), Decision::Surface(reason), "{obstacle:?} {classification:?}");
        }
    }
}

#[test]
fn a_statement_goes_unfenced_only_where_two_copies_do_no_harm_or_the_policy_takes_them() {
    use Delivery::{AtLeastOnce, AtMostOnce, ExactlyOnce};
    let strict = Settings { replay_unfenced: false, ..settings() };
    for (outcome, delivery, may) in [
        (NotExecuted, AtLeastOnce, true),
        (NotExecuted, AtMostOnce, true),
        (Unknown, AtLeastOnce, false),
        (Unknown, AtMostOnce, false),
        (Failed, AtLeastOnce, false),
        (Unknown, ExactlyOnce, true),
    ] {
        assert_eq!(may_go_unfenced(outcome, delivery, &strict), may, "{outcome:?} {delivery:?}");
        assert!(may_go_unfenced(outcome, delivery, &settings()), "{outcome:?} {delivery:?}");
    }
}

#[test]
fn each_reason_says_something_of_its_own() {
    let all = [
        Reason::NotALoss,
        Reason::SwitchedOff,
        Reason::NotIdempotent,
        Reason::OnceOnly,
        Reason::RowsDelivered,
        Reason::ReplaysExhausted,
        Reason::Unfenced,
        Reason::Deadline,
    ];
    let said: std::collections::HashSet<String> = all.iter().map(Reason::to_string).collect();
    assert_eq!(said.len(), all.len());
    assert!(!said.contains(""));
}
