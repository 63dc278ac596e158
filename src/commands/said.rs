//! What a supervisor in the background said last of its file and of each target, read from its log: whoever waits beside it
//! learns from there why a target is not as asked. It must not know what is asked for.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    io::Read,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    error::{Error, Result},
    output::{Event, private},
    trigger::Rules,
    watch::{ChangeReceiver, Watcher},
};

/// What a supervisor may take to notice that a file was saved. Where it has said nothing by then, there was nothing new in it.
const NOTICES: Duration = Duration::from_secs(10);

/// Its last words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Last {
    /// It can't read its configuration as that is now, and goes by the one before.
    pub invalid: Option<Event>,
    /// What failed or is held, by target.
    pub failing: BTreeMap<String, Event>,
}

/// A file that another process writes into.
#[derive(Debug)]
pub struct Written {
    path: PathBuf,
    changes: ChangeReceiver,
    _watcher: Watcher,
}

impl Written {
    /// Watches it: what is written from now on is heard of.
    ///
    /// # Errors
    /// It can't be watched.
    pub async fn new(path: PathBuf) -> Result<Self> {
        let (watcher, changes) = Watcher::new()?;
        watcher.set(Arc::new(Rules::none()), [path.clone()]).await;
        Ok(Self { path, changes, _watcher: watcher })
    }

    /// Waits until something is written. Nothing is lost when the future is dropped half-way.
    pub async fn more(&mut self) {
        self.changes.next().await;
    }

    /// How much longer what it says may be about what was in these files before they were saved; none: it is about what is
    /// there now.
    pub fn lags(&self, inputs: &[PathBuf]) -> Option<Duration> {
        let spoke = self.path.metadata().and_then(|about| about.modified()).ok();
        let saved = inputs.iter().filter_map(|path| path.metadata().ok()).map(|about| changed(&about)).max()?;
        lag(spoke, saved, SystemTime::now())
    }
}

/// Its log, read as far as it has been written.
#[derive(Debug)]
pub struct Said {
    file: File,
    written: Written,
    /// What has not ended with a line break yet.
    rest: Vec<u8>,
    last: Last,
    /// What failed and is tried again.
    tried: BTreeMap<String, Event>,
}

impl Said {
    /// Opens a supervisor's log.
    ///
    /// # Errors
    /// It can't be read, or not be watched.
    pub async fn open(log: &Path) -> Result<Self> {
        // Watched before it is read: nothing is said in between.
        let written = Written::new(log.to_owned()).await?;
        let file = private::read_own(log).map_err(|error| {
            Error::failed(format!("the supervisor's log {} can't be read", log.display())).caused_by(error)
        })?;
        Ok(Self { file, written, rest: Vec::new(), last: Last::default(), tried: BTreeMap::new() })
    }

    /// Reads on. Nothing as long as what it said may be about what was in these files before they were saved.
    pub fn last(&mut self, inputs: &[PathBuf]) -> Last {
        let mut more = Vec::new();
        // What can't be read is not known: then nothing is said.
        let _ = self.file.read_to_end(&mut more);
        self.hear(&more);
        if self.written.lags(inputs).is_some() { Last::default() } else { self.last.clone() }
    }

    /// The log itself.
    pub fn written(&mut self) -> &mut Written {
        &mut self.written
    }

    fn hear(&mut self, more: &[u8]) {
        self.rest.extend_from_slice(more);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let rest = self.rest.split_off(end + 1);
        let lines = std::mem::replace(&mut self.rest, rest);
        for event in lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()) {
            match &event {
                // What failed before says nothing of what is asked for now.
                Event::ConfigReloaded { .. } => {
                    self.last = Last::default();
                    self.tried.clear();
                }
                Event::ConfigInvalid { .. } => self.last.invalid = Some(event),
                Event::ActionFailed { target, .. } | Event::ReloadFailed { target, .. } => {
                    self.last.failing.insert(target.clone(), event);
                }
                // That it waits since is no news.
                Event::Held { target, .. } => drop(self.last.failing.entry(target.clone()).or_insert(event)),
                Event::ActionStarted { target, .. } => {
                    let before = self.last.failing.remove_entry(target);
                    self.tried.extend(before);
                }
                // The same failure is said once: what was tried and is not done has failed as before.
                Event::Settled { .. } => {
                    for (target, before) in std::mem::take(&mut self.tried) {
                        self.last.failing.entry(target).or_insert(before);
                    }
                }
                Event::ActionDone { target, .. }
                | Event::FilesChanged { target, .. }
                | Event::Reloaded { target, .. }
                | Event::Unchanged { target, .. }
                | Event::Ready { target, .. } => {
                    self.last.failing.remove(target);
                    self.tried.remove(target);
                }
                _ => {}
            }
        }
    }
}

