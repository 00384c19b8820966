//! What holds of the table whatever the error and the context.

use std::io;

use mysql_async::IoError;
use mysql_common::proto::codec::error::PacketCodecError;

use super::{tests::*, *};

use proptest::{prelude::*, sample::select};

use Disconnect::{ServerGone, ServerLost};
use Outcome::{Failed, NotExecuted, Unknown};

/// The codes that are in the table, at some stage.
const CODES: &[u16] = &[
    1020, 1036, 1040, 1047, 1053, 1064, 1077, 1079, 1080, 1105, 1129, 1130, 1152, 1153, 1158, 1159, 1160, 1161, 1180,
    1184, 1203, 1205, 1206, 1213, 1226, 1243, 1290, 1317, 1412, 1615, 1792, 1815, 1836, 1874, 1927, 2002, 2003, 2006,
    2013, 2055, 3032, 3100, 3101, 3168, 3169, 4031, 4094, 3781, 3782, 3783, 3796, 3797, 3798, 3799, 6400, 8002, 8022,
    8028, 9001, 9007, 9501,
];

/// The codes that prove, of a text that is one command and can be rolled back, that it was not executed.
const PROOFS: &[u16] = &[
    1020, 1036, 1040, 1047, 1064, 1203, 1205, 1206, 1213, 1226, 1243, 1290, 1412, 1615, 1792, 1836, 1874, 3032, 3101,
    3781, 3782, 3783, 3796, 3797, 3798, 3799, 6400, 8002, 8022, 8028,
];

/// Those whose message counts.
const SPOKEN: &[u16] = &[1105, 1180, 1184, 1290, 4031, 4094, 9007];

fn kinds() -> impl Strategy<Value = io::ErrorKind> {
    use io::ErrorKind::*;
    select(vec![
        NotFound,
        PermissionDenied,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        NetworkUnreachable,
        ConnectionAborted,
        NotConnected,
        AddrInUse,
        AddrNotAvailable,
        NetworkDown,
        BrokenPipe,
        AlreadyExists,
        WouldBlock,
        InvalidInput,
        InvalidData,
        TimedOut,
        WriteZero,
        StorageFull,
        Interrupted,
        Unsupported,
        UnexpectedEof,
        OutOfMemory,
        Other,
    ])
}

fn codes() -> impl Strategy<Value = u16> {
    prop_oneof![3 => select(CODES), 1 => any::<u16>(), 1 => 1000_u16..5000]
}

fn messages() -> impl Strategy<Value = String> {
    const SEEN: &[&str] = &[
        "The MariaDB server is running with the --read-only option so it cannot execute this statement",
        "The MySQL server is running with the --super-read-only option so it cannot execute this statement",
        "The MySQL server is running with the --secure-file-priv option so it cannot execute this statement",
        "You are not allowed: @@read_only",
        "",
    ];
    prop_oneof![4 => select(SEEN).prop_map(str::to_owned), 1 => any::<String>()]
}

fn io_errors() -> impl Strategy<Value = Error> {
    prop_oneof![
        4 => kinds().prop_map(io),
        // with something inside that is not the driver's
        1 => (kinds(), any::<String>()).prop_map(|(kind, message)| Error::Io(IoError::Io(io::Error::new(kind, message)))),
    ]
}

fn codec_errors() -> impl Strategy<Value = Error> {
    prop_oneof![
        Just(()).prop_map(|()| codec(PacketCodecError::PacketTooLarge)),
        Just(()).prop_map(|()| codec(PacketCodecError::PacketsOutOfSync)),
        Just(()).prop_map(|()| codec(PacketCodecError::BadCompressedPacketHeader)),
        kinds().prop_map(|kind| Error::Io(IoError::Io(io::Error::other(PacketCodecError::Io(kind.into()))))),
    ]
}

fn server_errors() -> impl Strategy<Value = Error> {
    (codes(), messages()).prop_map(|(code, message)| server_saying(code, &message))
}

fn driver_errors() -> impl Strategy<Value = Error> {
    (0..every_driver_error().len()).prop_map(|index| Error::Driver(every_driver_error().swap_remove(index)))
}

fn errors() -> impl Strategy<Value = Error> {
    prop_oneof![
        3 => io_errors(),
        1 => codec_errors(),
        5 => server_errors(),
        3 => driver_errors(),
        1 => prop_oneof![
            Just(()).prop_map(|()| closed()),
            Just(()).prop_map(|()| other_error()),
            Just(()).prop_map(|()| url())
        ],
    ]
}

fn stages() -> impl Strategy<Value = Stage> {
    select(vec![Stage::Connect, Stage::Prepare, Stage::Command, Stage::Reply])
}

fn situations() -> impl Strategy<Value = Context> {
    let flags = any::<[bool; 8]>();
    let context = |(stage, flags)| {
        let [several, rolls_back, names_prepared, oversized, unsendable, infile, tls, several_targets] = flags;
        Context { stage, several, rolls_back, names_prepared, oversized, unsendable, infile, tls, several_targets }
    };
    (stages(), flags).prop_map(context)
}

/// Not one bit of proof is to be had from these; each can only take one away.
fn with_more_doubt(context: Context, [several, infile, tls, stays]: [bool; 4]) -> Context {
    Context {
        several: context.several || several,
        rolls_back: context.rolls_back && !stays,
        infile: context.infile || infile,
        tls: context.tls || tls,
        ..context
    }
}

