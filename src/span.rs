//! The span of a logical call: a `tracing` span with the feature of that name, nothing without.

#[cfg(feature = "tracing")]
pub(crate) use traced::CallSpan;
#[cfg(not(feature = "tracing"))]
pub(crate) use untraced::CallSpan;

#[cfg(feature = "tracing")]
mod traced {
    use crate::statement::Delivery;

    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan(tracing::Span);

    impl CallSpan {
        pub(crate) fn new(address: &str, delivery: Delivery) -> Self {
            CallSpan(tracing::info_span!("mysql_retry::call", %address, %delivery))
        }

        pub(crate) fn cover<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
            tracing::Instrument::instrument(work, self.0.clone())
        }

        pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
            self.0.in_scope(work)
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use crate::statement::Delivery;

    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan;

    impl CallSpan {
        pub(crate) fn new(_: &str, _: Delivery) -> Self {
            CallSpan
        }

        pub(crate) fn cover<F: Future>(&self, work: F) -> F {
            work
        }

        pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
            work()
        }
    }
}
