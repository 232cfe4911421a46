//! Vectors that are too long to be written out, which become loops: distances and kernels in many
//! dimensions, slices of long vectors, small matrices. Values and gradients, compiled and emulated,
//! against the oracle.

use tilefold_compiler::ir::{Axis, Dtype, ExprId, Formula, Reduction};
use tilefold_compiler::ops::{Op, pack_lists};
use tilefold_compiler::passes::vjp;
use tilefold_compiler::reduce::Reducer;
use tilefold_tests::compare;
use tilefold_tests::emulated::{Emulated, Grid};
use tilefold_tests::native::{self, Native};
use tilefold_tests::oracle;
use tilefold_tests::problem::Problem;
use tilefold_tests::rng::Rng;

const I: Option<Axis> = Some(Axis::I);
const J: Option<Axis> = Some(Axis::J);

type Inputs = &'static [(&'static str, Option<Axis>, usize)];
type Build = fn(&mut Formula, &[ExprId]) -> ExprId;

/// A pair value and how it is folded over j.
struct Case {
    name: &'static str,
    inputs: Inputs,
    fold: Reducer,
    build: Build,
}

fn op(f: &mut Formula, op: Op, args: &[ExprId], params: &[i64]) -> ExprId {
    f.op(op, args, params).expect("it fits")
}

fn gauss(f: &mut Formula, x: ExprId, y: ExprId) -> ExprId {
    let distance = op(f, Op::SqDist, &[x, y], &[]);
    let scaled = f.scale(-0.01, distance);
    op(f, Op::Exp, &[scaled], &[])
}

