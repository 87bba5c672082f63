//! The Python face of `choice`: buffers of numbers become its fields and plans here.

use std::convert::Infallible;

use choice::{Field, Fitted, Graph, Index, Network, Open, Plans, Recall, Standing, Usable};
use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::{PyIndexError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

/// Players by the types that they want and feed.
#[pyclass(frozen, module = "pit_native")]
struct PlanIndex {
    index: Index,
}

#[pymethods]
impl PlanIndex {
    #[new]
    fn new(wants: Vec<Vec<u32>>, feeds: Vec<Vec<u32>>, gathers: Vec<bool>) -> PyResult<Self> {
        let index = Index::new(&wants, feeds, gathers)
            .ok_or_else(|| PyValueError::new_err("wants, feeds and gathers do not fit together"))?;
        Ok(Self { index })
    }

    fn plan(
        &self,
        py: Python<'_>,
        costs: &Bound<'_, PyAny>,
        usable: &Bound<'_, PyAny>,
        ask: &Bound<'_, PyAny>,
        there: Vec<u32>,
        open_inputs: Vec<Open>,
    ) -> PyResult<ReadyPlans> {
        let (costs, usable) = (numbers::<f64>(costs)?, numbers::<u8>(usable)?);
        let players = self.index.len();
        let known = |player: u32| (player as usize) < players;
        let fits = costs.len() == players
            && usable.len() == players
            && there.iter().all(|&player| known(player))
            && open_inputs.iter().all(|(player, inputs)| {
                let has = |&input: &u32| (input as usize) < self.index.inputs_of(*player);
                known(*player) && inputs.iter().all(has)
            });
        if !fits {
            return Err(PyValueError::new_err(
                "the graph is not one of these Players",
            ));
        }
        let usable: Vec<Usable> = usable
            .into_iter()
            .map(|one| match one {
                0 => Usable::No,
                1 => Usable::Yes,
                _ => Usable::Ask,
            })
            .collect();
        // Most searches ask nothing, and Python is not to wait for those of many Players.
        let plans = if usable.contains(&Usable::Ask) {
            let ask = |player: u32| ask.call1((player,))?.is_truthy();
            self.index
                .plan::<PyErr>(&costs, &usable, &there, &open_inputs, ask)?
        } else {
            let search = || {
                let never = |_| Ok::<bool, Infallible>(false);
                self.index
                    .plan(&costs, &usable, &there, &open_inputs, never)
            };
            match if players > DETACHED {
                py.detach(search)
            } else {
                search()
            } {
                Ok(plans) => plans,
                Err(never) => match never {},
            }
        };
        Ok(ReadyPlans { plans })
    }
}

/// Searches over more Players than this give up the GIL; below, giving it up costs more.
const DETACHED: usize = 2_000;

/// The cheapest way to every Player that can be reached.
#[pyclass(frozen, module = "pit_native")]
struct ReadyPlans {
    plans: Plans,
}

#[pymethods]
impl ReadyPlans {
    /// What each Player that can be reached costs with all steps before it, the cheapest first.
    #[getter]
    fn cost<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for &player in self.plans.reached() {
            dict.set_item(player, self.plans.cost(player))?;
        }
        Ok(dict)
    }

    /// How many Players the search came to.
    #[getter]
    fn expansions(&self) -> usize {
        self.plans.reached().len()
    }

    fn feeders(&self, player: u32) -> &[u32] {
        self.plans.feeders(player)
    }

    fn steps(&self, player: u32) -> Vec<u32> {
        self.plans.steps(player)
    }

    /// Those of the Players that can be reached, in their order.
    fn among<'py>(&self, players: &Bound<'py, PyList>) -> PyResult<Bound<'py, PyList>> {
        let found = PyList::empty(players.py());
        for player in players {
            if self.plans.cost(player.extract()?).is_some() {
                found.append(player)?;
            }
        }
        Ok(found)
    }
}

