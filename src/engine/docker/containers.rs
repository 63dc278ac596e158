//! Containers: list, look, make, start, stop, remove.

use std::time::{Duration, SystemTime};

use bollard::query_parameters::{
    CreateContainerOptions, KillContainerOptions, RemoveContainerOptions, RenameContainerOptions,
    RestartContainerOptions, StopContainerOptions,
};
use tokio::time::Instant;

use super::{
    Docker,
    answers::{Image, Info, Inspected, Summary, Waited},
    errors,
    open::ApiVersion,
    wire,
};
use crate::{
    engine::{
        ContainerDetails, CreateContainer, EngineError, EngineResult,
        create::{self, Abilities, Creation},
        whole_seconds,
    },
    model::{Labels, ObservedContainer},
};

impl Docker {
    pub(super) async fn list_containers(
        &self,
        labels: &[(&str, Option<&str>)],
    ) -> EngineResult<Vec<ObservedContainer>> {
        let path = format!("/containers/json?all=true&filters={}", label_filter(labels));
        let found: Vec<Summary> = self.get("listing containers", &path).await?;
        self.without_inherited(found.into_iter().map(Summary::observed).collect()).await
    }

    pub(super) async fn engine_clock(&self) -> EngineResult<SystemTime> {
        let operation = "asking the container engine for its time";
        let info: Info = self.get(operation, "/info").await?;
        info.time().ok_or_else(|| EngineError::Other { status: None, message: format!("{operation}: it tells none") })
    }

    pub(super) async fn find_container(&self, name: &str) -> EngineResult<Option<(String, Labels)>> {
        // The engine takes the beginning of an id for a name too.
        let found = self.look(name).await?.filter(|found| found.is_called(name));
        Ok(found.map(|found| (found.id.clone(), found.labels())))
    }

    pub(super) async fn inspect_container(&self, id: &str) -> EngineResult<Option<ContainerDetails>> {
        Ok(self.look(id).await?.map(Inspected::details))
    }

    /// What the engine knows about a container; none = gone.
    pub(super) async fn look(&self, id: &str) -> EngineResult<Option<Inspected>> {
        let path = format!("/containers/{}/json", wire::encode(id));
        self.find(&format!("looking at container {}", short(id)), &path).await
    }

    pub(super) async fn find_image(
        &self,
        reference: &str,
    ) -> EngineResult<Option<crate::model::observed::ObservedImage>> {
        // Slashes stay: the engine's route takes the whole rest as the name.
        let name: Vec<String> = reference.split('/').map(wire::encode).collect();
        let path = format!("/images/{}/json", name.join("/"));
        let found: Option<Image> = self.find(&format!("looking for image {reference}"), &path).await?;
        Ok(found.map(|found| {
            self.know_labels(&found);
            found.observed()
        }))
    }

