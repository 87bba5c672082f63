//! One attempt at a node: gather its inputs, have it answered, store its outputs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rmpv::Value;
use tokio::sync::{mpsc, oneshot};

use crate::decisions::{Question, field};
use crate::driver::{Inbox, Message};
use crate::encoding::{encode, suffix};
use crate::event::{RunEvent, Values};
use crate::instructions::{Event, Fault};
use crate::journal::JournalFile;
use crate::plan::{InputPlan, NodeKind, NodePlan, Source};
use crate::port_types::bad_output;
use crate::ports::{Call, NewArtifact, NodeError, Presence, Seat, Stored, Usage};
use crate::run_loop::Shared;
use crate::trouble::Trouble;
use crate::view::{Found, RunView, fetch};

/// How long a Player may take to answer a cancel before its process is ended.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// The code of the error that a content could not be brought back.
pub(crate) const LOST: &str = "artifact_lost";

/// What an attempt made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    pub(crate) values: Values,
    pub(crate) stored: Arc<[Stored]>,
}

/// All that an attempt needs; it runs apart from the run's driver and reports to its inbox.
pub(crate) struct Attempt {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: Arc<RunView>,
    pub(crate) node: u32,
    pub(crate) number: u32,
    /// Whether the node's fallback plays it.
    pub(crate) is_fallback: bool,
    pub(crate) stop: oneshot::Receiver<()>,
    /// Set when the journal must be on the disk first.
    pub(crate) sync_first: Option<Arc<JournalFile>>,
    pub(crate) report: Report,
}

/// Sends the attempt's result, also when the attempt panics: a node must never be left running.
pub(crate) struct Report {
    pub(crate) inbox: Inbox,
    pub(crate) node: u32,
    pub(crate) attempt: u32,
    pub(crate) began: Instant,
    pub(crate) usage: Option<Usage>,
    pub(crate) is_sent: bool,
}

impl Report {
    fn send(&mut self, result: Result<Made, NodeError>) {
        self.is_sent = true;
        let seconds = self.began.elapsed().as_secs_f64();
        // When the run is over nobody listens any more.
        let _ = self.inbox.send(Message::Done {
            node: self.node,
            attempt: self.attempt,
            seconds,
            usage: self.usage,
            result,
        });
    }

    /// That the whole run cannot go on.
    fn journal_failed(&self, trouble: Trouble) {
        let _ = self.inbox.send(Message::JournalFailed(trouble));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.is_sent {
            let message = "The host failed while the node ran";
            self.send(Err(NodeError::new(
                "internal",
                message,
                "see `symphony logs`",
            )));
        }
    }
}

/// Why a call was given up.
enum GivenUp {
    Stopped,
    TimedOut(Duration),
}

impl Attempt {
    /// Plays the attempt to its end.
    pub(crate) async fn run(mut self) {
        let result = self.play().await;
        self.report.send(result);
    }

    fn plan(&self) -> &NodePlan {
        &self.view.plan.nodes[self.node as usize]
    }

    async fn play(&mut self) -> Result<Made, NodeError> {
        if let Some(file) = self.sync_first.take() {
            self.shared.syncer.now(&file).await.map_err(|trouble| {
                let error = trouble.error();
                self.report.journal_failed(trouble);
                error
            })?;
        }
        let inputs = self.inputs().await?;
        match self.plan().kind {
            NodeKind::Player => {
                let answer = self.call_player(inputs).await?;
                self.store(answer).await
            }
            NodeKind::Control => {
                let answer = self.ask_host(inputs).await?;
                self.store(answer).await
            }
            NodeKind::Pass => {
                let entries = inputs
                    .into_iter()
                    .map(|(port, value)| (Value::from(&*port), Arc::unwrap_or_clone(value)));
                let outputs = Value::Map(entries.collect());
                self.store(Value::Map(vec![("outputs".into(), outputs)]))
                    .await
            }
        }
    }

    async fn inputs(&mut self) -> Result<Values, NodeError> {
        let view = self.view.clone();
        let plan = &view.plan.nodes[self.node as usize];
        let mut inputs = Values::with_capacity(plan.inputs.len());
        for input in &plan.inputs {
            if let Some(value) = self.input(input).await? {
                inputs.push((input.port.clone(), value));
            }
        }
        Ok(inputs)
    }

