//! A session with a clock, and its outputs in words:
//! `1< frame` to server 1, `> frame` to the client, `! words` to a person, `start 2 fresh`, `stop 1`, …

use std::time::{Duration, Instant};

use super::super::{Input, Options, Output, ServerId, Session, Start};
use crate::{model::settings::BackoffSettings, proxy::Frame};

pub(super) struct World {
    pub(super) session: Session,
    pub(super) now: Instant,
}

pub(super) fn options() -> Options {
    Options {
        tag: "test".into(),
        stop_first: false,
        comes_back: true,
        error_on_reload: false,
        buffer: 1 << 20,
        startup_timeout: Duration::from_mins(1),
        grace: Duration::from_secs(10),
        backoff: BackoffSettings {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(30),
            reset_after: Duration::from_mins(1),
        },
        results: Vec::new(),
        claims: Vec::new(),
    }
}

impl World {
    pub(super) fn new(options: Options) -> Self {
        Self { session: Session::new(options), now: Instant::now() }
    }

    /// From now on the old server must be gone before the new one starts.
    pub(super) fn stop_first(&mut self) {
        self.session.options.stop_first = true;
    }

    pub(super) fn handle(&mut self, input: Input) -> Vec<String> {
        self.session.handle(input, self.now).iter().map(words).collect()
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn begin(&mut self) -> Vec<String> {
        self.handle(Input::Begin)
    }

    pub(super) fn client(&mut self, frame: &str) -> Vec<String> {
        self.handle(Input::FromClient(Frame::new(frame.as_bytes().to_vec())))
    }

    pub(super) fn server(&mut self, server: u32, frame: &str) -> Vec<String> {
        self.handle(Input::FromServer(ServerId(server), Frame::new(frame.as_bytes().to_vec())))
    }

    pub(super) fn started(&mut self, server: u32) -> Vec<String> {
        self.handle(Input::Started(ServerId(server)))
    }

    pub(super) fn exited(&mut self, server: u32, reason: &str) -> Vec<String> {
        self.handle(Input::Exited(ServerId(server), reason.into()))
    }
}

fn text(frame: &Frame) -> String {
    String::from_utf8_lossy(frame.bytes()).trim_end().to_owned()
}

pub(super) fn words(output: &Output) -> String {
    match output {
        Output::ToClient(frame) | Output::Result { frame, .. } => format!("> {}", text(frame)),
        Output::Results { methods, frame } => format!("> {methods:?} {}", text(frame)),
        Output::Serve { claim, frame } => format!("serve {claim} {}", text(frame)),
        Output::ToServer(server, frame) => format!("{}< {}", server.0, text(frame)),
        Output::Noise(server, frame) => format!("noise {} {}", server.0, text(frame)),
        Output::Prepare { server, rebuild } => {
            format!("prepare {} {}", server.0, if *rebuild { "rebuild" } else { "fresh" })
        }
        Output::Start { server, how } => match how {
            Start::Fresh { rebuild } => format!("start {} {}", server.0, if *rebuild { "rebuild" } else { "fresh" }),
            Start::Again(old) => format!("start {} again {}", server.0, old.0),
        },
        Output::CloseInput(server) => format!("close {}", server.0),
        Output::Stop { server, keep } => format!("stop {}{}", server.0, if *keep { " keep" } else { "" }),
        Output::Forget(server) => format!("forget {}", server.0),
        Output::Notice(notice) => format!("! {notice}"),
        Output::Ended { well } => format!("ended {}", if *well { "well" } else { "badly" }),
    }
}
