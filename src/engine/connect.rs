//! Which engine: the docker CLI's own rules, applied to an environment and a file reader. Pure.
//! It must not connect to anything; `docker::open` does that with what is found here.
//!
//! The order (docker CLI, "docker context"): `DOCKER_HOST`, `DOCKER_CONTEXT`, `currentContext` of
//! `config.json`, the default socket. An empty variable counts as unset.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{EngineError, EngineResult};

/// Where the engine listens when nothing says otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// An engine's place, and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub address: Address,
    /// Certificates, when it is reached over TLS.
    pub tls: Option<Certificates>,
    /// Who said so; for messages.
    pub origin: Origin,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// `host:port`, plain or over TLS ([`Place::tls`]).
    Tcp(String),
    /// `[user@]host[:port]`, by ssh and the docker CLI on that host.
    Ssh(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Ssh(host) => write!(f, "ssh://{host}"),
        }
    }
}

/// Who named the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `DOCKER_HOST`.
    Host,
    /// A docker context, and what chose it (`DOCKER_CONTEXT` or the path of `config.json`).
    Context {
        /// The context's name.
        name: String,
        /// What chose it.
        chosen_by: String,
    },
    /// Nobody.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("named by DOCKER_HOST"),
            Self::Context { name, chosen_by } => write!(f, "named by the docker context \"{name}\", from {chosen_by}"),
            Self::Default => f.write_str("the default; neither DOCKER_HOST nor a docker context names another"),
        }
    }
}

/// PEM files for TLS. A missing `ca` leaves the system's roots; a missing key pair means the engine asks for none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// Who vouches for the engine.
    pub ca: Option<PathBuf>,
    /// The client's certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Reads a file; `NotFound` means that it is not there.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextFile {
    #[serde(default)]
    endpoints: BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    host: Option<String>,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// Where the docker CLI has its settings in this environment.
pub fn settings_folder(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let variable = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let own = variable("DOCKER_CONFIG").map(PathBuf::from);
    own.or_else(|| variable("HOME").map(|home| Path::new(home).join(".docker")))
}

/// Which engine this environment means.
///
/// # Errors
/// [`EngineError::Unreachable`] when what is named can't be used: an unknown context, a broken
/// file, a scheme that this build or system does not speak. The hint says what to do.
pub fn resolve(environment: &BTreeMap<String, String>, read: ReadFile<'_>) -> EngineResult<Place> {
    let variable = |name: &str| environment.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    let folder = settings_folder(environment);
    if let Some(host) = variable("DOCKER_HOST") {
        return from_environment(Some(host), Origin::Host, environment, folder.as_deref(), read);
    }
    let chosen = match (variable("DOCKER_CONTEXT"), &folder) {
        (Some(name), _) => Some((name.to_owned(), "DOCKER_CONTEXT".to_owned())),
        (None, Some(folder)) => current_context(&folder.join("config.json"), read)?,
        (None, None) => None,
    };
    match chosen {
        Some((name, chosen_by)) if name != "default" => from_context(name, chosen_by, folder.as_deref(), read),
        _ => from_environment(None, Origin::Default, environment, folder.as_deref(), read),
    }
}

fn current_context(path: &Path, read: ReadFile<'_>) -> EngineResult<Option<(String, String)>> {
    let Some(text) = read_optional(path, read)? else { return Ok(None) };
    let file: ConfigFile = serde_json::from_slice(&text).map_err(|error| {
        unusable(path.display(), format!("it is not valid JSON ({error})"), "correct that file, or set DOCKER_HOST")
    })?;
    Ok(file.current_context.filter(|name| !name.is_empty()).map(|name| (name, path.display().to_string())))
}

fn from_context(name: String, chosen_by: String, folder: Option<&Path>, read: ReadFile<'_>) -> EngineResult<Place> {
    let shown = format!("docker context \"{name}\"");
    let hint = format!("it is chosen by {chosen_by}; `docker context ls` lists the contexts there are");
    let missing = || unusable(&shown, "there is no such context".into(), &hint);
    let folder = folder.ok_or_else(missing)?;
    let hash: String = Sha256::digest(name.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        use fmt::Write;
        let _ = write!(text, "{byte:02x}"); // writing to a String can't fail
        text
    });
    let path = folder.join("contexts/meta").join(&hash).join("meta.json");
    let text = read_optional(&path, read)?.ok_or_else(missing)?;
    let file: ContextFile = serde_json::from_slice(&text)
        .map_err(|error| unusable(&shown, format!("{}: {error}", path.display()), "make the context anew"))?;
    let endpoint = file
        .endpoints
        .get("docker")
        .ok_or_else(|| unusable(&shown, "it names no docker engine".into(), "choose another context"))?;
    let origin = Origin::Context { name, chosen_by };
    let host = endpoint.host.as_deref().unwrap_or_default();
    let certificates = certificates_in(&folder.join("contexts/tls").join(&hash).join("docker"), read)?;
    if endpoint.skip_tls_verify {
        let hint = "make the context anew with the engine's CA certificate (ca=…)";
        return Err(unusable(&shown, "it says skip-tls-verify, which mcpmon does not do".into(), hint));
    }
    let (address, secure) = parse_host(host, certificates.is_some())?;
    let tls = tls_of(&address, secure, || Ok(certificates))?;
    Ok(Place { address, tls, origin })
}

