//! The behaviours that users rely on, on real servers.

mod aging;
mod batches;
mod bounds;
mod callers_bugs;
mod cancelling;
mod errors;
mod events;
mod fence;
mod finding_out;
mod hooks;
mod hung;
mod methods;
mod orphans;
mod outages;
mod policy;
mod polling;
mod prepared;
mod replaying;
mod session_state;
mod shared_connections;
mod streams;
mod support;
#[cfg(feature = "tracing")]
mod tracing;
mod unfenced;
mod verdicts;
mod waiting;
