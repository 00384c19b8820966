//! The behaviours that users rely on, on real servers.

mod aging;
mod batches;
mod bounds;
mod callers_bugs;
mod cancelling;
mod errors;
mod events;
mod finding_out;
mod hooks;
mod methods;
mod outages;
mod policy;
mod prepared;
mod replaying;
mod session_state;
mod shared_connections;
mod streams;
mod support;
#[cfg(feature = "tracing")]
mod tracing;
mod verdicts;
mod waiting;
