//! One server's life, from its preparation to its end, as a task of its own: starting and stopping take the engine
//! hundreds of milliseconds, and frames do not wait for that. Only news come from here; frames never pass through.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::News;
use crate::proxy::{
    server::{Launcher, Streams},
    session::{ServerId, Start},
};

/// Between the end of a server's output and its own end. One that closes its output and stays is of no use.
const AFTER_OUTPUT: Duration = Duration::from_secs(1);

/// What is asked of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Make what it needs before its start.
    Prepare {
        /// Build its image first.
        rebuild: bool,
    },
    /// Start it.
    Start(Start),
    /// End it.
    Stop {
        /// It may be started again.
        keep: bool,
    },
    /// It printed all that it will.
    OutputEnded,
}

/// One server's life.
pub(super) struct Life<L> {
    pub(super) launcher: Arc<L>,
    pub(super) server: ServerId,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// Cancelled when there is no time for a graceful stop.
    pub(super) hurry: CancellationToken,
    pub(super) news: mpsc::UnboundedSender<News>,
}

impl<L: Launcher> Life<L> {
    /// Until its end was told, and nothing is left that nobody will ask for.
    pub(super) async fn live(mut self) {
        let launcher = Arc::clone(&self.launcher);
        let streams = loop {
            let give_up = CancellationToken::new();
            let (begun, unwanted) = match self.orders.recv().await {
                Some(Order::Prepare { rebuild }) => {
                    let prepare = launcher.prepare(self.server, rebuild, &give_up);
                    let (prepared, unwanted) = self.unless_unwanted(prepare, &give_up).await;
                    (prepared.map(|()| None), unwanted)
                }
                Some(Order::Start(how)) => {
                    let start = launcher.start(self.server, how, &give_up);
                    let (started, unwanted) = self.unless_unwanted(start, &give_up).await;
                    (started.map(Some), unwanted)
                }
                Some(Order::OutputEnded) => continue,
                // Only prepared.
                Some(Order::Stop { .. }) | None => return self.never_was(true).await,
            };
            match begun {
                Err(_) if unwanted => return self.never_was(false).await,
                Err(failed) => return self.tell(News::StartFailed(self.server, failed)),
                Ok(None) if unwanted => return self.never_was(true).await,
                Ok(None) => self.tell(News::Prepared(self.server)),
                Ok(Some(streams)) if unwanted => {
                    drop(streams);
                    return self.stop(false, None).await;
                }
                Ok(Some(streams)) => break streams,
            }
        };
        self.run(streams).await;
    }

    /// From its start on.
    async fn run(mut self, streams: Streams) {
        self.tell(News::Started(self.server, streams));
        let launcher = Arc::clone(&self.launcher);
        let mut output_ended = false;
        loop {
            let useless = tokio::time::sleep(AFTER_OUTPUT);
            tokio::select! {
                biased;
                reason = launcher.ended(self.server) => {
                    self.tell(News::Ended(self.server, reason));
                    return launcher.forget(self.server).await;
                }
                order = self.orders.recv() => match order {
                    Some(Order::OutputEnded) => output_ended = true,
                    Some(Order::Stop { keep }) => return self.stop(keep, None).await,
                    Some(Order::Prepare { .. } | Order::Start(_)) => {}
                    None => return self.stop(false, None).await,
                },
                () = useless, if output_ended => return self.stop(false, Some("it closed its output")).await,
            }
        }
    }

    /// Does what is asked; when the server is not wanted any more meanwhile, as soon as that can be given up.
    async fn unless_unwanted<T>(&mut self, doing: impl Future<Output = T>, give_up: &CancellationToken) -> (T, bool) {
        tokio::pin!(doing);
        let mut unwanted = false;
        loop {
            tokio::select! {
                done = &mut doing => return (done, unwanted),
                order = self.orders.recv(), if !unwanted => if matches!(order, Some(Order::Stop { .. }) | None) {
                    unwanted = true;
                    give_up.cancel();
                }
            }
        }
    }

    async fn stop(self, keep: bool, why: Option<&str>) {
        let reason = self.launcher.stop(self.server, keep, &self.hurry).await;
        self.tell(News::Ended(self.server, why.map_or(reason, str::to_owned)));
        if !keep {
            self.launcher.forget(self.server).await;
        }
    }

    async fn never_was(self, prepared: bool) {
        self.tell(News::Ended(self.server, "it was not wanted any more".into()));
        if prepared {
            self.launcher.forget(self.server).await;
        }
    }

    fn tell(&self, told: News) {
        // Nobody listens when the session is over; what is left then is found by whoever finishes it.
        drop(self.news.send(told));
    }
}
