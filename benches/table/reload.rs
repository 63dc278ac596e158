//! A save until the new container answers, against `docker restart -t 0` until the same answer.
//!
//! Both run the same image with the same published port and the same bind mount, both are given no
//! grace, and both are watched the same way: `GET /healthz` every 2 ms, first until the old server is gone, then until
//! the new one answers. The clock starts at the save, or at the start of `docker restart`.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    run::{Outcome, median, say, wait},
    table::Row,
};

const LIMIT: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_millis(2);
const GREETING: &str = "content/greeting.txt";

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
             volumes = [\"./content:/content:ro\"]\nports = [\"127.0.0.1:{}:3000\"]\nstop_grace_period = \"0s\"",
            own.port()
        ),
    )?;
    let name = format!("{}-peer", corner.name);
    let (label, publish) = (
        format!("com.docker.compose.project={}", corner.name), // so that the corner removes it too
        format!("127.0.0.1:{}:3000", peer.port()),
    );
    let content = format!("{}:/content:ro", corner.folder.join("peer").display());
    corner.write("peer/greeting.txt", "hello\n")?;
    let run = ["run", "-d", "--init", "--name", &name, "--label", &label, "-p", &publish, "-v", &content, IMAGE];
    let server = ["http", "--listen", "0.0.0.0:3000", "--greeting", "/content/greeting.txt"];
    corner.docker(&[&run[..], &server[..]].concat())?;
    corner.mcpmon(&["up", "-d", "--wait"])?;
    wait("the first answers", LIMIT, EVERY, || Ok((answers(own) && answers(peer)).then_some(())))?;

    let (mut saves, mut restarts) = (Vec::new(), Vec::new());
    for round in 0..plan.saves {
        say(&format!("save to answer, round {} of {}", round + 1, plan.saves));
        let began = Instant::now();
        corner.write(GREETING, &format!("hello {round}\n"))?;
        saves.push(answered_anew(own, began)?);
        settled(&corner, round + 1)?;

        let began = Instant::now();
        let mut command = Command::new("docker");
        command.args(["restart", "-t", "0", &name]).stdout(Stdio::null());
        let mut restart = command.spawn().map_err(|error| format!("docker restart: {error}"))?;
        let took = answered_anew(peer, began);
        let status = restart.wait().map_err(|error| format!("docker restart: {error}"))?;
        restarts.push(took?);
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

/// Milliseconds from `began` until a server answers that was not there before.
fn answered_anew(address: SocketAddr, began: Instant) -> Outcome<f64> {
    wait("the old server's end", LIMIT, EVERY, || Ok((!answers(address)).then_some(())))?;
    wait("the new server's answer", LIMIT, EVERY, || Ok(answers(address).then_some(())))?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// Whether a server answers right now. The engine's port proxy accepts before the server listens: a connection alone
/// proves nothing.
fn answers(address: SocketAddr) -> bool {
    let limit = Duration::from_millis(500);
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

fn free_port() -> Outcome<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(|error| format!("no free port: {error}"))
}
