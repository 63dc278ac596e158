//! Published ports in compose's short form: `[IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL]`.
//! Source: compose-spec, `ports`; what it leaves open was tried with `docker compose config`.

use std::net::IpAddr;

use super::{Invalid, whole};
use crate::model::spec::{Port, Protocol};

const HELP: &str =
    "write [IP:][HOST:]CONTAINER[/PROTOCOL], such as \"3000:3000\", \"127.0.0.1:8080:80\", \"53:53/udp\"";

/// One short form; a range gives one port each.
pub fn parse(text: &str) -> Result<Vec<Port>, Invalid> {
    let text = text.trim();
    let (address, protocol) = match text.rsplit_once('/') {
        Some((address, name)) => (address, self::protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    let (front, container) = address.rsplit_once(':').unwrap_or(("", address));
    let (host_ip, published) = match front.rsplit_once(':') {
        Some((ip, published)) => (Some(self::host_ip(ip)?), published),
        // `127.0.0.1:80` reads as host port 127.0.0.1.
        None if front.contains('.') || front.starts_with('[') => {
            return Err(Invalid::new(format!("{text:?} has an address but only one port"))
                .help(format!("write {front}:HOST:{container}, or {front}::{container} to let the engine choose")));
        }
        None => (None, front),
    };
    if container.is_empty() {
        return Err(Invalid::new(format!("{text:?} names no container port")).help(HELP));
    }
    let targets = range(container)?;
    if targets.0 == 0 {
        return Err(Invalid::new("0 is no container port").help(HELP));
    }
    let published = if published.is_empty() { None } else { Some(range(published)?) };
    spread(host_ip, published, targets, protocol)
}

/// `FIRST` or `FIRST-LAST`.
pub fn range(text: &str) -> Result<(u16, u16), Invalid> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (number(first)?, number(last)?);
    if range.0 > range.1 {
        return Err(Invalid::new(format!("the port range {text} runs backwards")));
    }
    Ok(range)
}

/// The container's port alone.
pub fn target(text: &str) -> Result<u16, Invalid> {
    match whole::parse(text, "target")? {
        0 => Err(Invalid::new("0 is no container port")),
        target => Ok(target),
    }
}

/// A host address that stands alone: IPv6 without brackets too.
pub fn address(text: &str) -> Result<IpAddr, Invalid> {
    text.parse().or_else(|_| host_ip(text))
}

/// One port for each of a range. `published` None: the engine chooses.
pub fn spread(
    host_ip: Option<IpAddr>,
    published: Option<(u16, u16)>,
    targets: (u16, u16),
    protocol: Protocol,
) -> Result<Vec<Port>, Invalid> {
    let port = |target, published| Port { host_ip, published, target, protocol };
    match published {
        // 0 means what nothing means: the engine chooses.
        None | Some((0, 0)) => Ok((targets.0..=targets.1).map(|target| port(target, 0)).collect()),
        Some(published) if published.1 - published.0 == targets.1 - targets.0 => {
            Ok((targets.0..=targets.1).zip(published.0..=published.1).map(|(t, p)| port(t, p)).collect())
        }
        // compose lets the engine pick one of the range at each start; mcpmon's plan needs to know which.
        Some(published) if targets.0 == targets.1 => Err(Invalid::new(format!(
            "one container port ({}) can't be published on a range of host ports ({}-{})",
            targets.0, published.0, published.1
        ))
        .help("name one host port, or leave it out to let the engine choose one")),
        Some(published) => Err(Invalid::new(format!(
            "the host range {}-{} and the container range {}-{} differ in length",
            published.0, published.1, targets.0, targets.1
        ))),
    }
}

/// A protocol's name, in any case.
pub fn protocol(name: &str) -> Result<Protocol, Invalid> {
    match name.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(Invalid::new(format!("unknown protocol {name:?}")).help("tcp, udp or sctp")),
    }
}

/// A host address; IPv6 with or without brackets.
pub fn host_ip(text: &str) -> Result<IpAddr, Invalid> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let invalid = || {
        let invalid = Invalid::new(format!("{text:?} is not an IP address"));
        if text.contains(':') {
            invalid.help("write an IPv6 address in brackets: \"[::1]:80:80\"")
        } else {
            invalid.help("host names can't be used here; write an address such as 127.0.0.1")
        }
    };
    match bracketed {
        Some(inner) => inner.parse().map(IpAddr::V6).map_err(|_| invalid()),
        None => text.parse().map(IpAddr::V4).map_err(|_| invalid()),
    }
}

fn number(text: &str) -> Result<u16, Invalid> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Invalid::new(format!("{text:?} is not a port")).help(HELP));
    }
    text.parse().map_err(|_| Invalid::new(format!("port {text} is above 65535")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `IP published->target/protocol` of each.
    fn shown(text: &str) -> String {
        let ports = parse(text).unwrap_or_else(|invalid| panic!("{text}: {invalid}"));
        let show = |port: &Port| {
            let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            format!("{ip}{}->{}/{}", port.published, port.target, port.protocol.as_str())
        };
        ports.iter().map(show).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn reads_what_compose_reads() {
        let cases = [
            ("3000", "0->3000/tcp"),
            ("3000-3001", "0->3000/tcp, 0->3001/tcp"),
            ("8000:80", "8000->80/tcp"),
            ("0:80", "0->80/tcp"),
            (":80", "0->80/tcp"),
            ("127.0.0.1:80:80/udp", "127.0.0.1 80->80/udp"),
            ("127.0.0.1::80", "127.0.0.1 0->80/tcp"),
            ("[::1]:5:6", "::1 5->6/tcp"),
            ("8000-8002:9000-9002", "8000->9000/tcp, 8001->9001/tcp, 8002->9002/tcp"),
            ("1.2.3.4:81-82:81-82/SCTP", "1.2.3.4 81->81/sctp, 1.2.3.4 82->82/sctp"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("99999", "port 99999 is above 65535"),
            ("80:70000", "port 70000 is above 65535"),
            ("a", "\"a\" is not a port"),
            ("", "names no container port"),
            ("80:", "names no container port"),
            ("0", "0 is no container port"),
            ("1-2:3-5", "differ in length"),
            ("5-3", "runs backwards"),
            ("80/foo", "unknown protocol"),
            ("81-82:80", "can't be published on a range"),
            ("h:80:80", "\"h\" is not an IP address"),
            ("::1:7:8", "\"::1\" is not an IP address"),
            ("127.0.0.1:80", "has an address but only one port"),
            ("80.5", "\"80.5\" is not a port"),
            ("8 0", "\"8 0\" is not a port"),
        ];
        for (text, part) in cases {
            let message = parse(text).unwrap_err().message;
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn never_panics_near_ports(text in "[0-9\\[\\]:./a-p-]{0,24}") {
            let _ = parse(&text);
        }

        #[test]
        fn ranges_keep_their_length(first in 1u16..60_000, length in 0u16..50, host in 1u16..60_000) {
            let text = format!("{host}-{}:{first}-{}", host + length, first + length);
            let ports = parse(&text).unwrap();
            prop_assert_eq!(ports.len(), usize::from(length) + 1);
            prop_assert!(ports.iter().all(|port| port.published - host == port.target - first));
        }
    }
}