    pub(super) async fn create_container(&self, container: &CreateContainer<'_>) -> EngineResult<String> {
        let abilities = Abilities {
            several_networks: self.shared.api >= ApiVersion(1, 44),
            create_mountpoint: self.shared.api >= ApiVersion(1, 42),
        };
        let Creation { mut body, connect } = create::creation(container, abilities);
        if let Some(options) = body.host_config.as_mut().and_then(|config| config.security_opt.as_mut()) {
            read_seccomp_profiles(options)?;
        }
        let name = container.name;
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
        let made =
            self.call(&format!("creating container {name}"), self.client().create_container(Some(options), body)).await;
        let id = match made {
            Ok(made) => made.id,
            Err(EngineError::NameTaken(_)) => return Err(self.name_taken(name).await),
            // Cut off or too late: the engine may have made it all the same.
            Err(error @ (EngineError::Timeout { .. } | EngineError::Unreachable { .. })) => {
                self.undo(name, container).await;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        for (network, settings) in connect {
            let connected = self.connect_network(&id, &network, settings).await;
            if let Err(error) = connected {
                if let Err(left) = self.remove_container(&id, true).await {
                    tracing::warn!("container {name} could not be removed after a failed connection: {left}");
                }
                return Err(error);
            }
        }
        Ok(id)
    }

    /// Removes what an unanswered create call may have made: only what has the name and every label asked for.
    async fn undo(&self, name: &str, container: &CreateContainer<'_>) {
        if let Ok(Some((id, labels))) = self.find_container(name).await
            && container.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && !container.labels.is_empty()
        {
            let _ = self.remove_container(&id, true).await; // the first error is the one to tell
        }
    }

    async fn name_taken(&self, name: &str) -> EngineError {
        let holder = self.find_container(name).await.ok().flatten();
        EngineError::NameTaken(match holder {
            Some((id, labels)) => {
                let whose = match (labels.managed(), labels.project(), labels.target()) {
                    (true, Some(project), Some(target)) => format!("target {target} of project {project}"),
                    (true, ..) => "another mcpmon session's".to_owned(),
                    (false, ..) => "not made by mcpmon".to_owned(),
                };
                format!("the name {name} is taken by container {} ({whose})", short(&id))
            }
            None => format!("the name {name} is taken by another container"),
        })
    }

    pub(super) async fn start_container(&self, id: &str) -> EngineResult<()> {
        let started =
            self.call(&format!("starting container {}", short(id)), self.client().start_container(id, None)).await;
        match started {
            Err(EngineError::PortTaken(message)) => Err(EngineError::PortTaken(self.with_holder(message).await)),
            other => other,
        }
    }

    /// Adds who holds a port, where it is another container.
    async fn with_holder(&self, message: String) -> String {
        let port = message.trim_end_matches(" is taken").rsplit(':').next().and_then(|port| port.parse().ok());
        let Some(port) = port else { return message };
        let running: Vec<Summary> = self.get("listing containers", "/containers/json").await.unwrap_or_default();
        match running.into_iter().find(|container| container.publishes(port)) {
            Some(holder) => format!("{message} by container {}", holder.observed().name),
            None => message,
        }
    }

    pub(super) async fn wait_for_container(&self, id: &str) -> EngineResult<Option<i64>> {
        let path = format!("/containers/{}/wait?condition=not-running", wire::encode(id));
        match wire::collect(self.send("POST", &path, None)).await.map_err(|error| errors::sort(error, self.place())) {
            Ok(body) => Ok(serde_json::from_slice::<Waited>(&body).ok().map(|waited| waited.code)),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn stop_container(&self, id: &str, grace: Duration) -> EngineResult<()> {
        // No time to end by itself: the engine would send two signals, one after the other, and only the second counts.
        if grace.is_zero() {
            return self.kill_container(id).await;
        }
        let seconds = i32::try_from(whole_seconds(grace)).unwrap_or(i32::MAX);
        let options = StopContainerOptions { t: Some(seconds), signal: None };
        let limit = Duration::from_secs(seconds.unsigned_abs().into()).saturating_add(self.call_limit());
        let operation = &format!("stopping container {}", short(id));
        let stopped =
            wire::limited(operation, limit, self.client().stop_container(id, Some(options)), self.place()).await;
        already(stopped)
    }

    pub(super) async fn restart_container(&self, id: &str, grace: Duration) -> EngineResult<()> {
        let seconds = i32::try_from(whole_seconds(grace)).unwrap_or(i32::MAX);
        let options = RestartContainerOptions { t: Some(seconds), signal: None };
        // Two calls' worth of work: a stop and a start.
        let limit = Duration::from_secs(seconds.unsigned_abs().into()).saturating_add(self.call_limit() * 2);
        let operation = &format!("restarting container {}", short(id));
        let restarted = self.client().restart_container(id, Some(options));
        match wire::limited(operation, limit, restarted, self.place()).await {
            Err(EngineError::PortTaken(message)) => Err(EngineError::PortTaken(self.with_holder(message).await)),
            other => other,
        }
    }

    pub(super) async fn kill_container(&self, id: &str) -> EngineResult<()> {
        let options = KillContainerOptions { signal: "SIGKILL".to_owned() };
        let operation = &format!("killing container {}", short(id));
        already(self.call(operation, self.client().kill_container(id, Some(options))).await)
    }

    pub(super) async fn remove_container(&self, id: &str, volumes: bool) -> EngineResult<()> {
        let deadline = Instant::now() + self.call_limit();
        let operation = format!("removing container {}", short(id));
        loop {
            let options = RemoveContainerOptions { force: true, v: volumes, link: false };
            match self.call(&operation, self.client().remove_container(id, Some(options))).await {
                Ok(()) | Err(EngineError::NotFound(_)) => return Ok(()),
                // Somebody else is removing it: wait until that is done, then ask again.
                Err(EngineError::Other { status: Some(409), message }) if message.contains("in progress") => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let path = format!("/containers/{}/wait?condition=removed", wire::encode(id));
                    let gone = wire::collect(self.send("POST", &path, None));
                    match wire::limited(&operation, left, gone, self.place()).await {
                        Ok(_) => {}
                        Err(EngineError::NotFound(_)) => return Ok(()),
                        Err(EngineError::Timeout { operation, .. }) => {
                            return Err(EngineError::Timeout { operation, limit: self.call_limit() });
                        }
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) async fn rename_container(&self, id: &str, name: &str) -> EngineResult<()> {
        let options = RenameContainerOptions { name: name.to_owned() };
        let operation = &format!("renaming container {} to {name}", short(id));
        match self.call(operation, self.client().rename_container(id, options)).await {
            Err(EngineError::NameTaken(_)) => Err(self.name_taken(name).await),
            Err(EngineError::Other { message, .. }) if message.contains("same name as its current name") => Ok(()),
            other => other,
        }
    }

    pub(super) async fn unpause_container(&self, id: &str) -> EngineResult<()> {
        let operation = &format!("unpausing container {}", short(id));
        match self.call(operation, self.client().unpause_container(id)).await {
            Err(EngineError::Other { message, .. }) if message.contains("is not paused") => Ok(()),
            other => other,
        }
    }
}

/// A container that is gone or not running has been stopped already.
fn already(result: EngineResult<()>) -> EngineResult<()> {
    match result {
        Err(EngineError::NotFound(_)) => Ok(()),
        // Docker says 409 "is not running", Podman 500 "can only kill running containers".
        Err(EngineError::Other { message, .. })
            if message.contains("is not running") || message.contains("can only kill running") =>
        {
            Ok(())
        }
        other => other,
    }
}

/// The `filters` value for labels.
pub(super) fn label_filter(labels: &[(&str, Option<&str>)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(key, value)| value.map_or_else(|| (*key).to_owned(), |value| format!("{key}={value}")))
        .collect();
    wire::encode(&serde_json::json!({ "label": labels }).to_string())
}

/// An id as docker shows it; a name stays as it is.
pub(super) fn short(id: &str) -> &str {
    if id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) { &id[..12] } else { id }
}

/// `seccomp=FILE`: the client reads the file and sends what is in it (docker CLI, `parseSecurityOpts`).
fn read_seccomp_profiles(options: &mut [String]) -> EngineResult<()> {
    for option in options {
        let Some(profile) = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:")) else {
            continue;
        };
        if profile == "unconfined" || profile == "builtin" || profile.starts_with('{') {
            continue;
        }
        let text = std::fs::read_to_string(profile).map_err(|error| EngineError::Other {
            status: None,
            message: format!("security_opt: the seccomp profile {profile} can't be read: {error}"),
        })?;
        *option = format!("seccomp={text}");
    }
    Ok(())
}
