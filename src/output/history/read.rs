//! The way back: what was kept, oldest first, and a summary of it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::Path,
};

use serde::Serialize;

use super::{ENDING, Event, Record, Subject, folder, older, private};
use crate::output::ActionKind;

/// A line that was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// As it was written.
    pub value: serde_json::Value,
    /// What it says; none: another version's word.
    pub record: Option<Record>,
}

impl Line {
    fn read(text: &str) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_str(text).ok().filter(serde_json::Value::is_object)?;
        let record = Record::from_json(&value);
        Some(Self { value, record })
    }

    /// When, RFC 3339.
    pub fn time(&self) -> &str {
        self.value["time"].as_str().unwrap_or_default()
    }
}

/// A subject's history, oldest first. Nothing kept yet is an empty one.
pub fn read(state: &Path, subject: &Subject) -> io::Result<Vec<Line>> {
    match subject.file() {
        Some(file) => both(&folder(state).join(file)),
        None => Ok(Vec::new()),
    }
}

/// Every history of this user, as one.
pub fn read_all(state: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    match fs::read_dir(folder(state)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|ending| ending == ENDING) {
                    lines.extend(both(&path)?);
                }
            }
        }
    }
    // RFC 3339 in UTC: as text it has the order of time. Equal ones keep theirs.
    lines.sort_by(|a, b| a.time().cmp(b.time()));
    Ok(lines)
}

/// The file that was put aside, and the one that is written.
fn both(path: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for path in [older(path), path.to_owned()] {
        let mut text = Vec::new();
        match private::read_own(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
            Ok(mut file) => file.read_to_end(&mut text)?,
        };
        // A line that a full disk cut off is passed over.
        lines.extend(String::from_utf8_lossy(&text).lines().filter_map(Line::read));
    }
    Ok(lines)
}

/// What happened to a target in all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The target.
    pub target: String,
    /// Containers (or servers) made or started.
    pub starts: usize,
    /// Saved files that became the running server.
    pub reloads: usize,
    /// Saved files that did not.
    pub reloads_failed: usize,
    /// Ends by itself. Of a long row only the first ones are counted.
    pub crashes: usize,
    /// The reloads' median time.
    pub reload_median_ms: Option<u64>,
}

/// A line for each target that anything happened to.
pub fn summary(lines: &[Line]) -> Vec<Summary> {
    let mut targets: BTreeMap<&str, (Summary, Vec<u64>)> = BTreeMap::new();
    for record in lines.iter().filter_map(|line| line.record.as_ref()) {
        let (target, count): (_, fn(&mut Summary) -> &mut usize) = match &record.event {
            Event::ActionDone {
                target, action: ActionKind::Create | ActionKind::Start | ActionKind::Replace, ..
            } => (target, |all| &mut all.starts),
            Event::Reloaded { target, .. } => (target, |all| &mut all.reloads),
            Event::ReloadFailed { target, .. } => (target, |all| &mut all.reloads_failed),
            Event::Crashed { target, .. } => (target, |all| &mut all.crashes),
            _ => continue,
        };
        let (summary, times) = targets.entry(target).or_default();
        *count(summary) += 1;
        if let Event::Reloaded { duration_ms, .. } = record.event {
            times.push(duration_ms);
        }
    }
    let summaries = targets.into_iter().map(|(target, (summary, mut times))| {
        times.sort_unstable();
        let reload_median_ms = times.get(times.len() / 2).copied();
        Summary { target: target.to_owned(), reload_median_ms, ..summary }
    });
    summaries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_versions_words_and_half_a_line_do_no_harm() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder(root.path())).unwrap();
        let line = |time: &str, event: &str| format!("{{\"time\":\"{time}\",\"by\":\"up\",\"pid\":1,{event}}}\n");
        let reloaded =
            |ms: u64| format!("\"event\":\"reloaded\",\"target\":\"a\",\"duration_ms\":{ms},\"order\":\"x\"");
        let text = line("2026-01-02T00:00:00.000Z", &reloaded(30))
            + &line("2026-01-02T00:00:01.000Z", "\"event\":\"tomorrows\",\"target\":\"a\"")
            + "{\"time\":\"2026-01-02T00:00:02.000Z\",\"eve";
        fs::write(folder(root.path()).join("b.jsonl"), text).unwrap();
        let text = line("2026-01-01T00:00:00.000Z", &reloaded(10)) + &line("2026-01-03T00:00:00.000Z", &reloaded(20));
        fs::write(folder(root.path()).join("a.jsonl"), text).unwrap();
        let lines = read_all(root.path()).unwrap();
        assert_eq!(lines.iter().map(|line| &line.time()[9..10]).collect::<Vec<_>>(), ["1", "2", "2", "3"]);
        assert_eq!(lines.iter().filter(|line| line.record.is_none()).count(), 1);
        let expected = Summary { target: "a".into(), reloads: 3, reload_median_ms: Some(20), ..Summary::default() };
        assert_eq!(summary(&lines), [expected]);
        assert!(read(root.path(), &Subject::Project("none".into())).unwrap().is_empty());
    }
}
