//! Random formulas that are well defined: every operation meets numbers of its domain.
//!
//! Operations and reductions come from `Op::ALL` and `Reducer::ALL`, with the shapes of
//! [`crate::calls`]; a new one is drawn as soon as it is in its table.
//!
//! Every value carries bounds of what it can be. Where they do not lie in the domain of the
//! operation that reads it, the value is squeezed into it with a sine first; so nothing overflows,
//! nothing leaves a domain, and derivatives stay moderate at any depth.

use tilefold_compiler::ir::{Axis, ExprId, Formula, Kind, Reduction};
use tilefold_compiler::ops::Op;
use tilefold_compiler::reduce::{ReduceGrad, Reducer};

use crate::calls::{Call, bends, calls, is_fragile, range};
use crate::problem::Problem;
use crate::rng::Rng;

/// What may occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Everything.
    Any,
    /// What is differentiable, and smooth enough for differences.
    Smooth,
}

/// Reductions that bend where two rows tie.
const TIES: &[&str] = &["min", "max", "kmin", "kmax"];

/// A value and its bounds.
#[derive(Clone, Copy, Debug)]
struct Value {
    id: ExprId,
    low: f64,
    high: f64,
}

struct Generator<'a> {
    f: Formula,
    rng: &'a mut Rng,
    wish: Wish,
    /// Values that may be read again.
    pool: Vec<Value>,
    /// Rows, which bound what a sum can be.
    sizes: [usize; 2],
}

/// A random formula with arrays from (-2, 2). The number picks it.
pub fn problem(number: u64, wish: Wish) -> Problem {
    let mut rng = Rng::new(number.wrapping_mul(0x9e37_79b9) ^ 0x5eed);
    let sizes = [1 + rng.below(6), 4 + rng.below(6)];
    let f = Formula::new(format!("random {number}"));
    let mut generator = Generator { f, rng: &mut rng, wish, pool: Vec::new(), sizes };
    generator.run();
    let formula = generator.f;
    Problem::between(formula, sizes[0], sizes[1], &mut rng, -2.0, 2.0)
}

