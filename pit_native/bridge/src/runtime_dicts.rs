//! The dicts in which Python gets what the run loop and the Players tell.

use ipc_bus::SessionStats;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use rmpv::Value;
use run_loop::ports::{NodeError, Stored};
use run_loop::{NodeEvent, NodeNotes, NodeState, RunEvent};

use crate::runtime_events::{Note, Place};
use crate::values::{ports_to_python, to_python};

/// The dict that Python gets; its forms are in `pit_native.pyi`. Keys are interned: a large run makes many of these.
pub(crate) fn to_dict<'py>(py: Python<'py>, note: &Note) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    match note {
        Note::Run(event) => run_event(&dict, event)?,
        Note::Said {
            method,
            place,
            extension,
            body,
            ..
        } => {
            dict.set_item(intern!(py, "event"), method)?;
            set_place(&dict, place)?;
            dict.set_item(intern!(py, "extension"), &**extension)?;
            if method == "output" || method == "ui" {
                dict.set_item(intern!(py, "piece"), to_python(py, body)?)?;
            } else if let Value::Map(entries) = body {
                for (key, value) in entries {
                    let Some(key) = key.as_str().filter(|key| !RESERVED.contains(key)) else {
                        continue;
                    };
                    dict.set_item(key, to_python(py, value)?)?;
                }
            }
        }
        // They became Said when they were taken.
        Note::Newest { .. } => {}
        Note::Request {
            id,
            place,
            extension,
            key,
            method,
            body,
            ..
        } => {
            dict.set_item(intern!(py, "event"), intern!(py, "request"))?;
            dict.set_item(intern!(py, "id"), id)?;
            set_place(&dict, place)?;
            dict.set_item(intern!(py, "extension"), &**extension)?;
            dict.set_item(intern!(py, "key"), &**key)?;
            dict.set_item(intern!(py, "method"), method)?;
            dict.set_item(intern!(py, "body"), to_python(py, body)?)?;
        }
        Note::Withdrawn { id } => {
            dict.set_item(intern!(py, "event"), intern!(py, "withdrawn"))?;
            dict.set_item(intern!(py, "id"), id)?;
        }
        Note::Player {
            key,
            extension,
            state,
            pid,
            reason,
        } => {
            dict.set_item(intern!(py, "event"), intern!(py, "player"))?;
            dict.set_item(intern!(py, "key"), &**key)?;
            dict.set_item(intern!(py, "extension"), &**extension)?;
            dict.set_item(intern!(py, "state"), state)?;
            dict.set_item(intern!(py, "pid"), pid)?;
            dict.set_item(intern!(py, "reason"), reason)?;
        }
        Note::CallDone { token, result } => {
            dict.set_item(intern!(py, "event"), intern!(py, "call_done"))?;
            dict.set_item(intern!(py, "token"), token)?;
            match result {
                Ok(outputs) => dict.set_item(intern!(py, "outputs"), to_python(py, outputs)?)?,
                Err(error) => dict.set_item(intern!(py, "error"), error_dict(py, error)?)?,
            }
        }
    }
    Ok(dict)
}

/// Keys that a Player's words may not take: they say who it is, which the host knows better.
const RESERVED: [&str; 4] = ["event", "run", "node", "extension"];

fn set_place(dict: &Bound<'_, PyDict>, place: &Place) -> PyResult<()> {
    let py = dict.py();
    dict.set_item(intern!(py, "run"), &*place.run)?;
    dict.set_item(intern!(py, "node"), &*place.node)
}

fn run_event(dict: &Bound<'_, PyDict>, event: &RunEvent) -> PyResult<()> {
    let py = dict.py();
    match event {
        RunEvent::Node(node) => node_event(dict, node)?,
        RunEvent::Run {
            run,
            state,
            seconds,
            error,
        } => {
            dict.set_item("event", "run")?;
            dict.set_item("run", &**run)?;
            dict.set_item("state", state.word())?;
            dict.set_item("seconds", seconds)?;
            dict.set_item(
                "error",
                error
                    .as_ref()
                    .map(|error| error_dict(py, error))
                    .transpose()?,
            )?;
        }
        RunEvent::Control {
            token,
            run,
            node,
            player,
            params,
            inputs,
        } => {
            dict.set_item("event", "control")?;
            dict.set_item("token", token)?;
            dict.set_item("run", &**run)?;
            dict.set_item("node", &**node)?;
            dict.set_item("player", &**player)?;
            dict.set_item("params", to_python(py, params)?)?;
            dict.set_item("inputs", ports_to_python(py, inputs)?)?;
        }
        RunEvent::Condition {
            token,
            run,
            source,
            target,
            when,
            edge,
            outputs,
        } => {
            dict.set_item("event", "condition")?;
            dict.set_item("token", token)?;
            dict.set_item("run", &**run)?;
            dict.set_item("from", &**source)?;
            dict.set_item("to", &**target)?;
            dict.set_item("when", when.as_deref())?;
            dict.set_item("edge", edge)?;
            dict.set_item("outputs", ports_to_python(py, outputs)?)?;
        }
        RunEvent::Recall { token, run, id } => {
            dict.set_item("event", "recall")?;
            dict.set_item("token", token)?;
            dict.set_item("run", &**run)?;
            dict.set_item("id", &**id)?;
        }
        RunEvent::Failure {
            token,
            run,
            node,
            attempt,
            error,
        } => {
            dict.set_item("event", "failure")?;
            dict.set_item("token", token)?;
            dict.set_item("run", &**run)?;
            dict.set_item("node", &**node)?;
            dict.set_item("attempt", attempt)?;
            dict.set_item("error", error_dict(py, error)?)?;
        }
    }
    Ok(())
}

