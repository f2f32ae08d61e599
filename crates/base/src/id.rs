//! Names of things: checked once, cheap to clone, safe to print.
//!
//! All identifiers share one alphabet, `A-Z a-z 0-9 . _ -`, and begin with a letter or a digit.
//! That is what host names, metric labels, file names and header values all accept, so an
//! identifier that came from outside can never break out of the place it is printed in. `__other__`
//! and the like, which begin with an underscore, stay free for our own use.

use std::{fmt, str::FromStr, sync::Arc};

use crate::Error;

fn check(kind: &'static str, text: &str, max: usize) -> Result<(), Error> {
    let Some(first) = text.bytes().next() else {
        return Err(Error::IdEmpty { kind });
    };
    if text.len() > max {
        return Err(Error::IdTooLong {
            kind,
            length: text.len(),
            max,
        });
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if first.is_ascii_alphanumeric() && text.bytes().all(inner) {
        Ok(())
    } else {
        Err(Error::IdCharacter { kind })
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        #[doc = concat!("\n\nAt most ", stringify!($max), " characters. Cloning copies a pointer.")]
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Longest name, in bytes.
            pub const MAX_LENGTH: usize = $max;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                check($kind, text, Self::MAX_LENGTH)?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = Error;

            fn try_from(text: &str) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), &self.0)
            }
        }
    };
}

id! {
    /// A tenant: the customer on whose behalf a request is made.
    TenantId, "tenant", 64
}
id! {
    /// A service behind the front door.
    ServiceId, "service", 64
}
id! {
    /// A shared resource with a bounded capacity.
    PoolId, "pool", 64
}
id! {
    /// A walled part of a pool.
    CompartmentId, "compartment", 64
}
id! {
    /// A plan that tenants are sold: weights and limits under one name.
    PlanId, "plan", 64
}
id! {
    /// A group of tenants that can share limits.
    SegmentId, "segment", 64
}
id! {
    /// A limit, as it appears in `RateLimit` headers and metrics.
    LimitId, "limit", 64
}
id! {
    /// A Watertight process.
    NodeId, "node", 64
}
id! {
    /// A geographic region.
    RegionId, "region", 64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_with_separators_or_controls_are_refused() {
        for text in [
            "",
            "a b",
            "a/b",
            "a\n",
            "ä",
            "-a",
            ".a",
            "_a",
            "a\"",
            "a\0",
            "__other__",
        ] {
            assert!(text.parse::<TenantId>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn the_longest_name_is_accepted_and_one_more_is_not() {
        let longest = "x".repeat(TenantId::MAX_LENGTH);
        assert!(longest.parse::<TenantId>().is_ok());
        assert_eq!(
            format!("{longest}x").parse::<TenantId>(),
            Err(Error::IdTooLong {
                kind: "tenant",
                length: 65,
                max: 64
            })
        );
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_printable_and_reads_back(text in ".{0,80}") {
            if let Ok(id) = text.parse::<TenantId>() {
                prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(id.to_string().parse::<TenantId>(), Ok(id));
            }
        }
    }
}
