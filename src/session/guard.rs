//! A session that owns something has begun: from here on others know that it lives (its lease), and what it leaves
//! behind when it is killed is ended (its watchdog).
//!
//! ```text
//! let guard = Guard::begin(Begun { … });   // at once; nothing is waited for
//! guard.ready().await;                     // before the first container is made
//! …
//! guard.end();                             // nothing is left: the watchdog has nothing to do
//! ```
//!
//! Without [`Guard::end`] (an error, a panic, a kill) the watchdog ends what is left. A watchdog that is killed itself is
//! started again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{PipeWriter, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use uuid::Uuid;

use super::{
    lease::LeaseFile,
    leases, left, mark, private_folder, resident,
    watchdog::{self, Note, Order, Reach, Started},
};
use crate::{
    model::{Lease, Owner},
    orphan::Known,
    process::{END_OF_FILE_GRACE, kin},
};

/// A watchdog that ends sooner than this after its start does not stay up: the next one waits a little.
const STEADY: Duration = Duration::from_secs(5);
/// From SIGTERM to SIGKILL, for servers of dead sessions.
const SWEEP_GRACE: Duration = Duration::from_secs(10);
/// The longest wait before the next one.
const LONGEST: Duration = Duration::from_secs(30);

/// What a session is when it begins.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Who it is.
    pub owner: Owner,
    /// By which the watchdog finds the same engine.
    pub environment: BTreeMap<String, String>,
    /// The engine that it has containers on, if it has.
    pub engine: Option<Engine>,
    /// The project that it is about.
    pub project: Option<String>,
    /// The configuration file that it goes by, if it does.
    pub config_file: Option<PathBuf>,
    /// From stop to kill, for what does not say so itself.
    pub grace: Duration,
    /// Its containers are to be left when it ends (`on_exit = "keep"`, `MCPMON_DOCKER_CLEANUP=false`).
    pub keep: bool,
    /// A container that has ended stays, as it does without mcpmon.
    pub leave_ended: bool,
    /// The folder for logs.
    pub state_folder: PathBuf,
}

/// Where a session's containers are.
#[derive(Debug, Clone)]
pub struct Engine {
    /// Its address, as far as it is known yet.
    pub address: Option<String>,
    /// One engine call.
    pub timeout: Duration,
}

/// The session's lease and watchdog. Clones are the same.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    order: Order,
    state_folder: PathBuf,
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    lease: Lease,
    file: Option<LeaseFile>,
    keep: bool,
    /// The pipe to the watchdog; none: there is none just now.
    pipe: Option<PipeWriter>,
    /// The session has ended in order.
    ended: bool,
}

impl Guard {
    /// Writes the lease and starts the watchdog. Must be called in a tokio runtime. Never fails: without a lease the
    /// session is known by its labels, without a watchdog the next session or `mcpmon cleanup` removes what is left.
    pub fn begin(begun: Begun) -> Self {
        let guard = Self::begin_with(begun, None);
        sweep_aside();
        guard
    }

    /// The same with a watchdog that has been started already. What dead sessions left is looked for once that is asked for
    /// ([`sweep_aside`]).
    pub fn begin_with(begun: Begun, watchdog: Option<Started>) -> Self {
        let Begun { owner, environment, engine, project, config_file, grace, keep, leave_ended, state_folder } = begun;
        mark::begin(&owner);
        let address = engine.as_ref().and_then(|engine| engine.address.as_deref());
        let config_file = config_file.map(|file| file.display().to_string());
        let lease = Lease { config_file, ..Lease::new(&owner, address, project.as_deref()) };
        let file = LeaseFile::write_anywhere(&lease).inspect_err(|error| {
            tracing::warn!("this session can't say to others that it lives: {error}; they judge it by its pid alone");
        });
        let file = file.ok();
        let order = Order {
            session: owner.session,
            pid: owner.pid,
            pid_start: owner.pid_start,
            mark: mark::of(&owner),
            engine: engine.as_ref().map(|engine| Reach { environment, timeout: engine.timeout }),
            grace,
            leave_ended,
            lease: file.as_ref().map(|file| file.path().to_owned()),
            log: Some(state_folder.join("watchdog.log")),
        };
        let state = Mutex::new(State { lease, file, keep, pipe: None, ended: false });
        let guard = Self(Arc::new(Inner { order, state_folder, state, ready: watch::Sender::new(false) }));
        let first = guard.0.start(watchdog);
        tokio::spawn(Arc::clone(&guard.0).keep_one(first));
        guard
    }