    async fn input(&mut self, input: &InputPlan) -> Result<Option<Arc<Value>>, NodeError> {
        let mut found = Vec::with_capacity(input.sources.len());
        for source in &input.sources {
            found.extend(self.source(source).await?);
        }
        if !input.is_list {
            return Ok(found.into_iter().next());
        }
        if found.is_empty() {
            return Ok(None);
        }
        let mut list = Vec::new();
        for value in found {
            match Arc::unwrap_or_clone(value) {
                Value::Array(items) => list.extend(items),
                one => list.push(one),
            }
        }
        Ok(Some(Arc::new(Value::Array(list))))
    }

    async fn source(&mut self, source: &Source) -> Result<Option<Arc<Value>>, NodeError> {
        let (node, port) = match source {
            Source::Value(value) => return Ok(Some(value.clone())),
            Source::Node { node, port } => (*node, port),
        };
        match self.view.find(node, port) {
            Found::Value(value) => Ok(Some(value)),
            Found::Nothing => Ok(None),
            Found::Stored(stored) => {
                if self.shared.artifacts.presence(&stored.id) == Presence::Away {
                    self.bring_back(&stored).await?;
                }
                let artifacts = self.shared.artifacts.clone();
                blocking(move || fetch(&stored, &*artifacts))
                    .await
                    .map(|value| Some(Arc::new(value)))
            }
            Found::NoPort => {
                let (taker, giver) = (&self.plan().id, &self.view.plan.nodes[node as usize]);
                let message = format!(
                    "Node {taker} takes the output {port} of {}, which {} does not have",
                    giver.id, giver.player
                );
                Err(NodeError::new(
                    "bad_input",
                    message,
                    "connect one of its outputs instead",
                ))
            }
        }
    }

    /// Waits for a content that nobody was expected to read, for the node that would have been answered from
    /// the cache has to run.
    async fn bring_back(&mut self, stored: &Stored) -> Result<(), NodeError> {
        let (sender, mut answers) = mpsc::unbounded_channel();
        let run = &self.view.plan.run;
        let token = self.shared.decisions.ask(run, Question::Asked(sender));
        self.shared.sink.emit(&mut vec![RunEvent::Recall {
            token,
            run: run.clone(),
            id: stored.id.clone(),
        }]);
        let answer = tokio::select! {
            biased;
            _ = &mut self.stop => {
                self.shared.decisions.withdraw(token);
                return Err(stopped());
            }
            answer = answers.recv() => answer,
        };
        let error = answer.as_ref().and_then(|answer| field(answer, "error"));
        error.map_or(Ok(()), |error| {
            let message = format!(
                "The artifact {} could not be brought back: {}",
                stored.name,
                read_error(error).message
            );
            Err(NodeError {
                fault: Fault::Permanent,
                ..NodeError::new(LOST, message, "play the melody again to make it anew")
            })
        })
    }

    async fn call_player(&mut self, inputs: Values) -> Result<Value, NodeError> {
        let view = self.view.clone();
        let plan = &view.plan.nodes[self.node as usize];
        let key = self.cast().0.clone();
        let seat = tokio::select! {
            biased;
            _ = &mut self.stop => return Err(stopped()),
            seat = self.shared.stage.seat(&key, plan.priority) => seat?,
        };
        let tag = self.shared.next_tag();
        let answer = self.call_seat(&*seat, tag, inputs).await;
        self.report.usage = seat.used(tag);
        answer
    }

    /// Who answers: key, Player, function and parameters.
    fn cast(&self) -> (&Arc<str>, &Arc<str>, &Arc<str>, &Arc<Value>) {
        let plan = self.plan();
        match plan.fallback.as_ref().filter(|_| self.is_fallback) {
            Some(other) => (&other.key, &other.player, &other.function, &other.params),
            None => (&plan.key, &plan.player, &plan.function, &plan.params),
        }
    }

