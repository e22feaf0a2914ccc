//! The mapper contract as tests, for mappers inside and outside the tree, and a bus that fails on purpose.
//!
//! A mapper's `tests/contract.rs` says how to reach a device and what it must read, and gets one test per promise of
//! the contract:
//!
//! ```text
//! mapper_testkit::contract!(bench());
//!
//! fn bench() -> mapper_testkit::Bench {
//!     let live = Device::new(json!({ "bus": "kit" }))
//!         .property(json!({ "constant": 21.5 }), DataType::Float32, Expect::value(21.5));
//!     Bench::new(Arc::new(mapper_virtual::Virtual), live)
//! }
//! ```
//!
//! The mapper's capability selects the cases. With `BENCH=/path/to/bench.json` in the environment, the same cases run
//! against the devices of that file, such as real hardware: `{"<protocol>": {"live": {...}, "silent": {...}}}`, see
//! [`Device`]. A protocol that is not in the file keeps the bench that the test gives.

#![forbid(unsafe_code)]

mod bench;
pub mod cases;
mod chaos;
mod schema;

pub use bench::{Bench, Device, Expect, Property};
pub use chaos::{Chaos, Fault, Script};

/// Makes one test of each promise; the argument makes a [`Bench`] inside a tokio runtime, and may wait for that. A second
/// argument names a function that is given each test's path and the test, and runs it: in a process of its own, say.
#[macro_export]
macro_rules! contract {
    ($bench:expr) => {
        $crate::contract!($bench, $crate::cases::here);
    };
    ($bench:expr, $around:path) => {
        $crate::contract! { @ $bench, $around;
            schemas_are_structural_and_documented
            what_yaml_must_not_say_is_refused
            all_mistakes_are_reported_at_once
            plans_cover_each_point_once
            requests_are_one_line_of_sane_cost
            a_device_is_read
            what_is_sent_unasked_is_heard
            what_is_written_reads_back
            a_refusal_leaves_its_neighbours_alone
            a_silent_device_times_out_and_the_bus_goes_on
            a_bus_can_be_opened_again
            no_frame_is_lost_by_cancelling
        }
    };
    (@ $bench:expr, $around:path; $($case:ident)*) => {$(
        #[test]
        fn $case() {
            let case = || $crate::cases::run(async { $crate::cases::$case(&$bench).await });
            $around(concat!(module_path!(), "::", stringify!($case)), case);
        }
    )*};
}
