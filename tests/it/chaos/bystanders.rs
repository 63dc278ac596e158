//! Those that must notice nothing: containers of strangers, a project that is kept, and a session whose client calls all
//! the time while its server is reloaded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    engine_api::{self, Kind},
    project::{OWN_LABEL, Project, Up},
    support::{IMAGE, docker},
};

/// A save after so many calls.
const CALLS_A_SAVE: u32 = 100;

pub(super) struct Bystanders {
    strangers: Project,
    kept: Project,
    up: Up,
    /// Containers that nobody may touch, as they were.
    before: Vec<(String, Value)>,
    over: Arc<AtomicBool>,
    calls: JoinHandle<Calls>,
}

/// What became of a client's calls.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Calls {
    pub(super) made: u32,
    pub(super) lost: u32,
    pub(super) saves: u32,
}

impl Bystanders {
    pub(super) fn begin() -> Self {
        let strangers = Project::new("chaos-strangers");
        let label = format!("{OWN_LABEL}={}", strangers.name);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let run = docker(&["run", "-d", "--init", "--network", "host", "--label", &label, IMAGE, "idle"]);
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            ids.push(String::from_utf8_lossy(&run.stdout).trim().to_owned());
        }
        let idle =
            format!("image = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"host\"\n");
        let kept = Project::with("chaos-kept", &format!("[targets.api]\n{idle}[targets.db]\n{idle}"));
        let up = kept.settled();
        ids.extend(["api", "db"].map(|target| kept.id(target)));
        let over = Arc::new(AtomicBool::new(false));
        let calls = std::thread::spawn({
            let over = Arc::clone(&over);
            move || call_until(&over)
        });
        let before = ids.into_iter().map(|id| (id.clone(), state(&id))).collect();
        Self { strangers, kept, up, before, over, calls }
    }

    /// Containers that are not as they were.
    pub(super) fn touched(&self) -> Vec<String> {
        let touched = self.before.iter().filter(|(id, before)| state(id) != *before);
        touched.map(|(id, before)| format!("{id}: {before} -> {}", state(id))).collect()
    }

    /// All is over. Gives what became of the calls.
    pub(super) fn end(mut self) -> Calls {
        self.over.store(true, Ordering::Relaxed);
        let calls = self.calls.join().expect("the client's thread");
        self.up.interrupt();
        self.kept.assert_nothing_left();
        drop(self.strangers);
        calls
    }
}

/// What changes when somebody stops, starts or replaces a container.
fn state(id: &str) -> Value {
    let Some(container) = engine_api::inspect(Kind::Container, id) else { return Value::Null };
    json!([container["Name"], container["State"]["Pid"], container["State"]["StartedAt"]])
}

fn call_until(over: &AtomicBool) -> Calls {
    let mut project = Project::new("chaos-client");
    project.environment("MCPMON_DELAY", "20");
    project.write("content/greeting.txt", "hello\n");
    project.config(&format!(
        "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\nstdin_open = true\n\
         command = [\"stdio\", \"--greeting\", \"/content/greeting.txt\"]\nvolumes = [\"./content:/content:ro\"]\n"
    ));
    let mut client = Client::of_target(&project, "api");
    let mut calls = Calls::default();
    while !over.load(Ordering::Relaxed) {
        let text = calls.made.to_string();
        calls.made += 1;
        if client.call("echo", &json!({"text": text})) != text {
            calls.lost += 1;
        }
        if calls.made % CALLS_A_SAVE == 0 {
            calls.saves += 1;
            project.write("content/greeting.txt", &format!("hello {}\n", calls.saves));
        }
    }
    client.leave();
    project.assert_nothing_left();
    calls
}
