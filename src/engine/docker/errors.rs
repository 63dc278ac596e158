//! Sorts what an engine or the way to it says into [`EngineError`]s. Pure.

use std::io;

use bollard::errors::Error;

use crate::engine::{EngineError, connect::Origin};

/// Which engine a call went to; for messages.
#[derive(Clone, Copy)]
pub(super) struct Where<'a> {
    pub(super) address: &'a str,
    pub(super) origin: &'a Origin,
}

/// Sorts a failed call.
pub(super) fn sort(error: Error, place: Where<'_>) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => answer(status_code, &message),
        Error::JsonDataError { message, .. } => {
            EngineError::Other { status: None, message: format!("the engine's answer could not be read: {message}") }
        }
        Error::JsonSerdeError { err } => {
            EngineError::Other { status: None, message: format!("the engine's answer could not be read: {err}") }
        }
        other => transport(&other, place),
    }
}

/// Nobody answered, or the connection was cut.
fn transport(error: &Error, place: Where<'_>) -> EngineError {
    let address = place.address.to_owned();
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    let mut input_output = None;
    loop {
        if let Some(error) = innermost.downcast_ref::<io::Error>() {
            input_output = Some(error.kind());
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    // thiserror's transparent variants have no source but that of what they hold.
    if let Error::IOError { err } = error {
        input_output = input_output.or(Some(err.kind()));
    }
    match input_output {
        Some(io::ErrorKind::PermissionDenied) => EngineError::Denied { hint: denied_hint(place), address },
        Some(io::ErrorKind::NotFound) => EngineError::Unreachable {
            address,
            message: "there is no such socket".into(),
            hint: unreachable_hint(place.origin),
        },
        _ => {
            let message = plain(innermost);
            EngineError::Unreachable { address, hint: hint_for(&message, place.origin), message }
        }
    }
}

fn plain(error: &(dyn std::error::Error + 'static)) -> String {
    let text = error.to_string();
    // "Connection refused (os error 111)": the number says nothing to a reader.
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// What to check, by what the connection said.
pub(super) fn hint_for(message: &str, origin: &Origin) -> String {
    let lower = message.to_lowercase();
    let folder = match origin {
        Origin::Context { .. } => "of the docker context",
        _ => "in DOCKER_CERT_PATH (default ~/.docker)",
    };
    if message.contains("HTTPS server") {
        format!("it speaks TLS: set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH. This address is {origin}")
    } else if lower.contains("alert") && (lower.contains("certificate") || lower.contains("unknownca")) {
        // RFC 8446, 6.2: what the other side says of a certificate that it was shown, or misses.
        format!("the engine does not take this client: check cert.pem and key.pem {folder}. This address is {origin}")
    } else if lower.contains("peer certificate") {
        format!("nobody in ca.pem vouches for the engine: check ca.pem {folder}. This address is {origin}")
    } else if lower.contains("certificate") {
        format!("check ca.pem, cert.pem and key.pem {folder}. This address is {origin}")
    } else {
        unreachable_hint(origin)
    }
}

/// What to check when nobody answers.
pub(in crate::engine) fn unreachable_hint(origin: &Origin) -> String {
    let other = match origin {
        Origin::Host => "is DOCKER_HOST right?",
        Origin::Context { .. } => "is it the right docker context (`docker context ls`)?",
        Origin::Default => "or set DOCKER_HOST, or choose a docker context, if it listens elsewhere",
    };
    format!("is the engine running (`docker version`)? This address is {origin}; {other}")
}

fn denied_hint(place: Where<'_>) -> String {
    if place.address.starts_with("unix:") {
        format!(
            "add yourself to the socket's group (usually `sudo usermod -aG docker $USER`, then log in again), \
             or use a rootless engine. This address is {}",
            place.origin
        )
    } else {
        format!("this address is {}", place.origin)
    }
}

/// Sorts an answer that is no success.
pub(super) fn answer(status: u16, message: &str) -> EngineError {
    let lower = message.to_lowercase();
    if lower.contains("port is already allocated")
        || lower.contains("address already in use")
        || lower.contains("ports are not available")
    {
        return EngineError::PortTaken(match taken_address(message) {
            Some(address) => format!("host port {address} is taken"),
            None => trim(message).to_owned(),
        });
    }
    if lower.contains("no such image") || (status == 404 && lower.contains("image not known")) {
        return EngineError::ImageNotFound(trim(message).to_owned());
    }
    if lower.contains("bind source path does not exist") {
        let path = message.rsplit_once("does not exist").map_or("", |(_, path)| path.trim_start_matches([':', ' ']));
        return EngineError::Other {
            status: Some(status),
            message: format!(
                "volume source missing: {path} does not exist on the engine's host; \
                 make it, or let it be made (bind.create_host_path)"
            ),
        };
    }
    if status == 409 && lower.contains("already in use by container") || lower.contains("already exists") {
        return EngineError::NameTaken(trim(message).to_owned());
    }
    // Somebody is removing it at this moment: gone, but for a few milliseconds.
    if status == 404 || (status == 409 && lower.contains("marked for removal")) {
        return EngineError::NotFound(trim(message).to_owned());
    }
    EngineError::Other { status: Some(status), message: trim(message).to_owned() }
}

/// `0.0.0.0:8080` in the words of several engine versions.
fn taken_address(message: &str) -> Option<&str> {
    const BEFORE: [&str; 7] = [
        "Bind for ",
        "listen tcp4 ",
        "listen tcp6 ",
        "listen tcp ",
        "listen udp4 ",
        "listen udp ",
        "bind host port for ",
    ];
    let rest = BEFORE.iter().find_map(|before| message.split_once(before).map(|(_, rest)| rest))?;
    let address = rest.split([' ', ',']).next()?.trim_end_matches(':');
    // "0.0.0.0:8080:172.17.0.2:80/tcp" (engine 28): host side first.
    let mut parts = address.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(host), Some(port), Some(_)) if !host.starts_with('[') => Some(&address[..=host.len() + port.len()]),
        _ => Some(address),
    }
}

/// The engine's words without what its inner layers put around them.
pub(super) fn trim(message: &str) -> &str {
    const AROUND: [&str; 9] = [
        "Error response from daemon: ",
        "failed to create task for container: ",
        "failed to create shim task: ",
        "failed to create shim: ",
        "OCI runtime create failed: ",
        "runc create failed: ",
        "unable to start container process: ",
        "starting container process caused: ",
        "error during container init: ",
    ];
    let mut rest = message.trim();
    loop {
        let before = rest;
        for around in AROUND {
            rest = rest.strip_prefix(around).unwrap_or(rest);
        }
        // runc before 1.1: "container_linux.go:380: starting container process caused: …"
        if let Some((place, inner)) = rest.split_once(": ")
            && place.contains(".go:")
            && !place.contains(' ')
        {
            rest = inner;
        }
        rest = rest.strip_suffix(": unknown").unwrap_or(rest);
        if rest == before {
            return rest;
        }
    }
}

#[cfg(test)]
mod tests;
