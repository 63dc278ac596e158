//! `docker run -i`, without `-t` and `-d`: the way in which MCP clients start a server in a container. A stdio session
//! stands between the two, and a saved file becomes the running server while the client stays.
//!
//! # What is different from docker alone
//!
//! - It is a session and no pipe: stdout carries JSON-RPC and nothing else. What else the container prints goes to
//!   stderr, and what else the client sends is answered with an error. So a container that does not speak MCP is of no
//!   use here; whoever wants a pipe to one, runs docker without mcpmon.
//! - A person at a terminal is no MCP client: where stdin is a terminal, the line is a foreground line as ever.
//! - The container is removed at the end also without `--rm`: a session starts many, one for each saved file.
//! - The exit status is the container's, as it is docker's, where the container ended by itself after the client had
//!   closed its side; else it is the session's.
//!
//! Podman is served where its API answers.

use std::{
    ffi::OsString,
    io::{IsTerminal, stdin},
    sync::Arc,
};

use super::container::Session;
use crate::{
    commands::{
        context::Context,
        run::{kept::Kept, serve::serve},
    },
    docker_line::ContainerLine,
    engine::docker::Docker,
    error::{Error, Result},
    extension::ExtensionSet,
    model::{Labels, Target},
    output::Reporter,
    proxy::{
        drive::files::{Files, Load, Surroundings},
        server::docker_run::{DockerRun, Recipe},
        session::Options,
    },
    session::{self, guard::sweep_aside},
};

/// Whether a line's input and output are an MCP client's.
pub(super) fn is_meant(line: &ContainerLine) -> bool {
    line.interactive && line.takes_stdin() && !line.tty && !stdin().is_terminal()
}

/// Stands between the client and the line's containers until the client leaves; gives the exit code.
pub(super) async fn run(context: &Context, session: Session) -> Result<u8> {
    sweep_aside();
    let engine = connect(&session).await?;
    let (reporter, reports) = Reporter::channel();
    let reporter = reporter.keeping(session.history.clone());
    let recipe = Recipe {
        line: session.line.clone(),
        injected: session.injected().clone(),
        grace: session.grace,
        name: session.name.clone(),
    };
    let is_dead = |labels: &Labels| session::known().is_dead(labels);
    let launcher = Arc::new(DockerRun::new(engine, session.owner.session, recipe, reporter.clone(), is_dead)?);

    let settings = settings(context, &session);
    let load: Load = Box::new({
        let settings = settings.clone();
        move || Box::pin(std::future::ready(Ok(settings.clone())))
    });
    let settings = Arc::new(settings);
    let target = &settings.project.targets[&session.name];
    let options = options(&session, target);
    let extensions = ExtensionSet::new(&target.mcp, &settings.session.extensions_dir, session.owner.session);
    // What a command line's server is made of lies in the container.
    let surroundings = Surroundings { home: context.home(), path: OsString::new(), python_path: None };
    let files = Files::new(Arc::clone(&settings), &session.name, surroundings, load, reporter).await?;
    let outside = |told| files.run(told, |_| std::future::ready(()), |_| std::future::ready(()));
    let Some(guard) = &session.guard else { return Err(Error::failed("the line makes no container")) };
    let kept = Kept::new(session.history.clone(), &settings.project.name, session.owner.session);
    let (name, servers) = (&session.name, Arc::clone(&launcher));
    let code = serve(name, kept, options, servers, extensions, reports, outside, async {}, guard).await?;
    Ok(exit_code(code, launcher.exit_code()))
}

async fn connect(session: &Session) -> Result<Docker> {
    let program = session.line.program().to_string_lossy().into_owned();
    session.connect().await.map_err(|error| match program.rsplit('/').next() {
        Some(name) if name.starts_with("podman") => error.hint(
            "an MCP session needs podman's API: `systemctl --user start podman.socket` (root: without --user), or \
             `podman system service --time=0`; CONTAINER_HOST names another place",
        ),
        _ => error,
    })
}

/// The settings in force for the whole session: what is in files of mcpmon's own counts from its next start on.
fn settings(context: &Context, session: &Session) -> crate::model::Settings {
    let mut settings = session.settings.clone();
    settings.inputs.clear();
    // Read by the CLI each time a container is made.
    let read = session.line.env_files.iter().chain(&session.line.label_files).map(|path| context.folder.join(path));
    if let Some(target) = settings.project.targets.get_mut(&session.name) {
        target.watch.paths.extend(read);
    }
    settings
}

fn options(session: &Session, target: &Target) -> Options {
    let mcp = &target.mcp;
    Options {
        tag: session.owner.session.simple().to_string()[..8].to_owned(),
        stop_first: session.line.is_single(),
        comes_back: true,
        error_on_reload: mcp.on_reload == crate::model::target::OnReload::Error,
        buffer: usize::try_from(mcp.buffer).unwrap_or(usize::MAX),
        startup_timeout: mcp.startup_timeout,
        grace: session.grace,
        backoff: session.settings.reconcile.backoff,
        // The extensions say.
        results: Vec::new(),
        claims: Vec::new(),
    }
}

/// `session`: the session's own. `container`: that of the server that ended last, if it did so by itself.
fn exit_code(session: u8, container: Option<i64>) -> u8 {
    match (session, container) {
        (0, Some(code)) => u8::try_from(code).unwrap_or(u8::MAX),
        (code, _) => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_containers_exit_code_counts_where_all_went_well() {
        for (session, container, code) in
            [(0, None, 0), (0, Some(0), 0), (0, Some(3), 3), (1, Some(0), 1), (143, Some(3), 143), (0, Some(999), 255)]
        {
            assert_eq!(exit_code(session, container), code, "{session} {container:?}");
        }
    }
}
