//! `mcpmon logs`: what the project's containers printed, merged by time; with `-f` also what they print,
//! across restarts and replacements.

use std::collections::VecDeque;

use futures_util::StreamExt;

use crate::{
    cli::LogsArgs,
    config::nearest::did_you_mean,
    engine::{
        Engine, EngineResult, EngineStream, LogChunk, LogOptions,
        resume::{EventFeed, Update},
    },
    error::{Error, Result},
    model::{
        Labels, ObservedContainer, Project, Settings, State, TargetKind,
        labels::{MANAGED, PROJECT, STDIO},
        target::belongs,
    },
    output::{
        Event, Options, Reporter,
        follow::{Followers, Start},
        ignore_closed, show,
        stamp::{Position, Stamped, StampedLine},
    },
};

/// Shows them until there is nothing more; with `-f` until the output is closed (or the process ends).
pub async fn run(engine: &impl Engine, settings: &Settings, args: &LogsArgs, mut options: Options) -> Result<()> {
    let (reporter, reports) = Reporter::channel();
    options.targets = match args.targets.as_slice() {
        [] => settings.project.targets.keys().cloned().collect(),
        targets => targets.to_vec(),
    };
    let shown = show(reports, options);
    let told = report(engine, settings, args, reporter);
    tokio::pin!(shown, told);
    tokio::select! {
        // The reader has gone: nobody needs the rest.
        shown = &mut shown => ignore_closed(shown),
        told = &mut told => {
            let shown = ignore_closed(shown.await);
            told.and(shown)
        }
    }
}

/// Reports the lines; takes the reporter, so that whoever shows them sees the end.
pub async fn report(engine: &impl Engine, settings: &Settings, args: &LogsArgs, reporter: Reporter) -> Result<()> {
    let project = settings.project.name.as_str();
    // Before the list: a container that starts in between is seen by one of the two.
    let mut feed = args.follow.then(|| EventFeed::new(engine.clone(), (PROJECT, Some(project)), None));
    let mut containers = engine.list(&[(MANAGED, Some("true")), (PROJECT, Some(project))]).await?;
    containers.retain(|container| is_shown(&container.labels));
    check_names(settings, &containers, &args.targets)?;
    let wanted = |target: &str| args.targets.is_empty() || args.targets.iter().any(|name| belongs(target, name));
    let mut containers: Vec<_> =
        containers.into_iter().filter(|container| container.labels.target().is_some_and(wanted)).collect();
    containers.sort_by_key(|container| container.created);
    if containers.is_empty() {
        reporter.report(Event::Warning { message: nothing_to_show(&settings.project, &args.targets) });
    }
    let positions = history(engine, &containers, args.tail, &reporter).await;

    let Some(feed) = &mut feed else { return Ok(()) };
    let followers = Followers::new(engine.clone(), reporter.clone());
    for (container, position) in containers.iter().zip(positions) {
        followers.skip(&container.id, position, if args.tail == Some(0) { Start::Now } else { Start::Beginning });
        if matches!(container.state, State::Running | State::Paused | State::Restarting) {
            followers.follow(container.labels.target().unwrap_or_default(), &container.id, Start::Beginning);
        }
    }
    loop {
        match feed.next().await {
            Update::Event(event)
                if event.kind == "container" && event.action == "start" && is_shown(&event.attributes) =>
            {
                if let Some(target) = event.attributes.target().filter(|target| wanted(target)) {
                    followers.follow(target, &event.id, Start::Beginning);
                }
            }
            Update::Event(_) => {}
            Update::Lost(error) => reporter.report(Event::EngineLost { error: error.to_string() }),
            Update::Back(containers) => {
                reporter.report(Event::EngineBack);
                // Ended ones too: they may have printed something since.
                for container in containers.iter().filter(|container| is_shown(&container.labels)) {
                    if let Some(target) = container.labels.target().filter(|target| wanted(target)) {
                        followers.follow(target, &container.id, Start::Beginning);
                    }
                }
            }
        }
    }
}

