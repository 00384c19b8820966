//! The span of a logical call: a `tracing` span with the feature of that name, nothing without.
//!
//! Its fields have the names of OpenTelemetry's conventions for database clients, so that a bridge needs no configuration.

#[cfg(feature = "tracing")]
pub(crate) use traced::CallSpan;
#[cfg(not(feature = "tracing"))]
pub(crate) use untraced::CallSpan;

#[cfg(feature = "tracing")]
mod traced {
    use mysql_async::Opts;
    use tracing::field::{Empty, display};

    use crate::{
        error::Error,
        sql::{first_word, without_values},
        statement::Delivery,
    };

    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan(tracing::Span);

    impl CallSpan {
        /// With `shows_text` the text is in it, without its values.
        pub(crate) fn new<'o>(
            server: impl FnOnce() -> (&'o str, &'o Opts),
            delivery: Delivery,
            text: &[u8],
            shows_text: bool,
        ) -> Self {
            let (address, opts) = server();
            // evaluated only if somebody listens
            CallSpan(tracing::info_span!(
                "mysql_retry::call",
                otel.kind = "client",
                otel.name = operation(text),
                otel.status_code = Empty,
                db.system.name = "mysql",
                db.namespace = opts.db_name(),
                db.operation.name = operation(text),
                db.query.text = if shows_text { without_values(text) } else { None },
                db.response.status_code = Empty,
                server.address = opts.socket().unwrap_or(opts.ip_or_hostname()),
                server.port = opts.socket().is_none().then_some(opts.tcp_port()),
                "error.type" = Empty,
                %address,
                %delivery
            ))
        }

        pub(crate) fn cover<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
            tracing::Instrument::instrument(work, self.0.clone())
        }

        pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
            self.0.in_scope(work)
        }

        /// The call ends with this error.
        pub(crate) fn fails(&self, error: &Error) {
            if self.0.is_disabled() {
                return;
            }
            self.0.record("otel.status_code", "ERROR");
            match error.code() {
                Some(code) => {
                    self.0.record("db.response.status_code", display(code));
                    self.0.record("error.type", display(code));
                }
                None => drop(self.0.record("error.type", display(format_args!("{:?}", error.reason())))),
            }
        }
    }

    /// The first word of a text, in capitals.
    fn operation(text: &[u8]) -> Option<String> {
        let word = first_word(text);
        (!word.is_empty()).then(|| String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    #[test]
    fn the_operation_is_the_first_word() {
        assert_eq!(operation(b"\n select 1").as_deref(), Some("SELECT"));
        assert_eq!(operation(b"INSERT INTO t").as_deref(), Some("INSERT"));
        assert_eq!(operation(b"/* c */ SELECT 1"), None);
        assert_eq!(operation(b""), None);
    }
}

#[cfg(not(feature = "tracing"))]
mod untraced {
    use mysql_async::Opts;

    use crate::{error::Error, statement::Delivery};

    #[derive(Clone, Debug)]
    pub(crate) struct CallSpan;

    impl CallSpan {
        pub(crate) fn new<'o>(_: impl FnOnce() -> (&'o str, &'o Opts), _: Delivery, _: &[u8], _: bool) -> Self {
            CallSpan
        }

        pub(crate) fn cover<F: Future>(&self, work: F) -> F {
            work
        }

        pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
            work()
        }

        pub(crate) fn fails(&self, _: &Error) {}
    }
}
