//! The program's size, and its building.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use hardware_tests::figure::Figure;

/// Builds a release of the daemon, with these arguments beside, below this folder of the target. Returns the program.
pub fn build(args: &[&str], folder: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from).join(folder);
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--package", "fieldgate", "--bin", "fieldgate", "--target-dir"])
        .arg(&target)
        .args(args)
        .current_dir(root)
        .status()?;
    ensure!(built.success(), "cannot build the daemon");
    Ok(target.join("release/fieldgate"))
}

/// The stripped release binary with Modbus and MQTT only, built apart so that the usual one stays.
pub fn measure() -> Result<()> {
    let program = build(&["--no-default-features", "--features", "modbus"], "minimal")?;
    let bytes = std::fs::metadata(&program)?.len();
    #[allow(clippy::cast_precision_loss)]
    let megabytes = bytes as f64 / 1e6;
    Figure::new("size", "MB of the stripped release binary, Modbus and MQTT only", "<= 6")
        .with("gateway", megabytes)
        .print();
    Ok(())
}