proptest! {
    // what failed is printed, and made a test; no files beside the source
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn before_anything_was_sent_nothing_was_executed(error in errors(), context in situations()) {
        for stage in [Stage::Connect, Stage::Prepare] {
            let got = classify(&error, Context { stage, several: false, ..context });
            prop_assert_eq!(got.outcome(), NotExecuted);
            prop_assert_ne!(got.fault(), Fault::Disconnect(ServerLost));
        }
    }

    #[test]
    fn once_the_reply_has_begun_no_error_is_a_proof(error in errors(), context in situations()) {
        let got = classify(&error, Context { stage: Stage::Reply, ..context });
        prop_assert_ne!(got.outcome(), NotExecuted);
        prop_assert_ne!(got.fault(), Fault::Disconnect(ServerGone));
    }

    #[test]
    fn nothing_but_a_server_fails_a_statement(error in errors(), context in situations()) {
        if classify(&error, context).outcome() == Failed {
            prop_assert!(matches!(error, Error::Server(_)));
        }
    }

    #[test]
    fn gone_is_the_proof_and_lost_is_the_doubt(error in errors(), context in situations()) {
        let got = classify(&error, context);
        match got.fault() {
            Fault::Disconnect(ServerGone) => prop_assert_eq!(got.outcome(), NotExecuted),
            Fault::Disconnect(ServerLost) => prop_assert_eq!(got.outcome(), Unknown),
            Fault::Refused | Fault::RolledBack | Fault::Other => {}
        }
    }

    #[test]
    fn more_doubt_never_makes_a_proof(error in errors(), context in situations(), more in any::<[bool; 4]>()) {
        let (less, more) = (classify(&error, context), classify(&error, with_more_doubt(context, more)));
        if less.outcome() != NotExecuted {
            prop_assert_ne!(more.outcome(), NotExecuted);
        }
        if context.stage == Stage::Command && more.outcome() == NotExecuted {
            prop_assert_eq!(more, less, "what is proved in spite of the doubt is the same without it");
        }
    }

    #[test]
    fn a_later_stage_never_makes_a_proof(error in errors(), context in situations()) {
        let at = |stage| classify(&error, Context { stage, ..context }).outcome();
        let outcomes = [Stage::Connect, Stage::Prepare, Stage::Command, Stage::Reply].map(at);
        prop_assert!(outcomes.is_sorted_by_key(|outcome| *outcome != NotExecuted), "{outcomes:?}");
    }

    #[test]
    fn doubt_about_the_transport_does_not_change_what_a_server_said(
        error in server_errors(), context in situations(), [infile, tls] in any::<[bool; 2]>()
    ) {
        prop_assert_eq!(classify(&error, context), classify(&error, Context { infile, tls, ..context }));
    }

    #[test]
    fn an_oversized_text_is_not_sent_again_after_a_loss(error in errors(), context in situations()) {
        let (fits, oversized) = (
            classify(&error, Context { oversized: false, ..context }),
            classify(&error, Context { oversized: true, ..context }),
        );
        match (context.stage, fits.fault()) {
            // no connection is no connection, whatever the text; and a text that is too large is never answered with rows
            (Stage::Connect | Stage::Reply, Fault::Disconnect(_)) => {}
            (Stage::Prepare | Stage::Command, Fault::Disconnect(_)) => {
                prop_assert_eq!(oversized, Classification::other(NotExecuted));
            }
            (_, Fault::Refused | Fault::RolledBack | Fault::Other) => prop_assert_eq!(oversized, fits),
        }
    }

    #[test]
    fn a_failed_write_alone_is_a_proof_among_the_errors_of_the_transport(error in io_errors(), context in situations()) {
        let context = Context { stage: Stage::Command, oversized: false, ..context };
        let Error::Io(IoError::Io(inside)) = &error else { unreachable!("{error:?}") };
        let proof = inside.kind() == io::ErrorKind::BrokenPipe && !context.infile && !context.tls;
        let expected = if proof { not_sent() } else { lost() };
        prop_assert_eq!(classify(&error, context), expected);
    }

    #[test]
    fn an_unreadable_reply_is_never_a_proof(error in codec_errors(), context in situations()) {
        let context = Context { stage: Stage::Command, oversized: false, unsendable: false, ..context };
        prop_assert_eq!(classify(&error, context).outcome(), Unknown);
    }

    #[test]
    fn a_server_proves_with_the_codes_of_the_table_alone(
        code in any::<u16>(), message in messages(), context in situations()
    ) {
        let error = server_saying(code, &message);
        let at = |stage| classify(&error, Context { stage, several: false, oversized: false, ..context });
        if at(Stage::Command).outcome() == NotExecuted {
            prop_assert!(PROOFS.contains(&code) || SPOKEN.contains(&code), "{}", code);
        }
        if !is_listed(code) {
            prop_assert_eq!(at(Stage::Connect), Classification::other(NotExecuted));
            prop_assert_eq!(at(Stage::Prepare), Classification::other(NotExecuted));
            prop_assert_eq!(at(Stage::Command), Classification::other(Failed));
            prop_assert_eq!(at(Stage::Reply), Classification::other(Failed));
        }
    }

    #[test]
    fn the_words_of_a_server_count_where_a_number_means_several_things_and_nowhere_else(
        code in codes(), one in messages(), other in messages(), context in situations()
    ) {
        prop_assume!(!SPOKEN.contains(&code));
        let (one, other) = (server_saying(code, &one), server_saying(code, &other));
        prop_assert_eq!(classify(&one, context), classify(&other, context));
    }
}

fn is_listed(code: u16) -> bool {
    CODES.contains(&code) || (2000..3000).contains(&code) || (9000..10_000).contains(&code)
}

#[test]
fn every_code_there_is_proves_what_the_table_says() {
    for code in 0..=u16::MAX {
        let plain = classify(&server_saying(code, "some message"), PLAIN);
        assert_eq!(plain.outcome() == NotExecuted, PROOFS.contains(&code), "{code}");
        assert!(plain == Classification::other(Failed) || is_listed(code), "{code}");
    }
}
