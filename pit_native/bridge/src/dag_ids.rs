//! The ids of a graph's nodes: Python's own objects, and where each is among them.

use std::convert::Infallible;

use pyo3::buffer::{Element, PyBuffer};
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList, PyRange, PySequence, PyString, PyTuple};
use pyo3::{PyTypeCheck, ffi};

use crate::errors::bad_input;

/// An edge as two positions of nodes.
pub(crate) type Pair = [u32; 2];

/// The ids in order, and the way back from an id to its position.
pub(crate) enum Ids {
    /// The numbers 0, 1, … below this one.
    Positions(u32),
    /// Any objects.
    Objects { ids: Vec<Py<PyAny>>, table: Table },
}

/// Finds the positions of ids.
///
/// Python's own dictionary would do, but to touch each id's memory, and to make and read a number for
/// its position, costs more than the lookup itself.
pub(crate) enum Table {
    /// The ids are integers close together: by value, from the least; position + 1, 0 where none is.
    Dense { least: u64, slots: Vec<u32> },
    /// By identity, then by hash and equality. Keys by position.
    Hashed {
        by_address: Slots,
        by_key: Slots,
        keys: Vec<Key>,
    },
}

/// An open-addressing table of positions.
pub(crate) struct Slots {
    /// Position + 1, 0 where none is; a power of two long.
    slots: Vec<u32>,
    shift: u32,
}

impl Slots {
    fn with_room_for(count: usize) -> Self {
        let bits = (2 * count.max(4)).next_power_of_two().trailing_zeros();
        Self {
            slots: vec![0; 1 << bits],
            shift: u64::BITS - bits,
        }
    }

    /// The place of the position that `is_it` accepts, or the empty place where it belongs, and what
    /// is there.
    #[inline]
    fn find<E>(
        &self,
        hash: u64,
        mut is_it: impl FnMut(u32) -> Result<bool, E>,
    ) -> Result<(usize, Option<u32>), E> {
        // Fibonacci hashing: neighbouring integers and addresses are spread alike.
        let mut place = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        loop {
            let Some(at) = self.slots[place].checked_sub(1) else {
                return Ok((place, None));
            };
            if is_it(at)? {
                return Ok((place, Some(at)));
            }
            place = (place + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    fn by_address(&self, ids: &[Py<PyAny>], address: *mut ffi::PyObject) -> (usize, Option<u32>) {
        let is_it = |at: u32| Ok::<_, Infallible>(ids[at as usize].as_ptr() == address);
        match self.find(address as u64, is_it) {
            Ok(found) => found,
            Err(never) => match never {},
        }
    }

    #[inline]
    fn by_key(
        &self,
        keys: &[Key],
        ids: &[Py<PyAny>],
        key: Key,
        id: &Bound<'_, PyAny>,
    ) -> PyResult<(usize, Option<u32>)> {
        self.find(key.hash, |at| {
            let known = keys[at as usize];
            if known.hash != key.hash {
                return Ok(false);
            }
            Ok(known.is_plain && key.is_plain || is_equal(ids[at as usize].bind(id.py()), id)?)
        })
    }
}

/// An id's hash, and whether it is an integer that its hash tells apart from all others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    hash: u64,
    is_plain: bool,
}

impl Key {
    #[inline]
    fn of(id: &Bound<'_, PyAny>) -> PyResult<Self> {
        /// Below it Python's hash of an integer that is not negative is the integer.
        const MODULUS: i64 = (1 << 61) - 1;
        // SAFETY: `id` is a live object, and it is an exact integer when it is read as one.
        unsafe {
            if ffi::PyLong_CheckExact(id.as_ptr()) != 0 {
                let mut overflow = 0;
                let value = ffi::PyLong_AsLongLongAndOverflow(id.as_ptr(), &mut overflow);
                if overflow == 0 && (0..MODULUS).contains(&value) {
                    return Ok(Self {
                        hash: value as u64,
                        is_plain: true,
                    });
                }
            }
            match ffi::PyObject_Hash(id.as_ptr()) {
                -1 => Err(PyErr::fetch(id.py())),
                hash => Ok(Self {
                    hash: hash as u64,
                    is_plain: false,
                }),
            }
        }
    }
}

/// Told of an id that is there twice, by its position and that of the first.
type Repeated<'a> = dyn FnMut(u32, u32, &Bound<'_, PyAny>) -> PyResult<()> + 'a;

impl Table {
    fn of(py: Python<'_>, ids: &[Py<PyAny>], repeated: &mut Repeated<'_>) -> PyResult<Self> {
        let keys = ids.iter().map(|id| Key::of(id.bind(py)));
        let keys: Vec<Key> = keys.collect::<PyResult<_>>()?;
        if keys.iter().all(|key| key.is_plain) {
            let numbers = || keys.iter().map(|key| key.hash);
            let (least, most) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
            if most - least < 4 * ids.len() as u64 {
                let slots = vec![0; (most - least) as usize + 1];
                return Self::dense(py, ids, &keys, least, slots, repeated);
            }
        }
        Self::hashed(py, ids, keys, repeated)
    }

