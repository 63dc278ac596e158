//! The session from the moment on when no CLI is attached: what containers print is shown (in the foreground), services
//! are reloaded when files change, and the project is read again when its own files do.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    task::JoinSet,
    time::{sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::life::Life,
    project::{NUMBER, Project, SERVICE, is_one_off, runs, service, shown_name},
    reload::{Failure, apply, reload},
    taken::Taken,
    watching::{Noticed, Watching},
};
use crate::{
    engine::{
        EngineEvent,
        docker::Docker,
        resume::{EventFeed, Update},
    },
    error::Result,
    model::{ObservedContainer, settings::WatchAction},
    output::{
        ActionKind, Event, Reporter,
        event::millis,
        follow::{Followers, Start},
    },
    session::forward::{self, Caught},
    trigger::Reload,
};

/// What compose, or a reload that is in flight, has to go on with its own end when all is to end.
pub(super) const LAST_STEPS: Duration = Duration::from_secs(10);

/// Why following ends.
pub(super) enum Over {
    /// By a signal.
    Asked(Signal),
    /// Nobody reads the output any more.
    Unread,
    /// There is nothing left to follow.
    Ended,
}

/// A session being followed.
pub(super) struct Follow {
    pub(super) project: Arc<Project>,
    pub(super) reporter: Reporter,
    pub(super) feed: EventFeed<Docker>,
    /// In the foreground: where output is shown. What has ended is then over; in the background it may be started again.
    pub(super) followers: Option<Followers<Docker>>,
    pub(super) watching: Watching,
    /// What was noticed and has not begun.
    pub(super) queue: VecDeque<Noticed>,
    /// What is another's meanwhile.
    taken: Taken,
    tasks: JoinSet<Done>,
    /// What the engine told of each container since it started.
    lives: BTreeMap<String, Life>,
    /// Nothing runs, but something may be in the middle of a restart that somebody asked for, until then.
    open_until: Option<Instant>,
    /// The project is being read again.
    edits: bool,
    /// That it waits for a save was said.
    down: bool,
    failed: bool,
}

/// A task that has ended.
enum Done {
    Reloaded { reload: Reload, began: Instant, result: Result<(), Failure> },
    Edited { project: Option<Arc<Project>>, result: Result<(), Failure> },
}

impl Follow {
    pub(super) fn new(
        project: Project,
        reporter: Reporter,
        feed: EventFeed<Docker>,
        followers: Option<Followers<Docker>>,
        watching: Watching,
        queue: VecDeque<Noticed>,
        taken: Taken,
    ) -> Self {
        let project = Arc::new(project);
        let (tasks, lives, open_until) = (JoinSet::new(), BTreeMap::new(), None);
        let (edits, down, failed) = (false, false, false);
        Self {
            project,
            reporter,
            feed,
            followers,
            watching,
            queue,
            taken,
            tasks,
            lives,
            open_until,
            edits,
            down,
            failed,
        }
    }

