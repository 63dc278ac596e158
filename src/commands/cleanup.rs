//! `mcpmon cleanup`: lists containers whose mcpmon is dead, and networks that nobody keeps any more, asks, and removes
//! them. Only what says it is mcpmon's is looked at; the judgement is [`crate::orphan`]'s.
//!
//! | exit code | means |
//! |---|---|
//! | 0 | nothing is left to do, or `--dry-run` |
//! | 1 | something was left: not agreed to, or it could not be removed |
//!
//! With `--format json`: one event a line, a `found` for each orphan (`--verbose`: for all that carries mcpmon's mark) before
//! anything is done.

mod found;

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, Write, stderr},
    time::SystemTime,
};

use tokio_util::sync::CancellationToken;

use self::found::{Found, Wanted, counted, left_alone, table};
use super::{
    context::{Context, DOCKER_TIMEOUT},
    up::finish,
};
use crate::{
    cli::CleanupArgs,
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::labels::MANAGED,
    output::{
        ActionKind, Event, History, Paint, Reporter,
        event::millis,
        history::Subject,
        lines::json,
        show::{Options, show},
    },
    reconcile::teardown::remove_all,
    session,
};

/// Lists and removes orphans; gives the exit code.
pub async fn run(context: &Context, args: &CleanupArgs, out: &mut dyn Write) -> Result<u8> {
    let engine = context.connect(DOCKER_TIMEOUT).await?;
    let wanted = Wanted { all_hosts: args.all_hosts, older_than: args.older_than };
    let all = look(&engine, wanted).await?;
    list(context, &all, out)?;
    let orphans: Vec<Found> = all.into_iter().filter(Found::goes).collect();
    if args.dry_run {
        return Ok(0);
    }
    if orphans.is_empty() {
        session::guard::sweep().await;
        return Ok(0);
    }
    if !args.force && !agreed(&orphans)? {
        return Ok(1);
    }
    let (reporter, reports) = Reporter::channel();
    let shown = tokio::spawn(show(reports, Options::detect(context.json())));
    let left = remove(context, &engine, orphans, &reporter).await;
    // What is not on the engine: leases, passing files, servers that are no containers.
    session::guard::sweep().await;
    drop(reporter);
    finish(shown).await?;
    Ok(u8::from(left > 0))
}

/// Everything that carries mcpmon's mark, and what becomes of it.
async fn look(engine: &Docker, wanted: Wanted) -> Result<Vec<Found>> {
    let known = session::known();
    let managed = [(MANAGED, Some("true"))];
    let (containers, networks, now) =
        tokio::join!(engine.list(&managed), engine.networks((MANAGED, "true")), engine.clock());
    // An engine without a clock of its own: this one's is as good as any.
    let now = now.unwrap_or_else(|_| SystemTime::now());
    let judged = containers?.into_iter().filter_map(|container| {
        let verdict = known.judge(&container);
        Found::container(container, verdict, now, wanted)
    });
    let mut all: Vec<Found> = judged.collect();
    let kept: BTreeSet<String> = all
        .iter()
        .filter(|found| !found.goes())
        .filter_map(|found| found.labels.project().map(str::to_owned))
        .collect();
    let networks = networks?.into_iter().filter_map(|(name, network)| {
        let verdict = known.judge_labels(&network.labels);
        let in_use = network.labels.project().is_some_and(|project| kept.contains(project));
        Found::network(name, network.labels, verdict, in_use, wanted)
    });
    all.extend(networks);
    Ok(all)
}

fn list(context: &Context, all: &[Found], out: &mut dyn Write) -> Result<()> {
    let verbose = context.global.verbose > 0;
    let text = if context.json() {
        all.iter().filter(|found| verbose || found.goes()).map(|found| json(&found.event()) + "\n").collect()
    } else {
        let mut text = table(all, verbose, Paint::stdout());
        if !all.iter().any(Found::goes) {
            text.push_str("no orphans\n");
        }
        if let Some(line) = left_alone(all).filter(|_| !verbose) {
            text.push_str(&(line + "\n"));
        }
        text
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Error::failed("the output can't be written").caused_by(error))
}

/// Asks on the terminal, once. Without one nothing is removed.
fn agreed(orphans: &[Found]) -> Result<bool> {
    let written = |error| Error::failed("the terminal can't be used").caused_by(error);
    let mut err = stderr();
    if !std::io::stdin().is_terminal() {
        writeln!(err, "nothing removed: --force removes without asking").map_err(written)?;
        return Ok(false);
    }
    write!(err, "Stop and remove {}? [y/N] ", counted(orphans)).map_err(written)?;
    err.flush().map_err(written)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(written)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Removes them, tells how it goes, and keeps it for `mcpmon events`; gives how many are left.
async fn remove(context: &Context, engine: &Docker, orphans: Vec<Found>, reporter: &Reporter) -> usize {
    let networks: Vec<Found> = orphans.iter().filter(|found| found.container.is_none()).cloned().collect();
    let containers = orphans.iter().filter_map(|found| found.container.clone()).collect();
    let removed = remove_all(engine, containers, None, &CancellationToken::new(), Some(reporter)).await;
    let gone: BTreeSet<&str> = removed.removed.iter().map(String::as_str).collect();
    let mut kept = Kept::new(context);
    for found in orphans.iter().filter(|found| found.container.as_ref().is_some_and(|one| gone.contains(&*one.id))) {
        kept.keep(found, ActionKind::Remove, 0);
    }
    let mut left_networks = 0;
    for network in networks {
        let (target, action) = (network.name.clone(), ActionKind::RemoveNetwork);
        let began = std::time::Instant::now();
        match engine.remove_network(&network.name).await {
            Ok(()) => {
                let duration_ms = millis(began.elapsed());
                kept.keep(&network, action, duration_ms);
                reporter.report(Event::ActionDone { target, action, duration_ms });
            }
            // In use by what could not be removed, or by somebody else's container: the next one takes it.
            Err(error) => {
                left_networks += 1;
                let (error, hint) = (error.to_string(), None);
                reporter.report(Event::ActionFailed { target, action, error, hint, log: Vec::new(), retry_ms: None });
            }
        }
    }
    if let Some(message) = kept.warning {
        reporter.report(Event::Warning { message });
    }
    let left = removed.failed.len() + left_networks;
    reporter.report(Event::Stopped { removed: removed.removed.len(), left, left_networks, left_volumes: 0 });
    left
}

/// What was removed, for the histories: cleanup's own, and those that the projects have already. What a label says
/// makes no file.
struct Kept<'a> {
    context: &'a Context,
    own: History,
    warning: Option<String>,
}

impl<'a> Kept<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, own: context.history(&Subject::Kind("cleanup"), "cleanup"), warning: None }
    }

    fn keep(&mut self, found: &Found, action: ActionKind, duration_ms: u64) {
        let done = |target: &str| Event::ActionDone { target: target.to_owned(), action, duration_ms };
        let warning = self.own.add_because(&done(&found.name), found.why());
        self.warning = self.warning.take().or(warning);
        if let Some(project) = found.labels.project() {
            let subject = Subject::Project(project.to_owned());
            let history = History::existing(&self.context.state_folder(), &subject, "cleanup");
            let target = found.labels.target().unwrap_or(&found.name);
            let _ = history.add_because(&done(target), found.why()); // its own history has told of it
        }
    }
}
