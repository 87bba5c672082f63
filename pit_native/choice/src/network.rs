//! A small network of dense layers: what it is given is mostly zeros, and so is what its layers make of it.

/// So many outputs are reckoned at once: their sums stay in registers.
const LANES: usize = 32;

type Lanes = [f32; LANES];

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
    /// For each group of outputs what each input gives to them; groups are filled up with zeros.
    columns: Vec<Lanes>,
}

impl Layer {
    fn new(weight: &[f32], bias: &[f32]) -> Option<Self> {
        let outputs = bias.len();
        let inputs = weight.len().checked_div(outputs)?;
        if inputs == 0 || inputs * outputs != weight.len() {
            return None;
        }
        let mut layer = Self {
            inputs,
            outputs,
            bias: vec![[0.0; LANES]; outputs.div_ceil(LANES)],
            columns: vec![[0.0; LANES]; inputs * outputs.div_ceil(LANES)],
        };
        for (output, (row, &bias)) in weight.chunks_exact(inputs).zip(bias).enumerate() {
            let (group, lane) = (output / LANES, output % LANES);
            layer.bias[group][lane] = bias;
            for (column, &one) in layer.columns[group * inputs..].iter_mut().zip(row) {
                column[lane] = one;
            }
        }
        Some(layer)
    }

    fn run(&self, x: &[f32]) -> Vec<f32> {
        let told: Vec<(usize, f32)> = x
            .iter()
            .copied()
            .enumerate()
            .filter(|&(_, value)| value != 0.0)
            .collect();
        let mut found = Vec::with_capacity(self.bias.len() * LANES);
        for (bias, columns) in self.bias.iter().zip(self.columns.chunks_exact(self.inputs)) {
            let mut sums = *bias;
            for &(input, value) in &told {
                for (sum, weight) in sums.iter_mut().zip(&columns[input]) {
                    *sum += value * weight;
                }
            }
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
            let columns = &layer.columns[output / LANES * layer.inputs..][..layer.inputs];
            columns.iter().map(move |lanes| lanes[output % LANES])
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
        let sizes = (1..70_usize, 1..70_usize, 1..40_usize);
        let weights = |n: usize| prop::collection::vec(-2.0..2.0_f32, n);
        sizes.prop_flat_map(move |(a, b, c)| {
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
