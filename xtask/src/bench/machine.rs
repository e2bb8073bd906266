//! The machine a report was made on.

use std::fs;

/// One line for each thing a reader needs to judge the figures.
pub(super) fn describe() -> Vec<String> {
    let cpuinfo = read("/proc/cpuinfo");
    let memory_kib =
        field(&read("/proc/meminfo"), "MemTotal").and_then(|kib| kib.split(' ').next()?.parse().ok());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        format!("CPU: {}, {cores} cores", field(&cpuinfo, "model name").unwrap_or_else(|| "unknown".into())),
        format!("memory: {} MiB", memory_kib.unwrap_or(0_u64) / 1024),
        format!("kernel: Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        format!("load before the run: {}", read("/proc/loadavg").split(' ').next().unwrap_or("unknown")),
    ]
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn takes_the_first_field_of_a_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "absent"), None);
    }
}
