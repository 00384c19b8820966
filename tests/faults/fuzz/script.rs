//! A script: an executor, what runs on it, and what strikes meanwhile. Plain data, drawn from a seed and a number alone.

use std::{fmt, time::Duration};

use mysql_retry_fixture::{Fault, Random, Rule, Transport};

use super::rules;
use crate::work::Work;

pub const TASKS: u32 = 4;
pub const STEPS: u32 = 6;

/// Each script has so many numbers in the ledger: one for each step, and one for each task's register.
const NUMBERS: u32 = 32;
/// All numbers have as many digits, so that none is a part of another.
const FIRST: u32 = 100_000_000;

/// The executor.
#[derive(Clone, Debug)]
pub struct Setup {
    pub transport: Transport,
    pub connections: usize,
    pub pinging: bool,
    /// `None`: the driver's own size of the statement cache.
    pub cache: Option<usize>,
    pub retries: bool,
    pub replays: u32,
    pub replay_unfenced: bool,
    pub deadline: Duration,
    pub attempt: Option<Duration>,
    pub connect: Duration,
    pub max_delay: Duration,
}

/// What a task does.
#[derive(Clone, Debug)]
pub struct Step {
    pub act: Act,
    /// Its future is dropped after this time.
    pub cancelled: Option<Duration>,
}

#[derive(Clone, Debug)]
pub enum Act {
    Run {
        work: Work,
        annotated: bool,
    },
    /// Sets the register of the task to this, idempotently: a copy that is executed later would show.
    Set(u32),
    /// Leaves session state behind, which forces a reset.
    LeaveState,
    Ping,
    /// Takes a raw connection, and asks it something or not.
    Borrow {
        asking: bool,
    },
    /// Opens a stream of so many rows, reads some, and drops it.
    Stream {
        rows: u32,
        read: u32,
    },
}

/// What happens to all connections of the script.
#[derive(Clone, Debug)]
pub enum Blow {
    Cut(Fault),
    /// KILL of one of the sessions that were made last.
    Kill(usize),
    GoDark(Duration),
    Refuse(Duration),
    AcceptAndClose(Duration),
}

#[derive(Clone, Debug)]
pub struct Script {
    pub number: u32,
    pub setup: Setup,
    pub tasks: Vec<Vec<Step>>,
    pub rules: Vec<Rule>,
    /// Each at its time after the beginning, one after the other.
    pub blows: Vec<(Duration, Blow)>,
    /// A door that a rule shut is opened so often.
    pub opened_every: Duration,
    /// What a rule silenced is healed so often; what was held back then arrives late.
    pub healed_every: Option<Duration>,
    /// At the end, what was held back is let through before everything is cut.
    pub healed_at_end: bool,
}

impl Script {
    pub fn new(seed: u64, number: u32) -> Self {
        let mut random = Random::new(seed, u64::from(number));
        let setup = setup(&mut random);
        let tasks: Vec<Vec<Step>> = (0..1 + random.below(u64::from(TASKS)))
            .map(|_| (0..1 + random.below(u64::from(STEPS))).map(|step| self::step(&mut random, step as u32)).collect())
            .collect();
        let mut script = Script {
            number,
            rules: Vec::new(),
            blows: Vec::new(),
            opened_every: random.millis(3, 100),
            healed_every: chance(&mut random, 1, 2).then(|| random.millis(50, 600)),
            healed_at_end: chance(&mut random, 3, 4),
            setup,
            tasks,
        };
        let commands = script.commands();
        let transport = script.setup.transport;
        script.rules = (0..1 + random.below(8)).map(|_| rules::rule(&mut random, &commands, transport)).collect();
        let sets = script.sets();
        if !sets.is_empty() && chance(&mut random, 1, 3) {
            script.setup.attempt.get_or_insert_with(|| random.millis(20, 100));
            let write = random.one_of(&sets);
            script.rules.splice(0..0, rules::late(&mut random, write));
        }
        if !commands.is_empty() && chance(&mut random, 1, 6) {
            script.setup.deadline = random.millis(100, 500);
            let lost = random.one_of(&commands);
            script.rules.splice(0..0, rules::slow(&mut random, lost));
        }
        let blows = random.below(5);
        script.blows = (0..blows).map(|_| (random.millis(0, 600), blow(&mut random))).collect();
        script.blows.sort_by_key(|(at, _)| *at);
        script
    }

    /// The number of a step in the ledger and in its text.
    pub fn step_number(&self, task: usize, step: usize) -> u32 {
        self.first() + task as u32 * STEPS + step as u32
    }

    /// The number of a task's register.
    pub fn register(&self, task: usize) -> u32 {
        self.first() + TASKS * STEPS + task as u32
    }