    /// Follows to the end.
    pub(super) async fn run(&mut self, caught: &mut Caught, unread: &CancellationToken) -> Over {
        let mut look = true;
        loop {
            self.begin_next();
            // What the engine does not tell is no end.
            if std::mem::take(&mut look)
                && let Ok(containers) = self.project.containers().await
                && self.tasks.is_empty()
                && self.queue.is_empty()
                && self.is_over(&containers)
            {
                self.say_what_was_taken().await;
                return Over::Ended;
            }
            tokio::select! {
                biased;
                signal = caught.next() => match signal {
                    signal if forward::ends(signal) => return Over::Asked(signal),
                    Signal::TSTP => forward::send(std::process::id(), Signal::STOP),
                    _ => {}
                },
                () = unread.cancelled() => return Over::Unread,
                Some(done) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Ok(done) = done {
                        self.done(done).await;
                    }
                    look = true;
                }
                update = self.feed.next() => look = self.engine_update(update).await,
                () = sleep_until(self.open_until.unwrap_or_else(Instant::now).into()), if self.open_until.is_some() => {
                    self.open_until = None;
                    look = true;
                }
                noticed = self.watching.next() => self.queue.push_back(noticed),
            }
        }
    }

    /// What is being done to services comes to its end, or is given up: cut off between two steps compose might leave a
    /// container that nobody has seen yet.
    pub(super) async fn finish_tasks(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(LAST_STEPS, all).await.is_err() {
            self.give_up_tasks().await;
        }
    }

    /// What is being done to services is given up.
    pub(super) async fn give_up_tasks(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Whether there is nothing left to follow.
    fn is_over(&mut self, containers: &[ObservedContainer]) -> bool {
        if self.followers.is_none() {
            // They may be started again as long as they are there.
            return containers.is_empty();
        }
        self.open_until = None;
        if containers.iter().any(runs) {
            (self.down, self.failed) = (false, false);
            return false;
        }
        let now = Instant::now();
        let lives = &mut self.lives;
        let open = containers.iter().filter_map(|container| lives.get_mut(&container.id)?.open_until(now));
        self.open_until = open.max();
        if self.open_until.is_some() {
            return false;
        }
        // What a save broke, the next one may mend.
        if self.failed && !std::mem::replace(&mut self.down, true) {
            self.warn("nothing runs any more; services are started again when a watched file is saved".to_owned());
        }
        !self.failed
    }

    /// Of the last ones, whose end by an event is still to come.
    async fn say_what_was_taken(&mut self) {
        let project = Arc::clone(&self.project);
        for name in project.meant.services.keys().filter(|name| !project.is_another_s(name)) {
            if let Some(message) = self.taken.look(&project, name).await {
                self.warn(message);
            }
        }
    }

    fn warn(&self, message: String) {
        self.reporter.report(Event::Warning { message });
    }

    /// Begins what can begin: one thing per service at a time, and nothing else while the project is read again.
    fn begin_next(&mut self) {
        while !self.edits && (self.tasks.is_empty() || !matches!(self.queue.front(), Some(Noticed::Inputs(_)))) {
            match self.queue.pop_front() {
                None => return,
                Some(Noticed::Warning(message)) => self.warn(message),
                Some(Noticed::Reload(reload)) => self.begin_reload(reload),
                Some(Noticed::Inputs(files)) => self.begin_edit(&files),
            }
        }
    }

    fn begin_reload(&mut self, mut due: Reload) {
        if self.taken.contains(&due.target) {
            return self.watching.done(&due.target);
        }
        let service = self.project.all.services.get(&due.target);
        if due.action == WatchAction::Rebuild && service.is_some_and(|service| service.parts.build.is_none()) {
            // There is nothing to build.
            due.action = WatchAction::Restart;
        }
        self.reporter.report(Event::FilesChanged {
            target: due.target.clone(),
            path: due.first_path.as_deref().map(|path| self.project.shown(path)).unwrap_or_default(),
            count: due.count,
            action: due.action.into(),
        });
        let (project, reporter, began) = (Arc::clone(&self.project), self.reporter.clone(), Instant::now());
        self.tasks.spawn(async move {
            let result = reload(&project, &reporter, &due.target, due.action).await;
            Done::Reloaded { reload: due, began, result }
        });
    }

    fn begin_edit(&mut self, files: &[PathBuf]) {
        self.edits = true;
        let files: Vec<String> = files.iter().map(|path| self.project.shown(path)).collect();
        let (project, reporter, taken) = (Arc::clone(&self.project), self.reporter.clone(), self.taken.clone());
        self.tasks.spawn(async move {
            match edited(&project, &reporter, files, &taken).await {
                Ok(Some((project, result))) => Done::Edited { project: Some(project), result },
                Ok(None) => Done::Edited { project: None, result: Ok(()) },
                Err(failure) => Done::Edited { project: None, result: Err(failure) },
            }
        });
    }

    async fn done(&mut self, done: Done) {
        match done {
            Done::Reloaded { reload, began, result } => {
                self.watching.done(&reload.target);
                let action = ActionKind::from(reload.action);
                match result {
                    Ok(()) => self.reporter.report(Event::ActionDone {
                        target: reload.target,
                        action,
                        duration_ms: millis(began.elapsed()),
                    }),
                    Err(failure) => failure.report(&self.reporter, reload.target, action),
                }
            }
            Done::Edited { project, result } => {
                self.edits = false;
                if let Some(project) = project {
                    self.project = project;
                    self.watching.set(&self.project).await;
                }
                if let Err(failure) = result {
                    failure.report(&self.reporter, self.project.meant.name.clone(), ActionKind::Replace);
                }
            }
        }
        self.show_output().await;
    }

    /// Shows what runs and is not shown yet.
    pub(super) async fn show_output(&self) {
        let Some(followers) = &self.followers else { return };
        let Ok(containers) = self.project.containers().await else { return };
        for container in containers.iter().filter(|container| runs(container) && !is_one_off(container)) {
            if service(container).is_some_and(|name| is_shown(&self.project, name)) {
                followers.follow(&shown_name(container), &container.id, Start::Beginning);
            }
        }
    }

    /// Whether what runs should be looked at again.
    async fn engine_update(&mut self, update: Update) -> bool {
        match update {
            Update::Event(event) => {
                self.live(&event);
                if let Some(message) = self.taken.event(&self.project, &event).await {
                    self.warn(message);
                }
                match event.action.as_str() {
                    "start" => self.started(&event).await,
                    "die" => self.died(&event),
                    // After a `stop` it may be started again at once.
                    "destroy" | "stop" => {}
                    _ => return false,
                }
                true
            }
            Update::Lost(error) => {
                self.reporter.report(Event::EngineLost { error: error.to_string() });
                false
            }
            Update::Back(_) => {
                self.reporter.report(Event::EngineBack);
                self.show_output().await;
                true
            }
        }
    }

    fn live(&mut self, event: &EngineEvent) {
        if event.kind != "container" {
            return;
        }
        if event.action == "destroy" {
            self.lives.remove(&event.id);
        } else {
            let life = self.lives.entry(event.id.clone()).or_default();
            life.event(&event.action, event.attributes.get("signal"), Instant::now());
        }
    }

    async fn started(&mut self, event: &EngineEvent) {
        self.show_output().await;
        // Somebody made another service part of this session (`up -d` once more).
        let name = event.attributes.get(SERVICE).unwrap_or_default();
        if !self.project.meant.services.contains_key(name)
            && let Some(service) = self.project.all.services.get(name)
        {
            let mut project = Project::clone(&self.project);
            project.meant.services.insert(name.to_owned(), service.clone());
            self.project = Arc::new(project);
            self.watching.set(&self.project).await;
        }
    }

    fn died(&mut self, event: &EngineEvent) {
        let code = event.attributes.get("exitCode").unwrap_or("?");
        // Ended by mcpmon's own doing: said by what was done.
        if !self.tasks.is_empty() {
            return;
        }
        // What somebody had the engine end is no save's fault.
        self.failed |= code != "0" && !self.lives.get(&event.id).is_some_and(Life::was_asked);
        if let (Some(service), Some(number)) = (event.attributes.get(SERVICE), event.attributes.get(NUMBER)) {
            self.warn(format!("{service}-{number} exited with code {code}"));
        }
    }
}

