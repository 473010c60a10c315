//! Who used the CPU while something was measured: the daemons, what was started to measure, the kernel, or others.

use std::fs::{read_dir, read_to_string};
use std::time::Instant;

use netns_tests::{cpu_seconds, stat_ticks};

/// Threads of the kernel that do the network's work, charged to no process.
const KERNEL_THREADS: [&str; 4] = ["ksoftirqd", "kworker", "rcu_", "migration"];

/// All counters at one moment, in seconds.
#[derive(Debug, Clone, Copy)]
struct Used {
    /// Busy time of all cores, and what the hypervisor gave to others.
    machine: f64,
    daemons: f64,
    /// This process and its children that have ended.
    own: f64,
    kernel: f64,
}

/// Watches from its making on.
pub(crate) struct Meter<'a> {
    daemons: &'a [u32],
    began: Instant,
    before: Used,
}

impl<'a> Meter<'a> {
    pub(crate) fn begin(daemons: &'a [u32]) -> Self {
        Self { daemons, began: Instant::now(), before: Used::now(daemons) }
    }

    /// The share of all cores, from 0 to 1, that others have used since: neither the daemons, nor the kernel's threads, nor
    /// this process and what it has started and waited for.
    pub(crate) fn foreign(&self) -> f64 {
        let now = Used::now(self.daemons);
        let grown = |of: fn(&Used) -> f64| of(&now) - of(&self.before);
        let foreign = grown(|u| u.machine) - grown(|u| u.daemons) - grown(|u| u.own) - grown(|u| u.kernel);
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        foreign.max(0.0) / (self.began.elapsed().as_secs_f64() * cores)
    }
}

impl Used {
    fn now(daemons: &[u32]) -> Self {
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let text = |path: &str| read_to_string(path).unwrap_or_default();
        Self {
            machine: machine_ticks(&text("/proc/stat")) * tick,
            daemons: daemons.iter().map(|pid| cpu_seconds(*pid)).sum(),
            own: stat_ticks(&text("/proc/self/stat"), 4) * tick,
            kernel: kernel_ticks() * tick,
        }
    }
}

/// All but idle and waiting for disks, of the line for all cores (proc_stat(5)).
fn machine_ticks(stat: &str) -> f64 {
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests use is in the first two.
    ticks.iter().enumerate().filter(|(i, _)| !matches!(i, 3 | 4 | 8..)).map(|(_, ticks)| ticks).sum()
}

fn kernel_ticks() -> f64 {
    let Ok(processes) = read_dir("/proc") else { return 0.0 };
    let stats = processes.filter_map(|entry| read_to_string(entry.ok()?.path().join("stat")).ok());
    stats.filter(|stat| is_of_kernel(stat)).map(|stat| stat_ticks(&stat, 2)).sum()
}

fn is_of_kernel(stat: &str) -> bool {
    let name = stat.split_once('(').map_or("", |(_, rest)| rest);
    KERNEL_THREADS.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_the_kernel_tells() {
        let stat = "cpu  100 1 20 5000 300 4 7 2 50 50\ncpu0 9 9 9 9 9 9 9 9 9 9\n";
        assert_eq!(machine_ticks(stat), 134.0);
        let worker = "12 (kworker/0:1 x)) S 2 0 0 0 -1 69238880 0 0 0 0 11 22 33 44 20 0 1";
        assert_eq!((stat_ticks(worker, 2), stat_ticks(worker, 4)), (33.0, 110.0));
        assert!(is_of_kernel(worker) && !is_of_kernel("7 (iperf3) R 1"));
        assert_eq!(machine_ticks(""), 0.0);
    }

    #[test]
    fn own_work_is_not_foreign() {
        let meter = Meter::begin(&[]);
        let mut sum = 1u64;
        // Ends on any machine: the loop is the work that is waited for.
        while Used::now(&[]).own < meter.before.own + 0.05 {
            sum = std::hint::black_box(sum.wrapping_mul(3));
        }
        assert!(Used::now(&[]).machine > meter.before.machine);
        assert!((0.0..=1.0).contains(&meter.foreign()));
    }
}
