//! The same container by the engine's API alone: created, attached, started, opened, called, until its first answer. What
//! a reload can't be quicker than, by much.

use std::{collections::HashMap, time::Instant};

use bollard::{
    Docker,
    container::{AttachContainerResults, LogOutput},
    models::{ContainerCreateBody, HostConfig, HostConfigLogConfig},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::{
    calls::{self, Era, HANDSHAKE, INITIALIZE, INITIALIZED, Said},
    peer::LIMIT,
};
use crate::{
    corner::{Corner, IMAGE},
    run::Outcome,
};

/// A connection to the engine.
pub(crate) struct Direct {
    runtime: tokio::runtime::Runtime,
    docker: Docker,
}

impl Direct {
    /// To the engine that the environment names.
    pub(crate) fn connect() -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let docker = Docker::connect_with_defaults().map_err(|error| format!("the engine: {error}"))?;
        Ok(Self { runtime, docker })
    }

    /// Milliseconds from nothing to the first answer of `greet`. The container is gone afterwards.
    pub(crate) fn first_answer(&self, corner: &Corner, command: &[&str], bind: &str) -> Outcome<f64> {
        let label = corner.label();
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(command.iter().map(ToString::to_string).collect()),
            labels: Some(HashMap::from([label])),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(HostConfig {
                init: Some(true),
                network_mode: Some("none".to_owned()),
                binds: Some(vec![bind.to_owned()]),
                log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        self.runtime.block_on(async {
            let began = Instant::now();
            let made = self.docker.create_container(None::<CreateContainerOptions>, body).await;
            let id = made.map_err(|error| format!("create: {error}"))?.id;
            let answered = tokio::time::timeout(LIMIT, self.answered(&id)).await;
            let took = began.elapsed();
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let removed = self.docker.remove_container(&id, Some(options)).await;
            answered.map_err(|_| format!("no answer within {LIMIT:?}"))??;
            removed.map_err(|error| format!("remove: {error}"))?;
            Ok(took.as_secs_f64() * 1000.0)
        })
    }

    async fn answered(&self, id: &str) -> Outcome<()> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true).build();
        let attached = self.docker.attach_container(id, Some(options)).await;
        let AttachContainerResults { mut output, mut input } = attached.map_err(|error| format!("attach: {error}"))?;
        let started = self.docker.start_container(id, None::<StartContainerOptions>).await;
        started.map_err(|error| format!("start: {error}"))?;
        let mut read = Vec::new();
        let call = calls::call(Era::Legacy, 1, "greet", "{}");
        for (number, line, then) in [(HANDSHAKE, INITIALIZE, INITIALIZED), (1, call.as_str(), "")] {
            input.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
            loop {
                if let Some(end) = memchr::memchr(b'\n', &read) {
                    let line: Vec<u8> = read.drain(..=end).collect();
                    match calls::answer(&line)? {
                        Some((id, Said::Text(_))) if id == number => break,
                        Some((_, Said::Error(error))) => return Err(error),
                        _ => continue,
                    }
                }
                match output.next().await {
                    Some(Ok(LogOutput::StdOut { message })) => read.extend_from_slice(&message),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err("the container's output has ended".into()),
                }
            }
            input.write_all(then.as_bytes()).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
