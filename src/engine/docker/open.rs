//! From a [`Place`] to a connection that speaks the right API version.

use std::{fmt, io, path::Path, time::Duration};

use serde::Deserialize;

use super::{Shared, errors, inherited::ImageLabels, wire};
use crate::engine::{
    EngineError, EngineInfo, EngineResult,
    connect::{Address, Place},
};

/// Each call has its own limit (`wire::limited`), some none: the client's own one must never be the first to end.
const NO_LIMIT: u64 = 10 * 365 * 24 * 3600;

/// The newest API version whose answers bollard's models know.
const NEWEST: ApiVersion = ApiVersion(1, 53);

/// An engine API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) struct ApiVersion(pub(in crate::engine) u16, pub(in crate::engine) u16);

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl EngineInfo {
    /// Whether this version of the API is spoken, or a newer one.
    pub fn speaks(&self, major: u16, minor: u16) -> bool {
        self.api_version.parse::<ApiVersion>().is_ok_and(|spoken| spoken >= ApiVersion(major, minor))
    }
}

impl std::str::FromStr for ApiVersion {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self(major.parse().map_err(drop)?, minor.parse().map_err(drop)?))
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    engine: Option<String>,
    #[serde(rename = "ApiVersion")]
    newest: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    minimum: Option<String>,
}

/// Connects, asks who is there, and settles on an API version.
pub(super) async fn open(place: Place, call_limit: Duration) -> EngineResult<Shared> {
    let address = place.address.to_string();
    let place_of_call = errors::Where { address: &address, origin: &place.origin };
    let client = client(&place).map_err(|error| errors::sort(error, place_of_call))?;
    let read = wire::collect(wire::send(&client, "GET", "/version".into(), None));
    let no_engine = |words: String| EngineError::Unreachable {
        address: address.clone(),
        hint: errors::hint_for(&words, &place.origin),
        message: format!("what answers there is no container engine: {words}"),
    };
    let body = match wire::limited("asking the container engine for its version", call_limit, read, place_of_call).await
    {
        Err(EngineError::Other { message, .. } | EngineError::NotFound(message)) => return Err(no_engine(message)),
        other => other?,
    };
    let found: Version = serde_json::from_slice(&body).map_err(|error| no_engine(error.to_string()))?;
    let api = settle(found.minimum.as_deref(), found.newest.as_deref())
        .map_err(|message| EngineError::Other { status: None, message })?;
    let info = EngineInfo { address, version: found.engine.unwrap_or_default(), api_version: api.to_string() };
    let client = client.with_request_modifier(move |request| wire::with_version(request, api));
    let socket = match place.address {
        Address::Unix(path) => Some(path),
        Address::Tcp(_) | Address::Ssh(_) => None,
    };
    let image_labels = ImageLabels::default();
    Ok(Shared { client, api, info, origin: place.origin, socket, call_limit, image_labels })
}

/// The newest version that both sides know.
fn settle(minimum: Option<&str>, newest: Option<&str>) -> Result<ApiVersion, String> {
    let newest: ApiVersion = newest
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("the engine says no API version that mcpmon can read ({newest:?})"))?;
    match minimum.and_then(|text| text.parse::<ApiVersion>().ok()) {
        Some(minimum) if minimum > NEWEST => Err(format!(
            "the engine wants API version {minimum} or newer; this mcpmon speaks up to {NEWEST}: update mcpmon"
        )),
        _ => Ok(newest.min(NEWEST)),
    }
}

fn client(place: &Place) -> Result<bollard::Docker, bollard::errors::Error> {
    let version = bollard::API_DEFAULT_VERSION;
    match (&place.address, &place.tls) {
        (Address::Unix(path), _) => unix(path, version),
        (Address::Tcp(host), None) => bollard::Docker::connect_with_http(host, NO_LIMIT, version),
        #[cfg(feature = "tls")]
        (Address::Tcp(host), Some(certificates)) => {
            // bollard takes paths and wants all three; an empty CA file adds nothing to the system's roots,
            // and a client certificate that is not there is not sent.
            let nothing = || Path::new("/dev/null").to_owned();
            let (cert, key) = certificates.client.clone().unwrap_or_else(|| (nothing(), nothing()));
            let ca = certificates.ca.clone().unwrap_or_else(nothing);
            bollard::Docker::connect_with_ssl(host, &key, &cert, &ca, NO_LIMIT, version)
        }
        #[cfg(feature = "ssh")]
        (Address::Ssh(host), _) => bollard::Docker::connect_with_ssh(host, NO_LIMIT, version, None),
        #[allow(unreachable_patterns, reason = "depends on the features")]
        _ => Err(bollard::errors::Error::UnsupportedURISchemeError { uri: place.address.to_string() }),
    }
}

#[cfg(unix)]
fn unix(path: &Path, version: &bollard::ClientVersion) -> Result<bollard::Docker, bollard::errors::Error> {
    use bollard::errors::Error;

    // A socket in a folder that this user may not enter looks like one that is not there: ask for the reason.
    if let Err(err) = path.metadata() {
        return Err(Error::IOError { err });
    }
    let path = path.to_str().ok_or_else(|| Error::IOError {
        err: io::Error::new(io::ErrorKind::InvalidInput, "the socket's path is not UTF-8"),
    })?;
    bollard::Docker::connect_with_unix(path, NO_LIMIT, version)
}

#[cfg(not(unix))]
fn unix(path: &Path, _: &bollard::ClientVersion) -> Result<bollard::Docker, bollard::errors::Error> {
    Err(bollard::errors::Error::UnsupportedURISchemeError { uri: format!("unix://{}", path.display()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_know_is_spoken() {
        let rows = [
            (Some("1.12"), Some("1.41"), Ok("1.41")),
            (Some("1.44"), Some("1.52"), Ok("1.52")),
            (Some("1.44"), Some("1.99"), Ok("1.53")),
            (None, Some("1.40"), Ok("1.40")), // Podman's older releases say no minimum
            (Some("1.60"), Some("1.70"), Err("update mcpmon")),
            (None, None, Err("no API version")),
            (None, Some("new"), Err("no API version")),
        ];
        for (minimum, newest, expected) in rows {
            match (settle(minimum, newest), expected) {
                (Ok(version), Ok(expected)) => assert_eq!(version.to_string(), expected),
                (Err(message), Err(part)) => assert!(message.contains(part), "{message}"),
                (found, expected) => panic!("{minimum:?}..{newest:?}: {found:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!("1.9".parse::<ApiVersion>() < "1.41".parse());
        assert!("1.44".parse::<ApiVersion>() < "2.0".parse());
    }
}
