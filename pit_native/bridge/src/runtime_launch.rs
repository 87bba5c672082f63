//! How a Player is started, and how Rust reads what the host says of it.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rmpv::Value;
use sandbox::{Keeper, Spec};

use crate::errors::bad_input;
use crate::runtime::seconds;
use crate::sandbox::{PlayerTemplate, spec_from_python};
use crate::values::from_python;

/// How one Player is started.
pub(crate) struct Launch {
    pub(crate) extension: Arc<str>,
    pub(crate) version: String,
    pub(crate) spec: Spec,
    pub(crate) grants: Value,
    pub(crate) configuration: Value,
    pub(crate) project: Value,
    pub(crate) start_timeout: Duration,
    /// Whether it speaks over its standard streams.
    pub(crate) is_stdio: bool,
    pub(crate) memory: u64,
    pub(crate) idle: Option<Duration>,
    /// From which it may be copied; else the launcher starts it.
    pub(crate) template: Option<Arc<Keeper>>,
}

impl Launch {
    /// Whether the Player sees the GPUs.
    pub(crate) fn has_gpus(&self) -> bool {
        let granted = self.grants.as_map().into_iter().flatten();
        granted
            .filter(|(name, _)| name.as_str() == Some("capabilities"))
            .filter_map(|(_, grants)| grants.as_array())
            .flatten()
            .any(|grant| grant.as_str() == Some("gpu:*"))
    }
}

/// Reads the dictionary that `Runtime.register_player` is given.
pub(crate) fn read_launch(launch: &Bound<'_, PyDict>) -> PyResult<Launch> {
    let wanted = |key: &str| {
        let found = launch.get_item(key)?.filter(|value| !value.is_none());
        found.ok_or_else(|| bad_input(&format!("the launch of a Player lacks {key}"), ""))
    };
    let optional = |key: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        Ok(launch.get_item(key)?.filter(|value| !value.is_none()))
    };
    let value = |key: &str, absent: Value| -> PyResult<Value> {
        optional(key)?.map_or(Ok(absent), |value| from_python(&value))
    };
    let duration = |key: &str| -> PyResult<Option<Duration>> {
        optional(key)?
            .map(|value| seconds(value.extract()?))
            .transpose()
    };
    let empty = || Value::Map(Vec::new());
    Ok(Launch {
        extension: wanted("extension")?.extract::<String>()?.into(),
        version: optional("version")?.map_or(Ok(String::new()), |value| value.extract())?,
        spec: spec_from_python(&wanted("spec")?)?,
        grants: value("grants", empty())?,
        configuration: value("configuration", empty())?,
        project: value("project", Value::Nil)?,
        start_timeout: duration("start_timeout")?.unwrap_or(Duration::from_secs(20)),
        is_stdio: optional("transport")?.is_some_and(|name| name.eq("stdio").unwrap_or(false)),
        memory: optional("memory")?.map_or(Ok(0), |value| value.extract())?,
        idle: duration("idle")?,
        template: optional("template")?
            .map(|template| Ok(template.cast::<PlayerTemplate>()?.get().keeper()))
            .transpose()
            .map_err(|_: PyErr| bad_input("the launch's template is no PlayerTemplate", ""))?,
    })
}
