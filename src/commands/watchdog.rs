//! The watchdog of a session (see [`crate::session::watchdog`]): what it does, and when it ends.
//!
//! It blocks in one read, outside of any runtime, until its session's end of the pipe closes. After a goodbye it ends at
//! once. Otherwise the session was killed, and it ends what is left of it: the docker CLIs and servers that the session
//! had started on this machine (by their mark), its containers (by its label, and those it had adopted) with stop,
//! grace period and kill, the networks it had made, its passing files and its lease. It looks again until nothing of
//! it comes any more: the engine may have been making a container at that very moment.
//!
//! It never outlives its work: each step has its time, an engine that does not answer is waited for so long and no longer.
//! What it could not do it writes to its log, and the lease stays for the next session or `mcpmon cleanup`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write, stdin, stdout},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    engine::{Engine, EngineError, EngineEvent, EngineResult, EngineStream, docker::Docker},
    model::{
        Labels, ObservedContainer, State,
        labels::{CONFIG, MANAGED, SESSION},
    },
    output::{ActionKind, Event, History, event::millis, history::Subject, private},
    process::{END_OF_FILE_GRACE, kin},
    reconcile::{stamp, teardown::keeps_volumes},
    session::{
        self, inherited,
        mark::Kind,
        private_folder, resident,
        watchdog::{Note, Order, Reach},
    },
};

/// How long an engine that does not answer is waited for.
const ENGINE_LIMIT: Duration = Duration::from_mins(5);
/// Between two tries to reach it.
const ENGINE_RETRY: Duration = Duration::from_millis(250);
/// How long nothing of the session may come before it is over.
const QUIET: Duration = Duration::from_secs(1);
/// How long it looks again because something came and was not the session's any more.
const LOOKS_LIMIT: Duration = Duration::from_mins(1);
/// A docker CLI whose container is gone ends by itself.
const TOOL_PATIENCE: Duration = Duration::from_millis(300);
/// A docker CLI that was asked to end.
const TOOL_GRACE: Duration = Duration::from_secs(2);
/// Containers stopped and removed at once.
const AT_ONCE: usize = 8;
/// On what compose makes.
const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// A log that is longer begins anew.
const LOG_LIMIT: u64 = 1 << 20;

/// What it knows when the pipe has closed.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    order: Order,
    adopted: BTreeSet<String>,
    keep: bool,
}

