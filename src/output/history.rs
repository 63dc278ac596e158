//! What happened to a project, also in sessions that are over: one line of JSON for each start, stop, reload, crash and
//! cleanup, with its cause, in a file of the user's state folder. It must not know who makes the events.
//!
//! # Beside the supervisor's log
//!
//! `PROJECT.log` is what one supervisor of `up -d` says, all of it, from its start on: for whoever looks for its trouble. This is
//! what remains of every session of every kind, and little enough to be kept: no progress, and nothing that servers print
//! (which may be secret).
//!
//! # Several at once
//!
//! Each line is one write at the end of the file (`O_APPEND`), so lines of several sessions stand one after the other,
//! whole. Whoever finds the file grown too large renames it, under its lock, to `….1`; who had it open then writes its last
//! line there. So nothing waits for anybody, not even for a session that was stopped in the middle.

mod keep;
mod read;

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde::Deserialize;
use serde_json::{Map, Value};

use self::keep::Keeper;
pub use self::read::{Line, Summary, read, read_all, summary};
use super::{Event, lines::json, private};

/// A file is put aside when it has grown to this; one older one is kept.
const LARGEST: u64 = 1 << 20;
const ENDING: &str = "jsonl";

/// Whose history it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A project's.
    Project(String),
    /// What has no project: `docker`, `command`, `cleanup`.
    Kind(&'static str),
}

impl Subject {
    /// The file's name. None: that can't be a project's name, whoever says so (a label, for example).
    fn file(&self) -> Option<String> {
        match self {
            // As the configuration has it.
            Self::Project(name) => {
                let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
                let is_name = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                (is_name && name.len() <= 200 && name.chars().all(fits)).then(|| format!("{name}.{ENDING}"))
            }
            // No project is called so.
            Self::Kind(kind) => Some(format!("+{kind}.{ENDING}")),
        }
    }
}

/// One line: the event, with fields more. Where an event has such a field itself, it says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When, RFC 3339.
    pub time: String,
    /// The command: `up`, `run`, `docker run`, …
    pub by: String,
    /// Its process id.
    pub pid: u32,
    /// Its session.
    pub session: Option<String>,
    /// Why it happened, where the event does not say.
    pub why: Option<String>,
    /// What happened.
    pub event: Event,
}

impl Record {
    fn to_json(&self) -> Value {
        let mut line = Map::new();
        line.insert("time".into(), self.time.clone().into());
        line.insert("by".into(), self.by.clone().into());
        line.insert("pid".into(), self.pid.into());
        line.extend(self.session.iter().map(|session| ("session".into(), session.clone().into())));
        line.extend(self.why.iter().map(|why| ("why".into(), why.clone().into())));
        if let Ok(Value::Object(event)) = serde_json::to_value(&self.event) {
            line.extend(event);
        }
        Value::Object(line)
    }

    fn from_json(line: &Value) -> Option<Self> {
        let text = |key: &str| line[key].as_str().map(str::to_owned);
        Some(Self {
            time: text("time")?,
            by: text("by")?,
            pid: u32::try_from(line["pid"].as_u64()?).ok()?,
            session: text("session"),
            why: text("why"),
            event: Event::deserialize(line).ok()?,
        })
    }
}

/// Writes what one session adds. Clones write together.
#[derive(Debug, Clone)]
pub struct History {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    path: Option<PathBuf>,
    only_existing: bool,
    by: &'static str,
    keeper: Keeper,
    failed: bool,
}

impl History {
    /// The history of `subject` in a state folder. `by`: the command that adds to it. Touches nothing yet.
    pub fn new(state: &Path, subject: &Subject, by: &'static str) -> Self {
        let path = subject.file().map(|file| folder(state).join(file));
        let shared = Shared { path, only_existing: false, by, keeper: Keeper::default(), failed: false };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// The same, where there is one already: a name that stands in a label only makes no file.
    pub fn existing(state: &Path, subject: &Subject, by: &'static str) -> Self {
        let history = Self::new(state, subject, by);
        history.shared.lock().unwrap_or_else(PoisonError::into_inner).only_existing = true;
        history
    }

    /// Adds what happened, if it is worth it. Gives a warning the first time that it can't be written; then no more
    /// is said.
    pub fn add(&self, event: &Event) -> Option<String> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.add(event, None)
    }

    /// Adds what happened for a reason that the event does not tell.
    pub fn add_because(&self, event: &Event, why: &str) -> Option<String> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.add(event, Some(why))
    }
}

