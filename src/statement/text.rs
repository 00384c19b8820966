//! The types that are texts.

use std::{borrow::Cow, sync::Arc};

use mysql_async::prelude::AsQuery as _;

use super::{AsStatement, Delivery, Unguarded, private::Sealed};

/// Not for everything that is a query of the driver's: that would leave no room for a reference to each of them.
macro_rules! texts {
    ($($text:ty),+ $(,)?) => { $(
        impl AsStatement for $text {
            fn text(&self) -> Cow<'_, [u8]> {
                self.as_query()
            }

            fn delivery(&self) -> Delivery {
                Delivery::AtMostOnce
            }
        }

        impl Unguarded for $text {}

        impl Sealed for $text {}
    )+ };
}

texts! {
    &str, String, Box<str>, Arc<str>, Cow<'_, str>,
    &[u8], Vec<u8>, Box<[u8]>, Arc<[u8]>, Cow<'_, [u8]>,
    &&str, &String, &Box<str>, &Arc<str>, &Cow<'_, str>,
    &&[u8], &Vec<u8>, &Box<[u8]>, &Arc<[u8]>, &Cow<'_, [u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_of_text_and_a_reference_to_it_is_a_statement() {
        fn check(statement: impl Unguarded) {
            assert_eq!((&*statement.text(), statement.delivery()), (&b"DO 0"[..], Delivery::AtMostOnce));
            assert!(statement.token().is_none());
        }
        macro_rules! check_both {
            ($($text:expr),+ $(,)?) => { $( check(&$text); check($text); )+ };
        }
        check_both!(
            "DO 0",
            String::from("DO 0"),
            Box::<str>::from("DO 0"),
            Arc::<str>::from("DO 0"),
            Cow::from("DO 0")
        );
        let bytes = b"DO 0".as_slice();
        check_both!(bytes, bytes.to_vec(), Box::<[u8]>::from(bytes), Arc::<[u8]>::from(bytes), Cow::from(bytes));
    }
}