/// Nothing that was asked for has a container.
fn nothing_to_show(project: &Project, names: &[String]) -> String {
    let is_command =
        |name: &String| project.targets.get(name).is_some_and(|target| matches!(target.kind, TargetKind::Process(_)));
    if !names.is_empty() && names.iter().all(is_command) {
        return format!("{}: a plain command has no logs here: what it prints goes to its client", names.join(", "));
    }
    format!("{} has no containers to show logs of; `mcpmon up` starts them", project.name)
}

/// What a stdio session's server prints goes to its client; the engine keeps nothing of it.
fn is_shown(labels: &Labels) -> bool {
    labels.role() != Some(STDIO)
}

/// Names are those of the file and of containers that are still there.
fn check_names(settings: &Settings, containers: &[ObservedContainer], names: &[String]) -> Result<()> {
    let mut known = settings.project.names();
    for target in containers.iter().filter_map(|container| container.labels.target()) {
        known.extend([Some(target), target.split_once('/').map(|(of, _)| of)].into_iter().flatten());
    }
    known.sort_unstable();
    known.dedup();
    match names.iter().find_map(|name| unknown(name, &known)) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn unknown(name: &str, known: &[&str]) -> Option<Error> {
    if known.contains(&name) {
        return None;
    }
    let hint = match did_you_mean(name, known.iter().copied()) {
        Some(hint) => hint,
        None if known.is_empty() => "the file has no targets".into(),
        None => format!("the targets are {}", known.join(", ")),
    };
    Some(Error::usage(format!("there is no target `{name}`")).hint(hint))
}

/// One container's past output.
struct Source<'a> {
    target: &'a str,
    chunks: EngineStream<LogChunk>,
    output: Option<Stamped>,
    position: Position,
    ready: VecDeque<StampedLine>,
}

impl Source<'_> {
    /// Has a line at hand, unless there are no more.
    async fn fill(&mut self) -> EngineResult<()> {
        while self.ready.is_empty()
            && let Some(output) = &mut self.output
        {
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.ready.extend(output.push(chunk.stderr, &chunk.bytes)),
                Some(Err(error)) => {
                    self.position = output.position();
                    self.output = None;
                    return Err(error);
                }
                None => {
                    let (rest, position) = self.output.take().unwrap_or_default().finish();
                    self.ready.extend(rest);
                    self.position = position;
                }
            }
        }
        Ok(())
    }

    fn time(&self) -> Option<&str> {
        self.ready.front().map(|line| line.stamp.as_str())
    }
}

/// Reports what the containers printed until now, in the order of time; gives how far each was read.
async fn history(
    engine: &impl Engine,
    containers: &[ObservedContainer],
    tail: Option<usize>,
    reporter: &Reporter,
) -> Vec<Position> {
    let options = LogOptions { tail, timestamps: true, ..LogOptions::default() };
    let mut sources: Vec<_> = containers
        .iter()
        .map(|container| Source {
            target: container.labels.target().unwrap_or_default(),
            chunks: engine.logs(&container.id, options),
            output: Some(Stamped::default()),
            position: Position::default(),
            ready: VecDeque::new(),
        })
        .collect();
    loop {
        for source in &mut sources {
            if let Err(error) = source.fill().await {
                let message = format!("{}: its log can't be read: {error}", source.target);
                reporter.report(Event::Warning { message });
            }
        }
        let waiting = sources.iter_mut().filter(|source| !source.ready.is_empty());
        let Some(source) = waiting.min_by(|a, b| a.time().cmp(&b.time())) else { break };
        if let Some(line) = source.ready.pop_front() {
            reporter.log(source.target.to_owned(), line.stderr, line.line).await;
        }
    }
    sources.into_iter().map(|source| source.position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        for (name, known, hint) in [
            ("apl", &["api", "database"][..], "did you mean `api`?"),
            ("x", &["api", "database"], "the targets are api, database"),
            ("x", &[], "the file has no targets"),
        ] {
            let error = unknown(name, known).expect("an error");
            assert_eq!((error.kind.exit_code(), error.hint.as_deref()), (64, Some(hint)));
        }
        assert!(unknown("api", &["api"]).is_none());
    }
}
