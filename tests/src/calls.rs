//! Calls of every operation: dims and literal parameters that fit it, and numbers to call it with.

use tilefold_compiler::ops::Op;

use crate::rng::Rng;

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operation.
    pub op: Op,
    /// Length of each argument.
    pub dims: Vec<usize>,
    /// Literal parameters.
    pub params: Vec<i64>,
}

type Shapes = &'static [(&'static [usize], &'static [i64])];

/// Some calls of an operation, among them those that broadcast.
pub fn calls(op: Op) -> Vec<Call> {
    let make = |(dims, params): &(&[usize], &[i64])| Call {
        op,
        dims: dims.to_vec(),
        params: params.to_vec(),
    };
    shapes(op).iter().map(make).collect()
}

fn shapes(op: Op) -> Shapes {
    match op.def().name {
        "pow" => &[
            (&[1], &[0]),
            (&[2], &[1]),
            (&[3], &[2]),
            (&[1], &[3]),
            (&[1], &[-1]),
            (&[2], &[-2]),
            (&[1], &[7]),
        ],
        "polygamma" => &[(&[1], &[1]), (&[2], &[2]), (&[1], &[3])],
        "round" => &[(&[3], &[0]), (&[1], &[2]), (&[1], &[-1])],
        "clamp_int" | "diff_clamp_int" => &[(&[1], &[-1, 1]), (&[3], &[0, 1])],
        "sum_t" => &[(&[1], &[1]), (&[1], &[4])],
        "elem" => &[(&[1], &[0]), (&[4], &[2])],
        "elem_t" => &[(&[1], &[1, 0]), (&[1], &[3, 1])],
        "extract" => &[(&[4], &[1, 2]), (&[3], &[0, 3])],
        "extract_t" => &[(&[2], &[1, 4]), (&[3], &[0, 3])],
        "concat" => &[(&[1, 1], &[]), (&[2, 3], &[])],
        "one_hot" => &[(&[1], &[1]), (&[1], &[4])],
        "pick" => &[(&[3], &[4, 2, 0, 0, 1]), (&[1], &[2, 0, 0])],
        "scatter" => &[(&[4], &[4, 2, 0, 0, 4, 1, 5]), (&[1], &[1, 1, 1, 2])],
        "reverse" | "cumsum" | "cumprod" | "prod" | "mean" => &[(&[1], &[]), (&[4], &[])],
        "transpose" => &[(&[6], &[2]), (&[3], &[3])],
        "scan" => &[(&[1, 1], &[]), (&[4, 4], &[])],
        "matmul" => &[(&[6, 8], &[3, 2, 4]), (&[3, 3], &[1, 3, 1])],
        "trace" => &[(&[1], &[]), (&[9], &[])],
        "cross" => &[(&[3, 3], &[])],
        "cofactor" | "det" | "inverse" => &[(&[1], &[]), (&[4], &[]), (&[9], &[]), (&[16], &[])],
        "solve" => &[(&[1, 1], &[]), (&[4, 2], &[]), (&[9, 3], &[]), (&[16, 4], &[])],
        "tensordot" => &[
            // 2 x 3 with 3 x 4, along the axis of 3
            (&[6, 12], &[2, 2, 3, 2, 3, 4, 1, 1, 1, 0]),
            // 2 x 3 x 2 with 2 x 2 x 3, along axes 2 and 1, and 0 and 1
            (&[12, 12], &[3, 2, 3, 2, 3, 2, 2, 3, 2, 2, 0, 2, 0, 1, 2, 1, 0]),
            // 2 x 3 x 2 with 3 x 4, permuted
            (&[12, 12], &[3, 2, 3, 2, 2, 3, 4, 1, 1, 1, 0, 3, 2, 0, 1]),
            // nothing contracted, everything contracted, numbers
            (&[2, 3], &[1, 2, 1, 3, 0, 0, 2, 1, 0]),
            (&[6, 6], &[2, 2, 3, 2, 3, 2, 2, 0, 1, 2, 1, 0]),
            (&[1, 1], &[0, 0, 0, 0]),
            // large enough for loops: 4 x 3 x 5 with 4 x 5 x 3, along 3 and 5, permuted
            (&[60, 60], &[3, 4, 3, 5, 3, 4, 5, 3, 2, 1, 2, 2, 2, 1, 2, 1, 0]),
        ],
        "kron" => &[(&[6, 4], &[2, 2, 3, 2, 2, 2]), (&[2, 3], &[1, 2, 1, 3])],
        "bspline" => &[(&[5, 1], &[0]), (&[5, 1], &[1]), (&[7, 1], &[3])],
        "softmin_rows" => &[(&[6, 1], &[3]), (&[4, 1], &[4]), (&[2, 1], &[1])],
        "softmin_weights" => &[(&[6, 1], &[3]), (&[2, 1], &[2])],
        "softdtw_sqdist" => &[
            (&[4, 3, 1], &[]),
            (&[3, 4, 1], &[]),
            (&[1, 3, 1], &[]),
            (&[3, 1, 1], &[]),
            (&[1, 1, 1], &[]),
        ],
        "matvecmult" => &[(&[6, 3], &[]), (&[3, 1], &[]), (&[3, 3], &[])],
        "vecmatmult" => &[(&[2, 6], &[]), (&[1, 3], &[])],
        "tensorprod" => &[(&[2, 3], &[]), (&[1, 3], &[])],
        "dot" | "sqdist" => &[(&[3, 3], &[]), (&[1, 3], &[]), (&[1, 1], &[])],
        "sqnormiso" => &[(&[1, 3], &[])],
        "sqnormdiag" => &[(&[3, 3], &[])],
        "symsqnorm" => &[(&[4, 2], &[]), (&[9, 3], &[])],
        "weightedsqnorm" => &[(&[1, 3], &[]), (&[3, 3], &[]), (&[4, 2], &[]), (&[1, 1], &[])],
        "weightedsqdist" => &[(&[1, 2, 2], &[]), (&[2, 2, 1], &[]), (&[4, 2, 2], &[])],
        "sum" | "max_of" | "min_of" | "arg_max_of" | "arg_min_of" => &[(&[1], &[]), (&[4], &[])],
        name if is_of_complex(name) => complex_shapes(op),
        _ => match op.def().arity {
            1 => &[(&[1], &[]), (&[3], &[])],
            2 => &[(&[1, 1], &[]), (&[3, 3], &[]), (&[1, 3], &[]), (&[3, 1], &[])],
            _ => &[(&[1, 1, 1], &[]), (&[3, 3, 3], &[]), (&[3, 1, 1], &[]), (&[1, 3, 1], &[])],
        },
    }
}