    fn dense(
        py: Python<'_>,
        ids: &[Py<PyAny>],
        keys: &[Key],
        least: u64,
        mut slots: Vec<u32>,
        repeated: &mut Repeated<'_>,
    ) -> PyResult<Self> {
        for (at, key) in keys.iter().enumerate() {
            match &mut slots[(key.hash - least) as usize] {
                slot @ 0 => *slot = at as u32 + 1,
                first => repeated(at as u32, *first - 1, ids[at].bind(py))?,
            }
        }
        Ok(Self::Dense { least, slots })
    }

    fn hashed(
        py: Python<'_>,
        ids: &[Py<PyAny>],
        keys: Vec<Key>,
        repeated: &mut Repeated<'_>,
    ) -> PyResult<Self> {
        let mut by_key = Slots::with_room_for(ids.len());
        let mut by_address = Slots::with_room_for(ids.len());
        for (at, id) in ids.iter().enumerate() {
            let id = id.bind(py);
            match by_key.by_key(&keys, ids, keys[at], id)? {
                (place, None) => by_key.slots[place] = at as u32 + 1,
                (_, Some(first)) => repeated(at as u32, first, id)?,
            }
            if let (place, None) = by_address.by_address(ids, id.as_ptr()) {
                by_address.slots[place] = at as u32 + 1;
            }
        }
        Ok(Self::Hashed {
            by_address,
            by_key,
            keys,
        })
    }