/// States are interned, too, and what most nodes lack is left out.
fn node_event(dict: &Bound<'_, PyDict>, node: &NodeEvent) -> PyResult<()> {
    let py = dict.py();
    dict.set_item(intern!(py, "event"), intern!(py, "node"))?;
    dict.set_item(intern!(py, "run"), &*node.run)?;
    dict.set_item(intern!(py, "node"), &*node.node)?;
    dict.set_item(intern!(py, "state"), state_word(py, node.state))?;
    dict.set_item(intern!(py, "attempt"), node.attempt)?;
    dict.set_item(intern!(py, "at"), node.at)?;
    if let Some(more) = &node.more {
        node_notes(dict, more)?;
    }
    if let Some(started) = node.started {
        dict.set_item(intern!(py, "started"), started)?;
    }
    if node.is_kept {
        dict.set_item(intern!(py, "kept"), true)?;
    }
    if node.is_cached {
        dict.set_item(intern!(py, "cached"), true)?;
    }
    if !node.artifacts.is_empty() {
        let artifacts = PyList::empty(py);
        for stored in &*node.artifacts {
            artifacts.append(artifact_dict(py, stored)?)?;
        }
        dict.set_item(intern!(py, "artifacts"), artifacts)?;
    }
    if let Some(seconds) = node.seconds {
        dict.set_item(intern!(py, "seconds"), seconds)?;
    }
    if let Some(queue) = node.queue {
        dict.set_item(intern!(py, "queue"), queue)?;
    }
    Ok(())
}

fn node_notes(dict: &Bound<'_, PyDict>, more: &NodeNotes) -> PyResult<()> {
    let py = dict.py();
    if let Some(error) = &more.error {
        dict.set_item(intern!(py, "error"), error_dict(py, error)?)?;
    }
    if let Some(reason) = &more.reason {
        dict.set_item(intern!(py, "reason"), reason)?;
    }
    if let Some(usage) = &more.usage {
        dict.set_item(intern!(py, "cpu_seconds"), usage.cpu_seconds)?;
        dict.set_item(intern!(py, "peak_memory"), usage.peak_memory)?;
        dict.set_item(intern!(py, "gpu_share"), usage.gpu_share)?;
    }
    if let Some(because) = &more.ran_because {
        dict.set_item(intern!(py, "ran_because"), &**because)?;
    }
    if let Some(fallback) = &more.fallback {
        dict.set_item(intern!(py, "fallback"), &**fallback)?;
    }
    Ok(())
}

fn state_word(py: Python<'_>, state: NodeState) -> &Bound<'_, PyString> {
    match state {
        NodeState::Pending => intern!(py, "pending"),
        NodeState::Ready => intern!(py, "ready"),
        NodeState::Running => intern!(py, "running"),
        NodeState::Succeeded => intern!(py, "succeeded"),
        NodeState::Failed => intern!(py, "failed"),
        NodeState::Skipped => intern!(py, "skipped"),
        NodeState::Cancelled => intern!(py, "cancelled"),
        NodeState::Waiting => intern!(py, "waiting"),
    }
}

fn artifact_dict<'py>(py: Python<'py>, stored: &Stored) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item(intern!(py, "id"), &*stored.id)?;
    dict.set_item(intern!(py, "name"), &stored.name)?;
    dict.set_item(intern!(py, "type"), &stored.type_name)?;
    dict.set_item(intern!(py, "bytes"), stored.bytes)?;
    dict.set_item(intern!(py, "quality"), stored.quality)?;
    dict.set_item(intern!(py, "port"), &*stored.port)?;
    Ok(dict)
}

/// What went over one session.
pub(crate) fn session_dict<'py>(
    py: Python<'py>,
    stats: &SessionStats,
) -> PyResult<Bound<'py, PyDict>> {
    let counts = [
        ("received", stats.received),
        ("sent", stats.sent),
        ("bytes_received", stats.bytes_received),
        ("bytes_sent", stats.bytes_sent),
        ("refused", stats.refused),
        ("late", stats.late),
        ("calls_waiting", stats.calls_waiting),
        ("bytes_waiting", stats.bytes_waiting),
    ];
    let dict = PyDict::new(py);
    for (name, count) in counts {
        dict.set_item(name, count)?;
    }
    Ok(dict)
}

fn error_dict<'py>(py: Python<'py>, error: &NodeError) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("code", &error.code)?;
    dict.set_item("message", &error.message)?;
    dict.set_item("remedy", &error.remedy)?;
    if !error.traceback.is_empty() {
        dict.set_item("traceback", &error.traceback)?;
    }
    Ok(dict)
}
