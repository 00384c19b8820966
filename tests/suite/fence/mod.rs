mod questions;
mod routers;
pub mod seen_gone;
mod takeover;
mod unfenced;
