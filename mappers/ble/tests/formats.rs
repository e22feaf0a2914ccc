//! The checks of the fuzz target over pseudo-random bytes, always the same ones.

#[path = "../fuzz/exercise.rs"]
mod exercise;

use proptest::{
    collection::vec,
    prelude::any,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

#[test]
fn decoders_hold_for_any_bytes() {
    let config = Config { cases: 5_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&vec(any::<u8>(), 0..48), |data| {
        exercise::exercise(&data);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
