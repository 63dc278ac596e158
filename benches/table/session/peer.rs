//! A server at the other end of two pipes, however it is started: lines out, lines in, each wait with a limit. No SDK: what
//! is measured is the way to the server and back.

use std::{
    fs::File,
    io::{Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::calls::{self, Era, HANDSHAKE, INITIALIZE, INITIALIZED, Said};
use crate::{
    corner::Corner,
    run::{Outcome, interrupted, wait},
};

/// How long an answer may take before the measurement is given up.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
/// How much is read at once: what a pipe holds, several times over.
const PIECE: usize = 256 << 10;
/// How long a server may take to end when its input has ended.
const PATIENCE: Duration = Duration::from_secs(15);

/// One server.
pub(crate) struct Peer {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Lines,
    stderr: PathBuf,
    asked: u64,
}

/// What comes from it.
pub(crate) struct Lines {
    pipe: ChildStdout,
    piece: Vec<u8>,
    /// What was read and not handed out.
    kept: Vec<u8>,
    /// So many bytes of it were handed out.
    taken: usize,
    /// And so many hold no line end.
    searched: usize,
}

impl Peer {
    /// Starts a command line.
    pub(crate) fn start(corner: &Corner, name: &str, mut command: Command) -> Outcome<Self> {
        let said = |error: std::io::Error| format!("{name}: {error}");
        // Beside the folders that are watched.
        let stderr = corner.folder.join(format!("stderr-{}", name.replace([' ', '/'], "-")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&stderr).map_err(said)?);
        let mut child = command.spawn().map_err(said)?;
        let (input, pipe) = (child.stdin.take(), child.stdout.take().ok_or("no pipe")?);
        let output = Lines { pipe, piece: vec![0; PIECE], kept: Vec::new(), taken: 0, searched: 0 };
        Ok(Self { name: name.to_owned(), child, input, output, stderr, asked: HANDSHAKE })
    }

    /// Starts it and opens a session.
    pub(crate) fn open(corner: &Corner, name: &str, command: Command, era: Era) -> Outcome<Self> {
        let mut peer = Self::start(corner, name, command)?;
        if era == Era::Legacy {
            peer.send(INITIALIZE)?;
            peer.answer(HANDSHAKE)?;
            peer.send(INITIALIZED)?;
        }
        Ok(peer)
    }

    /// The process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A number that no call has had.
    pub(crate) fn number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    /// Sends whole lines.
    pub(crate) fn send(&mut self, lines: &str) -> Outcome<()> {
        let input = self.input.as_mut().ok_or("its input is closed")?;
        input.write_all(lines.as_bytes()).map_err(|error| self.failure(&error.to_string()))
    }

    /// The next line, which must come before `until`; none where it does not.
    pub(crate) fn line(&mut self, until: Instant) -> Outcome<Option<&[u8]>> {
        match self.output.more(until) {
            Ok(Some(end)) => Ok(Some(self.output.take(end))),
            Ok(None) => Ok(None),
            Err(reason) => Err(self.failure(&reason)),
        }
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Outcome<&[u8]> {
        match self.output.more(Instant::now() + LIMIT) {
            Ok(Some(end)) => Ok(self.output.take(end)),
            Ok(None) => Err(self.failure(&format!("no line within {LIMIT:?}"))),
            Err(reason) => Err(self.failure(&reason)),
        }
    }

    /// The answer to that number; other lines are passed over.
    pub(crate) fn answer(&mut self, number: u64) -> Outcome<Said> {
        let until = Instant::now() + LIMIT;
        while let Some(line) = self.line(until)? {
            if let Some((id, said)) = calls::answer(line)?
                && id == number
            {
                return Ok(said);
            }
        }
        Err(self.failure(&format!("no answer to {number} within {LIMIT:?}")))
    }

    /// Calls a tool that must answer with a text.
    pub(crate) fn call(&mut self, era: Era, tool: &str, arguments: &str) -> Outcome<String> {
        let number = self.number();
        self.send(&calls::call(era, number, tool, arguments))?;
        match self.answer(number)? {
            Said::Text(text) => Ok(text),
            Said::Error(error) => Err(self.failure(&format!("{tool}: {error}"))),
        }
    }

    /// Both pipes, for who uses them at the same time.
    pub(crate) fn pipes(&mut self) -> Outcome<(&mut ChildStdin, &mut Lines)> {
        Ok((self.input.as_mut().ok_or("its input is closed")?, &mut self.output))
    }

    /// Closes its input and waits for its end.
    pub(crate) fn close(mut self) -> Outcome<()> {
        self.end()
    }

    /// Asks it to end as clients do of one that goes on when its input has ended: by SIGTERM.
    pub(crate) fn terminate(mut self) -> Outcome<()> {
        let process = rustix::process::Pid::from_child(&self.child);
        let asked = rustix::process::kill_process(process, rustix::process::Signal::TERM);
        asked.map_err(|error| self.failure(&format!("SIGTERM: {error}")))?;
        self.end()
    }

    fn end(&mut self) -> Outcome<()> {
        drop(self.input.take());
        let (child, name) = (&mut self.child, &self.name);
        wait(&format!("{name}: its end"), PATIENCE, Duration::from_millis(5), || {
            child.try_wait().map_err(|error| error.to_string())
        })?;
        Ok(())
    }

    fn failure(&self, reason: &str) -> String {
        let told = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        let last: Vec<&str> = told.lines().rev().take(10).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{}: {reason}\n{}", self.name, last.join("\n"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.input.is_some() && self.end().is_err() {
            let _ = self.child.kill(); // it may have ended in this moment
            let _ = self.child.wait();
        }
    }
}

impl Lines {
    /// The next line.
    pub(crate) fn next(&mut self) -> Outcome<&[u8]> {
        match self.more(Instant::now() + LIMIT)? {
            Some(end) => Ok(self.take(end)),
            None => Err(format!("no line within {LIMIT:?}")),
        }
    }

    /// Where the next line ends, as soon as it is there.
    fn more(&mut self, until: Instant) -> Outcome<Option<usize>> {
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.kept[self.searched..]) {
                return Ok(Some(self.searched + found + 1));
            }
            self.searched = self.kept.len();
            if !self.readable(until)? {
                return Ok(None);
            }
            if self.taken > 0 {
                self.kept.drain(..self.taken);
                self.searched -= self.taken;
                self.taken = 0;
            }
            match self.pipe.read(&mut self.piece) {
                Ok(0) => return Err("its output has ended".into()),
                Ok(count) => self.kept.extend_from_slice(&self.piece[..count]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn take(&mut self, end: usize) -> &[u8] {
        let begin = std::mem::replace(&mut self.taken, end);
        self.searched = end;
        &self.kept[begin..end]
    }

    /// Whether something came before that time.
    fn readable(&self, until: Instant) -> Outcome<bool> {
        loop {
            if interrupted() {
                return Err("interrupted".into());
            }
            // In slices, to hear of an interrupt.
            let left = until.saturating_duration_since(Instant::now()).min(Duration::from_millis(500));
            let left_for_kernel = Timespec::try_from(left).map_err(|error| error.to_string())?;
            let mut watched = [PollFd::new(&self.pipe, PollFlags::IN)];
            match poll(&mut watched, Some(&left_for_kernel)) {
                Ok(1..) => return Ok(true),
                Ok(0) if Instant::now() >= until => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}
