//! Commands and their time, an interrupt, medians.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// What a measurement gives, or why there is none.
pub(crate) type Outcome<T> = Result<T, String>;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes SIGINT, SIGTERM and SIGHUP over: from then on they only end what is being measured, and everything is cleaned up.
pub(crate) fn listen() {
    std::thread::spawn(|| {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    });
}

/// Whether somebody wants this to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn go_on() -> Outcome<()> {
    if interrupted() { Err("interrupted".into()) } else { Ok(()) }
}

/// Runs a command to its good end; gives how long that took, in milliseconds.
pub(crate) fn timed(folder: &Path, program: &Path, arguments: &[&str]) -> Outcome<f64> {
    go_on()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).env("XDG_STATE_HOME", folder);
    let began = Instant::now();
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let took = began.elapsed();
    go_on()?;
    if output.status.success() {
        return Ok(took.as_secs_f64() * 1000.0);
    }
    let words = [output.stdout, output.stderr].concat();
    Err(format!(
        "{} {}: {}\n{}",
        program.display(),
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&words)
    ))
}

/// What a command prints.
pub(crate) fn printed(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Asks again and again, every `pause`, until there is an answer.
pub(crate) fn wait<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut ask: impl FnMut() -> Outcome<Option<T>>,
) -> Outcome<T> {
    let deadline = Instant::now() + limit;
    loop {
        go_on()?;
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(format!("{what}: not within {limit:?}"));
        }
        std::thread::sleep(pause);
    }
}

/// The one below which so many hundredths of them lie (the nearest rank).
pub(crate) fn percentile(mut values: Vec<f64>, hundredths: usize) -> Outcome<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * hundredths).div_ceil(100).max(1);
    values.get(rank - 1).copied().ok_or_else(|| "nothing was measured".into())
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> Outcome<f64> {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => Err("nothing was measured".into()),
        count if count % 2 == 1 => Ok(values[count / 2]),
        count => Ok(f64::midpoint(values[count / 2 - 1], values[count / 2])),
    }
}

/// Says how far it is.
pub(crate) fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "bench: {text}"); // progress only
}
