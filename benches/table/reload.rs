//! A save until the new container answers, against `docker restart -t 0` until the same answer.
//!
//! Both run the same image with the same published port and the same bind mount, each in a network of its own (on the
//! engine's default bridge the peer would be spared the set-up of its name server, which no project is), both are given
//! no grace, and both are watched the same way: the engine's `start` event, then `GET /healthz` until the answer. The clock starts at the
//! save, or at the start of `docker restart`.
//!
//! Nothing is asked before the event: a packet to an address that is not there yet makes the kernel look for it
//! again only a second later (measured: 1.2 s instead of 0.5 s for either peer).

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, TryRecvError, channel},
    time::{Duration, Instant},
};

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    run::{Outcome, median, say, wait},
    table::Row,
};

const LIMIT: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(1);
const GREETING: &str = "content/greeting.txt";
/// What both peers' containers carry, with the corner's name.
pub(crate) const LABEL: &str = "mcpmon-bench";

/// The row of a reload.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "reload")?;
    let (own, peer) = (free_port()?, free_port()?);
    corner.write(GREETING, "hello\n")?;
    corner.targets(
        "[watch]\ndelay = \"0ms\"",
        1,
        &format!(
            "command = [\"http\", \"--listen\", \"0.0.0.0:3000\", \"--greeting\", \"/content/greeting.txt\"]\n\
             volumes = [\"./content:/content:ro\"]\nports = [\"127.0.0.1:{}:3000\"]\nstop_grace_period = \"0s\"\n\
             labels = {{ {LABEL} = \"{}\" }}",
            own.port(),
            corner.name
        ),
    )?;
    let name = format!("{}-peer", corner.name);
    let (mark, label, publish) = (
        format!("{LABEL}={}", corner.name),
        format!("com.docker.compose.project={}", corner.name), // so that the corner removes it too
        format!("127.0.0.1:{}:3000", peer.port()),
    );
    let content = format!("{}:/content:ro", corner.folder.join("peer").display());
    corner.write("peer/greeting.txt", "hello\n")?;
    let run = ["run", "-d", "--init", "--name", &name, "--label", &label, "--label", &mark, "-p", &publish];
    let image = ["-v", &content, "--network", &name, IMAGE];
    let server = ["http", "--listen", "0.0.0.0:3000", "--greeting", "/content/greeting.txt"];
    let mut starts = Starts::of(&mark)?;
    corner.docker(&["network", "create", "--label", &label, &name])?;
    corner.docker(&[&run[..], &image[..], &server[..]].concat())?;
    starts.answered(peer)?;
    corner.mcpmon(&["up", "-d", "--wait"])?;
    starts.answered(own)?;

    let (mut saves, mut restarts) = (Vec::new(), Vec::new());
    // One differs from the next by a tenth, as the bound from what is measured.
    let rounds = 2 * plan.saves;
    for round in 0..rounds {
        say(&format!("save to answer, round {} of {rounds}", round + 1));
        let began = Instant::now();
        corner.write(GREETING, &format!("hello {round}\n"))?;
        starts.answered(own)?;
        saves.push(milliseconds(began));
        settled(&corner, round + 1)?;

        let began = Instant::now();
        let mut command = Command::new("docker");
        command.args(["restart", "-t", "0", &name]).stdout(Stdio::null());
        let mut restart = command.spawn().map_err(|error| format!("docker restart: {error}"))?;
        let answered = starts.answered(peer);
        let took = milliseconds(began);
        let status = restart.wait().map_err(|error| format!("docker restart: {error}"))?;
        answered?;
        restarts.push(took);
        if !status.success() {
            return Err(format!("docker restart: {status}"));
        }
    }
    let what = "save → new container answering (restart, delay 0)";
    Ok(vec![Row::ratio(what, median(saves)?, median(restarts)?, "docker restart -t 0", 0.9)])
}

/// Waits until so many reloads are over: the next save meets a quiet engine, as the peer does.
fn settled(corner: &Corner, reloads: usize) -> Outcome<()> {
    wait("the reload's end", LIMIT, Duration::from_millis(20), || {
        Ok((corner.journal()?.matches("\"event\":\"reloaded\"").count() >= reloads).then_some(()))
    })
}

pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// The engine's `start` events of the containers with one label.
pub(crate) struct Starts {
    events: Child,
    ids: Receiver<String>,
}

impl Starts {
    /// From now on.
    pub(crate) fn of(label: &str) -> Outcome<Self> {
        // Since when: this command takes a moment to listen.
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_err(|e| e.to_string())?;
        let mut events = Command::new("docker")
            .args(["events", "--filter", "event=start", "--format", "{{.ID}}", "--since"])
            .arg(since.as_secs().to_string())
            .args(["--filter", &format!("label={label}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("docker events: {error}"))?;
        let lines = BufReader::new(events.stdout.take().ok_or("docker events prints nowhere")?).lines();
        let (sender, ids) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|id| sender.send(id)));
        Ok(Self { events, ids })
    }

    /// Waits until the next one is started and a server answers there.
    pub(crate) fn answered(&mut self, address: SocketAddr) -> Outcome<()> {
        wait("the engine's start event", LIMIT, EVERY, || match self.ids.try_recv() {
            Ok(id) => Ok(Some(id)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err("docker events ended".into()),
        })?;
        wait("the server's answer", LIMIT, EVERY, || Ok(answers(address).then_some(())))
    }
}

impl Drop for Starts {
    fn drop(&mut self) {
        let _ = self.events.kill(); // it may have ended with this process's own signal
        let _ = self.events.wait();
    }
}

/// Whether a server answers right now. The engine's port proxy accepts before the server listens: a connection alone
/// proves nothing.
fn answers(address: SocketAddr) -> bool {
    let limit = Duration::from_millis(100);
    let exchange = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start == *b"HTTP/1.1 200")
    };
    exchange().unwrap_or(false)
}

pub(crate) fn free_port() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(|error| format!("no free port: {error}"))
}
