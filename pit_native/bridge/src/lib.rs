//! The Python module `pit_native`: types and errors are mapped here and nowhere else.

use pyo3::prelude::*;

mod arbitration;
mod choice;
mod dag;
mod dag_ids;
mod errors;
mod json;
mod melody_file;
mod pool;
mod runtime;
mod runtime_backlog;
mod runtime_bell;
mod runtime_call;
mod runtime_dicts;
mod runtime_door;
mod runtime_events;
mod runtime_gpu;
mod runtime_handler;
mod runtime_launch;
mod runtime_loader;
mod runtime_meter;
mod runtime_models;
mod runtime_pit;
mod runtime_plan;
mod runtime_players;
mod runtime_pool;
mod runtime_session;
mod runtime_settings;
mod runtime_surface;
mod runtime_topics;
mod sandbox;
mod stale;
mod store;
mod store_stream;
mod values;
mod virtual_dom;

#[pymodule]
fn pit_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    errors::register(module)?;
    pool::register(module)?;
    dag::register(module)?;
    store::register(module)?;
    arbitration::register(module)?;
    stale::register(module)?;
    runtime::register(module)?;
    runtime_models::register(module)?;
    sandbox::register(module)?;
    melody_file::register(module)?;
    choice::register(module)?;
    virtual_dom::register(module)
}
