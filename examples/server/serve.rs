//! The two transports, each until it is asked to end.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use rmcp::{
    ServiceExt as _,
    service::ServerInitializeError,
    transport::{
        io::stdio_pipes,
        streamable_http_server::{
            StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
        },
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::ServiceArguments,
    fixture::complain,
    greeter::Greeter,
    signals::{Ending, runtime},
};

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Serves one client over standard input and output, until input ends or a signal comes.
pub(crate) fn over_stdio(arguments: &ServiceArguments) -> Outcome {
    let greeter = Greeter::load(arguments)?;
    let runtime = runtime()?;
    let outcome = runtime.block_on(async {
        let mut ending = Ending::listen()?;
        let session = async {
            delay_start(arguments).await;
            match greeter.serve(stdio_pipes()).await {
                Ok(running) => {
                    running.waiting().await?;
                    Ok(())
                }
                // A client that leaves before it said anything is no failure of ours.
                Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
                Err(error) => Err(error.into()),
            }
        };
        tokio::select! {
            outcome = session => outcome,
            () = ending.requested() => Ok(()),
        }
    });
    // A read of standard input may still be waiting on a thread that nothing can wake.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Serves any number of clients over Streamable HTTP, until a signal comes.
pub(crate) fn over_http(listen: SocketAddr, allow_host: Vec<String>, arguments: &ServiceArguments) -> Outcome {
    let greeter = Greeter::load(arguments)?;
    runtime()?.block_on(async {
        let mut ending = Ending::listen()?;
        let stop = CancellationToken::new();
        // A web page must not reach the server under a name of its own: only known hosts are answered.
        let mut config = StreamableHttpServerConfig::default();
        config.allowed_hosts.extend(allow_host);
        config.cancellation_token = stop.child_token();
        let service =
            StreamableHttpService::new(move || Ok(greeter.clone()), Arc::new(LocalSessionManager::default()), config);
        let router = Router::new().route("/healthz", get(|| async { "ok\n" })).nest_service("/mcp", service);

        let start = async {
            delay_start(arguments).await;
            tokio::net::TcpListener::bind(listen).await
        };
        let listener = tokio::select! {
            listener = start => {
                listener.map_err(|error| format!("cannot listen on {listen}: {error}"))?
            }
            () = ending.requested() => return Ok(ExitCode::SUCCESS),
        };
        complain(&format!("mcp-server: listening on http://{}/mcp", listener.local_addr()?));
        axum::serve(listener, router)
            .with_graceful_shutdown(async move {
                ending.requested().await;
                stop.cancel();
            })
            .await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A server that takes its time to start, for whoever wants to see how that is borne.
async fn delay_start(arguments: &ServiceArguments) {
    tokio::time::sleep(Duration::from_millis(arguments.start_delay)).await;
}