/// What holds for a whole composition, of the Players that it may choose among.
#[pyclass(frozen, module = "pit_native")]
struct ChoiceField {
    field: Field,
}

#[pymethods]
impl ChoiceField {
    #[new]
    #[pyo3(signature = (players, fixed, scores, best, second, clear_from, likeness, uses, types))]
    #[expect(clippy::too_many_arguments, reason = "each is a column of one table")]
    fn new(
        players: Vec<u32>,
        fixed: &Bound<'_, PyAny>,
        scores: &Bound<'_, PyAny>,
        best: &Bound<'_, PyAny>,
        second: &Bound<'_, PyAny>,
        clear_from: &Bound<'_, PyAny>,
        likeness: &Bound<'_, PyAny>,
        uses: &Bound<'_, PyAny>,
        types: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let field = Field::new(Standing {
            players,
            fixed: numbers(fixed)?,
            scores: numbers(scores)?,
            best: numbers(best)?,
            second: numbers(second)?,
            clear_from: numbers(clear_from)?,
            likeness: numbers(likeness)?,
            uses: numbers(uses)?,
            types: numbers(types)?,
        });
        let field = field.ok_or_else(|| {
            PyValueError::new_err("the numbers are not of the same Players and parts")
        })?;
        Ok(Self { field })
    }

    #[pyo3(signature = (candidates, coverage, evidence, advised, there, fresh, suits, plans, out))]
    #[expect(clippy::too_many_arguments, reason = "each is a column of one table")]
    fn facts(
        &self,
        candidates: Vec<u32>,
        coverage: &Bound<'_, PyAny>,
        evidence: &Bound<'_, PyAny>,
        advised: Option<u32>,
        there: Vec<u32>,
        fresh: &Bound<'_, PyAny>,
        suits: &Bound<'_, PyAny>,
        plans: &ReadyPlans,
        out: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (mentions, players) = self.field.sizes();
        let (coverage, fresh, suits) = (numbers(coverage)?, numbers(fresh)?, numbers(suits)?);
        let fits = plans.plans.len() == players
            && coverage.len() == self.field.parts()
            && fresh.len() == mentions
            && there.iter().all(|&player| (player as usize) < players);
        if !fits {
            return Err(PyValueError::new_err(
                "the graph is not one of these Players and parts",
            ));
        }
        let rows = self.rows(&candidates)?;
        let graph = Graph {
            coverage: &coverage,
            evidence: &said(evidence, &candidates)?,
            advised,
            there: &there,
            fresh: &fresh,
            suits: &suits,
            plans: &plans.plans,
        };
        write(out, &self.field.facts(&candidates, &rows, &graph))
    }

    fn owed(
        &self,
        candidates: Vec<u32>,
        coverage: &Bound<'_, PyAny>,
        evidence: &Bound<'_, PyAny>,
        telling: f32,
        unserved: f32,
    ) -> PyResult<Vec<u32>> {
        let coverage = numbers(coverage)?;
        if coverage.len() != self.field.parts() {
            return Err(PyValueError::new_err(
                "the coverage is not that of these parts",
            ));
        }
        let (rows, evidence) = (self.rows(&candidates)?, said(evidence, &candidates)?);
        let owed = self
            .field
            .owed(&rows, &coverage, &evidence, telling, unserved);
        Ok(owed.into_iter().map(|place| candidates[place]).collect())
    }

    fn stop_facts(
        &self,
        matches: &Bound<'_, PyAny>,
        coverage: &Bound<'_, PyAny>,
        out: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        write(
            out,
            &self
                .field
                .stop_facts(&numbers(matches)?, &numbers(coverage)?),
        )
    }
}

impl ChoiceField {
    fn rows(&self, candidates: &[u32]) -> PyResult<Vec<usize>> {
        let no_candidate =
            |player| PyKeyError::new_err(format!("Player {player} was not retrieved"));
        self.field.rows(candidates).map_err(no_candidate)
    }
}

