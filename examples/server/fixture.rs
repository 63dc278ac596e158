//! The modes that are no server: containers that wait, end, stay, talk, and look at files.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    arguments::LinesArguments,
    signals::{Ending, runtime},
};

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Writes a line to standard error. A reader that has gone is no reason to fail.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Waits for a request to end.
pub(crate) fn idle() -> Outcome {
    runtime()?.block_on(async {
        Ending::listen()?.requested().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Handles every polite signal by saying so, and stays.
pub(crate) fn stubborn() -> Outcome {
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup.recv() => "SIGHUP",
            };
            complain(&format!("ignored {name}"));
        }
    })
}

/// Lives for a while, says a line, and ends with the code it was given.
pub(crate) fn exit(code: u8, print: Option<&str>, after: u64) -> ExitCode {
    if let Some(line) = print {
        complain(line);
    }
    std::thread::sleep(Duration::from_millis(after));
    ExitCode::from(code)
}

/// Prints numbered lines, then waits or ends.
pub(crate) fn lines(arguments: &LinesArguments) -> Outcome {
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut ending = Ending::listen()?;
        let print = async {
            for number in 1..=arguments.count.unwrap_or(u64::MAX) {
                print_line(arguments, number)?;
                if arguments.every > 0 {
                    tokio::time::sleep(Duration::from_millis(arguments.every)).await;
                } else {
                    // Without a pause the signals would never get their turn.
                    tokio::task::yield_now().await;
                }
            }
            if let Some(code) = arguments.then_exit {
                return Ok(ExitCode::from(code));
            }
            std::future::pending().await
        };
        tokio::select! {
            outcome = print => outcome,
            () = ending.requested() => Ok(ExitCode::SUCCESS),
        }
    })
}

fn print_line(arguments: &LinesArguments, number: u64) -> io::Result<()> {
    let text = &arguments.text;
    if arguments.stderr {
        writeln!(io::stderr(), "{text} {number}")
    } else {
        let mut out = io::stdout();
        writeln!(out, "{text} {number}")?;
        out.flush()
    }
}

/// Whether a path exists, as an exit code.
pub(crate) fn exists(path: &Path) -> ExitCode {
    if path.exists() {
        ExitCode::SUCCESS
    } else {
        complain(&format!("{} does not exist", path.display()));
        ExitCode::FAILURE
    }
}

/// Prints a file as it is.
pub(crate) fn cat(path: &Path) -> Outcome {
    let content = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    io::stdout().write_all(&content)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a text the content of a file.
pub(crate) fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}
