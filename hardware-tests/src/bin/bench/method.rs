//! How the figures are taken, in words, before the first of them.

use std::fs;

use crate::Options;

/// Prints the method and the machine as lines that start with `#`.
pub fn print(options: &Options) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("# machine: {cores} x {}, Linux {}", cpu.map_or("unknown", |(_, name)| name), kernel.trim());
    println!(
        "# Simulated Modbus TCP devices (one process, a port each, new values with each read), mosquitto as installed \
         and a QoS 0\n\
         # subscriber, all on the loopback of this machine. The gateway and a C program on libmodbus and libmosquitto \
         (one\n\
         # connection per device, one request per poll, the same payload) run in turn: {} windows of {} s each, \
         start-up\n\
         # excluded; figures are medians over the windows, ratio is gateway / reference.\n\
         # cpu: seconds, user and system, of the one process (/proc/PID/task/*/schedstat, /proc/PID/stat) per million\n\
         # readings counted at the subscriber in the same window. delivered: counted / (devices x registers x \
         periods).\n\
         # missing: sequence numbers that never came. sleeps: voluntary context switches per second. Memory in MiB.",
        options.rounds, options.seconds
    );
}