    #[inline]
    fn position(&self, ids: &[Py<PyAny>], id: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
        match self {
            Self::Dense { least, slots } => {
                let key = Key::of(id)?;
                let slot = slots.get(key.hash.wrapping_sub(*least) as usize);
                let Some(at) = slot.and_then(|slot| slot.checked_sub(1)) else {
                    return Ok(None);
                };
                let is_it = key.is_plain || is_equal(ids[at as usize].bind(id.py()), id)?;
                Ok(is_it.then_some(at))
            }
            Self::Hashed {
                by_address,
                by_key,
                keys,
            } => {
                if let (_, Some(at)) = by_address.by_address(ids, id.as_ptr()) {
                    return Ok(Some(at));
                }
                Ok(by_key.by_key(keys, ids, Key::of(id)?, id)?.1)
            }
        }
    }
}

/// Python's `==` as containers use it: the same object is equal to itself.
fn is_equal(a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<bool> {
    // SAFETY: both are live objects.
    match unsafe { ffi::PyObject_RichCompareBool(a.as_ptr(), b.as_ptr(), ffi::Py_EQ) } {
        -1 => Err(PyErr::fetch(a.py())),
        equal => Ok(equal == 1),
    }
}

impl Ids {
    /// Reads `node_ids`, a number of nodes or their ids. Each id that is there twice is told to
    /// `repeated`, with its position and that of the first.
    pub(crate) fn read(node_ids: &Bound<'_, PyAny>, repeated: &mut Repeated<'_>) -> PyResult<Self> {
        if let Some(count) = counted(node_ids)? {
            return Ok(Self::Positions(count));
        }
        let py = node_ids.py();
        let mut ids: Vec<Py<PyAny>> = Vec::with_capacity(node_ids.len().unwrap_or(0));
        for id in node_ids.try_iter()? {
            ids.push(id?.unbind());
        }
        if u32::try_from(ids.len()).is_err() {
            return Err(bad_input("the graph has more than 4294967295 nodes", ""));
        }
        let table = Table::of(py, &ids, repeated)?;
        Ok(Self::Objects { ids, table })
    }

    /// As [`Ids::read`], but an id that is there twice is an error.
    pub(crate) fn read_distinct(node_ids: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::read(node_ids, &mut |_, _, id| {
            Err(bad_input(
                &format!("the node {} is there twice", shown(id)),
                "give each node an id of its own",
            ))
        })
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Positions(count) => *count as usize,
            Self::Objects { ids, .. } => ids.len(),
        }
    }

    /// Where `id` is.
    #[inline]
    pub(crate) fn position(&self, id: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
        match self {
            Self::Positions(count) => {
                let key = Key::of(id)?;
                let Some(at) = u32::try_from(key.hash).ok().filter(|at| at < count) else {
                    return Ok(None);
                };
                // What is no plain integer may equal one, as 1.0 and True do.
                let is_it = key.is_plain || is_equal(&number(id.py(), at), id)?;
                Ok(is_it.then_some(at))
            }
            Self::Objects { ids, table } => table.position(ids, id),
        }
    }

    /// The id of the node at `at`.
    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>, at: u32) -> Bound<'py, PyAny> {
        match self {
            Self::Positions(_) => number(py, at),
            Self::Objects { ids, .. } => ids[at as usize].bind(py).clone(),
        }
    }

    /// The name of the node at `at` for a message.
    pub(crate) fn name(&self, py: Python<'_>, at: u32) -> String {
        shown(&self.get(py, at))
    }

    /// The ids of `nodes`.
    #[inline]
    pub(crate) fn list<'py>(&self, py: Python<'py>, nodes: &[u32]) -> PyResult<Bound<'py, PyList>> {
        match self {
            Self::Positions(_) => PyList::new(py, nodes),
            Self::Objects { ids, .. } => {
                PyList::new(py, nodes.iter().map(|&at| ids[at as usize].bind(py)))
            }
        }
    }

    /// Edges given as pairs of ids, or as one buffer of positions: source, target, source, target, ….
    pub(crate) fn edges(&self, edges: &Bound<'_, PyAny>) -> PyResult<Edges> {
        let mut found = Edges {
            nodes: self.len() as u32,
            ..Edges::default()
        };
        if found.read_buffer(edges)? {
            return Ok(found);
        }
        found.pairs.reserve(edges.len().unwrap_or(0));
        if let Ok(list) = edges.cast_exact::<PyList>() {
            // An id that is found by its identity alone is not read.
            let reads_ends = !matches!(
                self,
                Self::Objects {
                    table: Table::Hashed { .. },
                    ..
                }
            );
            let mut rest = list.iter();
            let mut batch: Vec<Bound<'_, PyAny>> = Vec::with_capacity(BATCH);
            loop {
                batch.extend(rest.by_ref().take(BATCH));
                if batch.is_empty() {
                    break;
                }
                if reads_ends {
                    fetch(&batch);
                }
                for pair in batch.drain(..) {
                    let pair = self.pair(&pair, &mut found)?;
                    found.pairs.push(pair);
                }
            }
        } else {
            for pair in edges.try_iter()? {
                let pair = self.pair(&pair?, &mut found)?;
                found.pairs.push(pair);
            }
        }
        Ok(found)
    }

    #[inline]
    fn pair(&self, pair: &Bound<'_, PyAny>, found: &mut Edges) -> PyResult<Pair> {
        let mut end = |id: &Bound<'_, PyAny>| match self.position(id)? {
            Some(at) => Ok(at),
            None => found.unknown(id),
        };
        if let Ok(pair) = pair.cast_exact::<PyTuple>()
            && pair.len() == 2
        {
            // The tuple holds its items, whatever happens meanwhile.
            let (source, target) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
            return Ok([end(&source)?, end(&target)?]);
        }
        match sequence_of_two(pair) {
            Some(ends) => Ok([end(&ends.get_item(0)?)?, end(&ends.get_item(1)?)?]),
            None => Ok(NO_PAIR),
        }
    }
}

/// Pairs that are fetched before the first of them is read.
const BATCH: usize = 64;