impl Generator<'_> {
    fn run(&mut self) {
        for n in 0..2 + self.rng.below(4) {
            let axis = *self.rng.pick(&[Some(Axis::I), Some(Axis::J), None]);
            // The first two make pairs possible.
            let axis = [Some(Axis::I), Some(Axis::J)].get(n).copied().unwrap_or(axis);
            let dim = 1 + self.rng.below(4);
            let id = self.f.input(&format!("x{n}"), axis, dim).expect("a small dim");
            self.pool.push(Value { id, low: -2.0, high: 2.0 });
        }
        for n in 0..1 + self.rng.below(2) {
            self.output(&format!("out{n}"));
        }
    }

    /// Operations, a reduction over each index that the axis lacks, and an epilogue.
    fn output(&mut self, name: &str) {
        let axis = *self.rng.pick(&[Some(Axis::I), Some(Axis::I), Some(Axis::J), None]);
        let mut value = self.expression();
        for folded in [Axis::J, Axis::I] {
            let varies = self.f.stratum(value.id).varies(folded) && axis != Some(folded);
            let nests = self.rng.once_in(6) && axis != Some(folded);
            if varies || nests {
                let last = axis.is_none() && folded == Axis::I || axis.is_some();
                value = self.reduction(folded, value, last);
            }
        }
        if self.f.kind(value.id) == Kind::Real && self.rng.once_in(2) {
            value = self.epilogue(value);
        }
        self.f.output(name, axis, value.id).expect("reduced over the other index");
    }

    /// A value that usually varies with both indices.
    fn expression(&mut self) -> Value {
        let start = self.pool.len();
        for _ in 0..2 + self.rng.below(5) {
            let value = self.operation();
            self.pool.push(value);
        }
        let pairs = self.pool[start..].iter().rev();
        let pair = |v: &&Value| self.f.stratum(v.id) == tilefold_compiler::ir::Stratum::Pair;
        pairs.clone().find(pair).copied().unwrap_or_else(|| self.joined())
    }

    /// The last value, times inputs of both indices.
    fn joined(&mut self) -> Value {
        let (last, x, y) = (self.pool[self.pool.len() - 1], self.pool[0], self.pool[1]);
        let (x, y) = (self.scalar(x), self.scalar(y));
        let factor = self.f.mul(x.id, y.id);
        let id = self.f.mul(factor, last.id);
        let bound = 4.0 * last.low.abs().max(last.high.abs());
        Value { id, low: -bound, high: bound }
    }

    /// One operation on values of the pool.
    fn operation(&mut self) -> Value {
        loop {
            if self.rng.once_in(12) {
                return self.leaf();
            }
            let op = *self.rng.pick(Op::ALL);
            let call = self.rng.pick(&calls(op)).clone();
            // The direction of a number is 1 or -1 but for rounding, and rounding breaks ties.
            let ties = op == Op::Normalize && call.dims == [1];
            // Nor do bounds say what these need of their arguments.
            if ties || is_fragile(op) || self.wish == Wish::Smooth && bends(&call) {
                continue;
            }
            if let Some(value) = self.call(&call) {
                return value;
            }
        }
    }

    fn leaf(&mut self) -> Value {
        if self.wish == Wish::Any && self.rng.once_in(2) {
            let axis = *self.rng.pick(&[Axis::I, Axis::J]);
            let high = self.sizes[axis as usize] as f64;
            let row = self.f.pos(axis);
            return Value { id: self.f.to_real(row), low: 0.0, high };
        }
        let value = (self.rng.between(-2.0, 2.0) * 16.0).round() / 16.0;
        Value { id: self.f.constant(value), low: value, high: value }
    }

    /// A call on values of the pool; nothing where the operation takes no reals.
    fn call(&mut self, call: &Call) -> Option<Value> {
        let domain = call.op.def().domain;
        let mut args = Vec::new();
        for (&dim, &(low, high)) in call.dims.iter().zip(domain) {
            let value = *self.rng.pick(&self.pool);
            let value = self.shaped(value, dim);
            args.push(self.squeezed(value, low, high).id);
        }
        let id = self.f.op(call.op, &args, &call.params).ok()?;
        let id = match self.f.kind(id) {
            Kind::Complex => self.f.apply(Op::AsReal, &[id], &[]),
            _ => id,
        };
        let (low, high) = range(call);
        Some(Value { id, low, high })
    }

    /// A value of `dim` components.
    fn shaped(&mut self, value: Value, dim: usize) -> Value {
        let (found, d) = (self.f.dim(value.id), dim as i64);
        let id = match found {
            n if n == dim => value.id,
            1 => self.f.apply(Op::SumT, &[value.id], &[d]),
            n if n > dim => {
                let start = self.rng.below(n - dim + 1) as i64;
                self.f.apply(Op::Extract, &[value.id], &[start, d])
            }
            n => {
                let scalar = self.scalar(value);
                let rest = self.f.apply(Op::SumT, &[scalar.id], &[d - n as i64]);
                self.f.apply(Op::Concat, &[value.id, rest], &[])
            }
        };
        Value { id, ..value }
    }

    fn scalar(&mut self, value: Value) -> Value {
        match self.f.dim(value.id) {
            1 => value,
            n => {
                let at = self.rng.below(n) as i64;
                Value { id: self.f.apply(Op::Elem, &[value.id], &[at]), ..value }
            }
        }
    }

    /// A value between two bounds.
    fn squeezed(&mut self, value: Value, low: f64, high: f64) -> Value {
        if value.low > low && value.high < high {
            return value;
        }
        let (middle, half) = (0.5 * (low + high), 0.49 * (high - low));
        // Wide values are scaled first, or the sine would be too steep for differences.
        let widest = value.low.abs().max(value.high.abs());
        let gentle = match widest.is_finite() && widest > 2.0 {
            true => self.f.scale(2.0 / widest, value.id),
            false => value.id,
        };
        let sine = self.f.apply(Op::Sin, &[gentle], &[]);
        let scaled = self.f.scale(half, sine);
        let middle = self.f.constant(middle);
        Value { id: self.f.add(middle, scaled), low, high }
    }

    fn reduction(&mut self, axis: Axis, value: Value, last: bool) -> Value {
        let reducer = *self.rng.pick(&self.reducers(last));
        let def = reducer.def();
        let k = if def.takes_k { 1 + self.rng.below(3) } else { 0 };
        let enough = self.sizes[axis as usize] >= (def.least_rows)(k);
        let (reducer, k) = if enough { (reducer, k) } else { (Reducer::Sum, 0) };
        let args = self.folded(reducer, k, value);
        let masked = self.wish == Wish::Any && self.rng.once_in(4);
        let mask = masked.then(|| self.mask()).filter(|&mask| {
            // The result varies with the other index only where the folded value does.
            let varies = |id: ExprId| self.f.stratum(id).varies(axis.other());
            varies(value.id) || !varies(mask)
        });
        let id = self.f.reduce(Reduction { reducer, axis, args, mask, k }).expect("they fit");
        Value { id, low: f64::NEG_INFINITY, high: f64::INFINITY }
    }

    /// The reductions that may come next; `last` where nothing but an epilogue follows.
    fn reducers(&self, last: bool) -> Vec<Reducer> {
        let fits = |r: &&Reducer| {
            let def = r.def();
            let smooth = matches!(def.grad, ReduceGrad::Vjp(_) | ReduceGrad::Expanded)
                && !TIES.contains(&def.name);
            let plain = !def.index && !def.takes_k && (def.least_rows)(0) == 0;
            (self.wish == Wish::Any || smooth) && (last || plain)
        };
        Reducer::ALL.iter().filter(fits).copied().collect()
    }

    /// Arguments of a reduction: vectors where its shape rule takes them, else scalars first.
    fn folded(&mut self, reducer: Reducer, k: usize, value: Value) -> Vec<ExprId> {
        let (shape, arity) = (reducer.def().shape, reducer.def().arity);
        let dim = self.f.dim(value.id);
        let scalars = |n: usize| [vec![1; n], vec![dim; arity - n]].concat();
        let dims = (0..=arity).map(scalars).find(|dims| shape(dims, k).is_ok());
        // A product of a few rows must not be too steep for differences either.
        let first = if self.wish == Wish::Smooth { (-1.2, 1.2) } else { (-4.0, 4.0) };
        let bounds = [first, (0.5, 2.0)];
        let arg = |(n, dim): (usize, usize)| {
            let value = if dim == 1 { self.scalar(value) } else { value };
            let (low, high) = bounds[n.min(1)];
            self.squeezed(value, low, high).id
        };
        dims.expect("a reduction takes scalars").into_iter().enumerate().map(arg).collect()
    }

    /// A condition on row numbers, which are integers.
    fn rows_mask(&mut self) -> ExprId {
        let (i, j) = (self.f.pos(Axis::I), self.f.pos(Axis::J));
        let shift = self.f.constant(self.rng.below(3) as f64);
        let band = match self.rng.once_in(2) {
            true => self.f.add(i, shift),
            false => self.f.sub(i, shift),
        };
        let op = *self.rng.pick(&[Op::Eq, Op::Ne, Op::Lt, Op::Le]);
        self.f.apply(op, &[j, band], &[])
    }

    /// A condition that is neither always true nor always false.
    fn mask(&mut self) -> ExprId {
        if self.rng.once_in(3) {
            return self.rows_mask();
        }
        let (a, b) = (*self.rng.pick(&self.pool), *self.rng.pick(&self.pool));
        let (a, b) = (self.scalar(a), self.scalar(b));
        let (a, b) = (self.squeezed(a, -1.0, 1.0), self.squeezed(b, -1.0, 1.0));
        let half = self.f.constant(0.25);
        let b = self.f.sub(b.id, half);
        self.f.apply(Op::Lt, &[b, a.id], &[])
    }

    /// Operations on a finished reduction. It may be infinite where a mask left nothing, so only
    /// what takes any number is applied.
    fn epilogue(&mut self, value: Value) -> Value {
        let op = *self.rng.pick(&[Op::Neg, Op::Atan, Op::Square, Op::Sum, Op::Abs]);
        let op = if self.wish == Wish::Smooth && op == Op::Abs { Op::Neg } else { op };
        Value { id: self.f.apply(op, &[value.id], &[]), ..value }
    }
}
