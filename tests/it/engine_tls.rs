//! The engine over TLS, as DOCKER_HOST with certificates and as a docker context: a relay in this process asks for the
//! client's certificate, then hands the bytes on to the engine's own socket.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use futures_util::StreamExt;
use mcpmon::engine::{
    Engine, EngineError, EngineResult,
    connect::{Address, Origin, resolve},
    docker::Docker,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

use crate::{
    project::Project,
    support::{Corner, DEADLINE, environment, spec},
};

/// Signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("a certificate");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        Self(
            CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a certificate"))
                .expect("a certificate"),
        )
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose) -> Signed {
        let key = KeyPair::generate().expect("a certificate");
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("a certificate");
        parameters.extended_key_usages = vec![purpose];
        Signed { certificate: parameters.signed_by(&key, &self.0).expect("a certificate"), key }
    }

    /// Writes the files that docker wants in a folder: this one's `ca.pem`, and the client's pair.
    fn write(&self, folder: &Path, client: Option<&Signed>) {
        fs::create_dir_all(folder).expect("a file");
        fs::write(folder.join("ca.pem"), self.0.pem()).expect("a file");
        if let Some(client) = client {
            fs::write(folder.join("cert.pem"), client.certificate.pem()).expect("a file");
            fs::write(folder.join("key.pem"), client.key.serialize_pem()).expect("a file");
        }
    }
}

/// An engine that is reached over TLS alone, by whoever shows a certificate of its authority.
struct Relay {
    address: SocketAddr,
    authority: Authority,
    /// The certificates that were shown.
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    folder: TempDir,
}

impl Relay {
    async fn start() -> Self {
        let authority = Authority::new("the engine's");
        let server = authority.sign("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).expect("a certificate");
        let config = ServerConfig::builder()
            .with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a certificate"))
            .with_single_cert(
                vec![server.certificate.der().clone()],
                PrivateKeyDer::try_from(server.key.serialize_der()).expect("a certificate"),
            )
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a port");
        let shown = Arc::default();
        tokio::spawn(relay(listener, TlsAcceptor::from(Arc::new(config)), engine_socket(), Arc::clone(&shown)));
        Self { address, authority, shown, folder: tempfile::tempdir().expect("a folder") }
    }

    fn client(&self) -> Signed {
        self.authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// The variables that name it, with certificates from that folder.
    fn environment(&self, certificates: &Path) -> BTreeMap<String, String> {
        let mut environment = environment();
        environment.insert("DOCKER_HOST".into(), format!("tcp://{}", self.address));
        environment.insert("DOCKER_TLS_VERIFY".into(), "1".into());
        environment.insert("DOCKER_CERT_PATH".into(), certificates.display().to_string());
        environment
    }

    fn saw(&self, client: &Signed) -> bool {
        self.shown.lock().expect("nobody panicked").contains(client.certificate.der())
    }
}

/// Hands every connection on; one that shows no good certificate ends in the handshake.
async fn relay(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    engine: PathBuf,
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
) {
    let one = async |stream: TcpStream| -> std::io::Result<()> {
        let mut client = match acceptor.accept(stream).into_fallible().await {
            Ok(client) => client,
            Err((_, mut stream)) => {
                // Closed with something unread, the connection would be reset, and the alert with it.
                stream.shutdown().await?;
                return tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop);
            }
        };
        let certificates = client.get_ref().1.peer_certificates().unwrap_or_default();
        shown
            .lock()
            .expect("nobody panicked")
            .extend(certificates.iter().map(|certificate| certificate.clone().into_owned()));
        let mut engine = UnixStream::connect(&engine).await?;
        tokio::io::copy_bidirectional(&mut client, &mut engine).await.map(drop)
    };
    let mut connections = futures_util::stream::FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => connections.push(one(accepted.expect("a connection").0)),
            // What the client sees of a refusal is what is tested.
            Some(_) = connections.next() => {}
        }
    }
}

/// The socket of the engine that the other tests use.
fn engine_socket() -> PathBuf {
    match resolve(&environment(), &|path| fs::read(path)).expect("engine tests need an engine").address {
        Address::Unix(path) => path,
        other => panic!("the relay needs an engine on a socket, not {other}"),
    }
}

async fn connect(environment: &BTreeMap<String, String>) -> EngineResult<Docker> {
    Docker::connect(environment, DEADLINE).await
}