/// Waits for the session's end, and ends what is left of it.
pub fn main() -> ExitCode {
    // SAFETY: this process has just begun, and has opened nothing yet.
    #[allow(unsafe_code, reason = "there is no safe name for it: it may close what somebody still uses")]
    unsafe {
        inherited::close();
    }
    // A session of its own: neither the terminal's end nor a signal to the client's process group is meant for it.
    let _ = rustix::process::setsid();
    let _ = fs::write("/proc/self/comm", "mcpmon-watchdog");
    if take_signals().is_err() {
        return ExitCode::FAILURE;
    }
    let _ = stdout().write_all(b".").and_then(|()| stdout().flush());
    if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
    let mut said = Vec::new();
    // It waits as long as its session lives.
    resident::give_back();
    // Interrupted reads go on by themselves.
    let _ = stdin().lock().read_to_end(&mut said);
    let Some(told) = told(&said) else { return ExitCode::SUCCESS };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let log = Log { order: &told.order };
    let done = runtime.block_on(end(&told, &log));
    runtime.shutdown_background();
    if done {
        if told.order.leave_ended && !told.keep {
            // What is stopped is its user's, as at an end in order. When that can't be written it is an orphan.
            let _ = session::left::remember(&session::state_folder::path(), told.order.session);
        }
        // Last: as long as it is there, the session is not over.
        let _ = told.order.lease.as_ref().map(fs::remove_file);
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

/// What asks a process to end is not meant for this one: it ends when its session does. (A signal once taken stays taken
/// when the runtime that took it is gone; nobody looks at it.)
fn take_signals() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _inside = runtime.enter();
    for kind in [
        SignalKind::hangup(),
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        SignalKind::alarm(),
    ] {
        drop(signal(kind)?);
    }
    Ok(())
}

/// The notes put together; none: there is nothing to do.
fn told(said: &[u8]) -> Option<Told> {
    let (mut order, mut adopted, mut keep) = (None, BTreeSet::new(), false);
    // Half a line at the end was never said.
    let whole = said.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    for note in whole.filter_map(|line| serde_json::from_slice::<Note>(line).ok()) {
        match note {
            Note::Order(given) => order = Some(given),
            Note::Adopted(container) => {
                adopted.insert(container);
            }
            Note::Keep(kept) => keep = kept,
            Note::Goodbye => return None,
        }
    }
    Some(Told { order: order?, adopted, keep })
}

/// Ends all that is left; false when something is left all the same.
async fn end(told: &Told, log: &Log<'_>) -> bool {
    let order = &told.order;
    let mark = |kind: Kind| format!("{}{}/", order.mark, kind.word());
    let (tools, servers) = (mark(Kind::Tool), mark(Kind::Server));
    let servers = kin::end(&servers, END_OF_FILE_GRACE, order.grace);
    let containers = async {
        match &order.engine {
            Some(engine) => containers(told, engine, &tools, log).await,
            None => kin::end(&tools, Duration::ZERO, TOOL_GRACE).await,
        }
    };
    let (servers, containers) = tokio::join!(servers, containers);
    if !servers {
        log.say("a server's process could not be ended");
    }
    private_folder::remove_of(order.pid, order.pid_start);
    servers && containers
}

/// Ends the session's containers on the engine, however long that does not answer within its limit.
async fn containers(told: &Told, engine: &Reach, tools: &str, log: &Log<'_>) -> bool {
    let deadline = Instant::now() + ENGINE_LIMIT;
    let mut work = Work { told, tools, log, left_ended: None, networks: BTreeSet::new() };
    loop {
        let ended = match Docker::connect(&engine.environment, engine.timeout).await {
            Ok(engine) => work.end(&engine).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => return true,
            Err(error) if Instant::now() >= deadline => {
                log.say(&format!("containers may be left, `mcpmon cleanup` removes them: {error}"));
                return false;
            }
            Err(error) => tracing::debug!("the engine does not do it yet: {error}"),
        }
        tokio::time::sleep(ENGINE_RETRY).await;
    }
}

struct Work<'a> {
    told: &'a Told,
    tools: &'a str,
    log: &'a Log<'a>,
    /// What had ended before the session did and stays; none: not looked yet.
    left_ended: Option<BTreeSet<String>>,
    /// Networks of adopted containers: their makers are dead, too.
    networks: BTreeSet<String>,
}

