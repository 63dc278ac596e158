//! Random interleavings of a client, its servers, saved files, crashes and time; in both eras.
//!
//! The servers here answer what they like, when they like, end when they like, and ask the client questions with ids that
//! collide with those of other servers. Whatever happens:
//!
//! - each request gets exactly one answer (at most one where the client has cancelled it);
//! - what one side sends arrives in order;
//! - nothing of a server reaches the client before that server has answered the handshake;
//! - frames that need no change arrive as they were sent;
//! - an answer of the client's goes to the server that asked, under the id that it used;
//! - the session ends when it is asked to, with every server stopped.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Input, Output, ServerId, StartFailure};
use super::world::{World, options};
use crate::proxy::Frame;

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask(u8),
    AskBatch,
    Notify,
    Cancel(u8),
    AnswerQuestion(u8),
    Garbage,
    Start(u8),
    StartFails(u8),
    Serve(u8, u8),
    ServeWrong(u8),
    ServerNotifies(u8),
    ServerAsks(u8, u8),
    ServerTwice(u8),
    Exit(u8),
    Save(bool),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u8>().prop_map(Step::Ask),
        1 => Just(Step::AskBatch),
        2 => Just(Step::Notify),
        1 => any::<u8>().prop_map(Step::Cancel),
        2 => any::<u8>().prop_map(Step::AnswerQuestion),
        1 => Just(Step::Garbage),
        6 => any::<u8>().prop_map(Step::Start),
        1 => any::<u8>().prop_map(Step::StartFails),
        14 => (any::<u8>(), any::<u8>()).prop_map(|(server, request)| Step::Serve(server, request)),
        1 => any::<u8>().prop_map(Step::ServeWrong),
        3 => any::<u8>().prop_map(Step::ServerNotifies),
        3 => (any::<u8>(), 0_u8..3).prop_map(|(server, id)| Step::ServerAsks(server, id)),
        1 => any::<u8>().prop_map(Step::ServerTwice),
        2 => any::<u8>().prop_map(Step::Exit),
        3 => any::<bool>().prop_map(Step::Save),
        3 => (0_u16..20_000).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Default)]
struct Server {
    running: bool,
    prepared_only: bool,
    input_closed: bool,
    stopping: bool,
    /// It was told `initialize` and has not answered: what it says must not be heard.
    shaking_hands: bool,
    /// Requests that it has not answered: as they came.
    requests: Vec<Value>,
    answered: Vec<Value>,
    /// Its own questions without an answer.
    questions: Vec<u8>,
    sent: u32,
    /// The client's notifications, in order.
    heard: Vec<u64>,
}

struct Simulation {
    world: World,
    modern: bool,
    stop_first: bool,
    servers: BTreeMap<u32, Server>,
    /// Servers that were asked for, and neither run nor failed.
    starting: Vec<u32>,
    preparing: Vec<u32>,
    next_id: u64,
    next_notification: u64,
    opened: bool,
    initialized: bool,
    /// Answers by id.
    answers: BTreeMap<u64, usize>,
    asked: BTreeSet<u64>,
    cancelled: BTreeSet<u64>,
    /// What the client was asked: (id as the client knows it, text).
    questions: Vec<(Value, String)>,
    /// Frames that were sent by either side.
    sent: HashMap<String, usize>,
    /// The last number heard from each server.
    last_from: BTreeMap<u32, u32>,
    ended: usize,
}

const META: &str = "io.modelcontextprotocol/protocolVersion";

impl Simulation {
    fn new(modern: bool, stop_first: bool, buffer: usize) -> Self {
        let mut options = options();
        options.stop_first = stop_first;
        options.buffer = buffer;
        let mut simulation = Self {
            world: World::new(options),
            modern,
            stop_first,
            servers: BTreeMap::new(),
            starting: Vec::new(),
            preparing: Vec::new(),
            next_id: 0,
            next_notification: 0,
            opened: false,
            initialized: false,
            answers: BTreeMap::new(),
            asked: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            questions: Vec::new(),
            sent: HashMap::new(),
            last_from: BTreeMap::new(),
            ended: 0,
        };
        simulation.input(Input::Begin);
        simulation
    }

