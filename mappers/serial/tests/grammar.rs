//! The checks of the fuzz target over pseudo-random bytes, always the same ones.

#[path = "../fuzz/exercise.rs"]
mod exercise;

use proptest::{
    collection::vec,
    prelude::{any, prop_oneof},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

#[test]
fn any_grammar_holds_for_any_stream() {
    let config = Config { cases: 1_500, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    // Rich in what grammars take for marks.
    let marks = b"$\x02\x03\r\n~BM\x10\x1b\x7d\xdb\xdc\xdd\x00\x05 7,{\"";
    let stream = vec(prop_oneof![any::<u8>(), proptest::sample::select(&marks[..])], 0..300);
    let outcome = runner.run(&(vec(any::<u8>(), 30), stream), |(choices, stream)| {
        exercise::exercise(&[choices, stream].concat());
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
