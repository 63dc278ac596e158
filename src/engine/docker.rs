//! The engine over its HTTP API: [`Docker`] is the one implementation of [`Engine`].
//! It must not decide anything; it carries calls out, with a time limit each, and sorts what comes back.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::mpsc;

use self::open::ApiVersion;
use super::{
    Attached, ByteStream, ContainerDetails, ContainerFacts, CreateContainer, Engine, EngineEvent, EngineInfo,
    EngineResult, EngineStream, LogChunk, LogOptions, PathKind, connect, create,
};
use crate::model::{
    Labels, ObservedContainer,
    observed::{ObservedImage, ObservedResource},
    settings::ExecHook,
    spec::NetworkAttachment,
    target::{NetworkSpec, VolumeSpec},
};

mod answers;
mod archive;
mod attach;
mod containers;
mod errors;
mod exec;
mod inherited;
mod membership;
mod open;
mod resources;
mod streams;
mod wire;

pub(super) use errors::unreachable_hint;

/// A connection to an engine. Clones share it.
#[derive(Clone)]
pub struct Docker {
    shared: Arc<Shared>,
}

struct Shared {
    client: bollard::Docker,
    api: ApiVersion,
    info: EngineInfo,
    origin: connect::Origin,
    /// Where it listens, if that is a socket in the file system.
    socket: Option<PathBuf>,
    call_limit: Duration,
    /// Labels of images by their ids, which never change.
    image_labels: inherited::ImageLabels,
}

impl Docker {
    /// Connects to the engine that this environment means ([`connect::resolve`]); one call, `/version`.
    /// `call_limit` is what a single call may take; stopping adds the grace period to it.
    ///
    /// # Errors
    /// `Unreachable` or `Denied`, with what to check; `Timeout`.
    pub async fn connect(environment: &BTreeMap<String, String>, call_limit: Duration) -> EngineResult<Self> {
        let place = connect::resolve(environment, &|path| std::fs::read(path))?;
        open::open(place, call_limit).await.map(|shared| Self { shared: Arc::new(shared) })
    }

    /// Who named this engine: a variable, a context, or nobody.
    pub fn origin(&self) -> &connect::Origin {
        &self.shared.origin
    }
}

impl std::fmt::Debug for Docker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Docker").field("info", &self.shared.info).finish_non_exhaustive()
    }
}

impl Engine for Docker {
    fn info(&self) -> EngineInfo {
        self.shared.info.clone()
    }

    async fn clock(&self) -> EngineResult<SystemTime> {
        self.engine_clock().await
    }

    async fn list(&self, labels: &[(&str, Option<&str>)]) -> EngineResult<Vec<ObservedContainer>> {
        self.list_containers(labels).await
    }

    async fn find_by_name(&self, name: &str) -> EngineResult<Option<(String, Labels)>> {
        self.find_container(name).await
    }

    async fn inspect(&self, id: &str) -> EngineResult<Option<ContainerDetails>> {
        self.inspect_container(id).await
    }

    async fn create(&self, container: &CreateContainer<'_>) -> EngineResult<String> {
        self.create_container(container).await
    }

    async fn start(&self, id: &str) -> EngineResult<()> {
        self.start_container(id).await
    }

    async fn wait(&self, id: &str) -> EngineResult<Option<i64>> {
        self.wait_for_container(id).await
    }

    async fn stop(&self, id: &str, grace: Duration) -> EngineResult<()> {
        self.stop_container(id, grace).await
    }

    async fn restart(&self, id: &str, grace: Duration) -> EngineResult<()> {
        self.restart_container(id, grace).await
    }

    async fn kill(&self, id: &str) -> EngineResult<()> {
        self.kill_container(id).await
    }

    async fn remove(&self, id: &str) -> EngineResult<()> {
        self.remove_container(id, true).await
    }

    async fn remove_without_volumes(&self, id: &str) -> EngineResult<()> {
        self.remove_container(id, false).await
    }

    async fn rename(&self, id: &str, name: &str) -> EngineResult<()> {
        self.rename_container(id, name).await
    }

    async fn unpause(&self, id: &str) -> EngineResult<()> {
        self.unpause_container(id).await
    }

    async fn image(&self, reference: &str) -> EngineResult<Option<ObservedImage>> {
        self.find_image(reference).await
    }

    async fn networks(&self, label: (&str, &str)) -> EngineResult<BTreeMap<String, ObservedResource>> {
        self.list_networks(label).await
    }

    async fn find_network(&self, name: &str) -> EngineResult<Option<ObservedResource>> {
        self.look_at_network(name).await
    }

    async fn create_network(
        &self,
        name: &str,
        spec: &NetworkSpec,
        labels: &BTreeMap<String, String>,
    ) -> EngineResult<()> {
        self.make_network(name, spec, labels).await
    }

    async fn leave_network(&self, id: &str, network: &str) -> EngineResult<()> {
        self.disconnect_network(id, network).await
    }

    async fn join_network(
        &self,
        id: &str,
        network: &str,
        attachment: &NetworkAttachment,
        alias: &str,
    ) -> EngineResult<()> {
        self.connect_network(id, network, create::endpoint(network, attachment, alias)).await
    }

    async fn remove_network(&self, name: &str) -> EngineResult<()> {
        self.delete_network(name).await
    }

    async fn volumes(&self, label: (&str, &str)) -> EngineResult<BTreeMap<String, ObservedResource>> {
        self.list_volumes(label).await
    }

    async fn find_volume(&self, name: &str) -> EngineResult<Option<ObservedResource>> {
        self.look_at_volume(name).await
    }

    async fn create_volume(
        &self,
        name: &str,
        spec: &VolumeSpec,
        labels: &BTreeMap<String, String>,
    ) -> EngineResult<()> {
        self.make_volume(name, spec, labels).await
    }

    async fn remove_volume(&self, name: &str) -> EngineResult<()> {
        self.delete_volume(name).await
    }

    fn logs(&self, id: &str, options: LogOptions) -> EngineStream<LogChunk> {
        self.container_logs(id, options)
    }

    fn events(&self, label: (&str, Option<&str>), since: Option<i64>) -> EngineStream<EngineEvent> {
        self.engine_events(label, since)
    }

    async fn look_at_path(&self, id: &str, path: &str) -> EngineResult<Option<PathKind>> {
        self.path_kind(id, path).await
    }

    async fn put_archive(&self, id: &str, folder: &str, tar: ByteStream) -> EngineResult<()> {
        self.upload(id, folder, tar).await
    }

    async fn read_file(&self, id: &str, path: &str) -> EngineResult<Option<Vec<u8>>> {
        self.download_file(id, path).await
    }

    async fn facts(&self, id: &str) -> EngineResult<ContainerFacts> {
        self.container_facts(id).await
    }

    async fn exec(&self, id: &str, hook: &ExecHook, output: Option<mpsc::Sender<LogChunk>>) -> EngineResult<i64> {
        self.run_in_container(id, hook, output).await
    }

    async fn attach(&self, id: &str) -> EngineResult<Attached> {
        self.attach_container(id).await
    }
}