/// When a file was changed. Not when it says that it was: one that is copied or unpacked into its place may be older.
fn changed(about: &Metadata) -> SystemTime {
    let (seconds, nanos) =
        (about.ctime().try_into().unwrap_or_default(), about.ctime_nsec().try_into().unwrap_or_default());
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

/// See [`Written::lags`].
fn lag(spoke: Option<SystemTime>, saved: SystemTime, now: SystemTime) -> Option<Duration> {
    if spoke >= Some(saved) {
        return None;
    }
    let left = NOTICES.checked_sub(now.duration_since(saved).unwrap_or_default())?;
    Some(left).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        let failing = BTreeMap::from([("a".to_owned(), failed("a")), ("c".to_owned(), held("c"))]);
        assert_eq!(said.last(&inputs), Last { invalid: None, failing });
        // An edit that it has not seen, however old the file says that it is.
        let ahead =
            |file: &File| changed(&file.metadata().expect("a file")) > changed(&said.file.metadata().expect("a log"));
        let saved = || {
            let file = File::options().write(true).open(&input).expect("a file");
            file.set_modified(UNIX_EPOCH).expect("a time");
            ahead(&file)
        };
        while !saved() {}
        assert_eq!(said.last(&inputs), Last::default());
        let begins = Event::ActionStarted { target: "a".into(), action: ActionKind::Replace, cause: String::new() };
        let mut more = format!("no event\n{text}{}\n{}", json(&failed("half")), lines(&[begins]));
        fs::write(&log, &more).expect("written");
        tokio::time::timeout(Duration::from_secs(20), said.written().more()).await.expect("it hears of it");
        assert_eq!(said.last(&inputs).failing.keys().collect::<Vec<_>>(), ["c", "half"]);
        // It has failed as before, which is said once; what was done meanwhile has not.
        let begins = |target: &str| Event::ActionStarted {
            target: target.into(),
            action: ActionKind::Replace,
            cause: String::new(),
        };
        let done = Event::ActionDone { target: "c".into(), action: ActionKind::Replace, duration_ms: 1 };
        more += &lines(&[begins("c"), done, begins("d"), Event::Settled { ready: 0, held: 1, duration_ms: 1 }]);
        fs::write(&log, &more).expect("written");
        assert_eq!(said.last(&inputs).failing.keys().collect::<Vec<_>>(), ["a", "half"]);
        // What it can't read says why nothing else happens; what it has read anew makes all of it old.
        let invalid = Event::ConfigInvalid { error: "no".into() };
        more += &lines(std::slice::from_ref(&invalid));
        fs::write(&log, &more).expect("written");
        assert_eq!(said.last(&inputs).invalid, Some(invalid));
        more += &lines(&[Event::ConfigReloaded { files: Vec::new() }, failed("b")]);
        fs::write(&log, &more).expect("written");
        assert_eq!(
            said.last(&inputs),
            Last { invalid: None, failing: BTreeMap::from([("b".to_owned(), failed("b"))]) }
        );
    }

    #[test]
    fn what_was_said_before_a_save_counts_once_it_would_have_been_noticed() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        for (spoke, saved, now, left) in [
            (Some(100), 99, 100, None),
            (Some(100), 100, 100, None),
            (Some(100), 101, 101, Some(10)),
            (Some(100), 101, 108, Some(3)),
            // A file that was saved as it was.
            (Some(100), 101, 111, None),
            (Some(100), 101, 1000, None),
            (None, 101, 102, Some(9)),
            // A clock that was moved.
            (Some(100), 101, 50, Some(10)),
        ] {
            let left_now = lag(spoke.map(at), at(saved), at(now));
            assert_eq!(left_now, left.map(Duration::from_secs), "{spoke:?} {saved} {now}");
        }
    }
}
