//! Which engine a line means: its global options, and podman's own variables, as the variables that
//! [`crate::engine::connect`] reads. It must not connect to anything.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    ContainerLine,
    options::{Options, Program},
    scan::{Given, scan, switch},
};

/// Why the API of the line's engine can't be found. The line itself can still be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The certificates' files are not named as the API's variables would have it.
    #[error("the certificates of {0} don't lie in one folder as ca.pem, cert.pem and key.pem")]
    Certificates(String),
    /// A podman connection: where it leads only podman knows.
    #[error("where the podman connection {0} leads is not known; name it by --url or CONTAINER_HOST")]
    Connection(String),
    /// An option's value is no text.
    #[error("the value of --{0} is not UTF-8")]
    NotText(String),
}

impl ContainerLine {
    /// This environment, changed so that it means the engine that the line means.
    ///
    /// # Errors
    /// When it can't be said in variables.
    pub fn engine_environment(
        &self,
        environment: &BTreeMap<String, String>,
        is_root: bool,
    ) -> Result<BTreeMap<String, String>, NoPlace> {
        let mut environment = environment.clone();
        match self.program {
            Program::Docker => docker(&self.global, &mut environment)?,
            Program::Podman => podman(&self.global, &mut environment, is_root)?,
        }
        Ok(environment)
    }
}

