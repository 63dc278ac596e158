//! A session that will not end well: one of every kind, disturbed, and ended in one of all ways.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::json;

use super::census;
use crate::{
    client::Client,
    project::{OWN_LABEL, Project, Up},
    stdio_trouble::server_binary,
    support::{IMAGE, docker, until},
};

/// Every process that a session starts inherits this variable, with the project's name as its value.
pub(super) const MARK: &str = "CHAOS_MARK";

/// The ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// `mcpmon up`.
    Up,
    /// `mcpmon up -d`.
    Detached,
    /// `mcpmon run TARGET`.
    Run,
    /// `mcpmon docker run -i --rm …`.
    DockerInteractive,
    /// `mcpmon docker run -d …`.
    DockerDetached,
    /// `mcpmon docker compose up`.
    Compose,
    /// `mcpmon COMMAND …`, which leaves a process of its own behind.
    Command,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Up,
        Self::Run,
        Self::DockerInteractive,
        Self::Compose,
        Self::Detached,
        Self::DockerDetached,
        Self::Command,
    ];

    fn has_client(self) -> bool {
        matches!(self, Self::Run | Self::DockerInteractive | Self::Command)
    }

    /// The ways in which such a session can end.
    pub(super) fn ends(self) -> Vec<End> {
        let mut ends = vec![
            End::Signal("TERM"),
            End::Signal("INT"),
            End::Signal("HUP"),
            End::Signal("QUIT"),
            End::Kill,
            End::Kill,
            End::KillAfterItsWatchdog,
            End::KillWithItsWatchdog,
            End::Freeze,
        ];
        if self.has_client() {
            ends.push(End::CloseInput);
        }
        if self != Self::Detached {
            ends.push(End::KillGroup);
        }
        ends
    }
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// A signal that it can hear.
    Signal(&'static str),
    /// The client closes its stdin.
    CloseInput,
    /// `kill -9`.
    Kill,
    /// `kill -9` of its process group, as clients do.
    KillGroup,
    /// `kill -9` of the watchdog, and of the session once it has another one.
    KillAfterItsWatchdog,
    /// `kill -9` of both, before the session can start another watchdog.
    KillWithItsWatchdog,
    /// It is stopped, its containers are killed, it goes on, and is told to end.
    Freeze,
}

/// What happens to it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disturbance {
    Nothing,
    /// A file is saved: the end comes in the middle of the reload.
    Save,
    /// Its containers are killed from outside.
    KillContainers,
}

impl Disturbance {
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Save, Self::KillContainers];
}

enum Session {
    Up(Up),
    Client(Client),
    Child(Child),
    Supervisor,
}

pub(super) struct Doomed {
    pub(super) kind: Kind,
    pub(super) project: Project,
    session: Session,
    pid: u32,
}

