//! Shows what is reported, until every [`super::Reporter`] is gone: as live lines and plain lines on a
//! terminal, as plain lines elsewhere, or as one JSON object per line (the shapes are [`Event`]'s).
//!
//! In text, what targets print goes to stdout and everything else to stderr; JSON goes to stdout, each
//! line flushed. Writing happens on a thread that may block: a terminal that stands still
//! holds back the targets' output, never the work.

use std::io::{self, IsTerminal, Write};

use futures_util::FutureExt;
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    Event,
    lines::{json, printable},
    live::{Live, TICK},
    reporter::Reports,
    style::Paint,
    words::{Words, doing},
};

/// Events written at one go.
const BATCH: usize = 256;

/// The three ways to show things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Live lines at the bottom of a terminal, plain lines above.
    Live,
    /// Plain lines.
    Lines,
    /// One JSON object per line.
    Json,
}

/// How to show things.
#[derive(Debug, Clone)]
pub struct Options {
    /// The way.
    pub form: Form,
    /// Colours of stdout: what targets print.
    pub out: Paint,
    /// Colours of stderr: everything else.
    pub err: Paint,
    /// The targets' names as far as they are known: alignment and colours.
    pub targets: Vec<String>,
    /// Saved files are reacted to (said once everything runs).
    pub watching: bool,
}

impl Options {
    /// What fits this process's outputs and environment.
    pub fn detect(json: bool) -> Self {
        let moves = io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let form = match (json, moves) {
            (true, _) => Form::Json,
            (false, true) => Form::Live,
            (false, false) => Form::Lines,
        };
        Self { form, out: Paint::stdout(), err: Paint::stderr(), targets: Vec::new(), watching: false }
    }
}

/// Shows everything until all senders are gone. Ends early with an error when an output can't be
/// written any more ([`io::ErrorKind::BrokenPipe`]: the reader has had enough, see [`ignore_closed`]).
pub async fn show(mut reports: Reports, options: Options) -> io::Result<()> {
    let mut screen = Screen::new(&options, io::stdout(), io::stderr());
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            event = reports.next() => match event {
                Some(event) => batch.push(event),
                None => break,
            },
            _ = tick.tick(), if screen.is_live() => {}
        }
        while batch.len() < BATCH
            && let Some(Some(event)) = reports.next().now_or_never()
        {
            batch.push(event);
        }
        let written = tokio::task::spawn_blocking(move || screen.write(&batch).map(|()| screen)).await;
        screen = written.map_err(io::Error::other)??;
    }
    screen.close();
    Ok(())
}

/// Shows everything in the background. The token is cancelled when that is over: also when nobody reads the output any
/// more, and then nobody is there to keep anything up for.
pub fn show_beside(reports: Reports, options: Options) -> (JoinHandle<io::Result<()>>, CancellationToken) {
    let over = CancellationToken::new();
    let guard = over.clone().drop_guard();
    let shown = tokio::spawn(async move {
        let _guard = guard;
        show(reports, options).await
    });
    (shown, over)
}

/// A reader that closed its end (`| head`) is no failure.
pub fn ignore_closed(written: io::Result<()>) -> crate::error::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(crate::error::Error::failed("the output can't be written").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Both outputs and what stands on them.
struct Screen<O, E> {
    words: Words,
    json: bool,
    live: Option<Live>,
    err_paint: Paint,
    out: O,
    err: E,
}

/// Lines for one of the outputs.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Out(String),
    Err(String),
}

impl<O: Write, E: Write> Screen<O, E> {
    fn new(options: &Options, out: O, err: E) -> Self {
        Self {
            words: Words::new(options.err, options.out, &options.targets, options.watching),
            json: options.form == Form::Json,
            live: (options.form == Form::Live).then(Live::new),
            err_paint: options.err,
            out,
            err,
        }
    }