    pub fn first(&self) -> u32 {
        FIRST + self.number * NUMBERS
    }

    pub fn last(&self) -> u32 {
        self.first() + NUMBERS - 1
    }

    /// The numbers of the steps that set a register.
    fn sets(&self) -> Vec<u32> {
        let steps = |(task, steps): (usize, &Vec<Step>)| {
            let sets = steps.iter().enumerate().filter(|(_, step)| matches!(step.act, Act::Set(_)));
            sets.map(|(index, _)| self.step_number(task, index)).collect::<Vec<_>>()
        };
        self.tasks.iter().enumerate().flat_map(steps).collect()
    }

    /// The numbers of the steps that send a text of their own, and whether it is prepared.
    fn commands(&self) -> Vec<(u32, bool)> {
        let mut commands = Vec::new();
        for (task, steps) in self.tasks.iter().enumerate() {
            for (index, step) in steps.iter().enumerate() {
                let prepared = match step.act {
                    Act::Run { work, .. } => work.is_prepared(),
                    Act::Set(_) | Act::Stream { .. } => false,
                    Act::LeaveState | Act::Ping | Act::Borrow { .. } => continue,
                };
                commands.push((self.step_number(task, index), prepared));
            }
        }
        commands
    }
}

pub fn chance(random: &mut Random, of: u64, all: u64) -> bool {
    random.below(all) < of
}

fn setup(random: &mut Random) -> Setup {
    Setup {
        transport: random.one_of(&[Transport::Tcp, Transport::Unix]),
        connections: 1 + random.below(3) as usize,
        pinging: chance(random, 1, 3),
        cache: random.one_of(&[None, None, Some(0), Some(1), Some(2)]),
        retries: chance(random, 9, 10),
        replays: random.below(6) as u32,
        replay_unfenced: chance(random, 1, 2),
        deadline: random.millis(200, 3000),
        attempt: chance(random, 2, 3).then(|| random.millis(20, 250)),
        connect: random.millis(50, 500),
        max_delay: random.millis(1, 30),
    }
}

fn step(random: &mut Random, index: u32) -> Step {
    let act = match random.below(20) {
        0 => Act::LeaveState,
        1 => Act::Ping,
        2 => Act::Borrow { asking: chance(random, 1, 2) },
        3 | 4 => {
            let rows = random.one_of(&[1, 200, 10_000]);
            Act::Stream { rows, read: random.below(u64::from(rows) + 1) as u32 }
        }
        5..=8 => Act::Set(index + 1),
        _ => {
            let long = chance(random, 1, 100);
            let work = random.one_of(&if long { Work::long() } else { Work::short() });
            Act::Run { work, annotated: chance(random, 2, 5) }
        }
    };
    Step { act, cancelled: chance(random, 1, 8).then(|| Duration::from_micros(random.below(40_000))) }
}

fn blow(random: &mut Random) -> Blow {
    match random.below(7) {
        // nothing that is written into the middle of a reply: it would be taken for a part of it
        0..=2 => Blow::Cut(random.one_of(&[
            Fault::Fin,
            Fault::Rst,
            Fault::HalfClose,
            Fault::ServerOnlyFin,
            Fault::Silence,
            Fault::Corrupt,
            Fault::Delay(Duration::from_millis(20)),
        ])),
        3 => Blow::Kill(random.below(4) as usize),
        4 => Blow::GoDark(random.millis(5, 300)),
        5 => Blow::Refuse(random.millis(1, 100)),
        _ => Blow::AcceptAndClose(random.millis(1, 100)),
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "script {}: {:?}", self.number, self.setup)?;
        for (task, steps) in self.tasks.iter().enumerate() {
            writeln!(f, "  task {task}, register {}", self.register(task))?;
            for (index, step) in steps.iter().enumerate() {
                writeln!(f, "    {}: {step}", self.step_number(task, index))?;
            }
        }
        for rule in &self.rules {
            writeln!(f, "  {rule:?}")?;
        }
        for (at, blow) in &self.blows {
            writeln!(f, "  after {at:?}: {blow:?}")?;
        }
        let Script { opened_every, healed_every, healed_at_end, .. } = self;
        write!(
            f,
            "  doors opened every {opened_every:?}, silence healed every {healed_every:?}, at the end: {healed_at_end}"
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Run { work, annotated: true } => write!(f, "{work}, idempotent")?,
            Act::Run { work, annotated: false } => write!(f, "{work}, plain")?,
            other => write!(f, "{other:?}")?,
        }
        match self.cancelled {
            Some(time) => write!(f, ", cancelled after {time:?}"),
            None => Ok(()),
        }
    }
}
