//! What a process costs, from /proc (proc_pid_stat(5), proc_pid_status(5)).

use std::fs::{read_dir, read_to_string};

/// User and system time that a process has used, in seconds; 0 when it is gone.
#[must_use]
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat_ticks(&stat, 2) / rustix::param::clock_ticks_per_second() as f64
}

/// The sum of the first so many of utime, stime, cutime and cstime in the text of `/proc/PID/stat`.
#[must_use]
pub fn stat_ticks(stat: &str, fields: usize) -> f64 {
    // The second field is the name in brackets, which may hold blanks; utime is field 14.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(fields).filter_map(|n| n.parse::<f64>().ok()).sum()
}

/// User and system time of all threads that a process has now, in seconds, from the scheduler: exact where [`cpu_seconds`]
/// counts ticks. 0 when it is gone.
#[must_use]
pub fn cpu_seconds_exact(pid: u32) -> f64 {
    let Ok(threads) = read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let ran_ns = |path: std::path::PathBuf| -> Option<f64> {
        read_to_string(path.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    threads.filter_map(|thread| ran_ns(thread.ok()?.path())).sum::<f64>() / 1e9
}

/// Memory that a process has resident, in KiB; 0 when it is gone.
#[must_use]
pub fn rss_kib(pid: u32) -> u64 {
    status_kib(pid, "VmRSS:")
}

/// The most memory that a process has ever had resident, in KiB; 0 when it is gone.
#[must_use]
pub fn peak_rss_kib(pid: u32) -> u64 {
    status_kib(pid, "VmHWM:")
}

fn status_kib(pid: u32, field: &str) -> u64 {
    let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The middle value; of an even number of values the mean of the two in the middle.
///
/// # Panics
/// When there is no value.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// The value that so large a `share` of the values, from 0 to 1, does not exceed: one of them, none between.
///
/// # Panics
/// When there is no value.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::{cpu_seconds, cpu_seconds_exact, peak_rss_kib, quantile, rss_kib};

    #[test]
    fn a_quantile_is_the_nearest_rank() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| quantile(&values, share)), [1.0, 10.0, 19.0, 20.0]);
        assert_eq!(quantile(&[7.0], 0.95), 7.0);
    }

    #[test]
    fn a_process_that_works_is_seen_to() {
        let own = std::process::id();
        let block = vec![1u8; 32 << 20];
        let before = cpu_seconds_exact(own);
        let mut sum = block.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        while cpu_seconds_exact(own) < before + 0.05 {
            sum = std::hint::black_box(sum.wrapping_mul(3));
        }
        assert!(cpu_seconds(own) > 0.0);
        assert!(peak_rss_kib(own) >= 32 << 10 && rss_kib(own) > 0);
        drop(block);
        assert!(peak_rss_kib(own) >= rss_kib(own).max(32 << 10));
        assert_eq!((cpu_seconds_exact(0), peak_rss_kib(0)), (0.0, 0));
    }
}
