//! A command in a running container, by the exec API.

use bollard::{
    container::LogOutput,
    exec::{CreateExecOptions, StartExecOptions, StartExecResults},
};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::{Docker, containers::short, errors};
use crate::{
    engine::{EngineError, EngineResult, LogChunk},
    model::settings::ExecHook,
};

impl Docker {
    pub(super) async fn run_in_container(
        &self,
        id: &str,
        hook: &ExecHook,
        output: Option<mpsc::Sender<LogChunk>>,
    ) -> EngineResult<i64> {
        let operation = format!("running a command in container {}", short(id));
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(hook.command.clone()),
            env: Some(hook.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
            privileged: Some(hook.privileged),
            user: hook.user.clone(),
            working_dir: hook.working_dir.clone(),
            ..CreateExecOptions::default()
        };
        let made = self.call(&operation, self.client().create_exec(id, options)).await?;
        let start = StartExecOptions::default();
        let started = self.call(&operation, self.client().start_exec(&made.id, Some(start))).await?;
        if let StartExecResults::Attached { output: mut printed, .. } = started {
            while let Some(chunk) = printed.next().await {
                let chunk = chunk.map_err(|error| errors::sort(error, self.place()))?;
                let stderr = matches!(chunk, LogOutput::StdErr { .. });
                if let Some(output) = &output {
                    // Nobody reads any more: the command goes on all the same.
                    let _ = output.send(LogChunk { stderr, bytes: chunk.into_bytes() }).await;
                }
            }
        }
        let ended = self.call(&operation, self.client().inspect_exec(&made.id)).await?;
        ended.exit_code.ok_or_else(|| EngineError::Other {
            status: None,
            message: format!("the engine does not tell how the command in container {} ended", short(id)),
        })
    }
}