/// Dense layers with a rectifier after each but the last.
#[pyclass(frozen, module = "pit_native")]
struct ChoiceNetwork {
    network: Network,
}

#[pymethods]
impl ChoiceNetwork {
    #[new]
    fn new(layers: Vec<(Bound<'_, PyAny>, Bound<'_, PyAny>)>) -> PyResult<Self> {
        let read = |(weight, bias): &(Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            Ok((numbers(weight)?, numbers(bias)?))
        };
        let layers: PyResult<Vec<_>> = layers.iter().map(read).collect();
        let network = Network::new(&layers?)
            .ok_or_else(|| PyValueError::new_err("the layers do not follow on each other"))?;
        Ok(Self { network })
    }

    fn run(&self, x: &Bound<'_, PyAny>, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let x = numbers(x)?;
        if x.len() != self.network.inputs() {
            return Err(PyValueError::new_err(
                "the network takes another number of inputs",
            ));
        }
        write(out, &self.network.run(&x))
    }

    fn weight(&self, layer: usize, out: &Bound<'_, PyAny>) -> PyResult<()> {
        let missing = || PyIndexError::new_err("the network has no such layer");
        write(out, &self.network.weight(layer).ok_or_else(missing)?)
    }
}

/// What was learnt of past requests.
#[pyclass(frozen, module = "pit_native")]
struct ChoiceRecall {
    recall: Recall,
}

#[pymethods]
impl ChoiceRecall {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "each is an array of the file")]
    fn new(
        vectors: &Bound<'_, PyAny>,
        scales: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
        words: Vec<String>,
        rarity: &Bound<'_, PyAny>,
        by_word: &Bound<'_, PyAny>,
        usual: &Bound<'_, PyAny>,
        sharpness: f32,
    ) -> PyResult<Self> {
        let recall = Recall::new(Fitted {
            vectors: numbers(vectors)?,
            scales: numbers(scales)?,
            weights: numbers(weights)?,
            words,
            rarity: numbers(rarity)?,
            by_word: numbers(by_word)?,
            usual: numbers(usual)?,
            sharpness,
        })
        .ok_or_else(|| PyValueError::new_err("the arrays do not fit together"))?;
        Ok(Self { recall })
    }

    fn about(
        &self,
        py: Python<'_>,
        queries: &Bound<'_, PyAny>,
        words: Vec<Vec<String>>,
        likely: &Bound<'_, PyAny>,
        nearest: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let queries = numbers::<f32>(queries)?;
        if queries.len() != words.len() * self.recall.width() {
            return Err(PyValueError::new_err(
                "there is not one vector for each text's words",
            ));
        }
        let (found, near) = py.detach(|| self.recall.about(&queries, &words));
        write(likely, &found)?;
        write(nearest, &near)
    }
}

/// What `evidence`, by Player, holds for each candidate.
fn said(evidence: &Bound<'_, PyAny>, candidates: &[u32]) -> PyResult<Vec<f32>> {
    let by_player = numbers::<f32>(evidence)?;
    let missing = || PyValueError::new_err("the evidence is not one row of numbers by Player");
    let of = |&player: &u32| by_player.get(player as usize).copied().ok_or_else(missing);
    candidates.iter().map(of).collect()
}

/// The numbers of a buffer, row by row.
fn numbers<T: Element>(object: &Bound<'_, PyAny>) -> PyResult<Vec<T>> {
    PyBuffer::<T>::get(object)?.to_vec(object.py())
}

/// Writes numbers into a buffer that has room for just these.
fn write(out: &Bound<'_, PyAny>, values: &[f32]) -> PyResult<()> {
    PyBuffer::<f32>::get(out)?.copy_from_slice(out.py(), values)
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PlanIndex>()?;
    module.add_class::<ReadyPlans>()?;
    module.add_class::<ChoiceField>()?;
    module.add_class::<ChoiceNetwork>()?;
    module.add_class::<ChoiceRecall>()
}