fn from_environment(
    host: Option<&str>,
    origin: Origin,
    environment: &BTreeMap<String, String>,
    folder: Option<&Path>,
    read: ReadFile<'_>,
) -> EngineResult<Place> {
    let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
    let verify = set("DOCKER_TLS_VERIFY");
    if set("DOCKER_TLS") && !verify {
        let hint = "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH instead";
        return Err(unusable("DOCKER_TLS", "TLS without verification is something mcpmon does not do".into(), hint));
    }
    let (address, secure) = match host {
        Some(host) => parse_host(host, verify)?,
        None if verify => parse_host("tcp://localhost:2376", true)?,
        None => (Address::Unix(DEFAULT_SOCKET.into()), false),
    };
    let tls = tls_of(&address, secure, || {
        let named = environment.get("DOCKER_CERT_PATH").filter(|path| !path.is_empty()).map(Path::new);
        named.or(folder).map_or(Ok(None), |folder| certificates_in(folder, read))
    })?;
    Ok(Place { address, tls, origin })
}

/// Address, and whether TLS is spoken there.
fn parse_host(host: &str, tls: bool) -> EngineResult<(Address, bool)> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme {
        "unix" => Ok((Address::Unix(if rest.is_empty() { DEFAULT_SOCKET } else { rest }.into()), false)),
        "tcp" | "http" | "https" => {
            let tls = tls || scheme == "https";
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            if rest.contains(['/', '@', '?', ' ']) {
                return Err(unusable(host, "it is not of the form tcp://HOST:PORT".into(), "correct the address"));
            }
            let port = if tls { 2376 } else { 2375 };
            let has_port = rest.rsplit_once(':').is_some_and(|(before, port)| {
                !port.is_empty() && !port.contains(']') && (!before.contains(':') || before.ends_with(']'))
            });
            let address = match rest {
                "" => format!("localhost:{port}"),
                rest if has_port => rest.to_owned(),
                rest => format!("{}:{port}", rest.trim_end_matches(':')),
            };
            if address.rsplit_once(':').is_none_or(|(name, port)| name.is_empty() || port.parse::<u16>().is_err()) {
                return Err(unusable(host, "it is not of the form tcp://HOST:PORT".into(), "correct the address"));
            }
            Ok((Address::Tcp(address), tls))
        }
        "ssh" if cfg!(feature = "ssh") => Ok((Address::Ssh(rest.to_owned()), false)),
        "ssh" => Err(unusable(
            host,
            "this mcpmon was built without ssh".into(),
            "build it with `--features ssh`, or forward the socket \
             (ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST) and set DOCKER_HOST=unix:///tmp/engine.sock",
        )),
        "npipe" => Err(unusable(
            host,
            "named pipes exist on Windows only".into(),
            "set DOCKER_HOST to unix:///… or tcp://…, or choose another docker context",
        )),
        other => Err(unusable(
            host,
            format!("mcpmon does not know the scheme {other}://"),
            "set DOCKER_HOST to unix:///…, tcp://… or ssh://…",
        )),
    }
}

fn tls_of(
    address: &Address,
    secure: bool,
    find: impl FnOnce() -> EngineResult<Option<Certificates>>,
) -> EngineResult<Option<Certificates>> {
    if !secure {
        return Ok(None);
    }
    if !cfg!(feature = "tls") {
        return Err(unusable(
            address,
            "it is reached over TLS, and this mcpmon was built without".into(),
            "build it with `--features tls`",
        ));
    }
    Ok(Some(find()?.unwrap_or(Certificates { ca: None, client: None })))
}

/// The certificates in a folder, by docker's names for them; none when there is not one.
fn certificates_in(folder: &Path, read: ReadFile<'_>) -> EngineResult<Option<Certificates>> {
    let find = |name: &str| {
        let path = folder.join(name);
        read_optional(&path, read).map(|text| text.map(|_| path))
    };
    let ca = find("ca.pem")?;
    let client = match (find("cert.pem")?, find("key.pem")?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_some() { "key.pem" } else { "cert.pem" };
            return Err(unusable(
                folder.display(),
                format!("{missing} is missing beside its counterpart"),
                "put both there",
            ));
        }
    };
    Ok((ca.is_some() || client.is_some()).then_some(Certificates { ca, client }))
}

fn read_optional(path: &Path, read: ReadFile<'_>) -> EngineResult<Option<Vec<u8>>> {
    match read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => {
            let hint = "make it readable for you, or name the engine by DOCKER_HOST";
            Err(unusable(path.display(), format!("it can't be read: {error}"), hint))
        }
    }
}

fn unusable(address: impl fmt::Display, message: String, hint: impl Into<String>) -> EngineError {
    EngineError::Unreachable { address: address.to_string(), message, hint: hint.into() }
}

#[cfg(test)]
mod tests;