    async fn call_seat(
        &mut self,
        seat: &dyn Seat,
        tag: u64,
        inputs: Values,
    ) -> Result<Value, NodeError> {
        let view = self.view.clone();
        let plan = &view.plan.nodes[self.node as usize];
        let (key, player, function, params) = self.cast();
        let mut call = seat.call(Call {
            run: view.plan.run.clone(),
            node: plan.id.clone(),
            attempt: self.number,
            key: key.clone(),
            player: player.clone(),
            function: function.clone(),
            params: params.clone(),
            inputs,
            outputs: plan.outputs.clone(),
            project: view.plan.project.clone(),
            tag,
            timeout: plan.timeout,
        });
        let given_up = tokio::select! {
            biased;
            answer = &mut call => return answer,
            _ = &mut self.stop => GivenUp::Stopped,
            limit = pass(plan.timeout) => GivenUp::TimedOut(limit),
        };
        let late = self.end_call(seat, tag, call).await;
        match (given_up, late) {
            // It was done before the cancel reached it: what is finished is kept.
            (GivenUp::Stopped, Some(Ok(answer))) => Ok(answer),
            (GivenUp::Stopped, _) => Err(stopped()),
            (GivenUp::TimedOut(limit), late) => {
                Err(timed_out(self.cast().1, limit, late.is_none()))
            }
        }
    }

    /// Cancels a call and waits for its answer; ends the Player when there is none.
    async fn end_call(
        &self,
        seat: &dyn Seat,
        tag: u64,
        call: impl Future<Output = Result<Value, NodeError>>,
    ) -> Option<Result<Value, NodeError>> {
        seat.cancel(tag);
        let answer = tokio::time::timeout(GRACE, call).await.ok();
        if answer.is_none() {
            seat.kill("it did not answer a cancel within 2 seconds");
        }
        answer
    }

    async fn ask_host(&mut self, inputs: Values) -> Result<Value, NodeError> {
        let view = self.view.clone();
        let plan = &view.plan.nodes[self.node as usize];
        let (sender, mut answers) = mpsc::unbounded_channel();
        let token = self
            .shared
            .decisions
            .ask(&view.plan.run, Question::Asked(sender));
        let question = RunEvent::Control {
            token,
            run: view.plan.run.clone(),
            node: plan.id.clone(),
            player: plan.player.clone(),
            params: plan.params.clone(),
            inputs,
        };
        self.shared.sink.emit(&mut vec![question]);
        let mut is_waiting = false;
        loop {
            let answer = tokio::select! {
                biased;
                _ = &mut self.stop => None,
                answer = answers.recv() => answer,
                limit = pass(plan.timeout.filter(|_| !is_waiting)) => {
                    self.shared.decisions.withdraw(token);
                    return Err(timed_out(&plan.player, limit, false));
                }
            };
            let Some(answer) = answer else {
                self.shared.decisions.withdraw(token);
                return Err(stopped());
            };
            if let Some(waits) = field(&answer, "waiting").and_then(Value::as_bool) {
                is_waiting = waits;
                self.say(Event::Waits {
                    node: self.node,
                    waits,
                });
                continue;
            }
            return match field(&answer, "error") {
                Some(error) => Err(read_error(error)),
                None => Ok(answer),
            };
        }
    }

    fn say(&self, event: Event) {
        // When the run is over nobody listens any more.
        let _ = self.report.inbox.send(Message::Machine(event));
    }