impl Work<'_> {
    async fn end(&mut self, engine: &Docker) -> EngineResult<()> {
        let session = self.told.order.session.to_string();
        // From before the first look on: what comes meanwhile is not missed.
        let mut events = engine.events((SESSION, Some(&session)), None);
        let mut found = self.look(engine).await?;
        let over = Instant::now() + LOOKS_LIMIT;
        loop {
            self.remove_all(engine, found).await?;
            // Now that its container is gone, a CLI that was attached to it has ended by itself, and its terminal is as it
            // was. One that still pulls or builds would make a container yet.
            kin::end(self.tools, TOOL_PATIENCE, TOOL_GRACE).await;
            found = self.look(engine).await?;
            if !found.is_empty() {
                continue;
            }
            if Instant::now() >= over || !comes(&mut events).await {
                break;
            }
            found = self.look(engine).await?;
        }
        self.networks(engine).await
    }

    /// The session's containers that are to go: also adopted ones, but none that a living session has adopted since.
    async fn look(&mut self, engine: &Docker) -> EngineResult<Vec<ObservedContainer>> {
        if self.told.keep {
            return Ok(Vec::new());
        }
        let session = self.told.order.session.to_string();
        let mut containers = engine.list(&[(SESSION, Some(&session))]).await?;
        if !self.told.adopted.is_empty() {
            let all = engine.list(&[(MANAGED, Some("true"))]).await?;
            let adopted = all.into_iter().filter(|container| self.told.adopted.contains(&container.id));
            for container in adopted {
                self.networks.extend(container.networks.iter().cloned());
                containers.push(container);
            }
        }
        containers.retain(|container| container.labels.managed());
        let has_ended = |container: &&ObservedContainer| matches!(container.state, State::Exited(_));
        let ended = || containers.iter().filter(has_ended).map(|container| container.id.clone()).collect();
        let stays =
            self.left_ended.get_or_insert_with(|| if self.told.order.leave_ended { ended() } else { BTreeSet::new() });
        containers.retain(|container| !stays.contains(&container.id));
        containers.retain(|container| !self.only_stops(container) || runs(container));
        if !containers.is_empty() {
            let known = session::known();
            containers.retain(|container| !self.is_anothers(&known, container));
        }
        Ok(containers)
    }

    fn is_anothers(&self, known: &crate::orphan::Known, container: &ObservedContainer) -> bool {
        let holder = known.leases.iter().find(|lease| lease.adopted.contains(&container.id));
        holder.is_some_and(|lease| lease.session != self.told.order.session)
    }

    async fn remove_all(&self, engine: &Docker, containers: Vec<ObservedContainer>) -> EngineResult<()> {
        let mut ends = stream::iter(containers)
            .map(|container| async move { self.remove(engine, &container).await })
            .buffer_unordered(AT_ONCE);
        let mut result = Ok(());
        while let Some(ended) = ends.next().await {
            result = result.and(ended);
        }
        result
    }

    /// A compose line's containers end stopped, as at compose's own end: what they wrote is the next `up`'s.
    fn only_stops(&self, container: &ObservedContainer) -> bool {
        self.told.order.leave_ended && container.labels.get(COMPOSE_PROJECT).is_some()
    }

    async fn remove(&self, engine: &Docker, container: &ObservedContainer) -> EngineResult<()> {
        let began = Instant::now();
        if self.only_stops(container) {
            if engine.stop(&container.id, self.grace(&container.labels)).await.is_err() {
                engine.kill(&container.id).await?;
            }
            self.log.say(&format!("container {} stopped in {:?}", container.name, began.elapsed()));
            return Ok(());
        }
        if runs(container) {
            // Not stopped is no reason to leave it: the removal kills it.
            let _ = engine.stop(&container.id, self.grace(&container.labels)).await;
            // Somebody may have started anew meanwhile, and taken it over.
            if self.is_anothers(&session::known(), container) {
                return Ok(());
            }
        }
        let removed = if keeps_volumes(container) {
            engine.remove_without_volumes(&container.id).await
        } else {
            engine.remove(&container.id).await
        };
        match removed {
            Ok(()) | Err(EngineError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.log.say(&format!("container {} stopped and removed in {:?}", container.name, began.elapsed()));
        self.log.keep(container, began.elapsed());
        Ok(())
    }

    fn grace(&self, labels: &Labels) -> Duration {
        if labels.get(CONFIG).is_some() { stamp::grace(labels) } else { self.told.order.grace }
    }

    /// Networks that the session made and nobody uses.
    async fn networks(&self, engine: &Docker) -> EngineResult<()> {
        if self.told.keep {
            return Ok(());
        }
        let session = self.told.order.session.to_string();
        let mut networks = engine.networks((SESSION, &session)).await?;
        if !self.networks.is_empty() {
            let known = session::known();
            let mut of_dead = engine.networks((MANAGED, "true")).await?;
            of_dead.retain(|name, network| self.networks.contains(name) && known.is_dead(&network.labels));
            networks.extend(of_dead);
        }
        if networks.is_empty() {
            return Ok(());
        }
        let containers = engine.list(&[(MANAGED, Some("true"))]).await?;
        for name in networks.into_keys().filter(|name| !containers.iter().any(|one| one.networks.contains(name))) {
            if let Err(error) = engine.remove_network(&name).await {
                self.log.say(&format!("network {name} was left: {error}"));
            }
        }
        Ok(())
    }
}

fn runs(container: &ObservedContainer) -> bool {
    matches!(container.state, State::Running | State::Paused | State::Restarting | State::Other(_))
}

/// Whether a container begins within a quiet time.
async fn comes(events: &mut EngineStream<EngineEvent>) -> bool {
    let deadline = Instant::now() + QUIET;
    loop {
        match tokio::time::timeout_at(deadline.into(), events.next()).await {
            Ok(Some(Ok(event))) if matches!(event.action.as_str(), "create" | "start") => return true,
            Ok(Some(Ok(_))) => {}
            // The stream broke: nobody tells, so look after the time.
            Ok(Some(Err(_)) | None) => {
                tokio::time::sleep_until(deadline.into()).await;
                return true;
            }
            Err(_) => return false,
        }
    }
}

/// A line for each thing done.
struct Log<'a> {
    order: &'a Order,
}

