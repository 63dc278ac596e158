//! What the supervisor of many targets costs while it is there: memory, its growth over reloads, and idle CPU.

use std::{fs, time::Duration};

use crate::{
    Plan,
    corner::Corner,
    run::{Outcome, say, wait},
    table::Row,
};

/// One save reloads every target: they mount the same folder.
const SAVED: &str = "content/file.txt";
/// Memory that an allocator may hold more or less of without anything growing: 1 KiB per reload of the whole form.
const NOISE: f64 = 1.0;
/// Clock ticks per second, as /proc counts them (Linux, all architectures: USER_HZ).
const TICKS: f64 = 100.0;

/// The rows of a resident supervisor.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "resident")?;
    corner.write(SAVED, "0\n")?;
    let target = "command = [\"idle\"]\nnetwork_mode = \"none\"\nvolumes = [\"./content:/content:ro\"]";
    corner.targets("[watch]\ndelay = \"0ms\"", plan.targets, target)?;
    corner.mcpmon(&["up", "-d", "--wait"])?;
    let pid = corner.supervisor()?;

    let seconds = plan.idle;
    say(&format!("idle for {seconds} s"));
    let before = cpu(pid)?;
    // Time itself is what is waited for here.
    let over = std::time::Instant::now() + Duration::from_secs(seconds);
    wait("the idle time's end", Duration::from_secs(seconds + 60), Duration::from_millis(500), || {
        Ok((std::time::Instant::now() >= over).then_some(()))
    })?;
    #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
    let idle = (cpu(pid)? - before) / seconds as f64 * 100.0;
    let resident = Memory::of(pid)?;

    // The first reloads fill buffers and pools once: two saves are the warm-up.
    let mut done = 0;
    for save in 0..2 {
        reload(&corner, save, &mut done, plan.targets)?;
    }
    let warm = Memory::of(pid)?;
    let began = done;
    let mut save = 2;
    while done - began < plan.reloads {
        reload(&corner, save, &mut done, plan.targets)?;
        save += 1;
    }
    let last = Memory::of(pid)?;
    let count = plan.targets;
    Ok(vec![
        Row::absolute(
            format!("memory (RSS) of `up` over {count} targets"),
            resident.rss,
            25.0,
            "MiB",
            &format!("private {:.2} MiB", resident.private),
        ),
        Row {
            bound_shown: format!("none (±{NOISE} MiB)"),
            ..Row::absolute(
                format!("its growth over {} reloads", done - began),
                last.rss - warm.rss,
                NOISE,
                "MiB",
                &format!("RSS {:.2} → {:.2}, private {:.2} → {:.2}", warm.rss, last.rss, warm.private, last.private),
            )
        },
        Row::absolute(format!("CPU of an idle `up` over {count} targets, {seconds} s"), idle, 0.2, "% of a core", ""),
    ])
}

/// Saves, and waits until every target has been reloaded.
fn reload(corner: &Corner, save: usize, done: &mut usize, targets: usize) -> Outcome<()> {
    corner.write(SAVED, &format!("{save}\n"))?;
    let wanted = *done + targets;
    say(&format!("reloads: {done} done"));
    *done = wait("the reloads", Duration::from_mins(2), Duration::from_millis(50), || {
        let journal = corner.journal()?;
        if let Some(failed) = journal.lines().find(|line| line.contains("\"event\":\"reload_failed\"")) {
            return Err(failed.to_owned());
        }
        let count = journal.matches("\"event\":\"reloaded\"").count();
        Ok((count >= wanted).then_some(count))
    })?;
    Ok(())
}

/// Memory of a process, in MiB.
pub(crate) struct Memory {
    pub(crate) rss: f64,
    pub(crate) pss: f64,
    private: f64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Outcome<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let kib = |key: &str| -> Outcome<f64> {
            let line =
                text.lines().find_map(|line| line.strip_prefix(key)).ok_or_else(|| format!("{path}: no {key}"))?;
            let number = line.trim().trim_end_matches("kB").trim();
            number.parse().map_err(|_| format!("{path}: {key} {number}"))
        };
        let private = kib("Private_Clean:")? + kib("Private_Dirty:")?;
        Ok(Self { rss: kib("Rss:")? / 1024.0, pss: kib("Pss:")? / 1024.0, private: private / 1024.0 })
    }
}

/// Seconds of CPU that a process has used (proc_pid_stat(5), fields 14 and 15: utime, stime).
fn cpu(pid: u32) -> Outcome<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    // The command's name may hold spaces: count from its end. Field 3 is the next one.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_ascii_whitespace()).ok_or("no stat")?;
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}
