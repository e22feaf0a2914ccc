//! Which bytes of binary frames vary, and what numbers they may be. Pure. A guess by the bytes alone: of two neighbours the
//! one that varies less is taken for the higher one.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

/// So many properties are drafted.
const PROPERTIES: usize = 24;

/// Properties for what varies between `from` and `to` bytes before the end, in frames of which the shortest counts.
pub(super) fn draft(frames: &[Vec<u8>], from: usize, to: usize) -> Vec<Json> {
    let end = frames.iter().map(Vec::len).min().unwrap_or(0).saturating_sub(to);
    let different = |at: usize| frames.iter().map(|frame| frame[at]).collect::<BTreeSet<_>>().len();
    let varieties: Vec<usize> = (0..end).map(|at| if at < from { 1 } else { different(at) }).collect();
    // Words of two bytes that begin at an even or at an odd place: where fewest carry the wrong way or stand alone.
    let (phase, order) = [(0, "ABCD"), (0, "DCBA"), (1, "ABCD"), (1, "DCBA")]
        .into_iter()
        .min_by_key(|(phase, order)| {
            let wrong = |pair: &[usize]| {
                let (high, low) = if *order == "ABCD" { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
                2 * usize::from(high > low)
            };
            let pairs = varieties.get(from + phase..).unwrap_or_default().chunks_exact(2);
            let mut alone = pairs.remainder().to_vec();
            alone.extend(varieties.get(from).filter(|_| *phase == 1));
            pairs.map(wrong).sum::<usize>() + alone.iter().filter(|varieties| **varieties > 1).count()
        })
        .unwrap_or((0, "ABCD"));
    let mut properties = Vec::new();
    let mut at = from;
    let mut add = |name: String, kind: &str, offset: usize| {
        let mut property = json!({ "name": name, "type": kind, "serial": { "offset": offset } });
        if kind == "uint16" && order == "DCBA" {
            property["order"] = json!(order);
        }
        if properties.len() < PROPERTIES {
            properties.push(property);
        }
    };
    while at < end {
        let pair = (at - from) % 2 == phase && at + 1 < end;
        match (varieties[at] > 1, pair && varieties[at + 1] > 1) {
            (false, false) => {}
            (true, false) if !pair || order == "ABCD" => add(format!("byte{at}"), "uint8", at),
            _ => add(format!("word{at}"), "uint16", at),
        }
        at += if pair { 2 } else { 1 };
    }
    properties
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::draft;

    fn seen(properties: &[Json]) -> Vec<String> {
        properties
            .iter()
            .map(|p| format!("{}@{}{}", p["type"].as_str().unwrap(), p["serial"]["offset"], p["order"]))
            .collect()
    }

    #[test]
    fn words_by_how_their_bytes_vary() {
        let big: Vec<Vec<u8>> =
            (0_u16..9).map(|n| [&[0x42, 0x4d][..], &(n * 100).to_be_bytes(), &[0, 7, 9]].concat()).collect();
        assert_eq!(seen(&draft(&big, 2, 1)), ["uint16@2null"]);
        let little: Vec<Vec<u8>> = (0_u16..9).map(|n| [&[0xa5][..], &(n * 100).to_le_bytes(), &[9]].concat()).collect();
        assert_eq!(seen(&draft(&little, 1, 1)), ["uint16@1\"DCBA\""]);
        let single: Vec<Vec<u8>> = (0..9).map(|n| vec![0xa5, 1, n, 0]).collect();
        assert_eq!(seen(&draft(&single, 1, 0)).len(), 1);
        assert_eq!(seen(&draft(&[vec![1, 2], vec![1, 2]], 1, 0)), [""; 0]);
        assert_eq!(seen(&draft(&[], 1, 0)), [""; 0]);
    }
}