/// Touches the ends of `pairs`. They lie anywhere in memory, and to wait for each takes longer than all
/// else: in a loop that does nothing but touch them, the processor waits for many at a time.
fn fetch(pairs: &[Bound<'_, PyAny>]) {
    let mut ends = [std::ptr::null_mut(); 2 * BATCH];
    let mut count = 0;
    for pair in pairs {
        if let Ok(pair) = pair.cast_exact::<PyTuple>()
            && let Ok(source) = pair.get_borrowed_item(0)
            && let Ok(target) = pair.get_borrowed_item(1)
        {
            ends[count] = source.as_ptr();
            ends[count + 1] = target.as_ptr();
            count += 2;
        }
    }
    for &end in &ends[..count] {
        // SAFETY: its tuple, which `pairs` holds, keeps it alive.
        std::hint::black_box(unsafe { ffi::Py_TYPE(end) });
    }
}

/// What stands for an edge that is no pair of ids.
const NO_PAIR: Pair = [u32::MAX; 2];

/// Edges as positions. Those that name no node have positions after the last one, so that a graph
/// refuses them and a validation names them.
#[derive(Default)]
pub(crate) struct Edges {
    pub(crate) pairs: Vec<Pair>,
    nodes: u32,
    unknown: Vec<Py<PyAny>>,
}

impl Edges {
    /// Whether the edge at `edge` is no pair at all.
    pub(crate) fn is_malformed(&self, edge: u32) -> bool {
        self.pairs[edge as usize] == NO_PAIR
    }

    /// What an edge named at the position `at`, which no node has.
    pub(crate) fn unknown_name(&self, py: Python<'_>, at: u32) -> String {
        let id = self.unknown.get(at.wrapping_sub(self.nodes) as usize);
        id.map_or_else(|| at.to_string(), |id| shown(id.bind(py)))
    }

    fn unknown(&mut self, id: &Bound<'_, PyAny>) -> PyResult<u32> {
        let at = u32::try_from(self.unknown.len()).ok();
        let at = at.and_then(|at| at.checked_add(self.nodes));
        let at = at.filter(|&at| at < u32::MAX);
        let at = at.ok_or_else(|| bad_input("the edges name more than 4294967295 nodes", ""))?;
        self.unknown.push(id.clone().unbind());
        Ok(at)
    }

    /// Reads `edges` when they are a buffer of integers; else false.
    fn read_buffer(&mut self, edges: &Bound<'_, PyAny>) -> PyResult<bool> {
        if edges.is_instance_of::<PyList>() || edges.is_instance_of::<PyTuple>() {
            return Ok(false);
        }
        Ok(self.read_as::<u32>(edges)?
            || self.read_as::<i64>(edges)?
            || self.read_as::<u64>(edges)?
            || self.read_as::<i32>(edges)?)
    }

    fn read_as<T>(&mut self, edges: &Bound<'_, PyAny>) -> PyResult<bool>
    where
        T: Element + TryInto<u32> + Into<i128>,
    {
        let Ok(buffer) = PyBuffer::<T>::get(edges) else {
            return Ok(false);
        };
        let (py, nodes) = (edges.py(), self.nodes);
        let mut numbers = Vec::with_capacity(buffer.item_count());
        for number in buffer.to_vec(py)? {
            let position = number.try_into().ok().filter(|&at| at < nodes);
            numbers.push(match position {
                Some(at) => at,
                None => self.unknown(&number.into().into_pyobject(py)?.into_any())?,
            });
        }
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(bad_input(
                "the buffer of edges has an odd length",
                "give pairs of positions",
            ));
        }
        self.pairs = pairs.to_vec();
        Ok(true)
    }
}

/// An id in a message.
pub(crate) fn shown(id: &Bound<'_, PyAny>) -> String {
    id.str().map(|text| text.to_string()).unwrap_or_default()
}

/// `node_ids` when they are the numbers from 0: given as a number or as a range.
fn counted(node_ids: &Bound<'_, PyAny>) -> PyResult<Option<u32>> {
    let count = if node_ids.is_instance_of::<PyInt>() {
        node_ids.extract::<isize>()?.max(0)
    } else if PyRange::type_check(node_ids) {
        let part = |name| node_ids.getattr(name)?.extract::<isize>();
        let (start, step, stop) = (part("start")?, part("step")?, part("stop")?);
        if (start, step) != (0, 1) {
            return Ok(None);
        }
        stop.max(0)
    } else {
        return Ok(None);
    };
    match u32::try_from(count) {
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(bad_input("the graph has more than 4294967295 nodes", "")),
    }
}

fn number(py: Python<'_>, number: u32) -> Bound<'_, PyAny> {
    match number.into_pyobject(py) {
        Ok(number) => number.into_any(),
        Err(never) => match never {},
    }
}

fn sequence_of_two<'a, 'py>(pair: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PySequence>> {
    let ends = pair.cast::<PySequence>().ok()?;
    let is_pair = ends.len().is_ok_and(|length| length == 2);
    (is_pair && !ends.is_instance_of::<PyString>()).then_some(ends)
}
