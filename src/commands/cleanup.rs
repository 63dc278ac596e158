//! `mcpmon cleanup`: lists containers whose mcpmon is dead, and networks that nobody keeps any more,
//! asks, and removes them. Only what says it is mcpmon's is looked at; the judgement is [`crate::orphan`]'s.

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, Write},
};

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
        labels::{MANAGED, PROJECT},
    },
    orphan::{Known, Verdict},
    output::{
        Event, Reporter,
        show::{Options, show},
        words::count,
    },
    plan::short,
    reconcile::teardown::remove_all,
    session,
};

/// Lists and removes orphans; gives the exit code: 0 nothing is left, 1 something is.
pub async fn run(context: &Context, args: &CleanupArgs, out: &mut dyn Write) -> Result<u8> {
    let engine = context.connect(DOCKER_TIMEOUT).await?;
    let known = session::known();
    let judged = look(&engine, &known).await?;
    let orphans: Vec<&Judged> = judged.iter().filter(|judged| matches!(judged.verdict, Verdict::Orphan(_))).collect();
    let networks = abandoned(&engine, &known, &judged).await?;
    let verbose = context.global.verbose > 0;
    let written = |error| Error::failed("the output can't be written").caused_by(error);
    if context.json() {
        let list: Vec<_> = judged
            .iter()
            .filter(|judged| verbose || matches!(judged.verdict, Verdict::Orphan(_)))
            .map(Judged::json)
            .chain(
                networks.iter().map(|(name, why)| serde_json::json!({ "network": name, "orphan": true, "why": why })),
            )
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
        for (name, why) in &networks {
            writeln!(out, "network  {name}  {why}").map_err(written)?;
        }
        if orphans.is_empty() {
            writeln!(out, "no orphaned containers").map_err(written)?;
        }
    }
    if (orphans.is_empty() && networks.is_empty()) || args.dry_run {
        return Ok(0);
    }
    if !args.force && !agreed(orphans.len(), networks.len(), out)? {
        return Ok(1);
    }
    let containers = orphans.into_iter().map(|judged| judged.container.clone()).collect();
    let (reporter, reports) = Reporter::channel();
    let shown = tokio::spawn(show(reports, Options::detect(context.json())));
    let removed = remove_all(&engine, containers, None, &CancellationToken::new(), Some(&reporter)).await;
    for (name, _) in networks {
        // Still in use by what could not be removed, or by somebody else's container: the next one takes it.
        if let Err(error) = engine.remove_network(&name).await {
            reporter.report(Event::Warning { message: format!("network {name} was left: {error}") });
        }
    }
    reporter.report(Event::Stopped { removed: removed.removed.len(), left: removed.failed.len() });
    drop(reporter);
    finish(shown).await?;
    Ok(u8::from(!removed.failed.is_empty()))
}

struct Judged {
    container: ObservedContainer,
    verdict: Verdict,
}

async fn look(engine: &Docker, known: &Known) -> Result<Vec<Judged>> {
    let containers = engine.list(&[(MANAGED, Some("true"))]).await?;
    let judged = containers.into_iter().map(|container| {
        let verdict = known.judge(&container);
        Judged { container, verdict }
    });
    Ok(judged.collect())
}

/// Networks whose maker is dead, with the reason, of projects in which no container has a living owner: that one may use them.
async fn abandoned(engine: &Docker, known: &Known, judged: &[Judged]) -> Result<Vec<(String, String)>> {
    let kept: BTreeSet<&str> = judged
        .iter()
        .filter(|judged| !matches!(judged.verdict, Verdict::Orphan(_)))
        .filter_map(|judged| judged.container.labels.project())
        .collect();
    let networks = engine.networks((MANAGED, "true")).await?.into_iter();
    let abandoned = networks.filter_map(|(name, network)| match known.judge_labels(&network.labels) {
        Verdict::Orphan(why) if network.labels.project().is_none_or(|project| !kept.contains(project)) => {
            Some((name, why.to_string()))
        }
        _ => None,
    });
    Ok(abandoned.collect())
}

/// Asks on the terminal. Without one nothing is removed.
fn agreed(containers: usize, networks: usize, out: &mut dyn Write) -> Result<bool> {
    let written = |error| Error::failed("the output can't be written").caused_by(error);
    if !std::io::stdin().is_terminal() {
        writeln!(out, "nothing removed: --force removes without asking").map_err(written)?;
        return Ok(false);
    }
    let what: Vec<String> = [(containers, "container"), (networks, "network")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, noun)| count(number, noun))
        .collect();
    write!(out, "Stop and remove {}? [y/N] ", what.join(" and ")).map_err(written)?;
    out.flush().map_err(written)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(written)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

impl Judged {
    fn why(&self) -> String {
        match &self.verdict {
            Verdict::Orphan(reason) => reason.to_string(),
            Verdict::Kept { file, reason } => format!("left on purpose, {file} asks for it ({reason})"),
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
