//! The container engine behind a narrow trait: what mcpmon needs of it, in mcpmon's words.
//! Nothing outside this folder knows bollard, HTTP, or the docker CLI.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::{io::AsyncWrite, sync::mpsc};

use crate::model::{
    ContainerSpec, Labels, ObservedContainer,
    observed::{ObservedImage, ObservedResource},
    settings::ExecHook,
    spec::NetworkAttachment,
    target::{Build, NetworkSpec, VolumeSpec},
};

pub mod cli;
pub mod connect;
pub mod create;
pub mod docker;
pub mod error;
pub mod resume;

pub use error::EngineError;

/// What an engine call gives.
pub type EngineResult<T> = Result<T, EngineError>;

/// A stream of results; ends on an error.
pub type EngineStream<T> = Pin<Box<dyn Stream<Item = EngineResult<T>> + Send>>;

/// What mcpmon asks of a container engine. Each call has its own time limit; a call on something
/// that is gone (404) or is just going (409) is no error where its end is what was wanted.
pub trait Engine: Clone + Send + Sync + 'static {
    /// Who answers, once per connection.
    fn info(&self) -> EngineInfo;

    /// What its clock says: the one by which containers were created.
    fn clock(&self) -> impl Future<Output = EngineResult<SystemTime>> + Send;

    /// Containers that carry all these labels (`value` none: any value), in any state. What a container has of
    /// mcpmon's labels by its image alone (somebody has committed one of mcpmon's containers) does not count.
    fn list(
        &self,
        labels: &[(&str, Option<&str>)],
    ) -> impl Future<Output = EngineResult<Vec<ObservedContainer>>> + Send;
    /// The id and labels of the container of that name, whoever made it.
    fn find_by_name(&self, name: &str) -> impl Future<Output = EngineResult<Option<(String, Labels)>>> + Send;
    /// State, exit code and health of one container; none = gone.
    fn inspect(&self, id: &str) -> impl Future<Output = EngineResult<Option<ContainerDetails>>> + Send;
    /// Makes a container; gives its id. Nothing is left when it fails.
    fn create(&self, container: &CreateContainer<'_>) -> impl Future<Output = EngineResult<String>> + Send;
    /// Starts it; one that runs already is fine.
    fn start(&self, id: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// Waits until it does not run; one that is gone has ended too. Without a time limit. Gives the exit code where the
    /// engine tells it.
    fn wait(&self, id: &str) -> impl Future<Output = EngineResult<Option<i64>>> + Send;
    /// Asks it to stop, kills it after `grace`; returns when it has ended.
    fn stop(&self, id: &str, grace: Duration) -> impl Future<Output = EngineResult<()>> + Send;
    /// Stops it as [`Self::stop`] does, then starts it; one that the engine removes when it ends stays (before API 1.42 not
    /// for certain).
    fn restart(&self, id: &str, grace: Duration) -> impl Future<Output = EngineResult<()>> + Send;
    /// Kills it; one that is not running is fine.
    fn kill(&self, id: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// Removes it with its anonymous volumes, killing it when it still runs; returns when it is gone.
    fn remove(&self, id: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// The same, but its volumes stay, anonymous ones too.
    fn remove_without_volumes(&self, id: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// Gives it another name.
    fn rename(&self, id: &str, name: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// Goes on after a pause.
    fn unpause(&self, id: &str) -> impl Future<Output = EngineResult<()>> + Send;

    /// What the engine has for an image reference.
    fn image(&self, reference: &str) -> impl Future<Output = EngineResult<Option<ObservedImage>>> + Send;

    /// Networks that carry the label, by name.
    fn networks(
        &self,
        label: (&str, &str),
    ) -> impl Future<Output = EngineResult<BTreeMap<String, ObservedResource>>> + Send;
    /// The network of that very name, whoever made it.
    fn find_network(&self, name: &str) -> impl Future<Output = EngineResult<Option<ObservedResource>>> + Send;
    /// Makes a network.
    fn create_network(
        &self,
        name: &str,
        spec: &NetworkSpec,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = EngineResult<()>> + Send;
    /// Takes a container off a network, running or not; the ports that it published there are free when this returns.
    /// One that is not on it is fine.
    fn leave_network(&self, id: &str, network: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// Puts a container on a network, as at its creation. `alias`: one more besides those of the attachment.
    fn join_network(
        &self,
        id: &str,
        network: &str,
        attachment: &NetworkAttachment,
        alias: &str,
    ) -> impl Future<Output = EngineResult<()>> + Send;
    /// Removes a network.
    fn remove_network(&self, name: &str) -> impl Future<Output = EngineResult<()>> + Send;
    /// Volumes that carry the label, by name.
    fn volumes(
        &self,
        label: (&str, &str),
    ) -> impl Future<Output = EngineResult<BTreeMap<String, ObservedResource>>> + Send;
    /// The volume of that name, whoever made it.
    fn find_volume(&self, name: &str) -> impl Future<Output = EngineResult<Option<ObservedResource>>> + Send;
    /// Makes a volume.
    fn create_volume(
        &self,
        name: &str,
        spec: &VolumeSpec,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = EngineResult<()>> + Send;
    /// Removes a volume.
    fn remove_volume(&self, name: &str) -> impl Future<Output = EngineResult<()>> + Send;

    /// What it printed. Chunks are not lines.
    fn logs(&self, id: &str, options: LogOptions) -> EngineStream<LogChunk>;
    /// What happens on the engine to containers with that label, from `since` (nanoseconds since the
    /// epoch, inclusive) or from the moment of this call on. What happens to networks and volumes comes
    /// whoever's they are: engines do not put labels into those events. Ends with an error when the connection is cut: connect
    /// again with the last event's time and look at everything again.
    fn events(&self, label: (&str, Option<&str>), since: Option<i64>) -> EngineStream<EngineEvent>;
    /// What lies at an absolute path in a container, running or not; none = nothing. A link is not followed.
    fn look_at_path(&self, id: &str, path: &str) -> impl Future<Output = EngineResult<Option<PathKind>>> + Send;
    /// Unpacks a tar into a folder of a container, running or not: what is at an entry's path is replaced, a folder by a
    /// folder is kept with what is in it. The engine goes through the entries in order and stops at the first that fails.
    fn put_archive(&self, id: &str, folder: &str, tar: ByteStream) -> impl Future<Output = EngineResult<()>> + Send;
    /// A file of a container, running or not, up to 1 MiB of it; none = there is none.
    fn read_file(&self, id: &str, path: &str) -> impl Future<Output = EngineResult<Option<Vec<u8>>>> + Send;
    /// What a container was made with, as far as copying into it needs that.
    fn facts(&self, id: &str) -> impl Future<Output = EngineResult<ContainerFacts>> + Send;
    /// Runs a command in a running container until it ends; gives its exit code. What it prints goes to `output`, as fast
    /// as that is read. Without a time limit: dropped, the command goes on by itself.
    fn exec(
        &self,
        id: &str,
        hook: &ExecHook,
        output: Option<mpsc::Sender<LogChunk>>,
    ) -> impl Future<Output = EngineResult<i64>> + Send;

    /// A running container's stdin and output.
    fn attach(&self, id: &str) -> impl Future<Output = EngineResult<Attached>> + Send;
}

/// The docker CLI, for what it does better than the API: builds (BuildKit) and pulls (its logins).
/// Output lines go to `progress` as they come. No time limit: they end when they end, or when dropped.
pub trait Images: Clone + Send + Sync + 'static {
    /// `docker build`; the image is tagged `tag` and carries `labels`.
    fn build(
        &self,
        build: &Build,
        tag: &str,
        labels: &BTreeMap<String, String>,
        progress: impl FnMut(&str) + Send,
    ) -> impl Future<Output = EngineResult<()>> + Send;
    /// `docker pull`.
    fn pull(&self, reference: &str, progress: impl FnMut(&str) + Send)
    -> impl Future<Output = EngineResult<()>> + Send;
}

/// A time as engines take it: whole seconds, rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))).unwrap_or(i64::MAX)
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Where (`unix:///var/run/docker.sock`).
    pub address: String,
    /// Engine version (`20.10.24`).
    pub version: String,
    /// API version spoken (`1.41`).
    pub api_version: String,
}

/// What [`Engine::create`] makes.
#[derive(Debug, Clone, Copy)]
pub struct CreateContainer<'a> {
    /// The name it gets.
    pub name: &'a str,
    /// What it is made of.
    pub spec: &'a ContainerSpec,
    /// One more network alias besides those of the spec: the target's name.
    pub alias: &'a str,
    /// All labels: the user's and mcpmon's.
    pub labels: &'a BTreeMap<String, String>,
    /// The first one who attaches is the only one: when that connection ends (its owner is dead, say), the container's
    /// stdin ends too.
    pub stdin_once: bool,
}

/// What [`Engine::inspect`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerDetails {
    /// Runs (also while paused or restarting).
    pub running: bool,
    /// What it does.
    pub state: crate::model::State,
    /// Exit code of the last end.
    pub exit_code: Option<i64>,
    /// Health.
    pub health: crate::model::Health,
    /// The last health check's output, where there is one.
    pub health_log: Option<String>,
    /// Why the engine could not start it.
    pub error: Option<String>,
    /// When it was started last.
    pub started_at: Option<std::time::SystemTime>,
    /// Killed for lack of memory.
    pub out_of_memory: bool,
    /// Published ports: (container port, host address) pairs.
    pub published: Vec<(u16, std::net::SocketAddr)>,
}

/// What [`Engine::facts`] tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// The user it runs as, as it was asked for (`""`, `1000:1000`, `node`).
    pub user: String,
    /// Folders of the engine's host in it: where it is there, and where here.
    pub binds: Vec<(String, String)>,
    /// Where memory is mounted.
    pub memory: Vec<String>,
    /// Where anything is mounted, and whether the container can write it.
    pub mounts: Vec<(String, bool)>,
    /// Its volumes without a name of their own.
    pub anonymous: Vec<String>,
    /// Its root file system can't be written.
    pub read_only: bool,
}

/// What lies at a path in a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// A folder.
    Folder,
    /// A link to something.
    Link,
    /// A file, a device, …
    File,
}

/// Bytes on their way to the engine. An error ends the call.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::io::Result<Bytes>> + Send>>;

/// Which log lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOptions {
    /// Stay and give what comes.
    pub follow: bool,
    /// Only the last so many lines; none = all.
    pub tail: Option<usize>,
    /// Only what is newer (seconds since the epoch).
    pub since: Option<i64>,
    /// With the time before each message (RFC 3339, nanoseconds, one space). A message is a line, or a
    /// piece of 16 KiB of a longer one.
    pub timestamps: bool,
}

/// A piece of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// From stderr.
    pub stderr: bool,
    /// The bytes.
    pub bytes: Bytes,
}

/// Something happened on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// Nanoseconds since the epoch.
    pub time: i64,
    /// `container`, `network`, `volume`, `image`.
    pub kind: String,
    /// `start`, `die`, `health_status: healthy`, …
    pub action: String,
    /// Id (containers) or name.
    pub id: String,
    /// Name where the engine told it.
    pub name: Option<String>,
    /// Labels and the engine's attributes (`exitCode`).
    pub attributes: Labels,
}

/// A running container's stdin and output. Drain the output always; never write from the task that reads.
pub struct Attached {
    /// Its stdin.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its stdout and stderr.
    pub output: EngineStream<LogChunk>,
}
