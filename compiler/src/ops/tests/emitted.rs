//! The components that rooms write or move compute the value: C++ is read by a small machine.

use super::*;

/// Runs the code of [`Emit::Parts`] at once, on numbers.
struct Machine(Vec<f64>);

impl Machine {
    fn push(&mut self, value: f64) -> Part {
        self.0.push(value);
        Part(self.0.len() as u32 - 1)
    }
}

impl Parts for Machine {
    fn constant(&mut self, value: f64) -> Part {
        self.push(value)
    }

    fn make(&mut self, code: &'static str, args: &[Part]) -> Part {
        let a: Vec<f64> = args.iter().map(|part| self.0[part.0 as usize]).collect();
        let call = |name: &str| eval(op(name), &[], &[&a])[0];
        let value = match code {
            "$0 + $1" => a[0] + a[1],
            "$0 * $1" => a[0] * a[1],
            "$0 * $1 + $2" => a[0] * a[1] + a[2],
            "$0 / $1" => a[0] / a[1],
            "tf_exp(($0 - $1) / $2)" => libm::exp((a[0] - a[1]) / a[2]),
            "$0 - $1 * tf_log($2)" => a[0] - a[1] * libm::log(a[2]),
            "tf_max(tf_min($0, tf_c(TF_MAX)), tf_c(-TF_MAX))" => a[0].clamp(f64::MIN, f64::MAX),
            "tf_max($0, $1)" => call("max_of"),
            "tf_min($0, $1)" => call("min_of"),
            "tf_or(tf_eq($0, $1), tf_ne($0, $0))" => f64::from(a[0] == a[1] || a[0].is_nan()),
            "tf_where($0, $1, $2)" => [a[2], a[1]][usize::from(a[0] != 0.0)],
            "tf_onehot($0, $1)" => f64::from(a[1] == (a[0] + 0.5).trunc()),
            _ => panic!("unknown code {code}"),
        };
        self.push(value)
    }
}

fn emitted(op: Op, params: &[i64], args: &[Vec<f64>]) -> Option<Vec<f64>> {
    let dims: Vec<usize> = args.iter().map(Vec::len).collect();
    if let Emit::Move(source) = op.def().emit {
        let dim = (op.def().shape)(&dims, params).expect("the arguments fit");
        let moved = |c| source(&dims, params, c).map_or(0.0, |(arg, from)| args[arg][from]);
        return Some((0..dim).map(moved).collect());
    }
    if let Emit::Contract(rule) = op.def().emit {
        let contraction = rule(&dims, params);
        let mut out = vec![f64::NAN; contraction.dim()];
        contraction.eval(&args[0], &args[1], &mut out);
        return Some(out);
    }
    let Emit::Parts(write) = op.def().emit else { return None };
    let mut machine = Machine(Vec::new());
    let parts: Vec<Vec<Part>> =
        args.iter().map(|arg| arg.iter().map(|&v| machine.push(v)).collect()).collect();
    let out = write(&mut machine, &parts, params);
    Some(out.iter().map(|part| machine.0[part.0 as usize]).collect())
}

#[test]
fn emitted_parts_compute_the_value() {
    for_each_call(|op, params, args, _| {
        let Some(found) = emitted(op, params, args) else { return };
        let expected = eval(op, params, &slices(args));
        assert_eq!(found.len(), expected.len(), "{op:?}");
        let close = found.iter().zip(&expected).all(|(a, b)| near(*a, *b, 1e-14));
        assert!(close, "{op:?}{args:?}: {found:?}, not {expected:?}");
    });
}

#[test]
fn emitted_extrema_treat_nan_ties_and_infinities_alike() {
    const V: [f64; 5] = [f64::NAN, f64::NEG_INFINITY, 1.0, 1.0, f64::INFINITY];
    for op in [Op::MaxOf, Op::MinOf, Op::ArgMaxOf, Op::ArgMinOf] {
        for code in 0..125 {
            let arg = vec![V[code % 5], V[code / 5 % 5], V[code / 25]];
            let found = emitted(op, &[], std::slice::from_ref(&arg)).expect("parts");
            let expected = eval(op, &[], &[&arg]);
            assert!(same(found[0], expected[0]), "{op:?}{arg:?}: {found:?}, not {expected:?}");
        }
    }
}
