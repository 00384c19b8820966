//! The behaviours that users rely on, on real servers.

mod aging;
mod batches;
mod bounds;
mod callers_bugs;
mod cancelling;
mod dropped;
mod errors;
mod events;
mod fence;
mod fence_questions;
mod finding_out;
mod hooks;
mod hung;
mod large;
mod lateness;
mod methods;
mod mixed;
mod orphans;
mod outages;
mod policy;
mod polling;
mod prepared;
mod punctual;
mod punctual_servers;
mod replaying;
mod session_state;
mod shared_connections;
mod streams;
mod support;
mod takeover;
#[cfg(feature = "tracing")]
mod tracing;
mod unfenced;
mod verdicts;
mod waiting;
