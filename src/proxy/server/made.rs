//! Containers that were made for the servers of a session, by whomever: attached to, started, waited for, stopped and
//! removed by the engine's API. It must not know what they are made from.
//!
//! Its end is what the engine says about the container. One that could not be removed at once is tried again; what is
//! left even then goes at the end of the session, by its label.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Failed, Streams, lock};
use crate::{
    engine::{Engine, EngineError, EngineResult},
    error::Error,
    model::Labels,
    output::words::exit_words,
    plan::short,
    proxy::session::ServerId,
    reconcile::teardown::Removed,
};

/// Between tries to remove a container that could not be removed, and how many there are: what is left then is removed
/// at the session's end.
const REMOVE_AGAIN: Duration = Duration::from_secs(2);
const REMOVE_TRIES: u32 = 30;

/// Whether the session of some labels is dead.
pub(super) type IsDead = Arc<dyn Fn(&Labels) -> bool + Send + Sync>;

/// The exit code, once it has ended.
type End = Shared<BoxFuture<'static, EngineResult<Option<i64>>>>;

/// A container that was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    id: String,
    grace: Duration,
    /// The name that it gets when it starts.
    fixed_name: Option<String>,
    /// The engine removes it when it ends (`--rm`).
    auto_remove: bool,
    /// Asked for when it was started, and not again: one that the engine removes at its end tells its exit code to those
    /// who have asked by then.
    end: Option<End>,
}

impl Made {
    pub(super) fn new(id: String, grace: Duration, fixed_name: Option<String>) -> Self {
        Self { id, grace, fixed_name, auto_remove: false, end: None }
    }

    /// The engine removes it when it ends.
    pub(super) fn auto_remove(self, auto_remove: bool) -> Self {
        Self { auto_remove, ..self }
    }
}

/// A session's containers, by their servers.
pub(super) struct MadeContainers<E> {
    engine: E,
    session: Uuid,
    made: Mutex<BTreeMap<ServerId, Made>>,
    /// Held while a container is renamed, or one that may be renamed is removed: renamed while it is removed, an engine
    /// (20.10) lists it for ever, and can't remove it any more.
    renaming: tokio::sync::Mutex<()>,
    is_dead: IsDead,
    /// The exit code of the one that ended last, if nobody stopped it.
    exit_code: Mutex<Option<i64>>,
}

impl<E: Engine> MadeContainers<E> {
    /// `is_dead`: the session of these labels is dead.
    pub(super) fn new(engine: E, session: Uuid, is_dead: impl Fn(&Labels) -> bool + Send + Sync + 'static) -> Self {
        Self {
            engine,
            session,
            made: Mutex::default(),
            renaming: tokio::sync::Mutex::default(),
            is_dead: Arc::new(is_dead),
            exit_code: Mutex::default(),
        }
    }

    pub(super) fn insert(&self, server: ServerId, made: Made) {
        lock(&self.made).insert(server, made);
    }

    pub(super) fn has(&self, server: ServerId) -> bool {
        lock(&self.made).contains_key(&server)
    }

    /// All there are, started or not.
    pub(super) fn ids(&self) -> Vec<String> {
        lock(&self.made).values().map(|made| made.id.clone()).collect()
    }

    /// The container's id.
    pub(super) fn id(&self, server: ServerId) -> Option<String> {
        self.made(server).map(|made| made.id)
    }

    /// The exit code of the container that ended last, if it did so by itself.
    pub(super) fn exit_code(&self) -> Option<i64> {
        *lock(&self.exit_code)
    }

    /// Whether the session of these labels is dead.
    pub(super) fn is_dead(&self) -> IsDead {
        Arc::clone(&self.is_dead)
    }

    fn made(&self, server: ServerId) -> Option<Made> {
        lock(&self.made).get(&server).cloned()
    }

    /// The container of the one is the other's now.
    pub(super) fn again(&self, old: ServerId, server: ServerId) -> Result<(), Failed> {
        let mut made = lock(&self.made);
        let kept = made.remove(&old).ok_or_else(|| Failed::new("the container that was kept is gone"))?;
        made.insert(server, kept);
        Ok(())
    }

    /// Starts a server's container. Nothing is left when it fails.
    pub(super) async fn start(&self, server: ServerId, give_up: &CancellationToken) -> Result<Streams, Failed> {
        let Some(made) = self.made(server) else { return Err(Failed::new("its container is gone")) };
        if give_up.is_cancelled() {
            self.forget(server).await;
            return Err(Failed::new("it is not wanted any more"));
        }
        let started = self.start_made(server, made).await;
        if started.is_err() {
            self.forget(server).await;
        }
        started
    }

