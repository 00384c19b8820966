//! The cases of the corpus: each form in each situation, numbered.

use std::fmt;

use crate::corpus::{self, Form};

/// The first number; all have as many digits, so that texts are as long in each case.
pub const FIRST: u32 = 100_001;

/// Which cases are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    All,
    /// One of so many.
    Thin(usize),
    One(u32),
}

impl Selection {
    pub fn has(self, number: u32) -> bool {
        match self {
            Selection::All => true,
            Selection::Thin(share) => (number as usize).is_multiple_of(share),
            Selection::One(one) => one == number,
        }
    }
}

/// What is asked of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Does it leave anything for the next caller?
    State(Way),
    /// Is what was called committed there, as a whole?
    Transaction(Manner, Trouble),
    /// Is nothing done when it was prepared only?
    Prepared(Cut),
}

/// How a form reaches its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Text,
    Prepared,
    /// On a session that is dropped afterwards.
    Session,
}

/// How `INSERT a; FORM; INSERT b` is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Plain,
    Guarded,
    /// On a session, with BEGIN and COMMIT as text.
    Session,
    /// The form alone, with a token.
    Statement,
}

/// What goes wrong with the form, or behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// Its reply is lost.
    Lost,
    /// The reply to COMMIT is lost.
    CommitLost,
    /// An error is said in place of it, and returned.
    Refused,
    /// The same, and the closure takes no notice.
    Swallowed,
    /// It is said to have met a deadlock, though nothing was rolled back; returned.
    Deadlock,
    DeadlockSwallowed,
    /// It is executed, and an error is said in place of its reply; swallowed.
    FailedAfter,
}

/// Where a prepared statement is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// When the client wants to execute it.
    BeforeExecution,
    /// When it was prepared.
    AfterPreparing,
}

const WAYS: [Way; 3] = [Way::Text, Way::Prepared, Way::Session];
const MANNERS: [Manner; 3] = [Manner::Plain, Manner::Guarded, Manner::Session];
const TROUBLES: [Trouble; 8] = [
    Trouble::None,
    Trouble::Lost,
    Trouble::CommitLost,
    Trouble::Refused,
    Trouble::Swallowed,
    Trouble::Deadlock,
    Trouble::DeadlockSwallowed,
    Trouble::FailedAfter,
];
const OF_STATEMENT: [Trouble; 3] = [Trouble::None, Trouble::Lost, Trouble::CommitLost];
const CUTS: [Cut; 2] = [Cut::BeforeExecution, Cut::AfterPreparing];

fn questions() -> Vec<Question> {
    let states = WAYS.into_iter().map(Question::State);
    let transactions = MANNERS
        .into_iter()
        .flat_map(|manner| TROUBLES.into_iter().map(move |trouble| Question::Transaction(manner, trouble)));
    let statements = OF_STATEMENT.into_iter().map(|trouble| Question::Transaction(Manner::Statement, trouble));
    states.chain(transactions).chain(statements).chain(CUTS.into_iter().map(Question::Prepared)).collect()
}

/// A form in a situation.
#[derive(Clone, Debug)]
pub struct Case {
    pub number: u32,
    /// The form's place in the corpus.
    pub index: usize,
    pub question: Question,
}

impl Case {
    pub fn form(&self) -> &'static Form {
        &corpus::forms()[self.index].1
    }

    pub fn area(&self) -> &'static str {
        corpus::forms()[self.index].0
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AUDIT_CASE={} `{}`, {:?}", self.number, self.form().sql, self.question)
    }
}

impl Case {
    /// Whether the case is one of the run. What ends transactions by stored code, or in several statements, meets everything; other
    /// forms are much alike, and take turns in what they meet.
    pub fn is_in_turn(&self) -> bool {
        let turn = |of: usize| (self.index + of) % 3;
        let alike = !["transactions, CALL", "functions"].contains(&self.area());
        match self.question {
            Question::State(Way::Text) => true,
            Question::State(way) => turn(0) != 0 || way == Way::Session && self.form().on_session,
            Question::Transaction(..) if self.area() == "transactions, CALL" => true,
            Question::Transaction(Manner::Statement, trouble) => turn(trouble as usize) == 0,
            Question::Transaction(manner, trouble) => turn(trouble as usize) == manner as usize,
            Question::Prepared(cut) => !alike || (self.index + cut as usize).is_multiple_of(2),
        }
    }
}

/// All cases, whatever the server.
pub fn all() -> Vec<Case> {
    let questions = questions();
    let of_form = questions.len() as u32;
    let mut cases = Vec::new();
    for index in 0..corpus::forms().len() {
        for (place, question) in questions.iter().enumerate() {
            let number = FIRST + index as u32 * of_form + place as u32;
            cases.push(Case { number, index, question: *question });
        }
    }
    cases
}
