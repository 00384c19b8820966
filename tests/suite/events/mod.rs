mod calls;
#[cfg(feature = "tracing")]
mod tracing;
