//! What the programs of this repository share: the drawing of pictures.
//!
//! `src/bin` has the programs of `make demo` and `make chaos`. The bench of outages, `benches/recovery`, draws with this
//! crate, too.

mod picture;
mod scale;

pub use picture::Picture;
pub use scale::Scale;