    async fn start_made(&self, server: ServerId, made: Made) -> Result<Streams, Failed> {
        let id = made.id.clone();
        if let Some(name) = &made.fixed_name {
            self.claim(&id, name).await?;
        }
        let attached = self.engine.attach(&id).await?;
        self.engine.start(&id).await?;
        tracing::debug!("server {} is container {}", server.0, short(&id));
        let engine = self.engine.clone();
        let end = async move { engine.wait(&id).await }.boxed().shared();
        self.insert(server, Made { end: Some(end), ..made });
        let output = attached.output.map(|chunk| chunk.map_err(io::Error::other));
        Ok(Streams { input: attached.input, output: output.boxed() })
    }

    /// Gives a container the name that is meant for it. This session's earlier one, which has ended, gives it up; one
    /// whose session is dead is removed.
    async fn claim(&self, id: &str, name: &str) -> Result<(), Failed> {
        let _alone = self.renaming.lock().await;
        if let Some((holder, labels)) = self.engine.find_by_name(name).await? {
            let own = labels.managed() && labels.session() == Some(self.session);
            let freed = if holder == id {
                return Ok(());
            } else if own && self.is_kept(&holder) {
                self.engine.rename(&holder, &format!("{name}-{}", short(&holder))).await
            } else if own || (labels.managed() && (self.is_dead)(&labels)) {
                self.engine.remove(&holder).await
            } else {
                Ok(()) // the engine says who has it
            };
            match freed {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.engine.rename(id, name).await?)
    }

    /// Whether a container may be started again, and so nobody removes it now: not the engine either.
    fn is_kept(&self, id: &str) -> bool {
        lock(&self.made).values().any(|made| made.id == id && !made.auto_remove)
    }

    /// Waits until a container has ended; how it did, in words.
    pub(super) async fn ended(&self, server: ServerId) -> String {
        let Some(Made { id, end: Some(end), .. }) = self.made(server) else { return "its container is gone".into() };
        match end.await {
            Ok(code) => {
                let (code, words) = self.how_it_ended(&id, code).await;
                *lock(&self.exit_code) = code;
                words
            }
            Err(error) => format!("the engine does not tell what became of it: {error}"),
        }
    }

    /// How a container ended: its exit code, and all of it in words.
    async fn how_it_ended(&self, id: &str, code: Option<i64>) -> (Option<i64>, String) {
        match self.engine.inspect(id).await {
            Ok(Some(details)) => {
                let memory = if details.out_of_memory { ", out of memory" } else { "" };
                let code = details.exit_code.or(code);
                let words = exit_words(code);
                match details.error.filter(|error| !error.is_empty()) {
                    Some(error) => (code, format!("{words}{memory} ({error})")),
                    None => (code, format!("{words}{memory}")),
                }
            }
            Ok(None) if code.is_none() => (code, "its container was removed".into()),
            Ok(None) | Err(_) => (code, exit_words(code)),
        }
    }

    /// Ends a container: its stop signal, the grace period, kill; once `hurry` is cancelled, kill. How it ended, in words.
    pub(super) async fn stop(&self, server: ServerId, hurry: &CancellationToken) -> String {
        let Some(Made { id, grace, .. }) = self.made(server) else { return "its container is gone".into() };
        let stopped = tokio::select! {
            stopped = self.engine.stop(&id, grace) => stopped,
            () = hurry.cancelled() => self.engine.kill(&id).await,
        };
        let stopped = match stopped {
            Ok(()) => Ok(()),
            Err(_) => self.engine.kill(&id).await,
        };
        *lock(&self.exit_code) = None;
        match stopped {
            Ok(()) => self.how_it_ended(&id, None).await.1,
            Err(error) => format!("it could not be stopped: {error}"),
        }
    }

    /// Removes a container that has ended or never began.
    pub(super) async fn forget(&self, server: ServerId) {
        let made = lock(&self.made).remove(&server);
        let Some(Made { id, fixed_name, .. }) = made else { return };
        let _alone = match fixed_name {
            Some(_) => Some(self.renaming.lock().await),
            None => None,
        };
        if let Err(error) = self.remove(&id).await {
            tracing::warn!("container {} could not be removed: {error}", short(&id));
        }
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.engine.remove(id).await {
                Err(error) if tries < REMOVE_TRIES => {
                    tracing::debug!("container {} could not be removed yet: {error}", short(id));
                    tokio::time::sleep(REMOVE_AGAIN).await;
                }
                result => return result,
            }
        }
    }
}

/// What is left at the end of a session is an error.
pub(super) fn nothing_left(ended: EngineResult<Removed>) -> Result<(), Error> {
    let hint = "`mcpmon cleanup` removes what this session left, once it has ended and the engine answers";
    let left = ended.map_err(|error| Error::from(error).hint(hint))?.failed;
    match left.as_slice() {
        [] => Ok(()),
        [(id, error), ..] => {
            let (number, id) = (left.len(), short(id));
            Err(Error::failed(format!("{number} containers could not be removed, {id} for one: {error}")).hint(hint))
        }
    }
}
