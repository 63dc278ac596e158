//! What a target depends on, brought up and kept by this session where nobody else keeps it.

use std::sync::Arc;

use tokio::{sync::watch::Receiver, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    commands::context::Context,
    engine::{Engine, Images},
    error::{Error, Result},
    model::{Settings, Target},
    reconcile::{
        act::SharedExecutor,
        supervise::{Options, Source, Supervisor},
    },
    session::signals::Signals,
};

/// Keeps them until it is told to end.
pub(super) struct Dependencies {
    over: CancellationToken,
    task: JoinHandle<()>,
}

impl Dependencies {
    /// Begins nothing more. What was made is removed with everything else of the session.
    pub(super) async fn end(self) {
        self.over.cancel();
        let _ = self.task.await;
    }
}

/// Begins to keep what the target depends on, as the settings in force say; none where that is nothing.
pub(super) async fn keep<E: Engine, I: Images>(
    context: &Context,
    executor: &SharedExecutor<E, I>,
    target: &Target,
    in_force: Receiver<Arc<Settings>>,
) -> Result<Option<Dependencies>> {
    if target.depends_on.is_empty() {
        return Ok(None);
    }
    let options = Options {
        targets: target.depends_on.keys().cloned().collect(),
        watch: true,
        build: false,
        remove_orphans: false,
        follow_logs: false,
        home: context.home(),
    };
    let settings = Settings::clone(&in_force.borrow());
    let limit = settings.session.docker_timeout;
    let mut supervisor = Supervisor::new(Arc::clone(executor), settings, options, Source::Told(in_force)).await?;
    let mut signals = Signals::new().map_err(|error| Error::failed("signals can't be handled").caused_by(error))?;
    let over = CancellationToken::new();
    let ended = over.clone();
    let task = tokio::spawn(async move {
        tokio::select! {
            // A signal ends the session too; until it has, what the server depends on stays.
            _ = supervisor.run(&mut signals) => ended.cancelled().await,
            () = ended.cancelled() => {}
        }
        supervisor.stop(limit).await;
    });
    Ok(Some(Dependencies { over, task }))
}
