//! When a started container can be relied on: its health check says so, its server answers, or,
//! where nobody can tell, it runs. Waits for events; only a port nobody announces is tried again and again.

use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::broadcast,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    engine::{ContainerDetails, Engine, EngineError},
    model::{
        Health, RunTarget, Target,
        probe::{INITIALIZE, is_answer},
        spec::Protocol,
        target::Transport,
    },
};

/// What tells that a target's container is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// The engine's health check.
    Health,
    /// An MCP answer on stdout.
    StdioAnswer,
    /// An HTTP answer on the published port for this container port.
    HttpAnswer(u16),
    /// Nobody can tell: it runs.
    Running,
}

/// Why a container is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotReady {
    /// It ended.
    Ended(String),
    /// It did not become ready in time.
    Late(String),
    /// The engine could not be asked.
    Engine(EngineError),
}

impl std::fmt::Display for NotReady {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ended(text) | Self::Late(text) => f.write_str(text),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

/// What tells that a container of this target is ready. A health check is the user's own word and
/// wins; a server on HTTP can be asked only where a port of it is published.
pub fn evidence(target: &Target, run: &RunTarget) -> Evidence {
    let checked =
        run.spec.healthcheck.as_ref().is_some_and(|check| check.test.as_deref() != Some(&["NONE".to_owned()]));
    let first_tcp = run.spec.ports.iter().find(|port| port.protocol == Protocol::Tcp);
    match (checked, target.mcp.transport, first_tcp) {
        (true, _, _) => Evidence::Health,
        (false, Some(Transport::Stdio), _) => Evidence::StdioAnswer,
        (false, Some(Transport::StreamableHttp), Some(port)) => Evidence::HttpAnswer(port.target),
        _ => Evidence::Running,
    }
}

/// Waits until the started container `id` is ready. `nudges` names containers that something happened to.
pub async fn wait<E: Engine>(
    engine: &E,
    id: &str,
    evidence: Evidence,
    mut nudges: broadcast::Receiver<String>,
    limit: Duration,
) -> Result<(), NotReady> {
    let deadline = Instant::now() + limit;
    let late = |what: &str| NotReady::Late(format!("{what} within {}", humantime::format_duration(limit)));
    match evidence {
        Evidence::Running => running(engine, id).await.map(|_| ()),
        Evidence::Health => loop {
            let details = running(engine, id).await?;
            match details.health {
                Health::Healthy | Health::None => return Ok(()),
                Health::Unhealthy => {
                    let output = details.health_log.map(|log| format!(": {}", log.trim())).unwrap_or_default();
                    return Err(NotReady::Late(format!("its health check says unhealthy{output}")));
                }
                Health::Starting => {}
            }
            next_about(id, &mut nudges, deadline).await.map_err(|()| late("its health check did not say healthy"))?;
        },
        Evidence::StdioAnswer => {
            let answer = async {
                tokio::select! {
                    answered = stdio_answer(engine, id) => answered.map_err(NotReady::Engine),
                    ended = ended(engine, id, &mut nudges) => Err(ended),
                }
            };
            let answered =
                timeout_at(deadline, answer).await.map_err(|_| late("its server did not answer initialize"))??;
            if answered {
                return Ok(());
            }
            running(engine, id).await?;
            Err(NotReady::Ended("its server closed its output without answering initialize".into()))
        }
        Evidence::HttpAnswer(port) => {
            let answer = async {
                tokio::select! {
                    answered = http_answer(engine, id, port) => answered,
                    ended = ended(engine, id, &mut nudges) => Err(ended),
                }
            };
            timeout_at(deadline, answer)
                .await
                .map_err(|_| late(&format!("its server did not answer on port {port}")))?
        }
    }
}

async fn running<E: Engine>(engine: &E, id: &str) -> Result<ContainerDetails, NotReady> {
    let details = engine.inspect(id).await.map_err(NotReady::Engine)?;
    match details {
        None => Err(NotReady::Ended("somebody removed it".into())),
        Some(details) if details.running => Ok(details),
        Some(details) => {
            let memory = if details.out_of_memory { " (out of memory)" } else { "" };
            let code = details.exit_code.map(|code| format!(" with exit code {code}")).unwrap_or_default();
            Err(NotReady::Ended(format!("it ended{code}{memory}")))
        }
    }
}

/// Waits until something happened to the container. A queue that overflowed counts: look again.
async fn next_about(id: &str, nudges: &mut broadcast::Receiver<String>, deadline: Instant) -> Result<(), ()> {
    loop {
        match timeout_at(deadline, nudges.recv()).await.map_err(|_| ())? {
            Ok(name) if name != id => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return Ok(()),
            Err(broadcast::error::RecvError::Closed) => return Err(()),
        }
    }
}

/// Waits until the container has ended.
async fn ended<E: Engine>(engine: &E, id: &str, nudges: &mut broadcast::Receiver<String>) -> NotReady {
    let far = Instant::now() + Duration::from_hours(24);
    loop {
        if let Err(reason) = running(engine, id).await {
            return reason;
        }
        if next_about(id, nudges, far).await.is_err() {
            return NotReady::Ended("the session ends".into());
        }
    }
}

/// Asks over stdin; true when an answer came, false when the output ended first.
async fn stdio_answer<E: Engine>(engine: &E, id: &str) -> Result<bool, EngineError> {
    let mut attached = engine.attach(id).await?;
    let line = format!("{INITIALIZE}\n");
    if attached.input.write_all(line.as_bytes()).await.is_err() || attached.input.flush().await.is_err() {
        return Ok(false);
    }
    let mut seen = Vec::new();
    while let Some(chunk) = attached.output.next().await {
        let chunk = chunk?;
        if chunk.stderr {
            continue;
        }
        seen.extend_from_slice(&chunk.bytes);
        while let Some(end) = seen.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = seen.drain(..=end).collect();
            if is_answer(&line) {
                return Ok(true);
            }
        }
        // A server that prints without line ends is no MCP server; its noise is not kept.
        if seen.len() > 1 << 20 {
            seen.clear();
        }
    }
    Ok(false)
}

