//! What a supervisor in the background said last of each target, read from its log: whoever waits beside it learns from
//! there why a target is not as asked. It must not know what is asked for.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use crate::{
    error::{Error, Result},
    output::{Event, private},
    trigger::Rules,
    watch::{ChangeReceiver, Watcher},
};

/// Its log, read as far as it has been written.
#[derive(Debug)]
pub struct Said {
    file: File,
    changes: ChangeReceiver,
    _watcher: Watcher,
    /// What has not ended with a line break yet.
    rest: Vec<u8>,
    failing: BTreeMap<String, Event>,
}

impl Said {
    /// Opens a supervisor's log.
    ///
    /// # Errors
    /// It can't be read, or not be watched.
    pub async fn open(log: &Path) -> Result<Self> {
        // Watched before it is read: nothing is said in between.
        let (watcher, changes) = Watcher::new()?;
        watcher.set(Arc::new(Rules::none()), [log.to_owned()]).await;
        let file = private::read_own(log).map_err(|error| {
            Error::failed(format!("the supervisor's log {} can't be read", log.display())).caused_by(error)
        })?;
        Ok(Self { file, changes, _watcher: watcher, rest: Vec::new(), failing: BTreeMap::new() })
    }

    /// Reads on. Gives what failed or is held, by target. Nothing where one of these files was saved after its last word:
    /// that may be about what was there before.
    pub fn failing(&mut self, inputs: &[PathBuf]) -> &BTreeMap<String, Event> {
        const NONE: &BTreeMap<String, Event> = &BTreeMap::new();
        let mut more = Vec::new();
        // What can't be read is not known: then nothing is said.
        let _ = self.file.read_to_end(&mut more);
        self.hear(&more);
        let saved = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
        let last: Option<SystemTime> = inputs.iter().filter_map(saved).max();
        let spoke = self.file.metadata().and_then(|meta| meta.modified()).ok();
        if spoke < last { NONE } else { &self.failing }
    }

    /// Waits until something is written. Nothing is lost when the future is dropped half-way.
    pub async fn more(&mut self) {
        self.changes.next().await;
    }

    fn hear(&mut self, more: &[u8]) {
        self.rest.extend_from_slice(more);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        for event in lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()) {
            match &event {
                Event::ActionFailed { target, .. } | Event::ReloadFailed { target, .. } => {
                    self.failing.insert(target.clone(), event);
                }
                // That it waits since is no news.
                Event::Held { target, .. } => drop(self.failing.entry(target.clone()).or_insert(event)),
                Event::ActionStarted { target, .. }
                | Event::ActionDone { target, .. }
                | Event::FilesChanged { target, .. }
                | Event::Reloaded { target, .. }
                | Event::Ready { target, .. } => drop(self.failing.remove(target)),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::output::{ActionKind, lines::json};

    fn failed(target: &str) -> Event {
        let (target, action, error) = (target.to_owned(), ActionKind::Replace, "no such port".to_owned());
        Event::ActionFailed { target, action, error, hint: None, log: vec!["its last line".into()], retry_ms: None }
    }

    #[tokio::test]
    async fn the_last_word_on_each_target_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let (log, input) = (folder.path().join("p.log"), folder.path().join("mcpmon.toml"));
        fs::write(&input, "").expect("written");
        let held = |target: &str| Event::Held { target: target.into(), reason: "db must run".into() };
        let ready = Event::Ready { target: "b".into(), container: "1".into(), duration_ms: None };
        let lines = |events: &[Event]| events.iter().map(|event| json(event) + "\n").collect::<String>();
        let text = lines(&[failed("a"), held("a"), failed("b"), ready, held("c")]);
        fs::write(&log, format!("no event\n{text}{}", json(&failed("half")))).expect("written");
        let mut said = Said::open(&log).await.expect("a log");
        let inputs = [input.clone(), folder.path().join("missing")];
        let expected = BTreeMap::from([("a".to_owned(), failed("a")), ("c".to_owned(), held("c"))]);
        assert_eq!(*said.failing(&inputs), expected);
        // An edit that it has not seen.
        let file = File::options().write(true).open(&input).expect("a file");
        file.set_modified(SystemTime::now() + Duration::from_mins(1)).expect("a time");
        assert_eq!(*said.failing(&inputs), BTreeMap::new());
        file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
        let begins = Event::ActionStarted { target: "a".into(), action: ActionKind::Replace, cause: String::new() };
        fs::write(&log, format!("no event\n{text}{}\n{}", json(&failed("half")), lines(&[begins]))).expect("written");
        tokio::time::timeout(Duration::from_secs(20), said.more()).await.expect("it hears of it");
        assert_eq!(said.failing(&inputs).keys().collect::<Vec<_>>(), ["c", "half"]);
    }
}
