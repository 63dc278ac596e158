//! `mcpmon cleanup`: lists containers whose mcpmon is dead, asks, and removes them. Only containers
//! that say they are mcpmon's are looked at; the judgement is [`crate::orphan`]'s.

use std::io::{BufRead, IsTerminal, Write};

use tokio_util::sync::CancellationToken;

use super::{
    context::{Context, DOCKER_TIMEOUT},
    up::finish,
};
use crate::{
    cli::CleanupArgs,
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::{
        ObservedContainer,
        labels::{MANAGED, PROJECT, SESSION},
    },
    orphan::{Verdict, judge},
    output::{
        Event, Reporter,
        show::{Options, show},
    },
    plan::short,
    reconcile::teardown::remove_all,
    session::{host, process::ThisHost},
};

/// Lists and removes orphans; gives the exit code: 0 nothing is left, 1 something is.
pub async fn run(context: &Context, args: &CleanupArgs, out: &mut dyn Write) -> Result<u8> {
    let engine = context.connect(DOCKER_TIMEOUT).await?;
    let judged = look(&engine).await?;
    let orphans: Vec<&Judged> = judged.iter().filter(|judged| matches!(judged.verdict, Verdict::Orphan(_))).collect();
    let verbose = context.global.verbose > 0;
    let written = |error| Error::failed("the output can't be written").caused_by(error);
    if context.json() {
        let list: Vec<_> = judged
            .iter()
            .filter(|judged| verbose || matches!(judged.verdict, Verdict::Orphan(_)))
            .map(Judged::json)
            .collect();
        writeln!(out, "{}", serde_json::Value::Array(list)).map_err(written)?;
    } else {
        for judged in &judged {
            if verbose || matches!(judged.verdict, Verdict::Orphan(_)) {
                writeln!(out, "{}", judged.line()).map_err(written)?;
            }
        }
        let remote = judged.iter().filter(|judged| matches!(judged.verdict, Verdict::Remote { .. })).count();
        if remote > 0 && !verbose {
            writeln!(out, "{remote} more belong to other hosts and are not judged here (--verbose lists them)")
                .map_err(written)?;
        }
        if orphans.is_empty() {
            writeln!(out, "no orphaned containers").map_err(written)?;
        }
    }
    if orphans.is_empty() || args.dry_run {
        return Ok(0);
    }
    if !args.force && !agreed(orphans.len(), out)? {
        return Ok(1);
    }
    let containers = orphans.into_iter().map(|judged| judged.container.clone()).collect();
    let sessions: Vec<String> = judged
        .iter()
        .filter(|judged| matches!(judged.verdict, Verdict::Orphan(_)))
        .filter_map(|judged| judged.container.labels.get(SESSION).map(str::to_owned))
        .collect();
    let (reporter, reports) = Reporter::channel();
    let shown = tokio::spawn(show(reports, Options::detect(context.json())));
    let removed = remove_all(&engine, containers, None, &CancellationToken::new(), Some(&reporter)).await;
    networks(&engine, sessions, &reporter).await;
    reporter.report(Event::Stopped { removed: removed.removed.len(), left: removed.failed.len() });
    drop(reporter);
    finish(shown).await?;
    Ok(u8::from(!removed.failed.is_empty()))
}

struct Judged {
    container: ObservedContainer,
    verdict: Verdict,
}

async fn look(engine: &Docker) -> Result<Vec<Judged>> {
    let here = host::identity();
    let containers = engine.list(&[(MANAGED, Some("true"))]).await?;
    let judged = containers.into_iter().map(|container| {
        let verdict = judge(&container.labels, &here, &ThisHost);
        Judged { container, verdict }
    });
    Ok(judged.collect())
}

/// Networks that the dead sessions made, once no container is left in them.
async fn networks(engine: &Docker, mut sessions: Vec<String>, reporter: &Reporter) {
    sessions.sort();
    sessions.dedup();
    for session in sessions {
        let Ok(networks) = engine.networks((SESSION, &session)).await else { continue };
        for name in networks.into_keys() {
            if let Err(error) = engine.remove_network(&name).await {
                reporter.report(Event::Warning { message: format!("network {name} was left: {error}") });
            }
        }
    }
}

/// Asks on the terminal. Without one nothing is removed.
fn agreed(count: usize, out: &mut dyn Write) -> Result<bool> {
    let written = |error| Error::failed("the output can't be written").caused_by(error);
    if !std::io::stdin().is_terminal() {
        writeln!(out, "nothing removed: --force removes without asking").map_err(written)?;
        return Ok(false);
    }
    write!(out, "Stop and remove {count} container{}? [y/N] ", if count == 1 { "" } else { "s" }).map_err(written)?;
    out.flush().map_err(written)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(written)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

impl Judged {
    fn why(&self) -> String {
        match &self.verdict {
            Verdict::Orphan(reason) => reason.to_string(),
            Verdict::Owned { pid } => format!("kept by pid {pid}"),
            Verdict::Remote { place } => format!("not judged: {place}"),
            Verdict::NotManaged => "not mcpmon's".into(),
        }
    }

    fn line(&self) -> String {
        let container = &self.container;
        let place = match (container.labels.get(PROJECT), container.labels.target()) {
            (Some(project), Some(target)) => format!("{project}/{target}"),
            _ => "-".into(),
        };
        format!(
            "{}  {}  {}  {}  {}: {}",
            short(&container.id),
            container.name,
            container.image,
            place,
            container.status,
            self.why()
        )
    }

    fn json(&self) -> serde_json::Value {
        let container = &self.container;
        serde_json::json!({
            "container": container.id,
            "name": container.name,
            "image": container.image,
            "project": container.labels.get(PROJECT),
            "target": container.labels.target(),
            "status": container.status,
            "orphan": matches!(self.verdict, Verdict::Orphan(_)),
            "why": self.why(),
        })
    }
}
