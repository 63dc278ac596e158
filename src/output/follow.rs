//! Shows what containers print, as it comes: across restarts, replacements and cut connections, no line
//! lost or doubled. It must not know why a container runs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Event, Reporter,
    stamp::{Position, Stamped, StampedLine},
};
use crate::{
    engine::{Engine, EngineError, LogOptions},
    model::probe::is_answer,
};

/// How much earlier than the start that the engine notes a line may be. A start takes longer than this, so
/// that no line of an earlier run comes with it.
const START_SLACK: Duration = Duration::from_millis(200);
/// How long [`tail`] may take.
const TAIL_LIMIT: Duration = Duration::from_secs(5);

/// First and longest wait before a cut stream is asked for again.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Positions kept of containers that ended and may start again.
const KEPT: usize = 4096;

/// From where a container's output is shown when nothing of it has been shown yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// All of it.
    #[default]
    Beginning,
    /// What it prints from now on.
    Now,
}

/// Everything that is followed for one reporter. Ends what it follows when dropped.
#[derive(Debug)]
pub struct Followers<E> {
    engine: E,
    reporter: Reporter,
    known: Arc<Mutex<HashMap<String, Known>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What is known of one container.
#[derive(Debug, Default)]
struct Known {
    followed: bool,
    /// It (re)started while it was followed: its output may go on after the stream's end.
    again: bool,
    position: Position,
    /// What counts while nothing has been shown.
    start: Start,
    /// Its output can't be read; said once.
    unreadable: bool,
}

impl<E: Engine> Followers<E> {
    /// Follows nothing yet.
    pub fn new(engine: E, reporter: Reporter) -> Self {
        Self { engine, reporter, known: Arc::default(), tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// What was shown of a container in another way is not shown again; `start` counts where that was nothing.
    pub fn skip(&self, id: &str, shown: Position, start: Start) {
        let mut known = lock(&self.known);
        make_room(&mut known);
        let entry = known.entry(id.to_owned()).or_default();
        (entry.position, entry.start) = (shown, start);
    }

    /// Shows what container `id` prints, under `target`'s name, until it ends; `start` counts the first time.
    /// To be called whenever it starts or may have started, too often does no harm: what was shown before is
    /// not shown again. A cut connection is made good here; only containers that nobody called this for,
    /// because they started meanwhile, have to be found by listing them.
    pub fn follow(&self, target: &str, id: &str, start: Start) {
        {
            let mut known = lock(&self.known);
            make_room(&mut known);
            let entry = known.entry(id.to_owned()).or_insert_with(|| Known { start, ..Known::default() });
            if entry.followed || entry.unreadable {
                entry.again = entry.followed;
                return;
            }
            entry.followed = true;
        }
        let task = Task {
            engine: self.engine.clone(),
            reporter: self.reporter.clone(),
            known: Arc::clone(&self.known),
            target: target.to_owned(),
            id: id.to_owned(),
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task.run()).await });
    }

    /// Waits until every followed container has ended and its output is shown, at most `limit`; then stops.
    pub async fn finish(self, limit: Duration) {
        self.tasks.close();
        let _ = tokio::time::timeout(limit, self.tasks.wait()).await;
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl<E> Drop for Followers<E> {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Forgets ended containers when there are too many: they are gone, or have long been silent.
fn make_room(known: &mut HashMap<String, Known>) {
    if known.len() >= KEPT {
        known.retain(|_, entry| entry.followed);
    }
}

fn lock(known: &Mutex<HashMap<String, Known>>) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
    // A panic elsewhere leaves positions that are still true.
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One container being followed.
struct Task<E> {
    engine: E,
    reporter: Reporter,
    known: Arc<Mutex<HashMap<String, Known>>>,
    target: String,
    id: String,
}

impl<E: Engine> Task<E> {
    async fn run(self) {
        let mut wait = RETRY.0;
        loop {
            let (position, start) = match lock(&self.known).get(&self.id) {
                Some(entry) => (entry.position.clone(), entry.start),
                None => return,
            };
            let (position, ended) = self.stream(position, start).await;
            if let Err(error) = &ended
                && !matches!(error, EngineError::NotFound(_))
                && !error.is_transient()
            {
                let message = format!("{}: its output can't be shown: {error}", self.target);
                self.reporter.report(Event::Warning { message });
            }
            let cut = ended.as_ref().is_err_and(EngineError::is_transient);
            if self.note(position, ended) {
                return;
            }
            if cut {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            } else {
                wait = RETRY.0;
            }
        }
    }

    /// Remembers how far it was shown; true when there is nothing to wait for.
    fn note(&self, position: Position, ended: Result<(), EngineError>) -> bool {
        let mut known = lock(&self.known);
        let Some(entry) = known.get_mut(&self.id) else { return true };
        entry.position = position;
        let again = std::mem::take(&mut entry.again);
        match ended {
            // Gone: it never starts again.
            Err(EngineError::NotFound(_)) => {
                known.remove(&self.id);
                return true;
            }
            Err(error) if error.is_transient() => return false,
            Err(_) => entry.unreadable = true,
            // It has started again since.
            Ok(()) if again => return false,
            Ok(()) => {}
        }
        entry.followed = false;
        true
    }

    /// Shows a line, unless it is the answer to mcpmon's own question whether the server is ready.
    async fn show(&self, line: StampedLine) {
        if line.stderr || !is_answer(line.line.as_bytes()) {
            self.reporter.log(self.target.clone(), line.stderr, line.line).await;
        }
    }

    /// One stream from begin to end: how far it came, and how it ended.
    async fn stream(&self, position: Position, start: Start) -> (Position, Result<(), EngineError>) {
        let tail = (start == Start::Now && position.is_start()).then_some(0);
        let options = LogOptions { follow: true, tail, since: position.since(), timestamps: true };
        let mut chunks = self.engine.logs(&self.id, options);
        let mut output = Stamped::after(position);
        while let Some(chunk) = chunks.next().await {
            let lines = match chunk {
                Ok(chunk) => output.push(chunk.stderr, &chunk.bytes),
                Err(error) => return (output.position(), Err(error)),
            };
            for line in lines {
                self.show(line).await;
            }
        }
        let (rest, position) = output.finish();
        for line in rest {
            self.show(line).await;
        }
        (position, Ok(()))
    }
}

/// The last lines that a container printed since it was started last, stdout and stderr as they came; what
/// can't be read is left out. For messages about a crash: it takes 5 seconds at most and never fails.
pub async fn tail(engine: &impl Engine, id: &str, lines: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut output = Stamped::default();
    let read = async {
        let started = engine.inspect(id).await.ok().flatten().and_then(|details| details.started_at);
        let of_last_start = |line: &StampedLine| match (started, humantime::parse_rfc3339(&line.stamp)) {
            // The engine notes the start a moment after the process began to print.
            (Some(started), Ok(time)) => time + START_SLACK >= started,
            _ => true,
        };
        let options = LogOptions { tail: Some(lines), timestamps: true, ..LogOptions::default() };
        let mut chunks = engine.logs(id, options);
        while let Some(Ok(chunk)) = chunks.next().await {
            found.extend(output.push(chunk.stderr, &chunk.bytes).into_iter().filter(of_last_start));
        }
        found.extend(output.finish().0.into_iter().filter(of_last_start));
    };
    // What came until then is what is shown.
    let _ = tokio::time::timeout(TAIL_LIMIT, read).await;
    let skipped = found.len().saturating_sub(lines);
    found.into_iter().skip(skipped).map(|line| line.line).collect()
}
