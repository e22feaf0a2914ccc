//! Real peers: servers of other people's making, started as programs. A missing one fails the test with the command
//! that installs it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer")
}

fn python() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hardware-tests/.venv/bin/python");
    std::env::var_os("FIELDGATE_PYTHON").map_or(workspace, PathBuf::from)
}

/// Nothing else listens there now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn start(program: &Path, args: &[&str], cure: &str) -> Child {
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}; {cure}", program.display()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(std::time::Duration::from_secs(20), lines.next_line());
    assert_eq!(line.await.unwrap().unwrap().as_deref(), Some("ready"), "{} does not start; {cure}", program.display());
    child
}

/// `tcp`, `rtu-tcp` or `rtu`, and where.
pub async fn pymodbus(kind: &str, place: &str) -> Child {
    let script = folder().join("pymodbus_server.py");
    start(&python(), &[script.to_str().unwrap(), kind, place], "run hardware-tests/install").await
}

/// `tcp` and a port, or `rtu`, a device file and a unit. Compiled into the target folder.
pub async fn libmodbus(args: &[&str]) -> Child {
    static BUILT: tokio::sync::OnceCell<PathBuf> = tokio::sync::OnceCell::const_new();
    let program = BUILT.get_or_init(|| async {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libmodbus_server");
        let source = folder().join("libmodbus_server.c");
        let cure = "apt-get install gcc libmodbus-dev";
        let output = Command::new("cc")
            .args(["-Wall", "-Werror", "-I/usr/include/modbus", "-o"])
            .arg(&program)
            .arg(&source)
            .arg("-lmodbus")
            .output()
            .await
            .unwrap_or_else(|e| panic!("cc: {e}; {cure}"));
        assert!(output.status.success(), "{}\n{cure}", String::from_utf8_lossy(&output.stderr));
        program
    });
    start(program.await, args, "apt-get install libmodbus-dev").await
}
