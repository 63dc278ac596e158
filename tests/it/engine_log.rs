//! What the engine tells, heard from a moment on. The engine itself keeps its last 256 events only, for all tests that
//! run: what is asked for afterwards may be gone.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
};

use serde_json::Value;

use crate::support::{DEADLINE, docker};

/// The engine's events since this was made.
pub(crate) struct EngineLog {
    child: Child,
    events: Receiver<Value>,
    heard: RefCell<Vec<Value>>,
}

impl EngineLog {
    /// Listens.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let mut command = Command::new("docker");
        // Before it listens, it may have taken this long to start.
        command.args(["events", "--since", "30s", "--format", "{{json .}}"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("docker runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (sender, events) = channel();
        thread::spawn(move || {
            let events = lines.map_while(Result::ok).map(|line| serde_json::from_str(&line).expect("an event"));
            events.map_while(|event| sender.send(event).ok()).for_each(drop);
        });
        let log = Self { child, events, heard: RefCell::default() };
        log.mark();
        log
    }

    /// Where the log is now.
    #[track_caller]
    pub(crate) fn mark(&self) -> usize {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("it-mark-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        assert!(docker(&["volume", "create", &name]).status.success());
        let mut heard = self.heard.borrow_mut();
        loop {
            let event = self.events.recv_timeout(DEADLINE).expect("the mark's own event");
            if event["Type"] == "volume" && event["Actor"]["ID"] == name {
                break;
            }
            heard.push(event);
        }
        docker(&["volume", "rm", &name]);
        heard.len()
    }

    /// What came between a mark and now.
    #[track_caller]
    pub(crate) fn since(&self, mark: usize) -> Vec<Value> {
        self.mark();
        self.heard.borrow()[mark..].to_vec()
    }
}

impl Drop for EngineLog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
