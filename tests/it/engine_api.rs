//! The engine asked by its API: without the code under test, and without the CLI, whose every start costs 20 ms of processor
//! time. The tests look some thousand times. Where the engine is not behind a socket in the file system, the CLI carries the
//! bytes (`docker system dial-stdio`).

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Command, Stdio},
    sync::LazyLock,
};

use mcpmon::engine::{
    EngineInfo,
    connect::{Address, resolve},
};
use serde_json::{Value, json};

use crate::support::environment;

/// What can be left on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Container,
    Network,
    Volume,
    Image,
}

impl Kind {
    /// All but images; what is used comes behind who uses it.
    pub(crate) const MADE: [Self; 3] = [Self::Container, Self::Network, Self::Volume];

    /// How the API calls several of them.
    fn path(self) -> &'static str {
        match self {
            Self::Container => "/containers",
            Self::Network => "/networks",
            Self::Volume => "/volumes",
            Self::Image => "/images",
        }
    }

    /// By what one is inspected and removed.
    pub(crate) fn id(self, one: &Value) -> String {
        let field = if self == Self::Volume { "Name" } else { "Id" };
        one[field].as_str().expect("an id").to_owned()
    }
}

/// All of a kind that these filters let through (`label=x=y`, `status=exited`, …), containers that do not run among them.
pub(crate) fn list(kind: Kind, filters: &[&str]) -> Vec<Value> {
    let mut by_name = serde_json::Map::new();
    for filter in filters {
        let (name, value) = filter.split_once('=').expect("a filter");
        let values = by_name.entry(name).or_insert_with(|| json!([]));
        values.as_array_mut().expect("a list").push(value.into());
    }
    let filters = encoded(&Value::from(by_name).to_string());
    let path = match kind {
        Kind::Container => format!("/containers/json?all=1&filters={filters}"),
        Kind::Image => format!("/images/json?filters={filters}"),
        Kind::Network | Kind::Volume => format!("{}?filters={filters}", kind.path()),
    };
    let (status, mut answer) = ask("GET", &path);
    assert_eq!(status, 200, "{path}: {answer}");
    if kind == Kind::Volume {
        answer = answer["Volumes"].take();
    }
    match answer {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

/// Their ids.
pub(crate) fn ids(kind: Kind, filters: &[&str]) -> Vec<String> {
    list(kind, filters).iter().map(|one| kind.id(one)).collect()
}

/// What `docker inspect` says; none: there is no such thing.
pub(crate) fn inspect(kind: Kind, id: &str) -> Option<Value> {
    let path = match kind {
        Kind::Container | Kind::Image => format!("{}/{}/json", kind.path(), encoded(id)),
        Kind::Network | Kind::Volume => format!("{}/{}", kind.path(), encoded(id)),
    };
    let (status, answer) = ask("GET", &path);
    assert!(matches!(status, 200 | 404), "{path}: {status} {answer}");
    (status == 200).then_some(answer)
}

/// Removes everything that carries one of these labels (`key=value`), running or not. What can't be removed stays.
pub(crate) fn sweep(kinds: &[Kind], labels: &[&str]) {
    for kind in kinds {
        for label in labels {
            for id in ids(*kind, &[&format!("label={label}")]) {
                remove(*kind, &id);
            }
        }
    }
}

/// Removes one, with its anonymous volumes.
pub(crate) fn remove(kind: Kind, id: &str) {
    let how = match kind {
        Kind::Container => "?force=1&v=1",
        Kind::Image => "?force=1",
        Kind::Network | Kind::Volume => "",
    };
    ask("DELETE", &format!("{}/{}{how}", kind.path(), encoded(id)));
}

/// Whether the engine knows this version of the API.
pub(crate) fn speaks(major: u16, minor: u16) -> bool {
    let (status, answer) = ask("GET", "/version");
    assert_eq!(status, 200, "{answer}");
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    let (version, api_version) = (text("Version"), text("ApiVersion"));
    EngineInfo { address: String::new(), version, api_version }.speaks(major, minor)
}

/// One request: its status and the answer; null where it is no JSON.
fn ask(method: &str, path: &str) -> (u16, Value) {
    // Without a version it is the engine's newest; HTTP/1.0, so that the end of the answer is the end of the connection.
    let request = format!("{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    let answer = carried(request.as_bytes());
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer");
    let text = String::from_utf8_lossy(&answer[..head]);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no status: {text}")),
        serde_json::from_slice(&answer[head + 4..]).unwrap_or_default(),
    )
}

fn carried(request: &[u8]) -> Vec<u8> {
    static SOCKET: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let place = resolve(&environment(), &|path| std::fs::read(path)).expect("engine tests need an engine");
        if let Address::Unix(path) = place.address { Some(path) } else { None }
    });
    let mut answer = Vec::new();
    if let Some(path) = &*SOCKET {
        let mut stream = UnixStream::connect(path).expect("engine tests need a running engine");
        stream.write_all(request).expect("the engine listens");
        stream.read_to_end(&mut answer).expect("the engine answers");
        return answer;
    }
    let mut docker = Command::new("docker");
    docker.args(["system", "dial-stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut docker = docker.spawn().expect("the docker CLI runs");
    docker.stdin.as_mut().expect("a pipe").write_all(request).expect("it is read");
    docker.stdout.take().expect("a pipe").read_to_end(&mut answer).expect("the engine answers");
    docker.wait().expect("it ends");
    answer
}

fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' | b':' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