/// Between two tries on a port: nobody announces that a server listens.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Tries the published port until something speaks HTTP there.
async fn http_answer<E: Engine>(engine: &E, id: &str, port: u16) -> Result<(), NotReady> {
    let mut pause = FIRST_PAUSE;
    loop {
        let published = running(engine, id).await?.published;
        if let Some((_, address)) = published.iter().find(|(container, _)| *container == port)
            && speaks_http(*address).await
        {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether an HTTP status line comes back. The engine's port proxy accepts before the server listens: a connection alone proves nothing.
async fn speaks_http(address: SocketAddr) -> bool {
    let address =
        if address.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address };
    let request = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{INITIALIZE}",
        INITIALIZE.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut start = [0; 5];
        stream.read_exact(&mut start).await.ok()?;
        Some(start == *b"HTTP/")
    };
    timeout(Duration::from_secs(5), exchange).await.ok().flatten().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        spec::{Healthcheck, Port, Protocol},
        testing::{run, target},
    };

    #[test]
    fn a_health_check_wins_then_the_transport_then_running() {
        let check = |test: Option<&str>| Healthcheck {
            test: test.map(|word| vec![word.to_owned()]),
            interval: None,
            timeout: None,
            retries: None,
            start_period: None,
            start_interval: None,
        };
        let port = Port { host_ip: None, published: 1, target: 80, protocol: Protocol::Tcp };
        let cases = [
            (None, None, false, Evidence::Running),
            (Some(Transport::None), None, true, Evidence::Running),
            (Some(Transport::Stdio), None, true, Evidence::StdioAnswer),
            (Some(Transport::StreamableHttp), None, true, Evidence::HttpAnswer(80)),
            (Some(Transport::StreamableHttp), None, false, Evidence::Running),
            (Some(Transport::Stdio), Some(check(Some("CMD"))), false, Evidence::Health),
            (Some(Transport::Stdio), Some(check(Some("NONE"))), false, Evidence::StdioAnswer),
            (None, Some(check(None)), false, Evidence::Health),
        ];
        for (transport, healthcheck, published, expected) in cases {
            let mut target = target("a", "i");
            target.mcp.transport = transport;
            run(&mut target).spec.healthcheck = healthcheck;
            if published {
                run(&mut target).spec.ports.push(port.clone());
            }
            let inner = run(&mut target).clone();
            assert_eq!(evidence(&target, &inner), expected, "{transport:?} {published}");
        }
    }
}
