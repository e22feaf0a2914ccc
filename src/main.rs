//! The `fieldgate` binary: the command line with the mappers that were built in.

use std::process::ExitCode;

fn main() -> ExitCode {
    fieldgate::cli::main_with(fieldgate::registry::mappers())
}