    /// Something moves.
    fn is_live(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.is_empty())
    }

    fn write(&mut self, events: &[Event]) -> io::Result<()> {
        let mut pieces = Vec::new();
        for event in events {
            self.take(event, &mut pieces);
        }
        let (out, err) = (&mut self.out, &mut self.err);
        match &self.live {
            Some(live) if !pieces.is_empty() => live.aside(|| put(&pieces, out, err))?,
            _ => put(&pieces, out, err)?,
        }
        if let Some(live) = &mut self.live {
            live.tick();
        }
        Ok(())
    }

    /// Turns an event into lines, or into a change of a live line.
    fn take(&mut self, event: &Event, pieces: &mut Vec<Piece>) {
        if self.json {
            push(pieces, false, &json(event));
            return;
        }
        if let Some(live) = &mut self.live {
            match event {
                Event::ActionStarted { target, action, cause } => {
                    let prefix = format!("{} {}", self.words.name(target), doing(*action, self.err_paint));
                    live.begin(target, prefix, printable(cause, false));
                    return;
                }
                Event::ActionProgress { target, action, line } => {
                    // A creation may begin with a pull or a build.
                    let prefix = format!("{} {}", self.words.name(target), doing(*action, self.err_paint));
                    live.progress(target, prefix, printable(line, false).replace('\t', " "));
                    return;
                }
                Event::ActionDone { target, .. } | Event::Unchanged { target, .. } => live.end(target),
                Event::ActionFailed { target, .. } => {
                    live.end(target);
                    live.went(target, false);
                }
                Event::Crashed { target, .. } | Event::ReloadFailed { target, .. } => live.went(target, false),
                Event::Ready { target, .. } | Event::Reloaded { target, .. } => live.went(target, true),
                // What goes on then is the end of it all.
                Event::Stopping { .. } | Event::Stopped { .. } => live.clear(),
                _ => {}
            }
        }
        if let Some(text) = self.words.say(event) {
            push(pieces, !matches!(event, Event::Log { .. }), &text);
        }
    }

    fn close(&mut self) {
        if let Some(live) = &mut self.live {
            live.clear();
        }
    }
}

/// Adds a line, to the last piece where the output is the same.
fn push(pieces: &mut Vec<Piece>, err: bool, line: &str) {
    match (pieces.last_mut(), err) {
        (Some(Piece::Out(text)), false) | (Some(Piece::Err(text)), true) => {
            text.push_str(line);
            text.push('\n');
        }
        (_, false) => pieces.push(Piece::Out(format!("{line}\n"))),
        (_, true) => pieces.push(Piece::Err(format!("{line}\n"))),
    }
}

/// Writes the pieces in their order. A closed stderr is nobody's loss; a closed stdout ends the show.
fn put(pieces: &[Piece], out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
    for piece in pieces {
        match piece {
            Piece::Out(text) => {
                out.write_all(text.as_bytes())?;
                out.flush()?;
            }
            Piece::Err(text) => match err.write_all(text.as_bytes()).and_then(|()| err.flush()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::ActionKind;

    fn options(form: Form) -> Options {
        Options { form, out: Paint::PLAIN, err: Paint::PLAIN, targets: vec!["api".into()], watching: false }
    }

    fn events() -> Vec<Event> {
        vec![
            Event::ActionStarted { target: "api".into(), action: ActionKind::Create, cause: "it is missing".into() },
            Event::Log { target: "api".into(), stream: "stdout".into(), line: "up\u{1b}[2J".into() },
            Event::ActionDone { target: "api".into(), action: ActionKind::Create, duration_ms: 7 },
        ]
    }

    fn written(form: Form) -> (String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        Screen::new(&options(form), &mut out, &mut err).write(&events()).expect("written");
        (String::from_utf8(out).expect("text"), String::from_utf8(err).expect("text"))
    }

    #[test]
    fn without_a_terminal_logs_go_to_stdout_and_the_rest_to_stderr() {
        let (out, err) = written(Form::Lines);
        assert_eq!(out, "api | up\n");
        assert_eq!(err, "api: creating (it is missing)\napi: created in 7 ms\n");
    }

    #[test]
    fn json_is_one_object_per_line_on_stdout() {
        let (out, err) = written(Form::Json);
        insta::assert_snapshot!(out, @r#"
        {"event":"action_started","target":"api","action":"create","cause":"it is missing"}
        {"event":"log","target":"api","stream":"stdout","line":"up\u001b[2J"}
        {"event":"action_done","target":"api","action":"create","duration_ms":7}
        "#);
        assert_eq!(err, "");
    }

    #[test]
    fn on_a_terminal_what_goes_on_is_no_plain_line() {
        let (out, err) = written(Form::Live);
        assert_eq!((out.as_str(), err.as_str()), ("api | up\n", "api: created in 7 ms\n"));
    }

    #[test]
    fn a_live_line_ends_with_its_action() {
        let mut screen = Screen::new(&options(Form::Live), Vec::new(), Vec::new());
        assert!(!screen.is_live());
        screen.write(&events()[..1]).expect("written");
        assert!(screen.is_live());
        screen.write(&events()[1..]).expect("written");
        assert!(!screen.is_live());
    }

    #[test]
    fn pieces_keep_the_order_of_both_outputs() {
        let mut pieces = Vec::new();
        for (err, line) in [(false, "a"), (false, "b"), (true, "c"), (false, "d")] {
            push(&mut pieces, err, line);
        }
        assert_eq!(pieces, [Piece::Out("a\nb\n".into()), Piece::Err("c\n".into()), Piece::Out("d\n".into())]);
    }

    #[test]
    fn a_closed_reader_is_no_failure() {
        assert!(ignore_closed(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(ignore_closed(Err(io::ErrorKind::StorageFull.into())).is_err());
    }
}