/// Operations that make complex numbers or take pairs of reals.
fn is_of_complex(name: &str) -> bool {
    name.starts_with("complex_") && name != "complex_exp1j"
        || ["interleave", "complex", "as_complex", "as_real"].contains(&name)
}

fn complex_shapes(op: Op) -> Shapes {
    match op.def().name {
        "interleave" | "complex" => &[(&[1, 1], &[]), (&[3, 3], &[]), (&[1, 3], &[])],
        "complex_pow" => &[(&[2], &[0]), (&[4], &[1]), (&[4], &[5]), (&[2], &[-2])],
        "complex_sum_t" => &[(&[2], &[2]), (&[2], &[6])],
        "complex_scal" => &[(&[2, 2], &[]), (&[2, 4], &[]), (&[6, 2], &[])],
        "complex_real_scal" => &[(&[1, 4], &[]), (&[2, 1], &[])],
        "as_complex" | "as_real" => &[(&[2], &[]), (&[6], &[])],
        _ => match op.def().arity {
            1 => &[(&[2], &[]), (&[6], &[])],
            _ => &[(&[2, 2], &[]), (&[4, 4], &[]), (&[2, 4], &[]), (&[6, 2], &[])],
        },
    }
}

/// Numbers from the operation's domain, one vector an argument.
pub fn sample(call: &Call, rng: &mut Rng) -> Vec<Vec<f64>> {
    let vector =
        |(place, &dim): (usize, &usize)| (0..dim).map(|k| component(call, place, k, rng)).collect();
    call.dims.iter().enumerate().map(vector).collect()
}

/// Component `k` of the argument at `place`, from the operation's domain.
pub fn component(call: &Call, place: usize, k: usize, rng: &mut Rng) -> f64 {
    let (low, high) = *call.op.def().domain.get(place).unwrap_or(&(0.5, 1.0));
    let dim = call.dims.get(place).copied().unwrap_or(1);
    let drawn = rng.between(low, high);
    match (call.op.def().name, place) {
        // A dominant diagonal keeps a matrix away from singular ones.
        ("inverse" | "solve", 0) if k.is_multiple_of(dim.isqrt() + 1) => drawn + 4.0,
        // Knots increase, and their gaps are not small.
        ("bspline", 0) => 0.6 * k as f64 - 0.3 * dim as f64 + 0.2 * drawn,
        _ => drawn,
    }
}

/// Whether the arguments of an operation fit each other only in a way that bounds of each do not
/// tell: matrices away from singular ones, knots that increase.
pub fn is_fragile(op: Op) -> bool {
    matches!(op.def().name, "inverse" | "solve" | "bspline")
}

