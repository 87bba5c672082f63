//! A small network of dense layers: what it is given is mostly zeros, and so is what its layers make of it.

#[cfg(target_arch = "x86_64")]
use crate::halves::Halves;

/// So many outputs are reckoned at once: their sums stay in registers.
pub(crate) const LANES: usize = 64;

pub(crate) type Lanes = [f32; LANES];

/// Layers with a rectifier after each but the last.
#[derive(Debug)]
pub struct Network {
    layers: Vec<Layer>,
}

/// One layer: `weight @ x + bias`.
#[derive(Debug)]
struct Layer {
    inputs: usize,
    outputs: usize,
    bias: Vec<Lanes>,
    columns: Columns,
}

/// For each group of outputs what each input gives to them; groups are filled up with zeros.
#[derive(Debug)]
enum Columns {
    Full(Vec<Lanes>),
    #[cfg(target_arch = "x86_64")]
    Half(Halves),
}

impl Columns {
    /// As 16-bit numbers where that is quicker and loses nothing, as of weights that were written so.
    fn of(columns: Vec<Lanes>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(halves) = Halves::of(&columns) {
            return Self::Half(halves);
        }
        Self::Full(columns)
    }

    /// The columns of one input after the other, from `first` on, each as often as `told` says, added to `sums`.
    fn add(&self, first: usize, told: &[(usize, f32)], sums: &mut Lanes) {
        match self {
            Self::Full(columns) => {
                for &(input, value) in told {
                    for (sum, weight) in sums.iter_mut().zip(&columns[first + input]) {
                        *sum += value * weight;
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Half(halves) => halves.add(first, told, sums),
        }
    }

    fn column(&self, place: usize) -> Lanes {
        match self {
            Self::Full(columns) => columns[place],
            #[cfg(target_arch = "x86_64")]
            Self::Half(halves) => halves.column(place),
        }
    }
}

impl Layer {
    fn new(weight: &[f32], bias: &[f32]) -> Option<Self> {
        let outputs = bias.len();
        let inputs = weight.len().checked_div(outputs)?;
        if inputs == 0 || inputs * outputs != weight.len() {
            return None;
        }
        let groups = outputs.div_ceil(LANES);
        let mut filled = vec![[0.0; LANES]; groups];
        let mut columns = vec![[0.0; LANES]; inputs * groups];
        for (output, (row, &bias)) in weight.chunks_exact(inputs).zip(bias).enumerate() {
            let (group, lane) = (output / LANES, output % LANES);
            filled[group][lane] = bias;
            for (column, &one) in columns[group * inputs..].iter_mut().zip(row) {
                column[lane] = one;
            }
        }
        Some(Self {
            inputs,
            outputs,
            bias: filled,
            columns: Columns::of(columns),
        })
    }

    fn run(&self, x: &[f32]) -> Vec<f32> {
        let told: Vec<(usize, f32)> = x
            .iter()
            .copied()
            .enumerate()
            .filter(|&(_, value)| value != 0.0)
            .collect();
        let mut found = Vec::with_capacity(self.bias.len() * LANES);
        for (group, bias) in self.bias.iter().enumerate() {
            let mut sums = *bias;
            self.columns.add(group * self.inputs, &told, &mut sums);
            found.extend_from_slice(&sums);
        }
        found.truncate(self.outputs);
        found
    }
}

impl Network {
    /// The layers' weights, `[outputs, inputs]` row by row, and biases. None when they do not follow on each other.
    #[must_use]
    pub fn new(layers: &[(Vec<f32>, Vec<f32>)]) -> Option<Self> {
        let layers: Option<Vec<Layer>> = layers
            .iter()
            .map(|(weight, bias)| Layer::new(weight, bias))
            .collect();
        let layers = layers.filter(|layers| !layers.is_empty())?;
        let follow = layers
            .array_windows()
            .all(|[one, next]| one.outputs == next.inputs);
        follow.then_some(Self { layers })
    }

    /// How many numbers it takes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs
    }

    /// What it makes of `x`, which is as long as `inputs` says; else it panics.
    #[must_use]
    pub fn run(&self, x: &[f32]) -> Vec<f32> {
        assert_eq!(
            x.len(),
            self.inputs(),
            "the network takes another number of inputs"
        );
        let mut layers = self.layers.iter();
        let first = layers.next().map(|layer| layer.run(x)).unwrap_or_default();
        layers.fold(first, |mut x, layer| {
            x.iter_mut().for_each(|value| *value = value.max(0.0));
            layer.run(&x)
        })
    }

    /// The weights of a layer as they were given; None for one that there is not.
    #[must_use]
    pub fn weight(&self, layer: usize) -> Option<Vec<f32>> {
        let layer = self.layers.get(layer)?;
        let column = |output: usize| {
            let columns = output / LANES * layer.inputs..(output / LANES + 1) * layer.inputs;
            columns.map(move |place| layer.columns.column(place)[output % LANES])
        };
        Some((0..layer.outputs).flat_map(column).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Weight and bias of a layer.
    type Given = (Vec<f32>, Vec<f32>);

    fn layers() -> impl Strategy<Value = (Vec<f32>, Vec<Given>)> {
        let sizes = (1..70_usize, 1..140_usize, 1..70_usize, any::<bool>());
        sizes.prop_flat_map(move |(a, b, c, short)| {
            // Those that fit into 16 bits, and those that do not.
            let round = move |one: f32| {
                if short {
                    (one * 64.0).round() / 64.0
                } else {
                    one
                }
            };
            let weights = move |n: usize| prop::collection::vec((-2.0..2.0_f32).prop_map(round), n);
            let given = prop::collection::vec(prop_oneof![Just(0.0_f32), -2.0..2.0_f32], a);
            let layers = ((weights(a * b), weights(b)), (weights(b * c), weights(c)));
            (given, layers).prop_map(|(given, (first, last))| (given, vec![first, last]))
        })
    }

    fn plain(x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f64> {
        let product = |row: &[f32]| {
            row.iter()
                .zip(x)
                .map(|(w, x)| f64::from(*w) * f64::from(*x))
                .sum::<f64>()
        };
        weight
            .chunks_exact(x.len())
            .zip(bias)
            .map(|(row, &b)| product(row) + f64::from(b))
            .collect()
    }

    proptest! {
        #[test]
        fn it_makes_what_plain_products_make((given, layers) in layers()) {
            let network = Network::new(&layers).unwrap();
            let (first, last) = (&layers[0], &layers[1]);
            let between: Vec<f32> =
                plain(&given, &first.0, &first.1).into_iter().map(|v| v.max(0.0) as f32).collect();
            let wanted = plain(&between, &last.0, &last.1);
            let found = network.run(&given);
            prop_assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(wanted) {
                prop_assert!((f64::from(*found) - wanted).abs() < 1e-2, "{} is not {}", found, wanted);
            }
            for (place, (weight, _)) in layers.iter().enumerate() {
                prop_assert_eq!(&network.weight(place).unwrap(), weight);
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn what_fits_into_16_bits_is_kept_so_and_makes_just_the_same() {
        let weight = |step: f32| {
            (0..200_u16)
                .map(|n| f32::from(n) * step - 20.0)
                .collect::<Vec<_>>()
        };
        let given: Vec<f32> = (0..20_u8).map(|n| f32::from(n % 3) * 0.3).collect();
        let has_both = is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c");
        let short = Layer::new(&weight(0.25), &[0.5; 10]).unwrap();
        let long = Layer::new(&weight(0.1), &[0.5; 10]).unwrap();
        assert_eq!(matches!(short.columns, Columns::Half(_)), has_both);
        assert!(matches!(long.columns, Columns::Full(_)));
        let full = (0..20).map(|place| short.columns.column(place)).collect();
        let full = Layer {
            columns: Columns::Full(full),
            bias: short.bias.clone(),
            ..short
        };
        assert_eq!(
            Layer::new(&weight(0.25), &[0.5; 10]).unwrap().run(&given),
            full.run(&given)
        );
    }

    #[test]
    fn layers_that_do_not_follow_on_each_other_are_no_network() {
        let layer =
            |outputs: usize, inputs: usize| (vec![0.0; outputs * inputs], vec![0.0; outputs]);
        assert!(Network::new(&[layer(3, 2), layer(1, 3)]).is_some());
        assert!(Network::new(&[layer(3, 2), layer(1, 2)]).is_none());
        assert!(Network::new(&[(vec![0.0; 5], vec![0.0; 2])]).is_none());
        assert!(Network::new(&[(vec![], vec![])]).is_none());
        assert!(Network::new(&[]).is_none());
    }
}
