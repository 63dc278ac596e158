//! `mcpmon up -d` where a supervisor runs already: it follows the file by itself, so all there is to do is to wait until
//! it has what the file asks for, and to say so, or why it has not.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    path::PathBuf,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::StreamExt;

use super::{
    context::Context,
    keeper::{Words, left_out},
    said::{Last, Said, Written},
    up::finish,
};
use crate::{
    cli::UpArgs,
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::{Lease, Project, Settings, labels::PROJECT},
    orphan::Processes,
    output::{
        Event, Reporter,
        show::{Options, show},
    },
    plan::{Change, Plan, Situation, Step, plan, scope, short},
    reconcile::observe::{leave_out_spares, leave_out_stdio, observe, owners},
    session::{
        self,
        leases::file_of,
        process::{Process, ThisHost},
    },
};

/// How long a supervisor that runs already may take to follow an edit.
const FOLLOWS: Duration = Duration::from_secs(30);

/// Waits until the supervisor `pid` has nothing left to do, and shows how it stands. Gives the exit code; none: it has ended.
///
/// # Errors
/// It does not come to have what is asked for.
pub async fn wait(
    context: &Context,
    args: &UpArgs,
    settings: &Settings,
    engine: &Docker,
    (pid, words): (u32, Option<Words>),
) -> Result<Option<u8>> {
    let process = opened(pid)?;
    if process.is_none() && ThisHost.start_time(pid).is_none() {
        return Ok(None);
    }
    let mut beside = Beside {
        project: &settings.project,
        names: scope(&settings.project, &args.targets).unwrap_or_default(),
        until_ready: args.wait,
        engine,
        inputs: &settings.inputs,
        pid,
        voice: Voice::of(context, &settings.project, pid, words.as_ref()).await,
    };
    let (reporter, reports) = Reporter::channel();
    let shown = tokio::spawn(show(reports, Options::detect(context.json())));
    let came = beside.until_clear(process.as_ref()).await?;
    let code = match came {
        Came::Ended => Ok(None),
        Came::Reached(plan) => {
            beside.tell_failing(&reporter);
            tell_ready(&plan, &reporter);
            Ok(Some(0))
        }
        Came::Open { plan, in_time } => {
            let open = beside.open(&plan);
            beside.words_of(&open).into_iter().for_each(|event| reporter.report(event));
            Err(not_as_asked(pid, &open, in_time).hint(hint(context, args, words.as_ref(), beside.can_not_read())))
        }
    };
    drop(reporter);
    finish(shown).await?;
    code
}

/// A hold on the supervisor. None: it has ended, or this system gives none.
fn opened(pid: u32) -> Result<Option<Process>> {
    let no_hold = |error| Error::failed(format!("the supervisor, pid {pid}, can't be waited for")).caused_by(error);
    let Some(started) = session::process::start_time(pid) else { return Ok(None) };
    Process::open(pid, started).map_err(no_hold)
}

/// Where the supervisor says how it gets on.
enum Voice {
    /// One in the background has a log.
    Log(Box<Said>),
    /// Every one has a lease, which says less.
    Lease(Written),
}

impl Voice {
    /// None: neither can be read.
    async fn of(context: &Context, project: &Project, pid: u32, words: Option<&Words>) -> Option<Self> {
        if words.is_some_and(|words| !words.in_foreground()) {
            let log = context.state_folder().join(format!("{}.log", project.name));
            if let Ok(said) = Said::open(&log).await {
                return Some(Self::Log(Box::new(said)));
            }
        }
        let lease = file_of(lease(project, pid)?.session)?;
        Written::new(lease).await.ok().map(Self::Lease)
    }

    fn written(&mut self) -> &mut Written {
        match self {
            Self::Log(said) => said.written(),
            Self::Lease(written) => written,
        }
    }

    /// Waits until it says more.
    async fn more(voice: Option<&mut Self>) {
        match voice {
            Some(voice) => voice.written().more().await,
            None => pending().await,
        }
    }
}

/// What a supervisor says to everybody.
fn lease(project: &Project, pid: u32) -> Option<Lease> {
    let mut leases = session::known().leases.into_iter();
    leases.find(|lease| lease.pid == pid && lease.project.as_ref() == Some(&project.name))
}

/// What is waited for.
struct Beside<'a> {
    project: &'a Project,
    /// The targets that are meant; none: all.
    names: Option<BTreeSet<String>>,
    /// Running is not enough.
    until_ready: bool,
    engine: &'a Docker,
    /// The files that the settings are read from.
    inputs: &'a [PathBuf],
    /// The supervisor's process id.
    pid: u32,
    voice: Option<Voice>,
}

/// How the waiting ended.
enum Came {
    /// Everything is as asked.
    Reached(Plan),
    /// The supervisor has ended.
    Ended,
    /// Something is not as asked, and the supervisor has given it up (in time), or the time is over.
    Open { plan: Plan, in_time: bool },
}

