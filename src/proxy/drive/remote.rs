//! One server as the loop sees it: what waits for it, what it prints, and whether it is at its end.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{io::AsyncWrite, sync::mpsc, time::Sleep};

use super::{last_words::LastWords, life::Order, queue::Queue};
use crate::{
    engine::LogChunk,
    proxy::{
        frame::Lines,
        server::{Printed, Streams},
    },
};

/// What a server that has ended may have printed and is not here yet. A process that it left behind may hold its output
/// open for ever.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// A server that was asked for and whose end was not told.
pub(super) struct Remote {
    /// What it is to read.
    pub(super) queue: Queue,
    /// End of file, once the queue is through.
    pub(super) close: bool,
    /// What it printed on stdout.
    pub(super) lines: Lines,
    /// What it printed for people.
    pub(super) words: LastWords,
    /// It was told to stop.
    pub(super) stopping: bool,
    /// What it prints on stdout is let go.
    pub(super) unheard: bool,
    orders: mpsc::UnboundedSender<Order>,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    output: Option<Printed>,
    /// Bytes were written that may be in a buffer of the connection.
    unflushed: bool,
    /// How it ended, and until when its last output is waited for.
    ended: Option<(String, Pin<Box<Sleep>>)>,
}

impl Remote {
    pub(super) fn new(orders: mpsc::UnboundedSender<Order>) -> Self {
        Self {
            queue: Queue::default(),
            close: false,
            lines: Lines::default(),
            words: LastWords::default(),
            stopping: false,
            unheard: false,
            orders,
            input: None,
            output: None,
            unflushed: false,
            ended: None,
        }
    }

    /// Tells whoever starts and stops it; one whose life is over needs no order.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// It runs.
    pub(super) fn attach(&mut self, Streams { input, output }: Streams) {
        (self.input, self.output) = (Some(input), Some(output));
    }

    /// It has ended.
    pub(super) fn ended(&mut self, reason: String) {
        self.input = None;
        self.queue.clear();
        self.ended = Some((reason, Box::pin(tokio::time::sleep(LAST_OUTPUT))));
    }

    /// How it ended, once all that it printed was taken.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Option<String> {
        let (_, limit) = self.ended.as_mut()?;
        if self.output.is_some() && limit.as_mut().poll(cx).is_pending() {
            return None;
        }
        self.ended.take().map(|(reason, _)| reason)
    }

    /// The next piece of what it prints; none: that was all.
    pub(super) fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<LogChunk>> {
        let Some(output) = &mut self.output else { return Poll::Pending };
        match output.as_mut().poll_next(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Some(chunk)),
            Poll::Ready(None | Some(Err(_))) => {
                self.output = None;
                self.order(Order::OutputEnded);
                Poll::Ready(None)
            }
        }
    }

    /// Writes what it takes; true when anything moved.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(input) = &mut self.input {
            let written = if !self.queue.is_empty() {
                let written = input.as_mut().poll_write(cx, self.queue.front());
                written.map_ok(|written| {
                    self.queue.advance(written);
                    self.unflushed = true;
                })
            } else if self.unflushed {
                input.as_mut().poll_flush(cx).map_ok(|()| self.unflushed = false)
            } else if self.close {
                match input.as_mut().poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => {
                        self.input = None;
                        return true;
                    }
                    other => other,
                }
            } else {
                break;
            };
            match written {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(_)) => {
                    // It does not read any more; its end is told by whoever watches over it.
                    self.input = None;
                    self.queue.clear();
                }
            }
        }
        moved
    }
}
