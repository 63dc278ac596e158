//! `make bench`: measures mcpmon against docker and docker compose, each peer in the same run on the same engine, and
//! prints one table in Markdown. A measurement, not a test: a row over its bound is marked, and the exit code stays 0.
//!
//! `cargo bench --bench table -- [--binary PATH] [--quick] [--only WORD]`
//!
//! | part | what it is for |
//! |---|---|
//! | [`table`] | rows, bounds and how they read (pure) |
//! | [`machine`] | what the numbers were measured on |
//! | [`corner`] | a folder and names of its own; nothing of it is left |
//! | [`run`] | commands and their time, an interrupt, medians |
//! | [`fifty`], [`killed`], [`lines`], [`orphans`], [`reload`], [`resident`], [`services`], [`session`], [`start`] | the rows |

mod corner;
mod fifty;
mod killed;
mod lines;
mod machine;
mod orphans;
mod reload;
mod resident;
mod run;
mod services;
mod session;
mod start;
mod table;

use std::{
    io::{Write, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
};

use run::Outcome;
use table::Row;

/// How much is measured.
pub(crate) struct Plan {
    /// The binary that is measured.
    pub(crate) binary: PathBuf,
    /// Targets of the rows that have many.
    pub(crate) targets: usize,
    /// Rounds of those rows; each round measures mcpmon and its peer once.
    pub(crate) rounds: usize,
    /// "Nothing to do" is quick: so many times per round.
    pub(crate) again: usize,
    /// Rounds of save → answer.
    pub(crate) saves: usize,
    /// Reloads after the warm-up, while memory is watched.
    pub(crate) reloads: usize,
    /// How long the idle supervisor is watched, in seconds: two resyncs in the whole form.
    pub(crate) idle: u64,
    /// Calls in a row by each peer, in each of several turns.
    pub(crate) trips: usize,
    /// Reloads of a session under load.
    pub(crate) storm: u64,
    /// Only rows whose name has this word.
    only: Option<String>,
}

impl Plan {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self {
            binary: env!("CARGO_BIN_EXE_mcpmon").into(),
            targets: 50,
            rounds: 3,
            again: 5,
            saves: 15,
            reloads: 1000,
            idle: 65,
            trips: 50,
            storm: 20,
            only: None,
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--binary" => plan.binary = value()?.into(),
                "--only" => plan.only = Some(value()?),
                "--quick" => {
                    plan = Self { rounds: 1, again: 3, saves: 5, reloads: 200, idle: 32, trips: 20, storm: 5, ..plan };
                }
                // Cargo's own.
                "--bench" => {}
                other => return Err(format!("unknown argument {other}: --binary PATH, --quick, --only WORD")),
            }
        }
        plan.binary = std::path::absolute(&plan.binary).map_err(|error| error.to_string())?;
        Ok(plan)
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|word| part.contains(word))
    }
}

/// A part of the table: the word that `--only` knows it by, and what measures it.
type Part = (&'static str, fn(&Plan) -> Outcome<Vec<Row>>);

const PARTS: [Part; 12] = [
    ("fifty", fifty::measure),
    ("services", services::measure),
    ("orphans", orphans::measure),
    ("reload", reload::measure),
    ("resident", resident::measure),
    ("killed", killed::measure),
    ("lines", lines::measure),
    ("session-reload", session::reload::measure),
    ("session-trip", session::trip::measure),
    ("session-process", session::trip::process),
    ("session-others", session::others::measure),
    ("start", start::measure),
];

fn main() -> ExitCode {
    let plan = match Plan::read(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(message) => return complain(&message, 64),
    };
    run::listen();
    let (mut rows, mut failed) = (Vec::new(), false);
    for (name, measure) in PARTS.iter().filter(|(name, _)| plan.wants(name)) {
        match measure(&plan) {
            Ok(measured) => rows.extend(measured),
            Err(_) if run::interrupted() => return complain("interrupted; what was made is removed", 130),
            // What the other parts have measured is not lost for it.
            Err(message) => {
                complain(&format!("{name}: {message}"), 1);
                failed = true;
            }
        }
    }
    let machine = match machine::Machine::look(&plan.binary) {
        Ok(machine) => machine,
        Err(message) => return complain(&message, 1),
    };
    let written = stdout().write_all(table::markdown(&machine.to_string(), &rows).as_bytes());
    match written {
        Ok(()) if !failed => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => complain(&error.to_string(), 1),
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    // Nobody is left to tell when this fails.
    let _ = writeln!(stderr(), "bench: {message}");
    ExitCode::from(code)
}
