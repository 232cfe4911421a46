//! What operations cost, in additions: for rules that must not raise it, for reports, and for the
//! choice to run serially. Rough numbers; only their order matters.

use super::{Emit, Op, Part, Parts};

/// Beyond so many components the rule of [`Emit::Parts`] is not run to be counted.
const MOST_COUNTED: usize = 4096;

/// The cost of one emitted C++ expression.
pub fn of_code(code: &str) -> f64 {
    let calls = |names: &[&str]| names.iter().any(|name| code.contains(name));
    match () {
        () if calls(&["exp", "log"]) => 10.0,
        () if calls(&["sin", "cos", "tan"]) => 20.0,
        () if calls(&["erf", "normcdf", "gelu", "sigmoid", "silu", "softplus", "cbrt"]) => 20.0,
        () if calls(&["pow", "gamma"]) => 40.0,
        () if calls(&["/", "sqrt", "hypot", "fmod", "tf_inv"]) => 5.0,
        () => 1.0,
    }
}

impl Op {
    /// The cost of one call, given the dims of the arguments and of the result. Moves are free,
    /// and a composite is never a node.
    pub fn cost(self, dims: &[usize], params: &[i64], dim: usize) -> f64 {
        match self.def().emit {
            Emit::Map(code) => of_code(code) * dim as f64,
            Emit::Move(_) | Emit::Expanded => 0.0,
            Emit::Contract(rule) => {
                let sums = rule(dims, params);
                (2 * sums.terms() * sums.dim()) as f64
            }
            Emit::Parts(_) if dims.iter().sum::<usize>() + dim > MOST_COUNTED => {
                (dims.iter().sum::<usize>() + dim) as f64
            }
            Emit::Parts(rule) => {
                let mut counter = Counter::default();
                let args: Vec<Vec<Part>> =
                    dims.iter().map(|&d| (0..d).map(|_| counter.next()).collect()).collect();
                rule(&mut counter, &args, params);
                counter.cost
            }
        }
    }
}

/// Adds up what a rule would write.
#[derive(Default)]
struct Counter {
    parts: u32,
    cost: f64,
}

impl Counter {
    fn next(&mut self) -> Part {
        self.parts += 1;
        Part(self.parts - 1)
    }
}

impl Parts for Counter {
    fn constant(&mut self, _: f64) -> Part {
        self.next()
    }

    fn make(&mut self, code: &'static str, _: &[Part]) -> Part {
        self.cost += of_code(code);
        self.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_instructions_cost_more() {
        let ladder = ["$0 + $1", "$0 / $1", "tf_exp($0)", "tf_sin($0)", "tf_pow($0, $1)"];
        let costs = ladder.map(of_code);
        assert!(costs[0] > 0.0 && costs.is_sorted_by(|a, b| a < b), "{costs:?}");
        assert_eq!(of_code("tf_erf($0)"), of_code("tf_cos($0)"));
    }

    #[test]
    fn costs_grow_with_components() {
        assert_eq!(Op::Exp.cost(&[3], &[], 3), 3.0 * of_code("tf_exp($0)"));
        assert_eq!(Op::Concat.cost(&[2, 3], &[], 5), 0.0);
        // A product and an addition for each of 3 terms of 2 sums.
        assert_eq!(Op::MatVecMult.cost(&[6, 3], &[], 2), 12.0);
        // A rule that is run to be counted, and one that is too long for that.
        assert_eq!(Op::Sum.cost(&[MOST_COUNTED - 1], &[], 1), (MOST_COUNTED - 2) as f64);
        assert_eq!(Op::Sum.cost(&[MOST_COUNTED], &[], 1), (MOST_COUNTED + 1) as f64);
    }
}
