//! Which engine an environment and a few files mean, row by row.

use std::collections::HashMap;

use super::*;

/// sha256("remote"), as `docker context create remote` names its folder.
const REMOTE: &str = "b71199ebd070b36beab7317920c2c2f1d777df8d05e5527d8458fda57cb17a7a";

/// Variables or files, by name.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn found(environment: Pairs<'_>, files: Pairs<'_>) -> Result<Place, String> {
    let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let files: HashMap<&Path, &str> = files.iter().map(|(path, text)| (Path::new(path), *text)).collect();
    let read = |path: &Path| match files.get(path) {
        Some(&"denied") => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
        Some(text) => Ok(text.as_bytes().to_vec()),
        None => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    resolve(&environment, &read).map_err(|error| match error {
        EngineError::Unreachable { address, message, hint } => format!("{address} | {message} | {hint}"),
        other => panic!("{other:?}"),
    })
}

fn remote() -> String {
    format!("/h/.docker/contexts/meta/{REMOTE}/meta.json")
}

#[test]
fn the_first_that_names_an_engine_wins() {
    let meta = remote();
    let remote_file =
        r#"{"Name":"remote","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///r.sock","SkipTLSVerify":false}}}"#;
    let files = [(meta.as_str(), remote_file), ("/h/.docker/config.json", r#"{"auths":{},"currentContext":"remote"}"#)];
    let default = "unix:///var/run/docker.sock";
    let rows: [(Pairs<'_>, &str, &str); 9] = [
        (&[], default, "the default"),
        (&[("HOME", "/nobody")], default, "the default"),
        (&[("HOME", "/h")], "unix:///r.sock", "/h/.docker/config.json"),
        (&[("DOCKER_CONFIG", "/h/.docker")], "unix:///r.sock", "\"remote\""),
        (&[("HOME", "/h"), ("DOCKER_HOST", "unix:///a.sock")], "unix:///a.sock", "DOCKER_HOST"),
        (&[("HOME", "/h"), ("DOCKER_HOST", "")], "unix:///r.sock", "config.json"),
        (&[("HOME", "/h"), ("DOCKER_CONTEXT", "default")], default, "the default"),
        (&[("HOME", "/h"), ("DOCKER_CONTEXT", "remote")], "unix:///r.sock", "DOCKER_CONTEXT"),
        (
            &[("HOME", "/h"), ("DOCKER_CONTEXT", "remote"), ("DOCKER_HOST", "unix:///a.sock")],
            "unix:///a.sock",
            "DOCKER_HOST",
        ),
    ];
    for (environment, address, origin) in rows {
        let place = found(environment, &files).unwrap();
        assert_eq!(place.address.to_string(), address, "{environment:?}");
        assert!(place.origin.to_string().contains(origin), "{environment:?}: {}", place.origin);
        assert_eq!(place.tls, None, "{environment:?}");
    }
}

#[test]
fn addresses_are_read_as_the_docker_cli_reads_them() {
    let rows = [
        ("unix:///x/y.sock", "unix:///x/y.sock"),
        ("unix://", "unix:///var/run/docker.sock"),
        ("tcp://10.0.0.1:1234", "tcp://10.0.0.1:1234"),
        ("tcp://build.example", "tcp://build.example:2375"),
        ("tcp://", "tcp://localhost:2375"),
        ("http://10.0.0.1:1234/", "tcp://10.0.0.1:1234"),
        ("10.0.0.1:1234", "tcp://10.0.0.1:1234"),
        ("tcp://[::1]:1234", "tcp://[::1]:1234"),
        ("tcp://[::1]", "tcp://[::1]:2375"),
        ("  unix:///x.sock ", "unix:///x.sock"),
    ];
    for (host, expected) in rows {
        assert_eq!(found(&[("DOCKER_HOST", host)], &[]).unwrap().address.to_string(), expected, "{host}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_a_way_out() {
    let meta = remote();
    let config = ("/h/.docker/config.json", r#"{"currentContext":"remote"}"#);
    let home = ("HOME", "/h");
    let rows: [(Pairs<'_>, Pairs<'_>, &[&str]); 14] = [
        (&[("DOCKER_HOST", "npipe:////./pipe/docker_engine")], &[], &["npipe:", "Windows", "unix:///"]),
        (&[("DOCKER_HOST", "fd://3")], &[], &["fd://3", "does not know", "DOCKER_HOST"]),
        (&[("DOCKER_HOST", "tcp://h:1/base")], &[], &["tcp://HOST:PORT"]),
        (&[("DOCKER_HOST", "tcp://h:99999")], &[], &["tcp://HOST:PORT"]),
        (&[("DOCKER_HOST", "tcp://user@h:1")], &[], &["tcp://HOST:PORT"]),
        (&[("DOCKER_TLS", "1"), ("DOCKER_HOST", "tcp://h:1")], &[], &["DOCKER_TLS", "DOCKER_TLS_VERIFY=1"]),
        (&[home, ("DOCKER_CONTEXT", "nope")], &[], &["\"nope\"", "no such context", "DOCKER_CONTEXT"]),
        (&[("DOCKER_CONTEXT", "nope")], &[], &["no such context"]),
        (&[home], &[config], &["\"remote\"", "no such context", "config.json"]),
        (&[home], &[("/h/.docker/config.json", "{")], &["config.json", "not valid JSON"]),
        (&[home], &[("/h/.docker/config.json", "denied")], &["config.json", "permission denied"]),
        (&[home], &[config, (&meta, "[")], &["\"remote\"", "meta.json"]),
        (&[home], &[config, (&meta, r#"{"Endpoints":{"kubernetes":{}}}"#)], &["no docker engine"]),
        (
            &[home],
            &[config, (&meta, r#"{"Endpoints":{"docker":{"Host":"tcp://h:1","SkipTLSVerify":true}}}"#)],
            &["skip-tls-verify"],
        ),
    ];
    for (environment, files, words) in rows {
        let message = found(environment, files).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{environment:?}: {message}");
        }
    }
}

#[cfg(not(feature = "ssh"))]
#[test]
fn without_ssh_it_says_what_to_do() {
    let message = found(&[("DOCKER_HOST", "ssh://me@build")], &[]).unwrap_err();
    assert!(message.contains("--features ssh") && message.contains("DOCKER_HOST=unix://"), "{message}");
}

/// Variables, the folder that has the three files, the address, and what must be found.
#[cfg(feature = "tls")]
type CertificateRow<'a> = (Vec<(&'a str, &'a str)>, &'a str, &'a str, Option<Certificates>);

#[cfg(feature = "tls")]
#[test]
fn certificates_are_found_where_docker_keeps_them() {
    let in_folder = |folder: &str| ["ca.pem", "cert.pem", "key.pem"].map(|name| (format!("{folder}/{name}"), "PEM"));
    let certificates = |folder: &str| {
        let path = |name: &str| Path::new(folder).join(name);
        Some(Certificates { ca: Some(path("ca.pem")), client: Some((path("cert.pem"), path("key.pem"))) })
    };
    let context_folder = format!("/h/.docker/contexts/tls/{REMOTE}/docker");
    let meta = remote();
    let secure = [("DOCKER_TLS_VERIFY", "1"), ("DOCKER_HOST", "tcp://h")];
    let rows: [CertificateRow<'_>; 7] = [
        ([("DOCKER_CERT_PATH", "/c")].into_iter().chain(secure).collect(), "/c", "tcp://h:2376", certificates("/c")),
        (
            [("HOME", "/h")].into_iter().chain(secure).collect(),
            "/h/.docker",
            "tcp://h:2376",
            certificates("/h/.docker"),
        ),
        (
            vec![("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/c")],
            "/c",
            "tcp://localhost:2376",
            certificates("/c"),
        ),
        (vec![("DOCKER_HOST", "https://h:1")], "/none", "tcp://h:1", Some(Certificates { ca: None, client: None })),
        // An empty variable is unset; certificates alone do not switch TLS on.
        (
            vec![("DOCKER_TLS_VERIFY", ""), ("DOCKER_CERT_PATH", "/c"), ("DOCKER_HOST", "tcp://h")],
            "/c",
            "tcp://h:2375",
            None,
        ),
        (
            vec![("DOCKER_TLS_VERIFY", "1"), ("DOCKER_HOST", "unix:///x"), ("DOCKER_CERT_PATH", "/c")],
            "/c",
            "unix:///x",
            None,
        ),
        (
            vec![("HOME", "/h"), ("DOCKER_CONTEXT", "remote")],
            &context_folder,
            "tcp://h:2376",
            certificates(&context_folder),
        ),
    ];
    for (environment, folder, address, expected) in rows {
        let pems = in_folder(folder);
        let mut files: Vec<(&str, &str)> = pems.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        files.push((&meta, r#"{"Endpoints":{"docker":{"Host":"tcp://h"}}}"#));
        let place = found(&environment, &files).unwrap();
        assert_eq!((place.address.to_string().as_str(), place.tls), (address, expected), "{environment:?}");
    }
    let half = found(&[("DOCKER_CERT_PATH", "/c"), secure[0], secure[1]], &[("/c/cert.pem", "PEM")]).unwrap_err();
    assert!(half.contains("key.pem is missing"), "{half}");
}
