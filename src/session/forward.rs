//! Signals for a child that stands in for this process: which are caught, and which are handed on. What a terminal
//! sends to everyone in front of it must reach the child once, not twice. It must not know what the child does.

use std::{fs, future::poll_fn, io, task::Poll};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{self, SignalKind};

/// What a person or a program may send on purpose. (Children's ends, closed pipes and the like are this process's own.)
const CAUGHT: [Signal; 9] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::CONT,
    Signal::TSTP,
    Signal::WINCH,
];

/// The signals to hand on, as a queue. From its making on they no longer end or stop this process.
#[derive(Debug)]
pub struct Caught {
    queues: Vec<(Signal, unix::Signal)>,
}

impl Caught {
    /// Takes the signals over.
    pub fn new() -> io::Result<Self> {
        let queue = |signal: Signal| Ok((signal, unix::signal(SignalKind::from_raw(signal.as_raw()))?));
        Ok(Self { queues: CAUGHT.into_iter().map(queue).collect::<io::Result<_>>()? })
    }

    /// The next one. May be dropped and called again at any time.
    pub async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, queue) in &mut self.queues {
                if queue.poll_recv(context) == Poll::Ready(Some(())) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether a signal asks this process to end.
pub fn ends(signal: Signal) -> bool {
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM].contains(&signal)
}

/// How a child stands to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// In a process group of its own: no terminal signals it.
    Apart,
    /// In this process's group, because it reads from the terminal: what the terminal sends reaches it too.
    Beside {
        /// It reads keys as they are (raw): Ctrl-C is a byte then, and no signal.
        raw: bool,
    },
}

impl Child {
    /// Whether a caught signal is handed on. `in_front`: this process's group is the terminal's foreground group, so
    /// that the signal may be the terminal's.
    pub fn wants(self, signal: Signal, in_front: bool) -> bool {
        match self {
            Self::Beside { raw } if in_front => match signal {
                Signal::INT | Signal::QUIT | Signal::TSTP => raw,
                Signal::HUP | Signal::WINCH | Signal::CONT => false,
                _ => true,
            },
            Self::Apart | Self::Beside { .. } => true,
        }
    }
}

/// Whether this process's group is its terminal's foreground group. False without a terminal.
pub fn is_in_front() -> bool {
    // proc_pid_stat(5): behind the command's name, which may hold anything: state, parent, group, session,
    // terminal, the terminal's foreground group.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(')') else { return false };
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(6).collect();
    matches!(fields[..], [_, _, group, _, terminal, front] if terminal != "0" && group == front)
}

/// Sends a signal to a child that has not been waited for. One that has ended hears nothing.
pub fn send(child: u32, signal: Signal) {
    if let Some(child) = i32::try_from(child).ok().and_then(Pid::from_raw) {
        let _ = kill_process(child, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_child_twice() {
        let beside = Child::Beside { raw: false };
        let raw = Child::Beside { raw: true };
        for (signal, child, in_front, expected) in [
            (Signal::INT, Child::Apart, true, true),
            (Signal::WINCH, Child::Apart, true, true),
            (Signal::INT, beside, true, false),
            (Signal::INT, beside, false, true),
            (Signal::INT, raw, true, true),
            (Signal::HUP, raw, true, false),
            (Signal::WINCH, raw, true, false),
            (Signal::TERM, raw, true, true),
            (Signal::USR1, beside, true, true),
            (Signal::HUP, beside, false, true),
        ] {
            assert_eq!(child.wants(signal, in_front), expected, "{signal:?} {child:?} {in_front}");
        }
    }

    #[tokio::test]
    async fn what_is_caught_is_told_once() {
        let mut caught = Caught::new().expect("signals");
        send(std::process::id(), Signal::USR2);
        assert_eq!(caught.next().await, Signal::USR2);
        assert!(ends(Signal::HUP) && !ends(Signal::USR2));
    }
}