    /// Waits until the watchdog can't be killed with this session any more; not for ever.
    pub async fn ready(&self) {
        let mut ready = self.0.ready.subscribe();
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Takes over a container of a dead session.
    pub fn adopt(&self, container: &str) {
        let mut state = self.0.state();
        if !state.lease.adopted.insert(container.to_owned()) {
            return;
        }
        state.write("others judge what it took over by its labels");
        state.tell(&Note::Adopted(container.to_owned()));
    }

    /// Says to others which targets' replacement failed, and why.
    pub fn reload_failed(&self, targets: BTreeMap<String, String>) {
        let mut state = self.0.state();
        if state.lease.reload_failed != targets {
            state.lease.reload_failed = targets;
            state.write("`mcpmon ps` shows no failed reload of it");
        }
    }

    /// Containers of dead sessions that this one has taken over.
    pub fn adopted(&self) -> BTreeSet<String> {
        self.0.state().lease.adopted.clone()
    }

    /// Whether its containers are left when it ends.
    pub fn keeps(&self) -> bool {
        self.0.state().keep
    }

    /// Whether its containers are to be left when it ends.
    pub fn keep(&self, keep: bool) {
        let mut state = self.0.state();
        if std::mem::replace(&mut state.keep, keep) != keep {
            state.tell(&Note::Keep(keep));
        }
    }

    /// What this host knows now, this session's own lease included, whether it could be written or not.
    pub fn known(&self) -> Known {
        let mut known = super::known();
        let own = self.0.state().lease.clone();
        known.leases.retain(|lease| lease.session != own.session);
        known.leases.push(own);
        known
    }

    /// The session has ended in order: nothing is left of it that should not be.
    pub fn end(&self) {
        self.over(self.0.order.leave_ended && !self.keeps());
    }

    /// The session has ended in order, and what it has is its user's from here on, also what runs.
    pub fn hand_over(&self) {
        self.over(true);
    }

    fn over(&self, is_the_users: bool) {
        let Inner { order, state_folder, .. } = &*self.0;
        if is_the_users && let Err(error) = left::remember(state_folder, order.session) {
            tracing::warn!("what is left of this session can't be remembered to be its user's: {error}");
        }
        let mut state = self.0.state();
        state.ended = true;
        state.tell(&Note::Goodbye);
        state.pipe = None;
        state.file = None;
    }
}

impl State {
    /// Writes the lease anew. `without`: what comes of it where that can't be done.
    fn write(&mut self, without: &str) {
        let Self { lease, file, .. } = self;
        if let Some(Err(error)) = file.as_mut().map(|file| file.update(lease)) {
            tracing::warn!("the session's lease can't be written any more ({error}): {without}");
        }
    }

    fn tell(&mut self, note: &Note) {
        let Some(pipe) = &mut self.pipe else { return };
        let Ok(mut line) = serde_json::to_vec(note) else { return };
        line.push(b'\n');
        // Nobody reads: it has been killed, and the next one is told everything.
        let _ = pipe.write_all(&line);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a watchdog, unless there is one, and tells it everything.
    fn start(&self, started: Option<Started>) -> Option<tokio::process::Child> {
        let mut state = self.state();
        if state.ended {
            return None;
        }
        let Started { child, pipe } = match started.map_or_else(watchdog::start, Ok) {
            Ok(started) => started,
            Err(error) => {
                tracing::warn!(
                    "no watchdog can be started ({error}): if mcpmon is killed, `mcpmon cleanup` removes what it leaves"
                );
                return None;
            }
        };
        state.pipe = Some(pipe);
        state.tell(&Note::Order(self.order.clone()));
        let keep = state.keep;
        state.tell(&Note::Keep(keep));
        for container in state.lease.adopted.clone() {
            state.tell(&Note::Adopted(container));
        }
        Some(child)
    }

    /// Keeps one watchdog running until the session ends.
    async fn keep_one(self: Arc<Self>, first: Option<tokio::process::Child>) {
        let mut child = first;
        let mut wait = Duration::ZERO;
        loop {
            let began = Instant::now();
            if let Some(mut child) = child {
                if !watchdog::ready(&mut child).await {
                    tracing::debug!("the watchdog did not get ready");
                    let _ = child.start_kill();
                }
                self.ready.send_replace(true);
                let _ = child.wait().await;
            }
            self.ready.send_replace(true);
            if self.state().ended {
                return;
            }
            wait = if began.elapsed() < STEADY {
                (wait * 2).clamp(Duration::from_millis(100), LONGEST)
            } else {
                Duration::ZERO
            };
            tracing::debug!("the watchdog was ended; another one is started in {wait:?}");
            tokio::time::sleep(wait).await;
            child = self.start(None);
        }
    }
}

/// Ends and removes what dead sessions left on this machine without a watchdog's doing: servers and docker commands,
/// leases, and passing files.
pub async fn sweep() {
    end_marked(tokio::task::spawn_blocking(look).await.unwrap_or_default()).await;
}

/// The same beside the session, on a thread that has the processors only when nobody else wants them; nobody waits for it.
/// Must be called in a tokio runtime.
pub fn sweep_aside() {
    let (sender, dead) = oneshot::channel();
    let thread = std::thread::Builder::new().name("sweep".to_owned()).spawn(move || {
        // Linux has it for the calling thread alone.
        let _ = rustix::process::nice(19);
        let _ = sender.send(look()); // or the session is over
    });
    if thread.is_ok() {
        tokio::spawn(async {
            let dead = dead.await.unwrap_or_default();
            // Most of what it took to look is not needed again.
            resident::give_back();
            end_marked(dead).await;
        });
    }
}

/// Removes leases and passing files of dead sessions; gives the marks that their processes carry.
fn look() -> BTreeSet<String> {
    let known = super::known();
    leases::sweep(|lease| known.is_dead(&lease.labels()));
    private_folder::sweep(&known.here, &*known.processes);
    let dead = |mark: &String| mark::of_dead(mark, &known.here, &*known.processes);
    let lives = |session: &Uuid| known.leases.iter().any(|lease| lease.session == *session);
    kin::marks().iter().filter_map(dead).filter(|(_, session)| !lives(session)).map(|(mark, _)| mark).collect()
}

async fn end_marked(dead: BTreeSet<String>) {
    for mark in dead {
        // A watchdog may be at it, and gives them as long.
        kin::end(&mark, END_OF_FILE_GRACE, SWEEP_GRACE).await;
    }
}
