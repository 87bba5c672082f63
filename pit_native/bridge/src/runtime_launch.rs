//! What the host says about how a Player is started, as Rust reads it.

use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rmpv::Value;

use crate::errors::bad_input;
use crate::runtime::seconds;
use crate::runtime_players::Launch;
use crate::sandbox::{PlayerTemplate, spec_from_python};
use crate::values::from_python;

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