impl Shared {
    fn add(&mut self, event: &Event, why: Option<&str>) -> Option<String> {
        let path = self.path.as_deref()?;
        let kept = self.keeper.keep(event, why)?;
        let record = Record {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            by: self.by.to_owned(),
            pid: std::process::id(),
            session: kept.session,
            why: kept.why,
            event: kept.event,
        };
        if self.failed || (self.only_existing && fs::symlink_metadata(path).is_err()) {
            return None;
        }
        let error = append(path, &(json(&record.to_json()) + "\n"), LARGEST).err()?;
        self.failed = true;
        Some(format!("what happens is not kept for `mcpmon events`: {error}"))
    }
}

fn folder(state: &Path) -> PathBuf {
    state.join("history")
}

/// The one that was put aside.
fn older(path: &Path) -> PathBuf {
    path.with_extension(format!("{ENDING}.1"))
}

fn append(path: &Path, line: &str, largest: u64) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        // The state folder too is for one user alone.
        folder.parent().map(private::own_folder).transpose()?;
        private::own_folder(folder)?;
    }
    let file = private::append_own(path)?;
    let found = file.metadata()?;
    // Who does not get the lock leaves it to whoever has it.
    if found.len() >= largest && file.try_lock().is_ok() {
        // Another one may have put it aside meanwhile: then this name is a new file's.
        let is_same = fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (found.dev(), found.ino()));
        if is_same {
            fs::rename(path, older(path))?;
        }
        drop(file);
        return private::append_own(path)?.write_all(line.as_bytes());
    }
    // One call: nothing of another session's can stand in the middle.
    (&file).write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::output::ActionKind;

    fn done(target: &str) -> Event {
        Event::ActionDone { target: target.into(), action: ActionKind::Create, duration_ms: 5 }
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for (name, file) in [
            ("acme", Some("acme.jsonl")),
            ("a-b_1", Some("a-b_1.jsonl")),
            ("", None),
            ("..", None),
            ("../x", None),
            ("a/b", None),
            (".hidden", None),
            ("+docker", None),
            ("a\nb", None),
            ("Ä", None),
        ] {
            assert_eq!(Subject::Project(name.into()).file().as_deref(), file, "{name:?}");
        }
        assert_eq!(Subject::Project("a".repeat(10_000)).file(), None);
    }

    #[test]
    fn what_was_added_can_be_read_by_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("state/mcpmon");
        let subject = Subject::Project("acme".into());
        assert_eq!(History::existing(&state, &subject, "cleanup").add(&done("nobody")), None);
        assert!(read(&state, &subject).unwrap().is_empty() && !state.exists(), "a label alone makes no file");
        let history = History::new(&state, &subject, "up");
        let session = Event::SessionStarted { project: "acme".into(), session: "s".into(), pid: 1, targets: vec![] };
        for event in [
            session,
            Event::ActionStarted { target: "api".into(), action: ActionKind::Create, cause: "there is none".into() },
            done("api"),
        ] {
            assert_eq!(history.add(&event), None);
        }
        assert_eq!(History::existing(&state, &subject, "cleanup").add(&done("api")), None);
        let lines = read(&state, &subject).unwrap();
        let records: Vec<_> = lines.iter().map(|line| line.record.clone().unwrap()).collect();
        assert_eq!(records[1].why.as_deref(), Some("there is none"));
        assert_eq!(records[1].session.as_deref(), Some("s"));
        assert_eq!(records.iter().map(|record| record.by.as_str()).collect::<Vec<_>>(), ["up", "up", "cleanup"]);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&folder(&state)), 0o700);
        assert_eq!(mode(&folder(&state).join("acme.jsonl")), 0o600);
    }

    #[test]
    fn it_is_said_once_that_it_can_not_be_written() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let state = root.path().join("state");
        symlink(&elsewhere, &state).unwrap();
        let history = History::new(&state, &Subject::Kind("docker"), "docker run");
        let warning = history.add(&done("api")).expect("a warning");
        assert!(warning.contains("symbolic link"), "{warning}");
        assert_eq!(history.add(&done("api")), None);
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn several_sessions_at_once_lose_nothing_and_keep_one_older_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("history/acme.jsonl");
        let (writers, each) = (8, 200);
        // About a third of everything fits: it is put aside more than once, so the first lines go.
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..each {
                        append(path, &format!("{{\"w\":{writer},\"n\":{number}}}\n"), 1 << 14).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(older(&path)).unwrap() + &fs::read_to_string(&path).unwrap();
        let mut last = vec![None; writers];
        for line in text.lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            let (writer, number) = (line["w"].as_u64().unwrap(), line["n"].as_u64().unwrap());
            last[usize::try_from(writer).unwrap()] = Some(number);
        }
        assert!(last.iter().flatten().any(|number| *number == each - 1), "{last:?}");
        assert_eq!(fs::read_dir(root.path().join("history")).unwrap().count(), 2);
        assert!(text.len() < 3 << 14, "{}", text.len());
    }
}
