//! What engines of several versions say, and what it means here.

use super::*;

#[test]
fn answers_are_sorted_and_readable() {
    // Status, the engine's words, what it means, what is shown.
    let rows = [
        (404, "No such container: abc", "gone", "No such container: abc"),
        (404, "network acme_backend not found", "gone", "network acme_backend not found"),
        (404, "No such image: acme/api:1", "image", "No such image: acme/api:1"),
        (404, "acme/api:1: image not known", "image", "acme/api:1: image not known"),
        (
            409,
            "Conflict. The container name \"/a\" is already in use by container \"1234\". You have to remove (or rename) \
             that container to be able to reuse that name.",
            "name",
            "already in use",
        ),
        (409, "network with name acme already exists", "name", "network with name acme already exists"),
        (409, "removal of container abc is already in progress", "other 409", "in progress"),
        (409, "Container abc is not running", "other 409", "is not running"),
        (409, "container is marked for removal and cannot be started", "gone", "marked for removal"),
        (
            500,
            "driver failed programming external connectivity on endpoint a (0f): Bind for 0.0.0.0:8080 failed: port is \
             already allocated",
            "port",
            "host port 0.0.0.0:8080 is taken",
        ),
        (
            500,
            "driver failed programming external connectivity on endpoint a (0f): Error starting userland proxy: listen \
             tcp4 127.0.0.1:8080: bind: address already in use",
            "port",
            "host port 127.0.0.1:8080 is taken",
        ),
        (
            500,
            "failed to set up container networking: driver failed programming external connectivity on endpoint a (0f): \
             failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use",
            "port",
            "host port 0.0.0.0:8080 is taken",
        ),
        (
            500,
            "driver failed programming external connectivity on endpoint a: Error starting userland proxy: listen udp \
             [::]:53: bind: address already in use",
            "port",
            "host port [::]:53 is taken",
        ),
        (
            400,
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
             process: exec: \"nope\": executable file not found in $PATH: unknown",
            "other 400",
            "exec: \"nope\": executable file not found in $PATH",
        ),
        (
            400,
            "OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \"nope\": \
             permission denied: unknown",
            "other 400",
            "exec: \"nope\": permission denied",
        ),
        (
            400,
            "invalid mount config for type \"bind\": bind source path does not exist: /srv/data",
            "other 400",
            "volume source missing: /srv/data does not exist on the engine's host",
        ),
        (500, "something new", "other 500", "something new"),
    ];
    for (status, words, meaning, shown) in rows {
        let error = answer(status, words);
        let found = match &error {
            EngineError::NotFound(_) => "gone".to_owned(),
            EngineError::ImageNotFound(_) => "image".to_owned(),
            EngineError::NameTaken(_) => "name".to_owned(),
            EngineError::PortTaken(_) => "port".to_owned(),
            EngineError::Other { status, .. } => format!("other {}", status.unwrap_or_default()),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, meaning, "{words}");
        assert!(error.to_string().contains(shown), "{error}\nexpected: {shown}");
    }
}

#[test]
fn a_failing_connection_says_what_to_check() {
    let place = Where { address: "unix:///run/x.sock", origin: &Origin::Host };
    let failed = |kind: io::ErrorKind| sort(Error::IOError { err: io::Error::from(kind) }, place);
    let EngineError::Denied { hint, .. } = failed(io::ErrorKind::PermissionDenied) else { panic!() };
    assert!(hint.contains("usermod -aG docker") && hint.contains("DOCKER_HOST"), "{hint}");
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionReset] {
        let EngineError::Unreachable { address, hint, .. } = failed(kind) else { panic!("{kind:?}") };
        assert_eq!(address, "unix:///run/x.sock");
        assert!(hint.contains("is the engine running") && hint.contains("DOCKER_HOST"), "{hint}");
    }
}

#[test]
fn trouble_with_certificates_names_the_files() {
    let rows = [
        ("Client sent an HTTP request to an HTTPS server.", Origin::Host, "DOCKER_TLS_VERIFY=1"),
        ("invalid peer certificate: UnknownIssuer", Origin::Host, "check ca.pem in DOCKER_CERT_PATH"),
        (
            "received fatal alert: BadCertificate",
            Origin::Context { name: "work".into(), chosen_by: "DOCKER_CONTEXT".into() },
            "check cert.pem and key.pem of the docker context",
        ),
        ("received fatal alert: UnknownCA", Origin::Host, "check cert.pem and key.pem in DOCKER_CERT_PATH"),
        ("no certificate was found", Origin::Host, "ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH"),
        ("connection refused", Origin::Default, "is the engine running"),
    ];
    for (message, origin, words) in rows {
        let hint = hint_for(message, &origin);
        assert!(hint.contains(words), "{message}: {hint}");
    }
}
