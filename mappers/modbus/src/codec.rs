//! Registers to raw values and back, and the names of what a unit refuses with. Pure; types and orders are those of
//! `mapper-values`.

use std::borrow::Cow;

use mapper_api::{ByteOrder, Decoded, Refusal, Value};
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
    for (pair, word) in buffer.chunks_exact_mut(2).zip(words) {
        pair.copy_from_slice(&word.to_be_bytes());
    }
    let bytes = &mut buffer[..MOST.min(2 * words.len())];
    if let Some(bits) = spot.bits {
        return Ok(bits.of(bytes, spot.data_type, spot.order));
    }
    if spot.size == 0 {
        return codec::decode(bytes, spot.data_type, spot.order);
    }
    // Whole registers are put in order first, so that an odd size cuts off the right byte.
    codec::arrange(bytes, spot.order);
    codec::decode(&bytes[..bytes.len().min(spot.size.into())], spot.data_type, ByteOrder::Abcd)
}

/// The registers to write for a raw value.
///
/// # Errors
/// A value that has no form of the point's type and size.
pub(crate) fn encode(value: &Value, spot: &Spot) -> Result<Vec<u16>, Refusal> {
    let sized = spot.size > 0;
    let order = if sized { ByteOrder::Abcd } else { spot.order };
    let mut bytes = codec::encode(value, spot.data_type, order, sized.then_some(spot.size))?;
    if sized {
        bytes.resize(2 * usize::from(spot.count), 0);
        codec::arrange(&mut bytes, spot.order);
    }
    Ok(bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
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
