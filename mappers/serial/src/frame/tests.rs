//! Every kind of framing with frames as devices send them; noise before, between and inside of them; any stream cut anywhere.

mod grammar;
mod kinds;

use std::sync::Arc;

use super::{Found, Framer, Framing};

/// A framing from YAML, written as JSON.
pub(super) fn framing(yaml: &str) -> Arc<Framing> {
    let yaml = serde_json::from_str(yaml).unwrap_or_else(|e| panic!("{yaml}: {e}"));
    Arc::new(Framing::new(&yaml).unwrap_or_else(|mistakes| panic!("{mistakes:?}")))
}

/// A framer at a place where a frame begins.
pub(super) fn framer(framing: &Arc<Framing>) -> Framer {
    let mut framer = Framer::new(Arc::clone(framing));
    framer.clear();
    framer
}

/// What is found in a stream that is pushed in pieces; skipped bytes that follow each other are one number.
pub(super) fn found(framer: &mut Framer, stream: &[u8], piece: usize) -> Vec<Found> {
    let mut all = Vec::new();
    for piece in stream.chunks(piece.max(1)) {
        framer.push(piece);
        collect(framer, &mut all);
    }
    all
}

/// As [`found`], with nothing more to come.
pub(super) fn found_and_end(framer: &mut Framer, stream: &[u8], piece: usize) -> Vec<Found> {
    let mut all = found(framer, stream, piece);
    framer.finish();
    collect(framer, &mut all);
    all
}

fn collect(framer: &mut Framer, all: &mut Vec<Found>) {
    for found in framer {
        match (all.last_mut(), found) {
            (Some(Found::Skipped(before)), Found::Skipped(more)) => *before += more,
            (_, found) => all.push(found),
        }
    }
}

/// The frames alone.
pub(super) fn frames(found: &[Found]) -> Vec<&[u8]> {
    found.iter().filter_map(|found| if let Found::Frame(frame) = found { Some(&frame[..]) } else { None }).collect()
}
