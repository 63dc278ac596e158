//! What goes on: events, logs, a container's stdin and output. Without time limits: they end when they end.

use std::time::{SystemTime, UNIX_EPOCH};

use bollard::{
    container::LogOutput,
    errors::Error,
    query_parameters::{AttachContainerOptions, LogsOptions},
};
use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Docker, answers::Event, attach, containers::short, errors, wire, wire::Body};
use crate::engine::{Attached, EngineError, EngineEvent, EngineResult, EngineStream, LogChunk, LogOptions};

/// The health check's own comings and goings say nothing; the health status has an event of its own.
const NOISE: [&str; 3] = ["exec_create", "exec_start", "exec_die"];

impl Docker {
    pub(super) fn engine_events(&self, label: (&str, Option<&str>), since: Option<i64>) -> EngineStream<EngineEvent> {
        // "From now on" is a time too: whatever happens until the engine has the request is then not lost.
        let since = since.unwrap_or_else(now);
        let since = format!("{}.{:09}", since.div_euclid(1_000_000_000), since.rem_euclid(1_000_000_000));
        let label = label.1.map_or_else(|| label.0.to_owned(), |value| format!("{}={value}", label.0));
        // Events of networks and volumes do not carry labels; with a label filter none would ever come.
        let containers = serde_json::json!({ "type": ["container"], "label": [label] });
        let others = serde_json::json!({
            "type": ["network", "volume"],
            "event": ["create", "destroy", "remove", "disconnect"],
        });
        let subscribe = |filter: serde_json::Value| {
            let path = format!("/events?since={since}&filters={}", wire::encode(&filter.to_string()));
            self.event_lines(self.send("GET", &path, None))
        };
        // Both end with an error only. The first one ends the whole: half of the events would be silently missing.
        let both = stream::select(subscribe(containers), subscribe(others));
        stream::try_unfold(both, |mut both| async move { Ok(both.try_next().await?.map(|event| (event, both))) })
            .boxed()
    }

    fn event_lines(&self, body: Body) -> EngineStream<EngineEvent> {
        let docker = self.clone();
        let lines = stream::try_unfold((body, BytesMut::new(), docker), |(mut body, mut buffer, docker)| async move {
            loop {
                if let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                    let line = buffer.split_to(end + 1);
                    if let Some(event) = read_event(&line) {
                        return Ok(Some((event, (body, buffer, docker))));
                    }
                    continue;
                }
                match body.next().await {
                    Some(Ok(piece)) => buffer.extend_from_slice(&piece),
                    Some(Err(error)) => return Err(errors::sort(error, docker.place())),
                    None => {
                        return Err(EngineError::Unreachable {
                            address: docker.place().address.to_owned(),
                            message: "the event stream ended".into(),
                            hint: errors::unreachable_hint(docker.place().origin),
                        });
                    }
                }
            }
        });
        lines.boxed()
    }

    pub(super) fn container_logs(&self, id: &str, options: LogOptions) -> EngineStream<LogChunk> {
        let docker = self.clone();
        let options = LogsOptions {
            follow: options.follow,
            stdout: true,
            stderr: true,
            since: options.since.map_or(0, |since| i32::try_from(since).unwrap_or(i32::MAX)),
            until: 0,
            timestamps: options.timestamps,
            tail: options.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
        };
        self.client()
            .logs(id, Some(options))
            .map_ok(chunk)
            .map_err(move |error| errors::sort(error, docker.place()))
            .boxed()
    }

    pub(super) async fn attach_container(&self, id: &str) -> EngineResult<Attached> {
        let operation = &format!("attaching to container {}", short(id));
        if let Some(socket) = self.socket() {
            let path =
                format!("/v{}/containers/{}/attach?stdin=1&stdout=1&stderr=1&stream=1", self.api(), wire::encode(id));
            let attach = async { attach::attach(socket, &path).await.map_err(|err| Error::IOError { err }) };
            if let Some((input, output)) = self.call(operation, attach).await? {
                let docker = self.clone();
                let output = output.map_err(move |err| errors::sort(Error::IOError { err }, docker.place())).boxed();
                return Ok(Attached { input: Box::pin(input), output });
            }
        }
        let options = AttachContainerOptions {
            stdin: true,
            stdout: true,
            stderr: true,
            stream: true,
            logs: false,
            detach_keys: None,
        };
        let attached = self.call(operation, self.client().attach_container(id, Some(options))).await?;
        let docker = self.clone();
        let output = attached.output.map_ok(chunk).map_err(move |error| errors::sort(error, docker.place())).boxed();
        Ok(Attached { input: attached.input, output })
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn read_event(line: &[u8]) -> Option<EngineEvent> {
    if line.trim_ascii().is_empty() {
        return None;
    }
    match serde_json::from_slice::<Event>(line) {
        Ok(event) => event.read().filter(|event| !NOISE.iter().any(|noise| event.action.starts_with(noise))),
        Err(error) => {
            // Losing one event costs a delay; ending the stream for it would cost all that follow.
            tracing::debug!("an event could not be read: {error}");
            None
        }
    }
}

fn chunk(output: LogOutput) -> LogChunk {
    let stderr = matches!(output, LogOutput::StdErr { .. });
    LogChunk { stderr, bytes: output.into_bytes() }
}