impl Beside<'_> {
    /// Looks at the engine until everything is as asked, or will not be.
    async fn until_clear(&mut self, process: Option<&Process>) -> Result<Came> {
        let deadline = Instant::now() + FOLLOWS;
        let mut ended = pin!(async {
            match process {
                Some(process) if process.ended(FOLLOWS).await => {}
                _ => pending().await,
            }
        });
        let mut events = self.engine.events((PROJECT, Some(&self.project.name)), None);
        loop {
            let plan = self.plan().await?;
            let open = self.open(&plan);
            if open.is_empty() {
                return Ok(Came::Reached(plan));
            }
            // What is held is so until something is edited.
            let is_held = open.iter().any(|change| matches!(change.step, Step::Hold { retry_ms: None }));
            if is_held || !self.words_of(&open).is_empty() {
                return Ok(Came::Open { plan, in_time: true });
            }
            let lags = self.lags();
            tokio::select! {
                () = &mut ended => return Ok(Came::Ended),
                // Something happens on the engine, or it may have said something.
                _ = events.next() => {}
                () = Voice::more(self.voice.as_mut()) => {}
                // It has not spoken since an edit, and would have by now: what it said before is about what is there now.
                () = tokio::time::sleep(lags.unwrap_or_default()), if lags.is_some() => {}
                () = tokio::time::sleep_until(deadline.into()) => return Ok(Came::Open { plan, in_time: false }),
            }
        }
    }

    /// What the supervisor has to do.
    async fn plan(&self) -> Result<Plan> {
        let mut observed = observe(self.engine, self.project, false).await?;
        let known = session::known();
        leave_out_stdio(&mut observed, self.project, &known);
        leave_out_spares(&mut observed, &known);
        let owners = owners(&observed, self.project, None, &known);
        let situation = Situation { owners, scope: self.names.clone(), ..Situation::default() };
        Ok(plan(self.project, &observed, &situation))
    }

    /// What of it is not as asked.
    fn open<'plan>(&self, plan: &'plan Plan) -> Vec<&'plan Change> {
        let is_same = |step: &Step| matches!(step, Step::Same { ready, .. } if *ready || !self.until_ready);
        plan.changes.iter().filter(|change| !is_same(&change.step)).collect()
    }

    /// The supervisor's words on why these are not as asked.
    fn words_of(&mut self, open: &[&Change]) -> Vec<Event> {
        let Last { invalid, failing } = self.last();
        if let Some(invalid) = invalid {
            return vec![invalid];
        }
        open.iter().filter_map(|change| failing.get(change.subject.name()).cloned()).collect()
    }

    /// Whether the supervisor can't read the file, which can be read here.
    fn can_not_read(&mut self) -> bool {
        self.last().invalid.is_some()
    }

    /// What runs may be as asked, and a rebuild of it have failed all the same, or the supervisor follow the file no more.
    fn tell_failing(&mut self, reporter: &Reporter) {
        let Last { invalid, failing } = self.last();
        let is_meant = |name: &String| self.names.as_ref().is_none_or(|names| names.contains(name));
        let failing = failing.into_iter().filter(|(name, _)| is_meant(name)).map(|(_, event)| event);
        invalid.into_iter().chain(failing).for_each(|event| reporter.report(event));
    }

    fn last(&mut self) -> Last {
        match &mut self.voice {
            Some(Voice::Log(said)) => said.last(self.inputs),
            Some(Voice::Lease(written)) if written.lags(self.inputs).is_none() => {
                let failing = lease(self.project, self.pid).map(|lease| failing(&lease)).unwrap_or_default();
                Last { failing, ..Last::default() }
            }
            _ => Last::default(),
        }
    }

    /// How much longer its words may be about what was there before an edit.
    fn lags(&mut self) -> Option<Duration> {
        self.voice.as_mut()?.written().lags(self.inputs)
    }
}

/// What a session could not replace.
fn failing(lease: &Lease) -> BTreeMap<String, Event> {
    let failed = lease.reload_failed.iter().map(|(target, error)| {
        (target.clone(), Event::ReloadFailed { target: target.clone(), error: error.clone(), log: Vec::new() })
    });
    failed.collect()
}

/// Tells what runs.
fn tell_ready(plan: &Plan, reporter: &Reporter) {
    let mut ready = 0;
    for change in &plan.changes {
        if let Step::Same { container: Some(container), .. } = &change.step {
            ready += 1;
            reporter.report(Event::Unchanged {
                target: change.subject.name().to_owned(),
                container: short(container).to_owned(),
            });
        }
    }
    reporter.report(Event::Settled { ready, held: 0, duration_ms: 0 });
}

fn not_as_asked(pid: u32, open: &[&Change], in_time: bool) -> Error {
    let open: Vec<String> = open
        .iter()
        .map(|change| match &change.cause {
            cause if cause.is_empty() => change.subject.name().to_owned(),
            cause => format!("{} ({cause})", change.subject.name()),
        })
        .collect();
    let time = if in_time { String::new() } else { format!(" after {FOLLOWS:?}") };
    Error::failed(format!("the supervisor, pid {pid}, does not have this as asked{time}: {}", open.join(", ")))
}

fn hint(context: &Context, args: &UpArgs, words: Option<&Words>, can_not_read: bool) -> String {
    let left_out = words.map(|words| left_out(words, &context.global, &context.environment)).unwrap_or_default();
    if can_not_read {
        "the supervisor has the flags and variables that it was started with, and can't read the file with these: \
         `mcpmon down`, then `mcpmon up -d`"
            .to_owned()
    } else if !left_out.is_empty() {
        format!(
            "the supervisor was started with {0}, and this command was not: `mcpmon up -d {0}`, or `mcpmon down` and then \
             this command again",
            left_out.join(" ")
        )
    } else if is_given(context, args) {
        "`mcpmon plan` shows what is missing. The supervisor follows the file, but not flags or variables given now: for \
         those `mcpmon down`, then `mcpmon up -d`"
            .to_owned()
    } else {
        "`mcpmon plan` shows what is missing. The supervisor follows the file: mend it there".to_owned()
    }
}

/// Whether there are flags or variables that a supervisor may have been started without.
fn is_given(context: &Context, args: &UpArgs) -> bool {
    let (global, watch) = (&context.global, &args.watch);
    let flags = [&global.profile, &global.set, &watch.watch, &watch.ignore, &watch.extensions];
    flags.iter().any(|flag| !flag.is_empty())
        || watch.delay.is_some()
        || context.environment.iter().any(|(key, value)| key.starts_with("MCPMON_") && !value.is_empty())
}