impl Log<'_> {
    /// For `mcpmon events`, where the session had a history.
    fn keep(&self, container: &ObservedContainer, took: Duration) {
        let Some(state) = self.order.log.as_deref().and_then(Path::parent) else { return };
        let project = container.labels.project().map(|project| Subject::Project(project.to_owned()));
        let history = History::existing(state, &project.unwrap_or(Subject::Kind("docker")), "watchdog");
        let target = container.labels.target().unwrap_or(&container.name).to_owned();
        let done = Event::ActionDone { target, action: ActionKind::Remove, duration_ms: millis(took) };
        // Nobody is there to be told that it can't be kept.
        let _ = history.add_because(&done, &format!("its mcpmon, pid {}, did not end in order", self.order.pid));
    }

    fn say(&self, what: &str) {
        let Some(path) = &self.order.log else { return };
        let made = path.parent().map(private::own_folder).transpose();
        let Ok(mut file) = made.and_then(|_| private::append_own(path)) else { return };
        if file.metadata().is_ok_and(|meta| meta.len() > LOG_LIMIT) {
            let _ = file.set_len(0);
        }
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        let Order { session, pid, .. } = self.order;
        let _ = writeln!(file, "{now} mcpmon, pid {pid}, session {session}, did not end in order: {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_put_together_and_a_goodbye_ends_it() {
        let order = Order {
            session: uuid::Uuid::nil(),
            pid: 1,
            pid_start: 2,
            mark: "m/".into(),
            engine: Some(Reach {
                environment: [("DOCKER_HOST".into(), "unix:///e.sock".into())].into(),
                timeout: Duration::from_secs(30),
            }),
            grace: Duration::from_secs(10),
            leave_ended: false,
            lease: None,
            log: None,
        };
        let line = |note: &Note| serde_json::to_string(note).expect("json") + "\n";
        let begun = line(&Note::Order(order.clone())) + &line(&Note::Keep(true));
        let adopted = line(&Note::Adopted("a".into())) + &line(&Note::Keep(false)) + &line(&Note::Adopted("b".into()));
        let expected = |adopted: &[&str], keep| {
            Some(Told { order: order.clone(), adopted: adopted.iter().map(ToString::to_string).collect(), keep })
        };
        assert_eq!(told(b""), None, "it was never told what it is there for");
        assert_eq!(told(begun.as_bytes()), expected(&[], true));
        assert_eq!(told(format!("{begun}{adopted}").as_bytes()), expected(&["a", "b"], false));
        assert_eq!(told(format!("{begun}{}", &adopted[..adopted.len() - 1]).as_bytes()), expected(&["a"], false));
        assert_eq!(told(format!("{begun}{}", line(&Note::Goodbye)).as_bytes()), None);
    }
}