const CASES: &[Case] = &[
    Case {
        name: "gaussian kernel of 200 dimensions, 130 values",
        inputs: &[("x", I, 200), ("y", J, 200), ("b", J, 130)],
        fold: Reducer::Sum,
        build: |f, v| {
            let kernel = gauss(f, v[0], v[1]);
            f.mul(kernel, v[2])
        },
    },
    Case {
        name: "long parameter, component by component",
        inputs: &[("x", I, 70), ("y", J, 70), ("p", None, 70)],
        fold: Reducer::Sum,
        build: |f, v| {
            let gap = f.sub(v[0], v[1]);
            let scaled = f.mul(gap, v[2]);
            let sine = op(f, Op::Sin, &[scaled], &[]);
            f.mul(sine, v[0])
        },
    },
    Case {
        name: "slices of a joined vector",
        inputs: &[("x", I, 100), ("y", J, 60)],
        fold: Reducer::Sum,
        build: |f, v| {
            let joined = op(f, Op::Concat, &[v[0], v[1]], &[]);
            let head = op(f, Op::Extract, &[joined], &[0, 80]);
            let tail = op(f, Op::Extract, &[joined], &[75, 80]);
            let product = f.mul(head, tail);
            op(f, Op::Exp2, &[product], &[])
        },
    },
    Case {
        name: "a slice among zeros",
        inputs: &[("x", I, 40), ("y", J, 90)],
        fold: Reducer::Sum,
        build: |f, v| {
            let padded = op(f, Op::ExtractT, &[v[0]], &[30, 90]);
            let sum = f.add(padded, v[1]);
            op(f, Op::Sqrt, &[sum], &[])
        },
    },
    Case {
        name: "one component of a long product",
        inputs: &[("x", I, 90), ("y", J, 90)],
        fold: Reducer::Sum,
        build: |f, v| {
            let product = f.mul(v[0], v[1]);
            let one = op(f, Op::Elem, &[product], &[77]);
            let placed = op(f, Op::ElemT, &[one], &[120, 119]);
            f.add(placed, one)
        },
    },
    Case {
        name: "matrix of 20 x 30 times a vector",
        inputs: &[("a", I, 600), ("y", J, 30)],
        fold: Reducer::Sum,
        build: |f, v| op(f, Op::MatVecMult, &[v[0], v[1]], &[]),
    },
    Case {
        name: "matrix of 9 x 8 times a vector",
        inputs: &[("a", I, 72), ("y", J, 8)],
        fold: Reducer::Sum,
        build: |f, v| op(f, Op::MatVecMult, &[v[0], v[1]], &[]),
    },
    Case {
        name: "vector times matrix of 10 x 7",
        inputs: &[("x", I, 10), ("b", J, 70)],
        fold: Reducer::Sum,
        build: |f, v| {
            let product = op(f, Op::VecMatMult, &[v[0], v[1]], &[]);
            op(f, Op::Atan, &[product], &[])
        },
    },
    Case {
        name: "outer product of 11 and 6",
        inputs: &[("x", I, 11), ("y", J, 6)],
        fold: Reducer::Sum,
        build: |f, v| {
            let outer = op(f, Op::TensorProd, &[v[0], v[1]], &[]);
            op(f, Op::Sqrt, &[outer], &[])
        },
    },
    Case {
        name: "two matrices of 14 x 14 times a vector, and its norm",
        inputs: &[("a", I, 196), ("y", J, 14)],
        fold: Reducer::Sum,
        build: |f, v| {
            let once = op(f, Op::MatVecMult, &[v[0], v[1]], &[]);
            let once = op(f, Op::Atan, &[once], &[]);
            let twice = op(f, Op::MatVecMult, &[v[0], once], &[]);
            let norm = op(f, Op::Norm2, &[twice], &[]);
            f.mul(norm, twice)
        },
    },
    Case {
        name: "contraction of computed tensors along two of their three axes",
        inputs: &[("x", I, 60), ("y", J, 60)],
        fold: Reducer::Sum,
        build: |f, v| {
            let gap = f.sub(v[0], v[1]);
            let turned = op(f, Op::Reverse, &[v[1]], &[]);
            let lists: [&[i64]; 5] = [&[4, 3, 5], &[4, 5, 3], &[1, 2], &[2, 1], &[1, 0]];
            op(f, Op::TensorDot, &[gap, turned], &pack_lists(&lists))
        },
    },
    Case {
        name: "contractions of rows, of columns and of nothing",
        inputs: &[("x", I, 36), ("y", J, 36), ("z", None, 36)],
        fold: Reducer::Sum,
        build: |f, v| {
            let square = |f: &mut Formula, m: ExprId| op(f, Op::MatMul, &[m, m], &[6, 6, 6]);
            let [x, y, z] = [0, 1, 2].map(|n| square(f, v[n]));
            let pair = f.mul(x, y);
            let tail = op(f, Op::Extract, &[pair], &[3, 30]);
            let head = op(f, Op::Extract, &[z], &[0, 30]);
            f.sub(tail, head)
        },
    },
    Case {
        name: "Kronecker product of 5 x 6 and 3 x 2",
        inputs: &[("x", I, 30), ("y", J, 6)],
        fold: Reducer::Max,
        build: |f, v| op(f, Op::Kron, &[v[0], v[1]], &pack_lists(&[&[5, 6], &[3, 2]])),
    },
    Case {
        name: "soft time warping of 6 and 7 numbers",
        inputs: &[("x", I, 6), ("y", J, 7), ("t", None, 1)],
        fold: Reducer::Sum,
        build: |f, v| op(f, Op::SoftDtwSqDist, v, &[]),
    },
    Case {
        name: "cubic splines on 24 knots",
        inputs: &[("x", I, 1), ("y", J, 24)],
        fold: Reducer::Sum,
        build: |f, v| {
            let knots = op(f, Op::CumSum, &[v[1]], &[]);
            let at = f.scale(8.0, v[0]);
            op(f, Op::BSpline, &[knots, at], &[3])
        },
    },
    Case {
        name: "direction of a long gap",
        inputs: &[("x", I, 150), ("y", J, 150)],
        fold: Reducer::Sum,
        build: |f, v| {
            let gap = f.sub(v[0], v[1]);
            op(f, Op::Normalize, &[gap], &[])
        },
    },
    Case {
        name: "weights of 130 components",
        inputs: &[("x", I, 20), ("y", J, 20), ("b", J, 130)],
        fold: Reducer::SoftMaxSum,
        build: |f, v| op(f, Op::Dot, &[v[0], v[1]], &[]),
    },
    Case {
        name: "logarithm of 130 weighted sums",
        inputs: &[("x", I, 20), ("y", J, 20), ("b", J, 130)],
        fold: Reducer::LogSumExpWeight,
        build: |f, v| op(f, Op::Dot, &[v[0], v[1]], &[]),
    },
    Case {
        name: "largest of 70 components",
        inputs: &[("x", I, 70), ("y", J, 70)],
        fold: Reducer::Sum,
        build: |f, v| {
            let product = f.mul(v[0], v[1]);
            op(f, Op::MaxOf, &[product], &[])
        },
    },
    Case {
        name: "position of 70 components",
        inputs: &[("x", I, 70), ("y", J, 70)],
        fold: Reducer::Sum,
        build: |f, v| {
            let product = f.mul(v[0], v[1]);
            let place = op(f, Op::ArgMinOf, &[product], &[]);
            op(f, Op::OneHot, &[place], &[70])
        },
    },
    Case {
        name: "rows of the least of 70 components",
        inputs: &[("x", I, 70), ("y", J, 70)],
        fold: Reducer::ArgMin,
        build: |f, v| f.mul(v[0], v[1]),
    },
    Case {
        name: "three least of 20 components",
        inputs: &[("x", I, 20), ("y", J, 20)],
        fold: Reducer::KMin,
        build: |f, v| f.mul(v[0], v[1]),
    },
];

