//! What the kernel tells of this process: memory, files, processor time. On Linux only; elsewhere there is nothing to show.

/// Shows it as it is now. What cannot be read is left as it was: a metric is no reason to fail.
#[cfg(target_os = "linux")]
pub(super) fn show() {
    if let Err(error) = linux::show() {
        tracing::debug!(%error, "cannot read what the kernel tells of this process");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn show() {}

#[cfg(target_os = "linux")]
mod linux {
    use procfs::process::{LimitValue, Process};
    use procfs::{ProcResult, boot_time_secs, page_size, ticks_per_second};

    #[expect(clippy::cast_precision_loss, reason = "a gauge holds a float; none of these comes near 2^53")]
    pub(super) fn show() -> ProcResult<()> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = ticks_per_second();
        let started = boot_time_secs()? as f64 + stat.starttime as f64 / ticks as f64;
        metrics::counter!("process_cpu_seconds_total").absolute((stat.utime + stat.stime) / ticks);
        let gauge = |name: &'static str, value: f64| metrics::gauge!(name).set(value);
        gauge("process_start_time_seconds", started);
        gauge("process_resident_memory_bytes", (stat.rss * page_size()) as f64);
        gauge("process_virtual_memory_bytes", stat.vsize as f64);
        gauge("process_open_fds", process.fd_count()? as f64);
        gauge("process_threads", stat.num_threads as f64);
        if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
            gauge("process_max_fds", most as f64);
        }
        Ok(())
    }
}