/// Numbers from the domain at which the operation is smooth within `margin` of every component.
pub fn smooth_sample(call: &Call, rng: &mut Rng, margin: f64) -> Vec<Vec<f64>> {
    loop {
        let args = sample(call, rng);
        if is_smooth(call, &args, margin) {
            return args;
        }
    }
}

/// Whether the operation is smooth within `margin` of every component of the arguments.
pub fn is_smooth(call: &Call, args: &[Vec<f64>], margin: f64) -> bool {
    distance_to_kink(call, args) > margin
}

/// Whether the operation jumps or bends somewhere within its domain.
pub fn bends(call: &Call) -> bool {
    let args = sample(call, &mut Rng::new(1));
    distance_to_kink(call, &args).is_finite()
}

/// The smallest and the largest component of results for arguments from the domain, measured at
/// its corners and at random, and widened by a quarter.
pub fn range(call: &Call) -> (f64, f64) {
    let mut rng = Rng::new(2);
    let def = call.op.def();
    let dim = (def.shape)(&call.dims, &call.params).expect("a call fits its operation");
    let mut out = vec![0.0; dim];
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for n in 0..RANGE_SAMPLES {
        let mut args = sample(call, &mut rng);
        // The first samples are corners: every component at an end of its domain.
        if n < RANGE_SAMPLES / 4 {
            for (arg, &(first, last)) in args.iter_mut().zip(def.domain) {
                arg.iter_mut().for_each(|x| *x = *rng.pick(&[first, last]));
            }
        }
        let slices: Vec<&[f64]> = args.iter().map(Vec::as_slice).collect();
        (def.eval)(&slices, &call.params, &mut out);
        for &v in &out {
            (low, high) = (low.min(v), high.max(v));
        }
    }
    let margin = 0.25 * (high - low) + 1e-9;
    (low - margin, high + margin)
}

const RANGE_SAMPLES: usize = 200;

/// How far the arguments are from where the operation jumps or bends.
fn distance_to_kink(call: &Call, args: &[Vec<f64>]) -> f64 {
    let least = |all: &mut dyn Iterator<Item = f64>| all.fold(f64::INFINITY, f64::min);
    let to_integer = |x: f64| (x - x.round()).abs();
    let bounds = |p: &[i64], x: f64| least(&mut p.iter().map(|&b| (x - b as f64).abs()));
    let dim = args.iter().map(Vec::len).max().unwrap_or(1);
    let at = |n: usize, k: usize| args[n][if args[n].len() == 1 { 0 } else { k }];
    let gap = |(a, b): (usize, usize)| (args[0][a] - args[0][b]).abs();
    match call.op.def().name {
        "clamp" => least(
            &mut (0..dim).map(|k| (at(0, k) - at(1, k)).abs().min((at(0, k) - at(2, k)).abs())),
        ),
        "clamp_int" | "diff_clamp_int" => {
            least(&mut args[0].iter().map(|&x| bounds(&call.params, x)))
        }
        "max_of" | "min_of" | "arg_max_of" | "arg_min_of" => {
            least(&mut (0..dim).flat_map(|a| (0..a).map(move |b| (a, b))).map(gap))
        }
        "bspline" => least(&mut args[0].iter().map(|knot| (knot - args[1][0]).abs())),
        "minimum" | "maximum" => least(&mut (0..dim).map(|k| (at(0, k) - at(1, k)).abs())),
        "one_hot" => to_integer(args[0][0] + 0.5),
        // The quotient moves by up to three steps where each of the three numbers moves by one.
        "mod" => least(&mut (0..dim).map(|k| to_integer((at(0, k) - at(2, k)) / at(1, k)) / 3.0)),
        "round" => {
            let unit = 10f64.powi(call.params[0] as i32);
            least(&mut args[0].iter().map(|x| to_integer(x * unit + 0.5) / unit))
        }
        _ => f64::INFINITY,
    }
}

/// Numbers at the edges of float32: NaN, infinities, signed zeros, halves, subnormals.
pub const EDGES: &[f64] = &[
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    3.0,
    -7.25,
    1e30,
    -1e30,
    3e38,
    1e-30,
    F32_LEAST_NORMAL,
    F32_SUBNORMAL,
    -F32_SUBNORMAL,
];

/// The numbers of [`EDGES`] whose squares and products are numbers of float32 too.
pub const MILD_EDGES: &[f64] =
    &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -7.25];

const F32_LEAST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
const F32_SUBNORMAL: f64 = 1e-40f32 as f64;