    /// Stores each declared output as an artifact.
    async fn store(&self, answer: Value) -> Result<Made, NodeError> {
        let plan = self.plan();
        if plan.outputs.is_empty() {
            return Ok(Made::default());
        }
        let Value::Map(answer) = answer else {
            return Err(self.bad_answer("is no map"));
        };
        let (mut outputs, mut named) = (Vec::new(), Value::Nil);
        for (key, value) in answer {
            match (key.as_str(), value) {
                (Some("outputs"), Value::Map(entries)) => outputs = entries,
                (Some("artifacts"), value) => named = value,
                _ => {}
            }
        }
        let mut values = Values::with_capacity(plan.outputs.len());
        for (port, port_type) in &plan.outputs {
            let at = outputs
                .iter()
                .position(|(name, _)| name.as_str() == Some(port));
            let at = at.ok_or_else(|| self.bad_answer(&format!("lacks the output {port}")))?;
            let value = outputs.swap_remove(at).1;
            if plan.kind == NodeKind::Player
                && let Some(mismatch) = self.shared.stage.mismatch(port_type, &value)
            {
                return Err(bad_output(self.cast().1, port, port_type, &mismatch));
            }
            values.push((port.clone(), Arc::new(value)));
        }
        let (view, artifacts, node, made, player) = (
            self.view.clone(),
            self.shared.artifacts.clone(),
            self.node,
            values.clone(),
            self.cast().1.clone(),
        );
        let stored = blocking(move || {
            let store = |(at, (port, value)): (usize, &(Arc<str>, Arc<Value>))| {
                let type_name = &view.plan.nodes[node as usize].outputs[at].1;
                put(
                    (&view, node, &player),
                    port,
                    type_name,
                    value,
                    field(&named, port),
                    &*artifacts,
                )
            };
            made.iter()
                .enumerate()
                .map(store)
                .collect::<Result<Arc<[_]>, _>>()
        })
        .await?;
        Ok(Made { values, stored })
    }

    fn bad_answer(&self, problem: &str) -> NodeError {
        let message = format!("The answer of {} {problem}", self.cast().1);
        NodeError {
            fault: Fault::Permanent,
            ..NodeError::new("protocol", message, "report it to the extension's author")
        }
    }
}

fn put(
    (view, node, player): (&RunView, u32, &str),
    port: &Arc<str>,
    port_type: &str,
    value: &Value,
    named: Option<&Value>,
    artifacts: &dyn crate::ports::Artifacts,
) -> Result<Stored, NodeError> {
    let plan = &view.plan.nodes[node as usize];
    let said = |key: &str| {
        named
            .and_then(|named| field(named, key))
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let type_name = said("type").unwrap_or(port_type);
    let (content, encoding) = encode(value, type_name);
    let name = said("name").map_or_else(
        || format!("{}.{port}.{}", plan.id, suffix(type_name, encoding)),
        str::to_owned,
    );
    let mut meta = view.plan.meta.clone();
    let own = [
        ("run", &*view.plan.run),
        ("node", &*plan.id),
        ("port", &**port),
        ("player", player),
        ("encoding", encoding.word()),
    ];
    meta.retain(|(key, _)| !own.iter().any(|(name, _)| name == key));
    meta.extend(own.map(|(key, value)| (key.to_owned(), Value::from(value))));
    let (id, quality) = artifacts.put(NewArtifact {
        content: &content,
        name: &name,
        type_name,
        meta: &meta,
    })?;
    let bytes = content.len() as u64;
    Ok(Stored {
        port: port.clone(),
        id,
        name,
        type_name: type_name.to_owned(),
        bytes,
        quality,
        encoding,
    })
}

/// Runs blocking work on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(NodeError::new(
            "internal",
            "The host failed while it read or wrote artifacts",
            "see `symphony logs`",
        ))
    })
}

/// Ends after the limit; never when there is none.
async fn pass(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

fn stopped() -> NodeError {
    NodeError::new("cancelled", "The run was cancelled", "")
}

fn timed_out(player: &str, limit: Duration, was_killed: bool) -> NodeError {
    let end = if was_killed {
        ", did not answer the cancel and was ended"
    } else {
        ""
    };
    let message = format!(
        "{player} was not done within {} seconds{end}",
        limit.as_secs_f64()
    );
    NodeError::new(
        "timeout",
        message,
        "raise the node's timeout or give it less to do",
    )
}

/// An error object as Players and the host write it.
pub fn read_error(error: &Value) -> NodeError {
    let text = |key: &str| {
        field(error, key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (code, message) = (text("code"), text("message"));
    let code = if code.is_empty() { "failed" } else { code };
    let message = if message.is_empty() {
        "It failed without saying why"
    } else {
        message
    };
    NodeError {
        traceback: text("traceback").to_owned(),
        ..NodeError::new(code, message, text("remedy"))
    }
}
