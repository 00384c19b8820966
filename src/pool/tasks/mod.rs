//! The tasks that run beside the calls: one task of each kind for all calls.

pub(super) mod keeper;
pub(super) mod orphans;
pub(super) mod probe;
pub(super) mod retake;
pub(super) mod trim;
pub(crate) mod watch;