/// The same for a compose line: `program` is what stands before compose's own options (`docker --context x compose`).
///
/// # Errors
/// When it can't be said in variables.
pub fn compose_environment(
    program: &[OsString],
    environment: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, NoPlace> {
    let mut environment = environment.clone();
    // What can't be read here has not been read as a compose line either.
    if let Ok((global, _)) = scan(program, 1, &Options::global(Program::Docker)) {
        docker(&global, &mut environment)?;
    }
    Ok(environment)
}

/// An option's value as text.
fn text(one: &Given) -> Result<String, NoPlace> {
    let value = one.value.as_deref().unwrap_or_default();
    value.to_str().map(str::to_owned).ok_or_else(|| NoPlace::NotText(one.name.clone()))
}

fn docker(global: &[Given], environment: &mut BTreeMap<String, String>) -> Result<(), NoPlace> {
    let mut files: BTreeMap<&str, PathBuf> = BTreeMap::new();
    for one in global {
        let mut set = |key: &str, value: String| environment.insert(key.to_owned(), value);
        match one.name.as_str() {
            // Each of the two wins over both variables (docker/cli `cli/command/cli.go`, `resolveContextName`).
            "host" => {
                set("DOCKER_HOST", text(one)?);
                environment.remove("DOCKER_CONTEXT");
            }
            "context" => {
                set("DOCKER_CONTEXT", text(one)?);
                environment.remove("DOCKER_HOST");
            }
            "config" => {
                set("DOCKER_CONFIG", text(one)?);
            }
            "tls" | "tlsverify" => {
                let on = switch(one.value.as_deref()).unwrap_or_default();
                let key = if one.name == "tls" { "DOCKER_TLS" } else { "DOCKER_TLS_VERIFY" };
                set(key, if on { "1".to_owned() } else { String::new() });
            }
            "tlscacert" => drop(files.insert("ca.pem", text(one)?.into())),
            "tlscert" => drop(files.insert("cert.pem", text(one)?.into())),
            "tlskey" => drop(files.insert("key.pem", text(one)?.into())),
            _ => {}
        }
    }
    if let Some(folder) = files.values().next().map(|file| file.parent().unwrap_or(Path::new("")).to_owned()) {
        let named = |(name, file): (&&str, &PathBuf)| file == &folder.join(name);
        if !files.iter().all(named) {
            let shown: Vec<String> = files.values().map(|file| file.display().to_string()).collect();
            return Err(NoPlace::Certificates(shown.join(", ")));
        }
        environment.insert("DOCKER_CERT_PATH".to_owned(), folder.display().to_string());
    }
    Ok(())
}

/// podman(1): `--url`, `CONTAINER_HOST`, else the service's socket of the user (podman-system-service(1)).
fn podman(global: &[Given], environment: &mut BTreeMap<String, String>, is_root: bool) -> Result<(), NoPlace> {
    let last = |names: &[&str]| global.iter().rev().find(|one| names.contains(&one.name.as_str())).map(text);
    let set = |key: &str| environment.get(key).filter(|value| !value.is_empty()).cloned();
    let connection = last(&["connection", "context"]).transpose()?.or_else(|| set("CONTAINER_CONNECTION"));
    let host = match last(&["url", "host"]).transpose()?.or_else(|| set("CONTAINER_HOST")) {
        Some(host) => host,
        None => match (connection.filter(|name| name != "default"), set("XDG_RUNTIME_DIR")) {
            (Some(connection), _) => return Err(NoPlace::Connection(connection)),
            (None, Some(folder)) if !is_root => format!("unix://{folder}/podman/podman.sock"),
            (None, _) => "unix:///run/podman/podman.sock".to_owned(),
        },
    };
    environment.insert("DOCKER_HOST".to_owned(), host);
    environment.retain(|key, _| !matches!(key.as_str(), "DOCKER_CONTEXT" | "DOCKER_TLS" | "DOCKER_TLS_VERIFY"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker_line::{DockerLine, parse};

    fn place(line: &str, environment: &[(&str, &str)], is_root: bool) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let DockerLine::Container(line) = parse(&words) else { panic!("{line}") };
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        match line.engine_environment(&environment, is_root) {
            Ok(found) => {
                let found: Vec<String> = found.iter().map(|(key, value)| format!("{key}={value}")).collect();
                found.join(" ").replace("DOCKER_", "")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_lines_own_options_win() {
        let both = [("DOCKER_HOST", "tcp://e"), ("DOCKER_CONTEXT", "e")];
        for (line, expected) in [
            ("docker run x", "CONTEXT=e HOST=tcp://e"),
            ("docker -H tcp://a run x", "HOST=tcp://a"),
            ("docker --host=tcp://a run x", "HOST=tcp://a"),
            ("docker --context a run x", "CONTEXT=a"),
            ("docker -ca run x", "CONTEXT=a"),
            ("docker --config /c -H a run x", "CONFIG=/c HOST=a"),
            ("docker -H a --tlsverify run x", "HOST=a TLS_VERIFY=1"),
            ("docker -H a --tlsverify=false --tls run x", "HOST=a TLS=1 TLS_VERIFY="),
            (
                "docker -H a --tlscacert /c/ca.pem --tlscert /c/cert.pem --tlskey /c/key.pem run x",
                "CERT_PATH=/c HOST=a",
            ),
            (
                "docker --tlscacert /c/ca.pem --tlscert /d/cert.pem run x",
                "the certificates of /c/ca.pem, /d/cert.pem don't lie in one folder as ca.pem, cert.pem and key.pem",
            ),
        ] {
            assert_eq!(place(line, &both, false), expected, "{line}");
        }
    }

    #[test]
    fn a_compose_line_means_the_engine_of_its_docker() {
        let environment = BTreeMap::from([("DOCKER_CONTEXT".to_owned(), "e".to_owned())]);
        for (line, expected) in [
            ("docker compose", ("DOCKER_CONTEXT", "e")),
            ("docker -H tcp://a compose", ("DOCKER_HOST", "tcp://a")),
            ("docker-compose", ("DOCKER_CONTEXT", "e")),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let found = compose_environment(&words, &environment).expect("a place");
            assert_eq!(found, BTreeMap::from([(expected.0.to_owned(), expected.1.to_owned())]), "{line}");
        }
    }

    #[test]
    fn podman_has_its_own_places() {
        let user = [("DOCKER_HOST", "tcp://e"), ("XDG_RUNTIME_DIR", "/run/user/7")];
        for (line, is_root, expected) in [
            ("podman run x", false, "HOST=unix:///run/user/7/podman/podman.sock XDG_RUNTIME_DIR=/run/user/7"),
            ("podman run x", true, "HOST=unix:///run/podman/podman.sock XDG_RUNTIME_DIR=/run/user/7"),
            ("podman --url tcp://a run x", false, "HOST=tcp://a XDG_RUNTIME_DIR=/run/user/7"),
            (
                "podman -c far run x",
                false,
                "where the podman connection far leads is not known; name it by --url or CONTAINER_HOST",
            ),
        ] {
            assert_eq!(place(line, &user, is_root), expected, "{line}");
        }
        assert_eq!(place("podman run x", &[("CONTAINER_HOST", "h")], false), "CONTAINER_HOST=h HOST=h");
    }
}