/// Whether the line asks for a service's output.
pub(super) fn is_shown(project: &Project, name: &str) -> bool {
    let command = &project.line.command;
    let is_in = |names: &[std::ffi::OsString]| names.iter().any(|one| one == name);
    let attach = &command.attach;
    let is_asked = if attach.only.is_empty() {
        attach.dependencies || command.services.is_empty() || is_in(&command.services)
    } else {
        is_in(&attach.only)
    };
    is_asked && !is_in(&attach.without)
}

/// Reads the project again, and makes what differs as it is now; none: nothing differs.
async fn edited(
    project: &Project,
    reporter: &Reporter,
    files: Vec<String>,
    taken: &Taken,
) -> Result<Option<(Arc<Project>, Result<(), Failure>)>, Failure> {
    let said = match project.read_again().await {
        Ok(said) => said,
        Err(error) => {
            reporter.report(Event::ConfigInvalid { error: error.to_string() });
            return Ok(None);
        }
    };
    reporter.report(Event::ConfigReloaded { files });
    let shared = |config: &crate::compose::config::ComposeConfig| {
        (config.networks.clone(), config.volumes.clone(), config.configs.clone(), config.secrets.clone())
    };
    let all_differ = shared(&said.meant) != shared(&project.meant);
    let (mut services, mut builds) = (Vec::new(), Vec::new());
    for (name, service) in said.meant.services.iter().filter(|(name, _)| !taken.contains(name)) {
        let before = project.meant.services.get(name);
        let value = |key: &str| before.map(|before| &before.value[key]);
        if before.is_some() && value("build") != Some(&service.value["build"]) {
            builds.push(name.as_str());
        } else if before != Some(service) || all_differ {
            services.push(name.as_str());
        }
    }
    for name in project.meant.services.keys().filter(|name| !said.all.services.contains_key(*name)) {
        reporter.report(Event::Warning {
            message: format!(
                "{name} is in no compose file any more; its container goes on until `docker compose up --remove-orphans` \
                 or `docker compose down`"
            ),
        });
    }
    let mut next = project.clone();
    next.take(said.clone())?;
    let result = apply(&next, reporter, &services, &builds).await;
    Ok(Some((Arc::new(next), result)))
}
