//! The outputs of a run's nodes: in memory while somebody needs them, else in the store.

use std::sync::Arc;

use parking_lot::Mutex;
use rmpv::Value;

use crate::encoding::decode;
use crate::event::Values;
use crate::plan::{Plan, Source};
use crate::ports::{Artifacts, NodeError, Stored};

#[derive(Debug, Default)]
struct Outputs {
    is_done: bool,
    values: Values,
    stored: Arc<[Stored]>,
    consumers: u32,
}

/// An output as it can be had.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    /// From memory.
    Value(Arc<Value>),
    /// From the store.
    Stored(Stored),
    /// The node was skipped or failed.
    Nothing,
    /// The node has no such output.
    NoPort,
}

/// What is known of a run beside its machine; shared with who asks for outputs.
#[derive(Debug)]
pub(crate) struct RunView {
    /// What is played.
    pub(crate) plan: Arc<Plan>,
    outputs: Mutex<Vec<Outputs>>,
}

impl RunView {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let outputs = plan.consumers.iter().map(|&consumers| Outputs {
            consumers,
            ..Outputs::default()
        });
        let outputs = Mutex::new(outputs.collect());
        Self { plan, outputs }
    }

    /// Keeps what a node made. Values that nobody takes are not held if they are stored.
    pub(crate) fn keep(&self, node: u32, values: Values, stored: Arc<[Stored]>) {
        let outputs = &mut self.outputs.lock()[node as usize];
        outputs.is_done = true;
        outputs.values = if outputs.consumers > 0 || stored.is_empty() {
            values
        } else {
            Values::new()
        };
        outputs.stored = stored;
    }

    /// Says that `node` will take nothing more, so that what only it needed is let go.
    pub(crate) fn settle(&self, node: u32) {
        let inputs = &self.plan.nodes[node as usize].inputs;
        if inputs.is_empty() {
            return;
        }
        let mut outputs = self.outputs.lock();
        for source in inputs.iter().flat_map(|input| &input.sources) {
            let Source::Node { node, .. } = source else {
                continue;
            };
            let outputs = &mut outputs[*node as usize];
            outputs.consumers = outputs.consumers.saturating_sub(1);
            if outputs.consumers == 0 && !outputs.stored.is_empty() {
                outputs.values = Values::new();
            }
        }
    }

    /// The output `port` of `node`.
    pub(crate) fn find(&self, node: u32, port: &str) -> Found {
        let outputs = &self.outputs.lock()[node as usize];
        if !outputs.is_done {
            return Found::Nothing;
        }
        if let Some((_, value)) = outputs.values.iter().find(|(name, _)| &**name == port) {
            return Found::Value(value.clone());
        }
        let stored = outputs.stored.iter().find(|stored| &*stored.port == port);
        stored.map_or(Found::NoPort, |stored| Found::Stored(stored.clone()))
    }

    /// The id of the artifact that holds an output.
    pub(crate) fn artifact_of(&self, node: u32, port: &str) -> Option<Arc<str>> {
        let outputs = &self.outputs.lock()[node as usize];
        outputs
            .stored
            .iter()
            .find(|stored| &*stored.port == port)
            .map(|stored| stored.id.clone())
    }

    /// All outputs of a node, from memory or the store. Blocks.
    pub(crate) fn load(&self, node: u32, artifacts: &dyn Artifacts) -> Result<Values, NodeError> {
        let (values, stored) = {
            let outputs = &self.outputs.lock()[node as usize];
            (outputs.values.clone(), outputs.stored.clone())
        };
        if !values.is_empty() || stored.is_empty() {
            return Ok(values);
        }
        stored
            .iter()
            .map(|stored| Ok((stored.port.clone(), Arc::new(fetch(stored, artifacts)?))))
            .collect()
    }

    /// All outputs of a node if they are in memory, or if there are none.
    pub(crate) fn in_memory(&self, node: u32) -> Option<Values> {
        let outputs = &self.outputs.lock()[node as usize];
        (!outputs.values.is_empty() || outputs.stored.is_empty()).then(|| outputs.values.clone())
    }
}

/// Reads a stored value back. Blocks.
pub(crate) fn fetch(stored: &Stored, artifacts: &dyn Artifacts) -> Result<Value, NodeError> {
    let bytes = artifacts.get(&stored.id)?;
    decode(bytes, stored.encoding).map_err(|reason| {
        let message = format!(
            "The artifact {} of output {} cannot be read as {}: {reason}",
            stored.id,
            stored.port,
            stored.encoding.word()
        );
        NodeError::new("damaged_artifact", message, "play the melody again")
    })
}
