//! One suite a port: what every adapter must do, whatever it is made of.
//!
//! A case is a plain async function over a world, which is one empty store or broker. An adapter brings its world and
//! runs every list: `upbeat_tests::ledger_conformance!(path::of::Its::World)`.

pub mod amqp;
pub mod embedded;
pub mod ledger;
pub mod memory;
pub mod postgres;
pub mod redis;
pub mod transaction;
pub mod transport;

pub use ledger::LedgerWorld;
pub use transaction::TransactionWorld;
pub use transport::TransportWorld;

/// Publishes a file's cases: as functions in `cases`, and as a macro that makes a test of each. A case that is not on
/// the list is dead code, which the compiler reports.
macro_rules! suite {
    ($d:tt $suite:ident, $world:ident, $area:ident::$file:ident: $($case:ident,)+) => {
        /// The cases of this file, each in a world of its own.
        pub mod cases {
            $(
                #[doc = concat!("`", stringify!($case), "`")]
                pub async fn $case<W: $crate::conformance::$world>() {
                    let world = W::create().await;
                    super::$case(&world).await;
                }
            )+
        }

        /// Makes a test of each case, for the world whose full path is given.
        #[macro_export]
        macro_rules! $suite {
            ($d world:ty) => {
                $(
                    #[tokio::test]
                    async fn $case() {
                        $crate::conformance::$area::$file::cases::$case::<$d world>().await;
                    }
                )+
            };
        }
    };
}

pub(crate) use suite;
