//! The Python module `pit_native`: types and errors are mapped here and nowhere else.

use pyo3::prelude::*;

mod arbitration;
mod dag;
mod errors;
mod json;
mod pool;
mod runtime;
mod sandbox;
mod stale;
mod store;
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
    sandbox::register(module)?;
    virtual_dom::register(module)
}