    fn input(&mut self, input: Input) {
        let outputs = self.world.session.handle(input, self.world.now);
        for output in outputs {
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        assert_eq!(self.ended, 0, "nothing after the end: {output:?}");
        match output {
            Output::ToClient(frame) | Output::Result { frame, .. } | Output::Results { frame, .. } => {
                self.client_hears(&frame);
            }
            Output::ToServer(server, frame) => self.server_hears(server.0, &frame),
            Output::Start { server, .. } => {
                self.preparing.retain(|other| *other != server.0);
                self.starting.push(server.0);
                let server = self.servers.entry(server.0).or_default();
                server.prepared_only = false;
            }
            Output::Prepare { server, .. } => {
                assert!(self.stop_first);
                self.preparing.push(server.0);
                self.servers.entry(server.0).or_default().prepared_only = true;
            }
            Output::CloseInput(server) => {
                if let Some(server) = self.servers.get_mut(&server.0) {
                    server.input_closed = true;
                }
            }
            Output::Stop { server, .. } => {
                if let Some(server) = self.servers.get_mut(&server.0) {
                    assert!(!server.stopping, "stopped twice");
                    server.stopping = true;
                }
            }
            Output::Ended { .. } => {
                self.ended += 1;
                assert!(self.servers.is_empty(), "servers left at the end: {:?}", self.servers);
            }
            Output::Forget(_) | Output::Notice(_) | Output::Noise(..) | Output::Serve { .. } => {}
        }
    }

    fn client_hears(&mut self, frame: &Frame) {
        let text = String::from_utf8(frame.bytes().to_vec()).expect("UTF-8");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let parts = if let Value::Array(parts) = &value { parts.clone() } else { vec![value.clone()] };
        for part in &parts {
            if part.get("method").is_none() {
                if let Some(id) = part["id"].as_u64() {
                    *self.answers.entry(id).or_default() += 1;
                    assert!(self.asked.contains(&id), "an answer to nothing: {text}");
                } else {
                    assert!(part["id"].is_null(), "an answer to mcpmon's own request: {text}");
                }
            } else if part.get("id").is_some() {
                let question = part["params"]["question"].as_str().expect("a server's question").to_owned();
                assert!(self.questions.iter().all(|(id, _)| *id != part["id"]), "two open questions of one id: {text}");
                self.questions.push((part["id"].clone(), question));
            } else if let Some(from) = part["params"]["from"].as_u64() {
                let server = u32::try_from(from).expect("small");
                let number = u32::try_from(part["params"]["number"].as_u64().expect("a number")).expect("small");
                let last = self.last_from.insert(server, number).unwrap_or_default();
                assert!(number > last, "out of order from {server}: {last}, then {number}");
                let shaking_hands = self.servers.get(&server).is_some_and(|server| server.shaking_hands);
                assert!(!shaking_hands, "heard before its handshake: {text}");
            } else if part["method"] == "notifications/cancelled" {
                let id = &part["params"]["requestId"];
                self.questions.retain(|(other, _)| other != id);
            }
        }
        // What is no answer or notification of mcpmon's own, no handshake, and no question whose id was taken came as it was.
        let made_here = parts.iter().any(|part| {
            part["error"]["code"].as_i64().is_some_and(|code| code == -32000 || code == -32600 || code == -32700)
                || part["method"].as_str().is_some_and(|method| {
                    method.ends_with("list_changed") || method.ends_with("cancelled") || method.ends_with("message")
                })
                || part["result"].get("capabilities").is_some()
                || part["id"].as_str().is_some_and(|id| id.starts_with("mcpmon-"))
        });
        assert!(made_here || self.sent.contains_key(&text), "changed on its way: {text}");
    }

    fn server_hears(&mut self, server: u32, frame: &Frame) {
        let text = String::from_utf8(frame.bytes().to_vec()).expect("UTF-8");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let state = self.servers.get_mut(&server).unwrap_or_else(|| panic!("written to {server}, which is gone"));
        assert!(state.running, "written to {server}, which does not run");
        assert!(!state.input_closed, "written to {server} after its end of file");
        let parts = if let Value::Array(parts) = &value { parts.clone() } else { vec![value] };
        for part in parts {
            let method = part["method"].as_str().unwrap_or_default().to_owned();
            if method.is_empty() {
                let expected = part["result"]["answer"].as_str().expect("an answer to a question");
                let id = u8::try_from(part["id"].as_u64().expect("the id that it used")).expect("small");
                assert_eq!(
                    expected.split(':').next(),
                    Some(server.to_string().as_str()),
                    "another server's question: {text}"
                );
                assert_eq!(expected.split(':').nth(1), Some(id.to_string().as_str()), "another question: {text}");
                let place =
                    state.questions.iter().position(|other| *other == id).expect("a question without an answer");
                state.questions.remove(place);
            } else if part.get("id").is_some() {
                // Replayed: the client has had its answer. Where it has not, it is the client who is shaking hands.
                if method == "initialize" && self.answers.contains_key(&0) {
                    state.shaking_hands = true;
                }
                let own = part["id"].as_str().is_some_and(|id| id.starts_with("mcpmon-"));
                assert!(own || method == "initialize" || self.sent.contains_key(&text), "changed on its way: {text}");
                state.requests.push(part);
            } else if let Some(number) = part["params"]["number"].as_u64() {
                assert!(state.heard.last().is_none_or(|last| *last < number), "out of order to {server}");
                state.heard.push(number);
            }
        }
    }

    fn client_sends(&mut self, value: &Value) {
        let text = format!("{value}\n");
        *self.sent.entry(text.clone()).or_default() += 1;
        self.input(Input::FromClient(Frame::new(text.into_bytes())));
    }

    fn server_sends(&mut self, server: u32, value: &Value) {
        let text = format!("{value}\n");
        *self.sent.entry(text.clone()).or_default() += 1;
        self.input(Input::FromServer(ServerId(server), Frame::new(text.into_bytes())));
    }

    fn request(&mut self, kind: u8) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.asked.insert(id);
        let mut params = json!({});
        if self.modern {
            params["_meta"] = json!({META: "2026-07-28"});
        }
        let method = match kind % 8 {
            _ if !self.opened && !self.modern => {
                params["protocolVersion"] = "v".into();
                "initialize"
            }
            _ if !self.opened => "server/discover",
            0 if !self.modern => {
                params["uri"] = format!("x:{}", kind % 3).into();
                "resources/subscribe"
            }
            1 if !self.modern => "logging/setLevel",
            2 if self.modern => {
                params["notifications"] = json!({"toolsListChanged": true});
                "subscriptions/listen"
            }
            3 => "tools/list",
            _ => {
                params["name"] = format!("tool{}", kind % 3).into();
                "tools/call"
            }
        };
        self.opened = true;
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    /// One of the running servers.
    fn pick(&self, choice: u8) -> Option<u32> {
        let running: Vec<_> = self.servers.iter().filter(|(_, server)| server.running).map(|(id, _)| *id).collect();
        (!running.is_empty()).then(|| running[usize::from(choice) % running.len()])
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(kind) => {
                let request = self.request(kind);
                self.client_sends(&request);
                if !self.modern && self.answers.contains_key(&0) && !self.initialized {
                    self.initialized = true;
                    self.client_sends(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
                }
            }
            Step::AskBatch if self.opened && !self.modern => {
                let batch = Value::Array(vec![self.request(4), self.request(5)]);
                for part in batch.as_array().into_iter().flatten() {
                    // Where it is taken apart, its parts are frames.
                    *self.sent.entry(format!("{part}\n")).or_default() += 1;
                }
                self.client_sends(&batch);
            }
            Step::Notify if self.opened => {
                self.next_notification += 1;
                let number = self.next_notification;
                self.client_sends(
                    &json!({"jsonrpc": "2.0", "method": "notifications/x", "params": {"number": number}}),
                );
            }
            Step::Cancel(choice) => {
                let open: Vec<_> =
                    self.asked.iter().filter(|id| **id > 0 && !self.answers.contains_key(id)).copied().collect();
                if !open.is_empty() {
                    let id = open[usize::from(choice) % open.len()];
                    self.cancelled.insert(id);
                    self.client_sends(
                        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
                    );
                }
            }
            Step::AnswerQuestion(choice) => {
                if !self.questions.is_empty() {
                    let (id, question) = self.questions.remove(usize::from(choice) % self.questions.len());
                    self.client_sends(&json!({"jsonrpc": "2.0", "id": id, "result": {"answer": question}}));
                }
            }
            Step::Garbage => self.input(Input::FromClient(Frame::new(&b"{nonsense\n"[..]))),
            Step::Start(choice) => {
                if !self.preparing.is_empty() {
                    let server = self.preparing.remove(usize::from(choice) % self.preparing.len());
                    self.input(Input::Prepared(ServerId(server)));
                } else if !self.starting.is_empty() {
                    let server = self.starting.remove(usize::from(choice) % self.starting.len());
                    self.servers.get_mut(&server).expect("asked for").running = true;
                    self.input(Input::Started(ServerId(server)));
                }
            }
            Step::StartFails(choice) => {
                if !self.starting.is_empty() {
                    let server = self.starting.remove(usize::from(choice) % self.starting.len());
                    self.servers.remove(&server);
                    let failure = StartFailure { reason: "no".into(), hopeless: false };
                    self.input(Input::StartFailed(ServerId(server), failure));
                }
            }
            Step::Serve(server, request) => {
                if let Some(server) = self.pick(server) {
                    self.serve(server, request);
                }
            }
            Step::ServeWrong(server) => {
                if let Some(server) = self.pick(server) {
                    self.server_sends(server, &json!({"jsonrpc": "2.0", "id": 999_999, "result": {}}));
                }
            }
            Step::ServerNotifies(server) => {
                if let Some(server) = self.pick(server) {
                    let state = self.servers.get_mut(&server).expect("picked");
                    state.sent += 1;
                    let params = json!({"from": server, "number": state.sent});
                    self.server_sends(
                        server,
                        &json!({"jsonrpc": "2.0", "method": "notifications/y", "params": params}),
                    );
                }
            }
            Step::ServerAsks(server, id) => {
                if let Some(server) = self.pick(server) {
                    let state = self.servers.get_mut(&server).expect("picked");
                    if !state.questions.contains(&id) {
                        state.questions.push(id);
                        let params = json!({"question": format!("{server}:{id}")});
                        self.server_sends(
                            server,
                            &json!({"jsonrpc": "2.0", "id": id, "method": "ask", "params": params}),
                        );
                    }
                }
            }
            Step::ServerTwice(server) => {
                if let Some(server) = self.pick(server)
                    && let Some(answer) = self.servers[&server].answered.last().cloned()
                {
                    self.server_sends(server, &answer);
                }
            }
            Step::Exit(server) => {
                if let Some(server) = self.pick(server) {
                    self.exit(server);
                }
            }
            Step::Save(rebuild) => self.input(Input::Changed { rebuild }),
            Step::Pass(milliseconds) => {
                self.world.pass(std::time::Duration::from_millis(milliseconds.into()));
                self.input(Input::Tick);
            }
            Step::AskBatch | Step::Notify => {}
        }
    }

    fn serve(&mut self, server: u32, request: u8) {
        let state = self.servers.get_mut(&server).expect("picked");
        if state.requests.is_empty() {
            return;
        }
        let request = state.requests.remove(usize::from(request) % state.requests.len());
        let capabilities = json!({"tools": {}, "resources": {"subscribe": true}, "logging": {}});
        let result = match request["method"].as_str().expect("a request") {
            "initialize" => {
                state.shaking_hands = false;
                json!({"protocolVersion": "v", "capabilities": capabilities})
            }
            "server/discover" => json!({"supportedVersions": ["2026-07-28"], "capabilities": capabilities}),
            "tools/list" => {
                json!({"tools": [{"name": "tool1", "annotations": {"idempotentHint": true}}, {"name": format!("t{server}")}]})
            }
            "resources/list" => json!({"resources": []}),
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "subscriptions/listen" => {
                state.requests.push(request.clone());
                let params = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": request["id"]}});
                let method = "notifications/subscriptions/acknowledged";
                return self.server_sends(server, &json!({"jsonrpc": "2.0", "method": method, "params": params}));
            }
            _ => json!({}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        state.answered.push(answer.clone());
        self.server_sends(server, &answer);
    }

    fn exit(&mut self, server: u32) {
        self.servers.remove(&server);
        self.input(Input::Exited(ServerId(server), "ended".into()));
    }

    /// The client closes, or a signal comes; then servers do as they are told.
    fn finish(&mut self, by_signal: bool) {
        self.input(if by_signal { Input::End } else { Input::ClientClosed });
        for _ in 0..1000 {
            if self.ended > 0 {
                return;
            }
            let told: Vec<_> = self.servers.iter().filter(|(_, server)| server.stopping).map(|(id, _)| *id).collect();
            if let Some(server) = told.first() {
                self.starting.retain(|other| other != server);
                self.preparing.retain(|other| other != server);
                self.exit(*server);
                continue;
            }
            let deadline = self.world.session.deadline().expect("something is waited for");
            self.world.now = deadline.max(self.world.now);
            self.input(Input::Tick);
        }
        panic!("the session does not end: {:?}", self.servers);
    }

    fn check(&self) {
        for id in &self.asked {
            let answers = self.answers.get(id).copied().unwrap_or_default();
            if self.cancelled.contains(id) {
                assert!(answers <= 1, "{answers} answers to {id}, which was cancelled");
            } else {
                assert_eq!(answers, 1, "answers to {id}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, .. ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_request_gets_one_answer(
        modern in any::<bool>(),
        stop_first in any::<bool>(),
        small_buffer in any::<bool>(),
        by_signal in any::<bool>(),
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut simulation = Simulation::new(modern, stop_first, if small_buffer { 300 } else { 1 << 20 });
        for step in steps {
            simulation.step(step);
        }
        simulation.finish(by_signal);
        simulation.check();
    }
}
