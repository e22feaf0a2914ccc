//! `fieldgate crd`: the custom resource definitions of this very binary.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use mapper_api::Mapper;

use crate::control::crd;

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  fieldgate crd | kubectl apply -f -\n  fieldgate crd --out crds      one file for each kind"
)]
pub struct Args {
    /// Write a file for each kind into this folder instead of printing them.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, mappers: &[Arc<dyn Mapper>]) -> anyhow::Result<ExitCode> {
    match &args.out {
        Some(folder) => crd::write(folder, mappers)?,
        None => super::print(&crd::print(mappers)?)?,
    }
    Ok(ExitCode::SUCCESS)
}
