//! Recorded registers, run through the very decoding of live ones, and remarks on registers that may be meant
//! otherwise. Pure.

use mapper_api::{At, BindError, Decoded};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{
    bind::{Bound, Spot},
    codec,
    config::Table,
    request::Answer,
};

/// What a device held when it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Recording {
    /// Pieces of the device's tables, each read in one go.
    #[schemars(length(min = 1, max = 64))]
    registers: Vec<Piece>,
}

/// Neighbouring registers or bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Piece {
    /// The table: `coil`, `discreteInput`, `holdingRegister` or `inputRegister`.
    table: Table,
    /// The zero-based address of the first one, 0 to 65535.
    #[schemars(range(min = 0, max = 65535))]
    register: i64,
    /// Their values as unsigned numbers, 0 to 65535; bits as 0 and 1.
    #[schemars(length(min = 1, max = 2000), inner(range(min = 0, max = 65535)))]
    values: Vec<i64>,
}

/// Points that no piece holds whole are left out.
///
/// # Errors
/// What is no recording, with the key and what would be accepted.
pub(crate) fn replay(bound: &Bound, sample: &Json) -> Result<Vec<Decoded>, String> {
    let recording = Recording::deserialize(sample).map_err(|error| error.to_string())?;
    let pieces = (0..).zip(&recording.registers).map(|(n, piece)| piece.answer(n)).collect::<Result<Vec<_>, _>>()?;
    let holds = |spot: &Spot, (table, start, answer): &(Table, u16, Answer)| {
        (spot.table == *table).then(|| codec::value(spot, *start, answer)).flatten()
    };
    let decoded = (0..).zip(&bound.points).filter_map(|(point, spot)| {
        let result = pieces.iter().find_map(|piece| holds(spot, piece))?;
        Some(Decoded { point, result })
    });
    Ok(decoded.collect())
}

impl Piece {
    fn answer(&self, n: usize) -> Result<(Table, u16, Answer), String> {
        let out = |key: &str, value: i64, most: u16| format!("registers[{n}].{key}: {value} is not in 0..{most}");
        let start = u16::try_from(self.register).map_err(|_| out("register", self.register, u16::MAX))?;
        let most = if self.table.is_bits() { 1 } else { u16::MAX };
        let word = |value: &i64| u16::try_from(*value).ok().filter(|v| *v <= most).ok_or(out("values", *value, most));
        let words = self.values.iter().map(word).collect::<Result<Vec<_>, _>>()?;
        let answer = if self.table.is_bits() {
            Answer::Bits(words.into_iter().map(|word| word == 1).collect())
        } else {
            Answer::Registers(words)
        };
        Ok((self.table, start, answer))
    }
}

/// A register such as 40001, which manuals write for register 0 of the holding registers.
pub(crate) fn notes(bound: &Bound) -> Vec<BindError> {
    let note = |(id, spot): (_, &Spot)| {
        let digit = match spot.table {
            Table::Coil => return None,
            Table::DiscreteInput => 1,
            Table::InputRegister => 3,
            Table::HoldingRegister => 4,
        };
        let (start, first) = (spot.start, digit * 10_000 + 1);
        if spot.by_reference || !(first..first + 9_999).contains(&start) {
            return None;
        }
        let message = format!(
            "{start} is taken as the zero-based address, so {} {start} will be read; if the manual's {start} is meant, \
             write reference: \"{start}\" (register {})",
            spot.table.words(),
            start - first
        );
        Some(BindError::config(At::Address(id), "register", message))
    };
    (0..).zip(&bound.points).filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use mapper_api::{Access, DataType, Point, Protocol, Value};
    use serde_json::json;

    use super::{notes, replay};
    use crate::{Modbus, bind::Bound};

    fn bound(addresses: &[serde_json::Value], data_type: DataType) -> Bound {
        let endpoint = serde_json::from_value(json!({ "tcp": "h", "unit": 1 })).unwrap();
        let point = |address: &serde_json::Value| Point {
            address: serde_json::from_value(address.clone()).unwrap(),
            data_type,
            order: mapper_api::ByteOrder::Abcd,
            size: None,
            access: Access::Read,
        };
        Modbus.bind(endpoint, addresses.iter().map(point).collect()).unwrap()
    }

    #[test]
    fn a_recording_is_decoded_like_an_answer() {
        let at = |register: u16| json!({ "table": "holdingRegister", "register": register });
        let bound = bound(&[at(40), at(41), at(90), at(42)], DataType::Float32);
        let sample = json!({ "registers": [
            { "table": "inputRegister", "register": 90, "values": [1, 2] },
            { "table": "holdingRegister", "register": 40, "values": [17261, 47841, 0] },
        ] });
        let decoded = replay(&bound, &sample).unwrap();
        assert_eq!(decoded.iter().map(|d| d.point).collect::<Vec<_>>(), [0, 1], "whole values only");
        assert_eq!(decoded[0].result, Ok(Value::Float32(237.73)));
    }

    #[test]
    fn bits_are_recorded_as_zeros_and_ones() {
        let bound = bound(&[json!({ "reference": "10002" })], DataType::Bool);
        let sample =
            |value| json!({ "registers": [{ "table": "discreteInput", "register": 0, "values": [0, value] }] });
        assert_eq!(replay(&bound, &sample(1)).unwrap()[0].result, Ok(Value::Bool(true)));
        assert_eq!(replay(&bound, &sample(2)).unwrap_err(), "registers[0].values: 2 is not in 0..1");
    }

    #[test]
    fn what_is_no_recording_is_told() {
        let bound = bound(&[], DataType::Bool);
        for (sample, told) in [
            (
                json!({ "registers": [{ "table": "coil", "register": 70_000, "values": [1] }] }),
                "70000 is not in 0..65535",
            ),
            (json!({ "frames": [] }), "unknown field `frames`"),
            (json!({ "registers": [{ "table": "coil", "register": 0 }] }), "missing field `values`"),
        ] {
            let error = replay(&bound, &sample).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_register_in_the_other_notation_gets_a_remark() {
        let bound = bound(
            &[
                json!({ "table": "holdingRegister", "register": 40001 }),
                json!({ "reference": "440002" }),
                json!({ "table": "inputRegister", "register": 40001 }),
                json!({ "table": "holdingRegister", "register": 40000 }),
                json!({ "table": "inputRegister", "register": 30100 }),
            ],
            DataType::Uint16,
        );
        let notes: Vec<_> = notes(&bound).iter().map(ToString::to_string).collect();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].contains("holding register 40001 will be read"), "{notes:?}");
        assert!(notes[1].contains("reference: \"30100\" (register 99)"), "{notes:?}");
    }
}
