//! Settings of a runtime that Python gives as dicts.

use ipc_bus::Limits;
use ipc_bus::transport::TransportSettings;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use run_loop::{LogSettings, PlayerLog};

use crate::errors::{bad_input, environment_lacks};

/// What a Player may take of the bus, each by its name in [`Limits`], and how its connections are made; what is
/// not named keeps its default.
pub(crate) fn bus_settings(given: &Bound<'_, PyDict>) -> PyResult<(Limits, TransportSettings)> {
    let (mut limits, mut transport) = (Limits::default(), TransportSettings::default());
    for (name, value) in given {
        let name: String = name.extract()?;
        match name.as_str() {
            "frame" => limits.frame = value.extract()?,
            "depth" => limits.depth = value.extract()?,
            "values" => limits.values = value.extract()?,
            "requests" => limits.requests = value.extract()?,
            "unanswered" => limits.unanswered = value.extract()?,
            "payload" => limits.payloads.payload = value.extract()?,
            "rate" => {
                limits.rate = value.extract()?;
                limits.burst = limits.rate;
            }
            "buffer_size" => transport.buffer_size = value.extract()?,
            _ => return Err(bad_input(&format!("the bus has no setting {name}"), "")),
        }
    }
    Ok((limits, transport))
}

pub(crate) fn player_log(settings: &Bound<'_, PyDict>) -> PyResult<PlayerLog> {
    let wanted = |key: &str| {
        let found = settings.get_item(key)?;
        found.ok_or_else(|| bad_input(&format!("the log's settings lack {key}"), ""))
    };
    let settings = LogSettings {
        folder: wanted("folder")?.extract()?,
        level: wanted("level")?.extract()?,
        max_bytes: wanted("max_bytes")?.extract()?,
        backups: wanted("backups")?.extract()?,
    };
    let folder = settings.folder.display().to_string();
    PlayerLog::start(settings).map_err(|error| {
        environment_lacks(
            &format!("the Players' log in {folder} cannot be begun: {error}"),
            "",
        )
    })
}
