//! Recorded answers: registers and bits by table, decoded as live ones are. Pure.

use std::collections::BTreeMap;

use mapper_api::{Decoded, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    bind::{Bound, Spot},
    codec,
    config::Table,
    request::{Answer, Request, What},
};

/// What a device answered: for each table, the values that stand from a register on.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Sample {
    /// Coils, such as `{"3": [true, false]}` for 3 and 4.
    coil: BTreeMap<String, Vec<bool>>,
    /// Discrete inputs.
    discrete_input: BTreeMap<String, Vec<bool>>,
    /// Holding registers, such as `{"0": [17256, 29884]}` for 0 and 1.
    holding_register: BTreeMap<String, Vec<u16>>,
    /// Input registers.
    input_register: BTreeMap<String, Vec<u16>>,
}

/// Endpoints for a model that leaves its own to its devices.
pub(crate) fn stand_ins() -> Vec<Json> {
    let unit = ("unit".to_owned(), Json::from(1));
    let tcp = ("tcp".to_owned(), Json::from("localhost:502"));
    let line = [("path".to_owned(), Json::from("/dev/null")), ("baud".to_owned(), Json::from(9600))];
    let serial = ("serial".to_owned(), line.into_iter().collect());
    vec![[tcp, unit.clone()].into_iter().collect(), [serial, unit].into_iter().collect()]
}

/// What a recorded answer says of the points that it reaches.
///
/// # Errors
/// It is none, with the key and what would be accepted.
pub(crate) fn replay(bound: &Bound, sample: &Json) -> Result<Vec<Decoded>, String> {
    let sample = Sample::deserialize(sample).map_err(|error| error.to_string())?;
    let coils = flat("coil", &sample.coil)?;
    let inputs = flat("discreteInput", &sample.discrete_input)?;
    let holding = flat("holdingRegister", &sample.holding_register)?;
    let input = flat("inputRegister", &sample.input_register)?;
    let mut out = Vec::new();
    for (id, spot) in (0..).zip(&bound.points).filter(|(_, spot)| spot.readable) {
        let answer = match spot.table {
            Table::Coil => stretch(spot, &coils).map(Answer::Bits),
            Table::DiscreteInput => stretch(spot, &inputs).map(Answer::Bits),
            Table::HoldingRegister => stretch(spot, &holding).map(Answer::Registers),
            Table::InputRegister => stretch(spot, &input).map(Answer::Registers),
        };
        if let Some(answer) = answer {
            let what = What::Read { table: spot.table, start: spot.start, count: spot.count };
            let request = Request { unit: bound.unit.clone(), what, points: [id].into() };
            codec::decode(bound, &request, &answer, &mut out);
        }
    }
    Ok(out)
}

fn flat<T: Copy>(table: &str, given: &BTreeMap<String, Vec<T>>) -> Result<BTreeMap<u32, T>, String> {
    let mut all = BTreeMap::new();
    for (start, values) in given {
        let refuse = |why| format!("{table}.{start}: {why}");
        let first: u16 = start.parse().map_err(|_| refuse("is no register; 0 to 65535 in quotes would be accepted"))?;
        for (place, value) in (u32::from(first)..).zip(values) {
            if place > u16::MAX.into() {
                return Err(refuse("goes beyond register 65535"));
            }
            if all.insert(place, *value).is_some() {
                return Err(refuse("overlaps another stretch of the table"));
            }
        }
    }
    Ok(all)
}

/// The values of a point, if the sample has them all.
fn stretch<T: Copy>(spot: &Spot, all: &BTreeMap<u32, T>) -> Option<Vec<T>> {
    (u32::from(spot.start)..spot.end()).map(|place| all.get(&place).copied()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mapper_api::{Access, BoundDevice, DataType, Mapper, Point, Value};
    use serde_json::{Value as Json, json};

    use crate::Modbus;

    fn bound() -> Arc<dyn BoundDevice> {
        let addresses = [
            (json!({"table": "inputRegister", "register": 0}), DataType::Float32),
            (json!({"reference": "40101"}), DataType::Uint16),
            (json!({"table": "coil", "register": 4}), DataType::Bool),
            (json!({"table": "holdingRegister", "register": 40001}), DataType::Uint16),
        ];
        let point = |(address, data_type): &'static (Json, DataType)| Point {
            address,
            data_type: *data_type,
            order: mapper_api::ByteOrder::Abcd,
            size: None,
            access: Access::Read,
        };
        let addresses: &'static _ = Box::leak(Box::new(addresses));
        let points = addresses.iter().map(point).collect();
        Arc::new(Modbus).bind(&json!({"tcp": "h", "unit": 1}), points).unwrap_or_else(|e| panic!("{e:?}"))
    }

    #[test]
    fn a_recorded_answer_decodes_as_a_live_one() {
        let sample = json!({
            "inputRegister": {"0": [17255, 26214]}, "holdingRegister": {"99": [7, 5]}, "coil": {"3": [false, true]},
        });
        let found: Vec<_> =
            bound().replay(&sample).unwrap().into_iter().map(|d| (d.point, d.result.unwrap())).collect();
        assert_eq!(found, [(0, Value::Float32(231.4)), (1, Value::Uint(5)), (2, Value::Bool(true))]);
    }

    #[test]
    fn what_is_no_recorded_answer_is_refused() {
        for (sample, part) in [
            (json!({"coils": {}}), "unknown field `coils`"),
            (json!({"coil": {"x": [true]}}), "coil.x: is no register"),
            (json!({"holdingRegister": {"0": [70000]}}), "70000"),
            (json!({"holdingRegister": {"65535": [1, 2]}}), "beyond register 65535"),
            (json!({"holdingRegister": {"0": [1, 2], "1": [2]}}), "overlaps"),
        ] {
            let error = bound().replay(&sample).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_register_that_looks_like_the_other_notation_is_remarked_on() {
        let notes = bound().notes();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].message.contains("reference: \"440002\"") && notes[0].path == "register", "{notes:?}");
    }
}
