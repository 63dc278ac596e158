//! Docker lines with mcpmon in front: `docker run -d` until the id is printed, and a save in a compose project until the
//! new code answers, against `docker compose watch` with the same file.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    reload::{LABEL, Starts, free_port, milliseconds},
    run::{Outcome, median, say},
    table::Row,
};

/// How long a watcher may take to begin.
const LIMIT: Duration = Duration::from_secs(30);

/// The rows of lines.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    Ok(vec![run_detached(plan)?, compose(plan)?])
}

fn run_detached(plan: &Plan) -> Outcome<Row> {
    let corner = Corner::new(plan, "run-d")?;
    let (key, value) = corner.label();
    let label = format!("{key}={value}");
    let line = ["docker", "run", "-d", "--init", "--network", "none", "--label", &label, IMAGE, "idle"];
    let (mut with, mut without) = (Vec::new(), Vec::new());
    // A tenth of it is what the machine does besides: few rounds say little.
    let rounds = 3 * plan.saves;
    for round in 0..rounds {
        say(&format!("docker run -d, round {} of {rounds}", round + 1));
        let mut without_mcpmon = Command::new(line[0]);
        without_mcpmon.args(&line[1..]).current_dir(&corner.folder);
        let (took, id, mut child) = to_the_id(without_mcpmon)?;
        without.push(took);
        child.wait().map_err(|error| error.to_string())?;
        corner.docker(&["rm", "-f", &id])?;

        let (took, _, mut child) = to_the_id(corner.command(&line))?;
        with.push(took);
        // Its end removes the container.
        interrupt(&child)?;
        child.wait().map_err(|error| error.to_string())?;
    }
    let what = "`mcpmon docker run -d` → the printed id";
    Ok(Row::ratio(what, median(with)?, median(without)?, "docker run -d", 1.15))
}

/// Starts a line; gives the time until the id is printed, and the id.
fn to_the_id(mut command: Command) -> Outcome<(f64, String, Child)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut id = String::new();
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    output.read_line(&mut id).map_err(|error| error.to_string())?;
    let took = milliseconds(began);
    // What comes behind is read, so that nobody waits for it.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    if id.trim().len() == 64 { Ok((took, id.trim().to_owned(), child)) } else { Err(format!("no id: {id:?}")) }
}

fn interrupt(child: &Child) -> Outcome<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("no pid")?;
    kill_process(pid, Signal::INT).map_err(|error| error.to_string())
}

/// One of the two peers: the project, and what watches it.
struct Watched {
    corner: Corner,
    port: std::net::SocketAddr,
    starts: Starts,
    watcher: Option<Child>,
    /// What it prints.
    lines: (Sender<String>, Receiver<String>),
}

impl Watched {
    fn new(plan: &Plan, name: &str) -> Outcome<Self> {
        let (corner, port) = (Corner::new(plan, name)?, free_port()?);
        let mark = format!("{LABEL}={}", corner.name);
        corner.write("code/greeting.txt", "hello\n")?;
        corner.write(
            "compose.yaml",
            &format!(
                "name: {}\nservices:\n  web:\n    init: true\n    command: [http, --listen, '0.0.0.0:3000', \
                 --greeting, /code/greeting.txt]\n    build: .\n    labels: ['{mark}']\n    ports: ['127.0.0.1:{}:3000']\n    \
                 develop: {{watch: [{{path: ./code, action: sync+restart, target: /code}}]}}\n",
                corner.name,
                port.port()
            ),
        )?;
        corner.write("Dockerfile", &format!("FROM {IMAGE}\nCOPY code /code\n"))?;
        let starts = Starts::of(&mark)?;
        Ok(Self { corner, port, starts, watcher: None, lines: channel() })
    }

    fn watch(&mut self, mut command: Command) -> Outcome<()> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let outputs: [Option<Box<dyn Read + Send>>; 2] =
            [child.stdout.take().map(|out| Box::new(out) as _), child.stderr.take().map(|out| Box::new(out) as _)];
        for output in outputs.into_iter().flatten() {
            let lines = self.lines.0.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = lines.send(line);
                }
            });
        }
        self.watcher = Some(child);
        Ok(())
    }

    /// Waits until the watcher says this.
    fn says(&self, word: &str) -> Outcome<()> {
        loop {
            let line = self.lines.1.recv_timeout(LIMIT).map_err(|_| format!("no {word:?}"))?;
            if line.contains(word) {
                return Ok(());
            }
        }
    }

    fn save(&mut self, round: usize) -> Outcome<f64> {
        let began = Instant::now();
        self.corner.write("code/greeting.txt", &format!("hello {round}\n"))?;
        self.starts.answered(self.port)?;
        Ok(milliseconds(began))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            let _ = interrupt(&watcher);
            let _ = watcher.wait();
        }
        let image = format!("{}-web", self.corner.name);
        let _ = self.corner.docker(&["compose", "down", "-t", "0"]);
        let _ = self.corner.docker(&["rmi", "-f", &image]);
    }
}

fn compose(plan: &Plan) -> Outcome<Row> {
    let (mut own, mut peer) = (Watched::new(plan, "line")?, Watched::new(plan, "line-peer")?);
    peer.corner.docker(&["compose", "up", "-d", "--build"])?;
    peer.starts.answered(peer.port)?;
    let mut command = Command::new("docker");
    command.args(["compose", "watch", "--no-up"]).current_dir(&peer.corner.folder);
    peer.watch(command)?;
    peer.says("Watch enabled")?;
    let command = own.corner.command(&["docker", "compose", "up", "--build"]);
    own.watch(command)?;
    own.starts.answered(own.port)?;
    let (mut saves, mut watches) = (Vec::new(), Vec::new());
    // The first of each is not counted.
    for round in 0..=plan.saves.min(8) {
        say(&format!("save in a compose project, round {round}"));
        for (one, took) in [(&mut own, &mut saves), (&mut peer, &mut watches)] {
            let time = one.save(round)?;
            if round > 0 {
                took.push(time);
            }
        }
    }
    let what = "compose service: save → new code answering (sync+restart)";
    Ok(Row::ratio(what, median(saves)?, median(watches)?, "docker compose watch", 0.5))
}
