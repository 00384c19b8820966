//! Pages about how this crate works. They hold no code.
//!
//! | page | question |
//! |---|---|
//! | [`proofs`] | What does each error prove about the statement? When is the outcome `Unknown`? |
//! | [`outages`] | What happens while a server is down, full or read-only, when a path is silent, and when another server takes over? What keeps a replay from overtaking its lost attempt? |
//! | [`guard`] | How does exactly-once work find out about a lost COMMIT, and what does its table need? |
//! | [`limits`] | How long can a call take? What does this crate not promise? |
//! | [`moving`] | I come from `mysql_async`: what is each item of its API here? |

pub mod guard;
pub mod limits;
pub mod moving;
pub mod outages;
pub mod proofs;
