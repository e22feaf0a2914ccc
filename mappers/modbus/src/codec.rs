//! Registers to raw values and back, and the names of what a unit refuses with. Pure; types and orders are those of
//! `mapper-values`.

use std::borrow::Cow;

use mapper_api::{ByteOrder, DataType, Decoded, Refusal, Value};
use mapper_values::codec;

use crate::{
    bind::{Bound, Spot},
    request::{Answer, Request, What},
};

/// What the answer says of each point of the request.
pub(crate) fn decode(bound: &Bound, request: &Request, answer: &Answer, out: &mut Vec<Decoded>) {
    if let Answer::Exception(code) = answer {
        let refusal = Refusal::rejected(exception(*code));
        out.extend(request.points.iter().map(|point| Decoded { point: *point, result: Err(refusal.clone()) }));
        return;
    }
    let What::Read { start, .. } = request.what else { return };
    out.extend(request.points.iter().map(|point| {
        let result = bound
            .points
            .get(usize::from(*point))
            .and_then(|spot| value(spot, start, answer))
            .unwrap_or_else(|| Err(Refusal::bad_data("the answer does not reach this point")));
        Decoded { point: *point, result }
    }));
}

fn value(spot: &Spot, start: u16, answer: &Answer) -> Option<Result<Value, Refusal>> {
    let from = usize::from(spot.start.checked_sub(start)?);
    match answer {
        Answer::Registers(words) => Some(from_words(words.get(from..from + usize::from(spot.count))?, spot)),
        Answer::Bits(bits) => bits.get(from).map(|bit| Ok(Value::Bool(*bit))),
        Answer::Written | Answer::Exception(_) => None,
    }
}

/// The most bytes that one answer carries.
const MOST: usize = 250;

fn from_words(words: &[u16], spot: &Spot) -> Result<Value, Refusal> {
    let mut buffer = [0_u8; MOST];
    let low_byte_first = spot.data_type == DataType::String && spot.order == ByteOrder::Badc;
    for (pair, word) in buffer.chunks_exact_mut(2).zip(words) {
        pair.copy_from_slice(&if low_byte_first { word.to_le_bytes() } else { word.to_be_bytes() });
    }
    if spot.data_type == DataType::String {
        // The bytes of each register are in order by now, so that an odd size cuts off the right one.
        codec::decode(&buffer[..MOST.min(spot.size.into())], spot.data_type, ByteOrder::Abcd)
    } else {
        codec::decode(&buffer[..MOST.min(2 * words.len())], spot.data_type, spot.order)
    }
}

/// The registers to write for a raw value.
///
/// # Errors
/// A value that has no form of the point's type and size.
pub(crate) fn encode(value: &Value, spot: &Spot) -> Result<Vec<u16>, Refusal> {
    let is_text = spot.data_type == DataType::String;
    let order = if is_text { ByteOrder::Abcd } else { spot.order };
    let bytes = codec::encode(value, spot.data_type, order, is_text.then_some(spot.size))?;
    let low_byte_first = is_text && spot.order == ByteOrder::Badc;
    let word = |pair: &[u8]| {
        let pair = [pair[0], pair.get(1).copied().unwrap_or(0)];
        if low_byte_first { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
    };
    Ok(bytes.chunks(2).map(word).collect())
}

/// The name of an exception code (Modbus Application Protocol V1.1b3, chapter 7).
pub(crate) fn exception(code: u8) -> Cow<'static, str> {
    match code {
        1 => "illegalFunction".into(),
        2 => "illegalDataAddress".into(),
        3 => "illegalDataValue".into(),
        4 => "serverDeviceFailure".into(),
        5 => "acknowledge".into(),
        6 => "serverDeviceBusy".into(),
        8 => "memoryParityError".into(),
        GATEWAY_PATH => "gatewayPathUnavailable".into(),
        GATEWAY_TARGET => "gatewayTargetDeviceFailedToRespond".into(),
        other => format!("exception {other}").into(),
    }
}

/// The gateway has no way to the unit.
pub(crate) const GATEWAY_PATH: u8 = 10;
/// The unit behind the gateway did not answer.
pub(crate) const GATEWAY_TARGET: u8 = 11;

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
