//! What runs beside the calls, one task for all of them.

pub(super) mod keeper;
pub(super) mod orphans;
pub(super) mod probe;
pub(super) mod retake;
pub(crate) mod watch;
