//! Builds the C programs that the gateway is measured against.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Builds `bench/NAME.c` with these libraries into a folder. Returns the program.
pub fn build(into: &Path, name: &str, libraries: &[&str]) -> Result<PathBuf> {
    let program = into.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench").join(name).with_extension("c");
    let built = Command::new("cc")
        .args(["-O2", "-Wall", "-o"])
        .arg(&program)
        .arg(&source)
        .args(libraries)
        .status()
        .context("no C compiler: run hardware-tests/install")?;
    ensure!(built.success(), "cannot build {}: run hardware-tests/install", source.display());
    Ok(program)
}