#[tokio::test]
async fn an_engine_named_by_docker_host_is_reached_with_certificates() {
    let (relay, mut corner) = (Relay::start().await, Corner::new("tls").await);
    let client = relay.client();
    relay.authority.write(relay.folder.path(), Some(&client));
    let plain = corner.docker.info();
    corner.docker = connect(&relay.environment(relay.folder.path())).await.unwrap();
    assert!(relay.saw(&client), "the client's certificate was not shown");
    let info = corner.docker.info();
    assert_eq!(info.address, format!("tcp://{}", relay.address));
    assert_eq!((info.version, info.api_version), (plain.version, plain.api_version));

    // Calls, the stream of events, and a connection that is taken over.
    let mut events = corner.events();
    let mut echo = spec(&["stdio"]);
    echo.stdin_open = true;
    let id = corner.create("server", &echo).await.unwrap();
    events.action(&id, "create").await;
    corner.docker.start(&id).await.unwrap();
    let mut attached = corner.docker.attach(&id).await.unwrap();
    attached.input.write_all(format!("{}\n", mcpmon::model::probe::INITIALIZE).as_bytes()).await.unwrap();
    attached.input.flush().await.unwrap();
    let answer = timeout(DEADLINE, attached.output.next()).await.expect("an answer").expect("one").unwrap();
    assert!(String::from_utf8_lossy(&answer.bytes).contains("\"result\""), "{answer:?}");
    drop(attached);
    corner.docker.remove(&id).await.unwrap();
    events.action(&id, "destroy").await;
}

#[tokio::test]
async fn an_engine_named_by_a_context_is_reached_with_the_contexts_certificates() {
    use sha2::{Digest, Sha256};

    let relay = Relay::start().await;
    let client = relay.client();
    let hash = Sha256::digest(b"remote").iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
    let contexts = relay.folder.path().join("contexts");
    relay.authority.write(&contexts.join("tls").join(&hash).join("docker"), Some(&client));
    fs::create_dir_all(contexts.join("meta").join(&hash)).unwrap();
    let meta = serde_json::json!({
        "Name": "remote", "Metadata": {},
        "Endpoints": { "docker": { "Host": format!("tcp://{}", relay.address), "SkipTLSVerify": false } },
    });
    fs::write(contexts.join("meta").join(&hash).join("meta.json"), meta.to_string()).unwrap();
    let mut environment = environment();
    for name in ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
        environment.remove(name);
    }
    environment.insert("DOCKER_CONFIG".into(), relay.folder.path().display().to_string());
    environment.insert("DOCKER_CONTEXT".into(), "remote".into());
    let docker = connect(&environment).await.unwrap();
    assert!(relay.saw(&client), "the client's certificate was not shown");
    assert!(matches!(docker.origin(), Origin::Context { name, .. } if name == "remote"), "{:?}", docker.origin());
    // The docker CLI reads the same context: it is one.
    let mut cli = std::process::Command::new("docker");
    cli.args(["version", "--format", "{{.Server.Version}}"]).env_clear().envs(&environment);
    let output = tokio::task::spawn_blocking(move || cli.output().unwrap()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), docker.info().version, "{output:?}");
}

#[tokio::test]
async fn who_can_not_be_trusted_is_refused() {
    let relay = Relay::start().await;
    let refused = async |what: &str, said: &str, check: &str| {
        let error = connect(&relay.environment(relay.folder.path())).await.unwrap_err();
        let EngineError::Unreachable { address, message, hint } = &error else { panic!("{what}: {error:?}") };
        assert_eq!(address, &format!("tcp://{}", relay.address));
        assert!(message.contains(said), "{what}: {message}");
        for words in [check, "in DOCKER_CERT_PATH", "named by DOCKER_HOST"] {
            assert!(hint.contains(words), "{what}: {message}: {hint}");
        }
    };
    let (other, client) = (Authority::new("another"), relay.client());
    other.write(relay.folder.path(), Some(&client));
    refused("nobody known vouches for the engine", "invalid peer certificate: UnknownIssuer", "check ca.pem").await;

    let stranger = other.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    relay.authority.write(relay.folder.path(), Some(&stranger));
    refused("nobody known vouches for the client", "UnknownCA", "check cert.pem and key.pem").await;

    fs::remove_file(relay.folder.path().join("cert.pem")).unwrap();
    fs::remove_file(relay.folder.path().join("key.pem")).unwrap();
    refused("no certificate is shown", "CertificateRequired", "check cert.pem and key.pem").await;
    assert!(relay.shown.lock().unwrap().is_empty(), "somebody was let through");
}

/// What a person reads of it.
#[tokio::test]
async fn a_wrong_authority_is_said_on_the_command_line() {
    let relay = Relay::start().await;
    Authority::new("another").write(relay.folder.path(), Some(&relay.client()));
    let mut project = Project::with("tlsrefused", "[targets.api]\nimage = \"mcpmon-test-server:latest\"\n");
    for name in ["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"] {
        project.environment(name, &relay.environment(relay.folder.path())[name]);
    }
    let (project, ran) = tokio::task::spawn_blocking(move || {
        let ran = project.run(&["plan"]);
        (project, ran)
    })
    .await
    .unwrap();
    assert_eq!(ran.code, 69, "{ran:?}");
    println!("{}", project.tidy(&ran.err));
    for words in ["certificate", "check ca.pem in DOCKER_CERT_PATH", "named by DOCKER_HOST"] {
        assert!(ran.err.contains(words), "{}", ran.err);
    }
}
