//! What the kernel tells about a process: CPU time, memory, wake-ups.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};

/// What a process has used since its start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Voluntary context switches of all its threads: how often it went to sleep, and so was woken.
    pub sleeps: u64,
}

/// Reads the usage of a process.
///
/// `/proc/PID/stat` counts user and system time in ticks of 10 ms, which is coarse for a window in which a gateway uses
/// 20 ms. `/proc/PID/task/*/schedstat` has the same sum in nanoseconds, without the threads that have ended; the larger
/// of the two is taken.
pub fn usage(pid: u32) -> Result<Usage> {
    let folder = format!("/proc/{pid}");
    let mut precise = Duration::ZERO;
    let mut sleeps = 0;
    let tasks = fs::read_dir(format!("{folder}/task")).with_context(|| format!("no process {pid}"))?;
    for task in tasks {
        let task = task?.path();
        // A thread may end between the listing and the reading.
        let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
        sleeps += field(&status, "voluntary_ctxt_switches:").unwrap_or_default();
        let schedstat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        let nanos = schedstat.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
        precise += Duration::from_nanos(nanos);
    }
    let stat = fs::read_to_string(Path::new(&folder).join("stat"))?;
    let coarse = ticks(&stat).context("/proc/PID/stat has another form")? * tick();
    Ok(Usage { cpu: precise.max(coarse), sleeps })
}

/// The memory of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// VmHWM: the most that was ever resident, in KiB, shared pages of its binary and libraries included.
    pub peak_kib: u64,
    /// RssAnon: what is resident now and its own, in KiB.
    pub anon_kib: u64,
}

/// Reads the memory of a process.
pub fn memory(pid: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("no process {pid}"))?;
    Ok(Memory {
        peak_kib: field(&status, "VmHWM:").context("no VmHWM")?,
        anon_kib: field(&status, "RssAnon:").context("no RssAnon")?,
    })
}

/// The number behind a key at the start of a line.
fn field(status: &str, key: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// utime + stime, fields 14 and 15; the name (field 2) may hold blanks and brackets.
fn ticks(stat: &str) -> Option<u32> {
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(rest.next()?.parse::<u32>().ok()? + rest.next()?.parse::<u32>().ok()?)
}

fn tick() -> Duration {
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
    Duration::from_secs(1) / per_second.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_hostile_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 17 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some(267));
    }

    #[test]
    fn fields_are_whole_keys_at_line_starts() {
        let status = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t4\nVmHWM:\t 3604 kB\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), Some(4));
        assert_eq!(field(status, "VmHWM:"), Some(3604));
        assert_eq!(field(status, "RssAnon:"), None);
    }

    #[test]
    fn busy_work_shows_in_the_own_usage() {
        let before = usage(std::process::id()).expect("own usage");
        let start = std::time::Instant::now();
        while start.elapsed() < Duration::from_millis(60) {}
        let after = usage(std::process::id()).expect("own usage");
        assert!(after.cpu > before.cpu, "{before:?} {after:?}");
        assert!(memory(std::process::id()).expect("own memory").peak_kib > 100);
    }
}
