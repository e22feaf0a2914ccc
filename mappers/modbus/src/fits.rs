//! Does the answer fit the question? Pure. tokio-modbus tells what a PDU says; what it would take for good in a release
//! build (another function, too few registers, the echo of another write) is refused here.

use tokio_modbus::{ExceptionResponse, Response, bytes::Bytes};

use crate::{
    config::Table,
    request::{Answer, What},
};

/// The answer, if it fits.
///
/// # Errors
/// What was expected and what came.
pub(crate) fn fits(question: &What, pdu: Vec<u8>) -> Result<Answer, String> {
    use Table::{Coil, DiscreteInput, HoldingRegister, InputRegister};
    let pdu = Bytes::from(pdu);
    if pdu.first().is_some_and(|function| function & 0x80 != 0) {
        let refused = ExceptionResponse::try_from(pdu).map_err(|error| error.to_string())?;
        let function = refused.function.value();
        if function != question.function() {
            return Err(format!("the answer refuses function {function}"));
        }
        return Ok(Answer::Exception(refused.exception.into()));
    }
    let answer = Response::try_from(pdu).map_err(|error| error.to_string())?;
    match (question, answer) {
        (What::Read { table: HoldingRegister, count, .. }, Response::ReadHoldingRegisters(words))
        | (What::Read { table: InputRegister, count, .. }, Response::ReadInputRegisters(words)) => {
            if words.len() != usize::from(*count) {
                return Err(format!("asked for {count} registers, got {}", words.len()));
            }
            Ok(Answer::Registers(words))
        }
        (What::Read { table: Coil, count, .. }, Response::ReadCoils(bits))
        | (What::Read { table: DiscreteInput, count, .. }, Response::ReadDiscreteInputs(bits)) => {
            if bits.len() != usize::from(*count).next_multiple_of(8) {
                return Err(format!("asked for {count} bits, got {}", bits.len()));
            }
            Ok(Answer::Bits(bits))
        }
        (What::WriteCoil { start, on }, Response::WriteSingleCoil(place, echo)) => echoed((*start, *on), (place, echo)),
        (What::WriteRegister { start, word }, Response::WriteSingleRegister(place, echo)) => {
            echoed((*start, *word), (place, echo))
        }
        (What::WriteCoils { start, on }, Response::WriteMultipleCoils(place, count)) => {
            echoed((*start, on.len()), (place, usize::from(count)))
        }
        (What::WriteRegisters { start, words }, Response::WriteMultipleRegisters(place, count)) => {
            echoed((*start, words.len()), (place, usize::from(count)))
        }
        (_, other) => Err(format!("the answer is of function {}", other.function_code())),
    }
}

fn echoed<T: PartialEq + Copy + std::fmt::Display>(sent: (u16, T), echo: (u16, T)) -> Result<Answer, String> {
    if sent == echo {
        return Ok(Answer::Written);
    }
    Err(format!("wrote {} at {}, the answer confirms {} at {}", sent.1, sent.0, echo.1, echo.0))
}
