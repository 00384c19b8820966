//! What of the bench is run: `RECOVERY`, `RECOVERY_FORMS`, `RECOVERY_COLUMNS`, `FLEET` and `THROUGHPUT` in the environment.

use std::time::Duration;

use crate::{columns::Column, form::Form};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    /// For those who cannot wait.
    Short,
}

/// What the environment asks for.
pub(crate) struct Settings {
    pub(crate) forms: Vec<Form>,
    pub(crate) columns: Vec<Column>,
    pub(crate) outages: Vec<Duration>,
    /// How long the load runs undisturbed before an outage, once each task has had a success.
    pub(crate) settle: Duration,
    /// How long the scenario of the retry budget lasts.
    pub(crate) budget: Duration,
    /// One outage length, and clusters for this library only: for CI.
    pub(crate) short: bool,
    /// A fleet of programs is measured, and nothing else.
    pub(crate) fleet: Option<Extent>,
    /// Calls while nothing is lost are counted, and nothing else.
    pub(crate) throughput: bool,
    /// Every form and every column: what the picture in the repository is made of.
    whole: bool,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// A sentence about a value that is none.
    pub(crate) fn from_env() -> Result<Self, String> {
        let short = extent("RECOVERY")? == Some(Extent::Short);
        let forms = chosen("RECOVERY_FORMS", &Form::ALL, |form| form.key())?;
        let columns = chosen("RECOVERY_COLUMNS", Column::ALL, |column| column.key())?;
        let whole = !short && forms.len() == Form::ALL.len() && columns.len() == Column::ALL.len();
        let outages: &[u64] = if short { &[1] } else { &[1, 5, 20] };
        Ok(Settings {
            forms,
            columns,
            outages: outages.iter().map(|seconds| Duration::from_secs(*seconds)).collect(),
            settle: Duration::from_millis(if short { 200 } else { 1_000 }),
            budget: Duration::from_secs(5),
            short,
            fleet: extent("FLEET")?,
            throughput: extent("THROUGHPUT")?.is_some(),
            whole,
        })
    }

    /// Whether nothing was left out of the full run.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// The outages of a form; that of a cluster takes as long as the nodes need.
    pub(crate) fn outages_of(&self, form: Form) -> &[Duration] {
        if form.is_of_a_cluster() { &[Duration::ZERO] } else { &self.outages }
    }

    /// Whether a column is measured with a form: a cluster is used up by each, which a short run has no time for.
    pub(crate) fn takes_part(&self, column: Column, form: Form) -> bool {
        !form.is_of_a_cluster() || !self.short || column == Column::Ours
    }
}

fn extent(name: &str) -> Result<Option<Extent>, String> {
    match value(name).as_deref() {
        None => Ok(None),
        Some("full") => Ok(Some(Extent::Full)),
        Some("short") => Ok(Some(Extent::Short)),
        Some(other) => Err(format!("{name} is `{other}`, and has to be `full` or `short`")),
    }
}

/// A variable that is there and not empty, as `make` passes on empty ones.
fn value(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Those of `all` that a variable names, in the order of `all`; all of them without the variable.
fn chosen<T: Copy>(name: &str, all: &[T], key: impl Fn(T) -> &'static str) -> Result<Vec<T>, String> {
    let Some(named) = value(name) else { return Ok(all.to_vec()) };
    let named: Vec<&str> = named.split(',').map(str::trim).collect();
    let known: Vec<&str> = all.iter().map(|one| key(*one)).collect();
    match named.iter().find(|one| !known.contains(one)) {
        Some(unknown) => Err(format!("{name} has `{unknown}`, and knows {}", known.join(", "))),
        None => Ok(all.iter().copied().filter(|one| named.contains(&key(*one))).collect()),
    }
}
