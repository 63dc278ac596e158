//! Asks a server's /healthz: the health check of an image that has neither shell nor curl.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

use crate::fixture::complain;

/// Well under the interval of any health check.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Exits 0 if the server answers 200.
pub(crate) fn ask(server: &str) -> ExitCode {
    let (authority, path) = parse(server);
    match status(&authority, &path) {
        Ok(line) if line.split_whitespace().nth(1) == Some("200") => ExitCode::SUCCESS,
        Ok(line) => {
            complain(&format!("http://{authority}{path} answers: {line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&format!("http://{authority}{path} does not answer: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A port, HOST:PORT, or a URL, as authority and path.
fn parse(server: &str) -> (String, String) {
    let rest = server.strip_prefix("http://").unwrap_or(server);
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, "/healthz".to_owned()),
    };
    let authority =
        if authority.parse::<u16>().is_ok() { format!("127.0.0.1:{authority}") } else { authority.to_owned() };
    (authority, path)
}

/// The first line of the answer.
fn status(authority: &str, path: &str) -> io::Result<String> {
    let address = authority.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    // Bounded: only the first line counts.
    stream.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}