impl Doomed {
    /// Starts one, and waits until it serves.
    pub(super) fn start(kind: Kind) -> Self {
        let mut project = Project::new("chaos");
        let name = project.name.clone();
        project.environment(MARK, &name);
        for (variable, folder) in [("XDG_RUNTIME_DIR", "run"), ("TMPDIR", "tmp")] {
            let folder = project.elsewhere(folder);
            std::fs::create_dir_all(&folder).expect("a folder");
            project.environment(variable, &folder.display().to_string());
        }
        project.environment("MCPMON_DELAY", "20");
        project.write("content/greeting.txt", "hello\n");
        project.config(&format!(
            "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nstdin_open = true\nnetworks = [\"inner\"]\n\
             command = [\"stdio\", \"--greeting\", \"/content/greeting.txt\"]\nvolumes = [\"./content:/content:ro\"]\n\
             [networks.inner]\n"
        ));
        let command = |arguments: &str| {
            let mut command = project.command(&arguments.split_whitespace().collect::<Vec<_>>());
            command.process_group(0);
            command
        };
        let session = match kind {
            Kind::Up => {
                let mut up = Up::start(command("up --format json"));
                up.wait("settled", "");
                Session::Up(up)
            }
            Kind::Detached => {
                project.detached();
                Session::Supervisor
            }
            Kind::Run => client(command("run api")),
            Kind::DockerInteractive => client(command(&format!(
                "docker run -i --rm --label {OWN_LABEL}={name} -v ./content:/content:ro {IMAGE} stdio --greeting \
                 /content/greeting.txt"
            ))),
            Kind::DockerDetached => Session::Child(quiet(command(&format!(
                "docker run -d --rm --label {OWN_LABEL}={name} -v ./content:/content:ro --init {IMAGE} idle"
            )))),
            Kind::Compose => {
                let service = format!(
                    "{{image: '{IMAGE}', pull_policy: never, command: [idle], init: true, network_mode: host, \
                     volumes: ['./content:/content:ro'], labels: {{{OWN_LABEL}: {name}}}}}"
                );
                project
                    .write("compose.yaml", &format!("name: {name}\nservices:\n  one: {service}\n  two: {service}\n"));
                Session::Child(quiet(command("docker compose up")))
            }
            Kind::Command => {
                server_binary(&project);
                // One that goes its own way: another session and group, and its parent ends at once.
                let script = "(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)\nexec ./mcp-server stdio\n";
                project.write("server.sh", script);
                client(command("sh server.sh"))
            }
        };
        let containers = match kind {
            Kind::Command => 0,
            Kind::Compose => 2,
            _ => 1,
        };
        until(&format!("{kind:?} runs"), || census::running(&project).len() == containers);
        let pid = match &session {
            Session::Up(up) => up.pid(),
            Session::Client(client) => client.pid(),
            Session::Child(child) => child.id(),
            Session::Supervisor => {
                let ps = project.run(&["ps", "--format", "json"]).json();
                u32::try_from(ps[0]["owner"]["pid"].as_u64().expect("a pid")).expect("a pid")
            }
        };
        Self { kind, project, session, pid }
    }

    pub(super) fn disturb(&self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Nothing => {}
            Disturbance::Save => self.project.write("content/greeting.txt", "good day\n"),
            Disturbance::KillContainers => self.kill_containers(),
        }
    }

    fn kill_containers(&self) {
        for id in census::running(&self.project) {
            docker(&["kill", &id]);
        }
    }

    /// Ends it. Gives when that was.
    pub(super) fn end(&mut self, end: End) -> Instant {
        match end {
            End::Signal(signal) => kill(signal, &self.pid.to_string()),
            End::CloseInput => {
                let Session::Client(client) = &mut self.session else { panic!("{:?} has no client", self.kind) };
                client.close();
            }
            End::Kill => kill("KILL", &self.pid.to_string()),
            End::KillGroup => kill("KILL", &format!("-{}", self.pid)),
            End::KillAfterItsWatchdog => {
                let first = self.watchdog();
                kill("KILL", &first.to_string());
                until("another watchdog", || census::watchdog(self.pid).is_some_and(|next| next != first));
                kill("KILL", &self.pid.to_string());
            }
            End::KillWithItsWatchdog => {
                let watchdog = self.watchdog();
                kill("STOP", &self.pid.to_string());
                kill("KILL", &watchdog.to_string());
                kill("KILL", &self.pid.to_string());
            }
            End::Freeze => {
                kill("STOP", &self.pid.to_string());
                self.kill_containers();
                kill("CONT", &self.pid.to_string());
                kill("TERM", &self.pid.to_string());
            }
        }
        Instant::now()
    }

    fn watchdog(&self) -> u32 {
        let mut found = None;
        until(&format!("{:?} has a watchdog", self.kind), || {
            found = census::watchdog(self.pid);
            found.is_some()
        });
        found.expect("just seen")
    }

    /// It is over: what it was is reaped.
    pub(super) fn reap(&mut self) {
        if let Session::Child(child) = &mut self.session {
            let _ = child.try_wait();
        }
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        if let Session::Child(child) = &mut self.session {
            let _ = child.kill();
            let _ = child.wait();
        }
        for process in census::processes(&self.project.name) {
            kill("KILL", &process.to_string());
        }
    }
}

fn client(command: Command) -> Session {
    let mut client = Client::of(command);
    client.initialize();
    assert_eq!(client.call("echo", &json!({"text": "there"})), "there");
    Session::Client(client)
}

fn quiet(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("mcpmon starts")
}

fn kill(signal: &str, whom: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), "--", whom]).output();
}