fn formula(case: &Case) -> Formula {
    let mut f = Formula::new(case.name);
    let add = |&(name, axis, dim): &(&str, Option<Axis>, usize)| f.input(name, axis, dim);
    let inputs: Vec<ExprId> = case.inputs.iter().map(add).collect::<Result<_, _>>().expect("short");
    let value = (case.build)(&mut f, &inputs);
    let def = case.fold.def();
    let args = if def.arity == 2 { vec![value, inputs[2]] } else { vec![value] };
    let k = if def.takes_k { 3 } else { 0 };
    let r = Reduction { reducer: case.fold, axis: Axis::J, args, mask: None, k };
    let fold = f.reduce(r).expect("it fits");
    f.output("out", I, fold).expect("a row of i");
    f
}

/// The formulas, and their gradients where they have one.
fn problems() -> Vec<Problem> {
    let mut rng = Rng::new(10);
    let mut all = Vec::new();
    for case in CASES {
        let p = Problem::between(formula(case), 5, 9, &mut rng, 0.2, 1.2);
        let names: Vec<String> = case.inputs.iter().map(|i| i.0.into()).collect();
        // A compiler needs minutes for a gradient of many hundreds of components.
        let is_short = case.inputs.iter().all(|i| i.2 <= 200);
        if let Ok(gradient) = vjp(&p.formula, "out", &names)
            && !case.fold.def().index
            && is_short
        {
            let mut g = p.with(gradient);
            g.formula.name = format!("gradient of {}", case.name);
            g.inputs.push(p.cotangent(0, &mut rng));
            all.push(g);
        }
        all.push(p);
    }
    all
}

fn check(dtype: Dtype, who: &str, p: &Problem, found: &[tilefold_compiler::ir::eval::Matrix]) {
    let p = p.rounded(dtype);
    let expected = oracle::evaluate(&p.formula, p.m, p.n, &p.inputs);
    let allowed = if dtype == Dtype::F32 { 1e-5 } else { 1e-12 };
    let gap = compare::worst(&p.formula, &expected, found).filter(|gap| gap.off > allowed);
    assert!(
        gap.is_none(),
        "{}, {who}: {}",
        p.formula.name,
        gap.map_or(String::new(), |g| g.to_string())
    );
}

#[test]
fn long_vectors_compiled() {
    let problems = problems();
    assert!(problems.len() > CASES.len() + 10, "most cases have a gradient");
    let formulas: Vec<Formula> = problems.iter().map(|p| p.formula.clone()).collect();
    let native = Native::quick(&formulas, Dtype::ALL, &[native::best()]);
    for (n, p) in problems.iter().enumerate() {
        for &dtype in Dtype::ALL {
            let found = native.run(n, dtype, native::best(), p).expect("it runs");
            check(dtype, "compiled", p, &found);
        }
    }
}

#[test]
fn long_vectors_emulated() {
    let problems = problems();
    let formulas: Vec<Formula> = problems.iter().map(|p| p.formula.clone()).collect();
    let emulated = Emulated::build(&formulas, &[Dtype::F64]);
    for (n, p) in problems.iter().enumerate() {
        let found = emulated.run(n, Dtype::F64, p, Grid { splits: 1, seed: 3 }).expect("it runs");
        check(Dtype::F64, "cuda", p, &found);
    }
}
