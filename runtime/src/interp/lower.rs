//! From one place of a stage to a program. Goes in: a plan, a stage and a place. Comes out:
//! instructions that compute what the place hands over, folds or writes. It is the counterpart of
//! the compiler's `emit/body.rs`, which writes the same as C++.
//!
//! Components are worked out on demand and depth first, so that registers live shortly.

use std::collections::HashMap;

use tilefold_compiler::ir::{ExprId, Kind, Node};
use tilefold_compiler::ops::{Emit, EmitParts, Op, Part, Parts};
use tilefold_compiler::schedule::{Place, Places, Plan, Stage, is_transparent};

use super::codes::{Make, of_code};
use super::math::Float;
use super::program::{Binary, Code, Eval, Instr, LANES, Operand, Term, Ternary, Unary};
use super::{sums, wide};

/// Longer programs are refused: each instruction costs time whenever a tile runs.
const MOST_INSTRS: usize = 1 << 19;

/// Longest way down an expression before what lies below is worked out first.
const MOST_DEPTH: u32 = 100;

/// Makes an operand of a packed word.
pub(super) type Word<T> = fn(u32) -> Operand<T>;

/// A component of a value.
type Component = (ExprId, usize);

/// Writes the program of one place.
pub(super) struct Lower<'a, T> {
    pub plan: &'a Plan,
    pub stage: &'a Stage,
    pub places: &'a Places,
    pub place: Place,
    /// Whether lanes are columns of one row.
    across: bool,
    pub instrs: Vec<Instr<T>>,
    next: u32,
    reals: HashMap<(ExprId, usize), Operand<T>>,
    pub(super) limbs: HashMap<(ExprId, usize), Vec<Operand<T>>>,
}

impl<'a, T: Float> Lower<'a, T> {
    pub fn new(plan: &'a Plan, stage: &'a Stage, places: &'a Places, place: Place) -> Self {
        Lower::make_for((plan, stage, places), place, false)
    }

    /// For pairs of one row and columns in all lanes: rows and columns have changed places.
    pub fn across(plan: &'a Plan, stage: &'a Stage, places: &'a Places) -> Self {
        Lower::make_for((plan, stage, places), Place::Pair, true)
    }

    fn make_for(
        (plan, stage, places): (&'a Plan, &'a Stage, &'a Places),
        place: Place,
        across: bool,
    ) -> Self {
        let mut lower = Lower {
            plan,
            stage,
            places,
            place,
            across,
            instrs: Vec::new(),
            next: 0,
            reals: HashMap::new(),
            limbs: HashMap::new(),
        };
        lower.shorten();
        lower
    }

    /// The program, or nothing if it is too long.
    pub fn finish(self) -> Option<Code<T>> {
        if self.is_full() {
            return None;
        }
        let instrs = if self.across { self.instrs } else { wide::widened(self.instrs) };
        Some(Code::new(instrs, self.next))
    }

    fn is_full(&self) -> bool {
        self.instrs.len() > MOST_INSTRS
    }

    /// Works out values that lie so deep below others that a walk would need much stack.
    fn shorten(&mut self) {
        let f = &self.plan.formula;
        let mut depths = vec![0_u32; f.len()];
        for id in f.ids() {
            if !self.places.has(id) || self.is_leaf(id) && !self.moves(id) {
                continue;
            }
            let below = f.node(id).args().map(|arg| depths[arg.index()]).max().unwrap_or(0);
            depths[id.index()] = below + 1;
            if below + 1 >= MOST_DEPTH {
                depths[id.index()] = 0;
                for k in 0..f.dim(id) {
                    match f.kind(id) {
                        Kind::Int => _ = self.integer(id, k),
                        Kind::Real | Kind::Complex => _ = self.component(id, k),
                    }
                }
            }
        }
    }

    pub fn push(&mut self, instr: Instr<T>) {
        if !self.is_full() {
            self.instrs.push(instr);
        }
    }

    pub fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    pub fn unary(&mut self, op: Unary, a: Operand<T>) -> Operand<T> {
        let out = self.fresh();
        self.push(Instr::Unary(op, out, a));
        Operand::Reg(out)
    }

    pub fn binary(&mut self, op: Binary, a: Operand<T>, b: Operand<T>) -> Operand<T> {
        let a = if b.is_number() { self.lanes(a) } else { a };
        let out = self.fresh();
        self.push(Instr::Binary(op, out, [a, b]));
        Operand::Reg(out)
    }

    pub fn ternary(&mut self, op: Ternary, args: [Operand<T>; 3]) -> Operand<T> {
        let out = self.fresh();
        self.push(Instr::Ternary(op, out, args));
        Operand::Reg(out)
    }

    /// The same where each row has a number of its own.
    pub fn lanes(&mut self, a: Operand<T>) -> Operand<T> {
        if a.is_number() { self.unary(Unary::Copy, a) } else { a }
    }

    /// A component of a value of reals.
    pub fn component(&mut self, id: ExprId, k: usize) -> Operand<T> {
        let f = &self.plan.formula;
        let k = if f.dim(id) == 1 { 0 } else { k };
        if let Some(&found) = self.reals.get(&(id, k)) {
            return found;
        }
        if self.is_full() {
            return Operand::Number(T::ZERO);
        }
        let value = match f.node(id) {
            _ if self.moves(id) => match self.moved(id, k) {
                Some((arg, component)) => self.component(arg, component),
                None => Operand::Number(T::ZERO),
            },
            Node::Op(op, args, params) if !self.is_leaf(id) => {
                self.operation(id, *op, args, params, k)
            }
            _ => self.leaf(id, k),
        };
        self.reals.insert((id, k), value);
        value
    }

    fn moves(&self, id: ExprId) -> bool {
        matches!(self.plan.formula.node(id), Node::Op(op, ..) if is_transparent(*op))
    }

    /// The component that a move copies; nothing where it is 0.
    pub(super) fn moved(&self, id: ExprId, k: usize) -> Option<(ExprId, usize)> {
        let Node::Op(op, args, params) = self.plan.formula.node(id) else { return None };
        let Emit::Move(source) = op.def().emit else { return None };
        source(&self.dims(args), params, k).map(|(n, component)| (args[n], component))
    }

    fn dims(&self, args: &[ExprId]) -> Vec<usize> {
        args.iter().map(|&arg| self.plan.formula.dim(arg)).collect()
    }

    /// Whether this place reads the value from somewhere instead of computing it.
    pub fn is_leaf(&self, id: ExprId) -> bool {
        let place = self.places.of(id);
        let handed = place != self.place && place != Place::Const;
        let computed = matches!(self.plan.formula.node(id), Node::Op(..));
        handed || !computed || self.known(id).is_some()
    }

    pub fn known(&self, id: ExprId) -> Option<usize> {
        self.stage.known.iter().find(|(known, _)| *known == id).map(|(_, value)| *value)
    }

    /// Where a value lies that another place hands over: the word of its first component.
    pub(super) fn handed(&self, id: ExprId) -> Option<(Word<T>, usize)> {
        let place = self.places.of(id);
        let word: Word<T> = match place {
            _ if place == self.place => return None,
            Place::Launch => Operand::Param,
            // A word of packed rows has all lanes, of which such a block has one row's.
            Place::Row if self.across => |word| Operand::Col(word * LANES as u32),
            Place::Col if self.across => Operand::Row,
            Place::Row => Operand::Row,
            Place::Col => Operand::Col,
            Place::Const | Place::Pair | Place::Finish => return None,
        };
        self.places.table(place).get(&id).map(|slot| (word, slot.base))
    }

    fn leaf(&mut self, id: ExprId, k: usize) -> Operand<T> {
        let f = &self.plan.formula;
        if let Some(number) = f.as_const(id) {
            return Operand::Number(T::from_f64(number));
        }
        if let Some((word, base)) = self.handed(id) {
            return word((base + k) as u32);
        }
        let out = self.fresh();
        let instr = match f.node(id) {
            Node::Input(n) => Instr::Read(out, *n as usize, k),
            _ => match self.known(id) {
                Some(value) => Instr::Read(out, value, k),
                None => {
                    let (acc, field) = self.places.result(f, id);
                    Instr::Result(out, acc, field, k)
                }
            },
        };
        self.push(instr);
        Operand::Reg(out)
    }

    fn operation(
        &mut self,
        id: ExprId,
        op: Op,
        args: &[ExprId],
        params: &[i64],
        k: usize,
    ) -> Operand<T> {
        let f = &self.plan.formula;
        if args.iter().any(|&arg| f.kind(arg) == Kind::Int) {
            return self.of_integers(op, args, k);
        }
        match op.def().emit {
            Emit::Map(code) => self.map(op, code, args, params, k),
            Emit::Parts(_) if op == Op::Sum => self.sum(args[0]),
            Emit::Parts(rule) => self.parts(id, op, rule, args, params, k),
            Emit::Contract(rule) => {
                let contraction = rule(&self.dims(args), params);
                let (at_f, at_g) = contraction.start(k);
                let steps = contraction.steps().into_iter();
                let pairs: Vec<_> =
                    steps.map(|(f, g)| [(args[0], at_f + f), (args[1], at_g + g)]).collect();
                self.chain(Term::Product, &pairs)
            }
            // Moves are looked through, composites never become nodes.
            Emit::Move(_) | Emit::Expanded => self.eval(id, op, args, params, k),
        }
    }

    /// An operation that works component by component.
    fn map(&mut self, op: Op, code: &str, args: &[ExprId], params: &[i64], k: usize) -> Operand<T> {
        if let (Op::Exp2, Some((a, b))) = (op, self.factors(args[0])) {
            let (a, b) = (self.component(a, k), self.component(b, k));
            return self.binary(Binary::ScaledExp2, a, b);
        }
        let values: Vec<Operand<T>> = args.iter().map(|&arg| self.component(arg, k)).collect();
        match (op, of_code(code)) {
            (Op::Pow, _) if params[0].unsigned_abs() <= 64 => self.power(values[0], params[0]),
            (_, Some(make)) => self.make(make, &values),
            (_, None) => {
                let args = values.into_iter().map(|value| vec![value]).collect();
                self.eval_of(op, params, args, 1)[0]
            }
        }
    }

    /// The factors of a product that this place computes and that nothing else has asked for.
    pub fn factors(&self, id: ExprId) -> Option<(ExprId, ExprId)> {
        match self.plan.formula.node(id) {
            Node::Op(Op::Mul, args, _) if !self.is_leaf(id) => {
                (!self.reals.contains_key(&(id, 0))).then_some((args[0], args[1]))
            }
            _ => None,
        }
    }

    fn make(&mut self, make: Make, values: &[Operand<T>]) -> Operand<T> {
        match (make, values) {
            (Make::Unary(op), &[a]) => self.unary(op, a),
            (Make::Binary(op), &[a, b]) => self.binary(op, a, b),
            (Make::Ternary(op), &[a, b, c]) => self.ternary(op, [a, b, c]),
            (Make::Curve(curve), _) => {
                let args = [values[0], values[values.len() - 1]];
                let out = self.fresh();
                self.push(Instr::Curve(curve, out, args));
                Operand::Reg(out)
            }
            // `x * x` and the like name an argument more often than they have any.
            (Make::Binary(op), _) => self.binary(op, values[0], values[values.len() - 1]),
            (Make::Unary(_) | Make::Ternary(_), _) => values[0],
        }
    }

    /// x^n by repeated squaring.
    fn power(&mut self, x: Operand<T>, n: i64) -> Operand<T> {
        let (mut result, mut square) = (Operand::Number(T::ONE), x);
        let mut rest = n.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                result = match result {
                    Operand::Number(_) => square,
                    result => self.binary(Binary::Mul, result, square),
                };
            }
            rest >>= 1;
            if rest > 0 {
                square = self.unary(Unary::Square, square);
            }
        }
        if n < 0 { self.unary(Unary::Inv, result) } else { result }
    }

    /// The sum of all components.
    fn sum(&mut self, arg: ExprId) -> Operand<T> {
        let f = &self.plan.formula;
        let dim = f.dim(arg);
        if dim > 1
            && !self.is_leaf(arg)
            && let Node::Op(op, args, _) = f.node(arg)
        {
            let inner = args[0];
            match op {
                Op::Mul => return self.products(Term::Product, args, dim),
                Op::Abs => {
                    if let Node::Op(Op::Add, args, _) = f.node(inner)
                        && !self.is_leaf(inner)
                        && f.kind(inner) == Kind::Real
                    {
                        return self.products(Term::Gap, args, dim);
                    }
                }
                Op::Square => match f.node(inner) {
                    Node::Op(Op::Add, args, _)
                        if !self.is_leaf(inner) && f.kind(inner) == Kind::Real =>
                    {
                        return self.products(Term::Square, args, dim);
                    }
                    _ => return self.products(Term::Product, &[inner, inner], dim),
                },
                _ => {}
            }
        }
        let first = self.component(arg, 0);
        (1..dim).fold(first, |sum, k| {
            let next = self.component(arg, k);
            self.binary(Binary::Add, sum, next)
        })
    }

    fn products(&mut self, term: Term, args: &[ExprId], dim: usize) -> Operand<T> {
        let pairs: Vec<_> = (0..dim).map(|k| [(args[0], k), (args[1], k)]).collect();
        self.chain(term, &pairs)
    }

    /// A sum of terms. Packed operands take one instruction, others one a term, so that registers
    /// of one term are free for the next.
    fn chain(&mut self, term: Term, pairs: &[[Component; 2]]) -> Operand<T> {
        let mut sum = None;
        let mut packed = Vec::new();
        for &[(a, ka), (b, kb)] in pairs {
            let mut args = [self.component(a, ka), self.component(b, kb)];
            // The row first: either order is the same number.
            args.sort_by_key(Operand::is_number);
            if args.iter().all(Operand::is_packed) {
                packed.push(args);
            } else {
                sum = Some(self.term(term, args, sum));
            }
        }
        match packed.len() {
            0 => {}
            1 => sum = Some(self.term(term, packed[0], sum)),
            _ => {
                let out = self.fresh();
                self.push(Instr::Chain(term, out, sums::links(&packed)));
                let total = Operand::Reg(out);
                sum = Some(match sum {
                    Some(sum) => self.binary(Binary::Add, sum, total),
                    None => total,
                });
            }
        }
        sum.unwrap_or(Operand::Number(T::ZERO))
    }

    fn term(&mut self, term: Term, [a, b]: [Operand<T>; 2], sum: Option<Operand<T>>) -> Operand<T> {
        match (term, sum) {
            (Term::Product, None) => self.binary(Binary::Mul, a, b),
            (Term::Product, Some(sum)) => self.ternary(Ternary::MulAdd, [a, b, sum]),
            (Term::Square, None) => {
                let total = self.binary(Binary::Add, a, b);
                self.unary(Unary::Square, total)
            }
            (Term::Square, Some(sum)) => self.ternary(Ternary::SquareAdd, [a, b, sum]),
            (Term::Gap, sum) => {
                let total = self.binary(Binary::Add, a, b);
                let gap = self.unary(Unary::Abs, total);
                sum.map_or(gap, |sum| self.binary(Binary::Add, sum, gap))
            }
        }
    }

    /// All components at once, by the operation's own rule if every step of it has an instruction.
    fn parts(
        &mut self,
        id: ExprId,
        op: Op,
        rule: EmitParts,
        args: &[ExprId],
        params: &[i64],
        k: usize,
    ) -> Operand<T> {
        let values: Vec<Vec<Operand<T>>> = args
            .iter()
            .map(|&arg| (0..self.plan.formula.dim(arg)).map(|c| self.component(arg, c)).collect())
            .collect();
        let start = self.instrs.len();
        let mut writer = Writer { lower: self, values: Vec::new(), strange: false };
        let keep = |all: &Vec<Operand<T>>, writer: &mut Writer<'_, 'a, T>| -> Vec<Part> {
            all.iter().map(|&value| writer.keep(value)).collect()
        };
        let parts: Vec<Vec<Part>> = values.iter().map(|all| keep(all, &mut writer)).collect();
        let out = rule(&mut writer, &parts, params);
        let (made, strange) = (writer.values, writer.strange);
        if strange {
            self.instrs.truncate(start);
            return self.eval(id, op, args, params, k);
        }
        for (c, part) in out.iter().enumerate() {
            self.reals.insert((id, c), made[part.0 as usize]);
        }
        made[out[k].0 as usize]
    }

    /// All components at once, by the operation's meaning in float64.
    fn eval(
        &mut self,
        id: ExprId,
        op: Op,
        args: &[ExprId],
        params: &[i64],
        k: usize,
    ) -> Operand<T> {
        let dim = self.plan.formula.dim(id);
        let components = |lower: &mut Self, arg: ExprId| -> Vec<Operand<T>> {
            (0..lower.plan.formula.dim(arg)).map(|c| lower.component(arg, c)).collect()
        };
        let args = args.iter().map(|&arg| components(self, arg)).collect();
        let out = self.eval_of(op, params, args, dim);
        for (c, &value) in out.iter().enumerate() {
            self.reals.insert((id, c), value);
        }
        out[k]
    }

    fn eval_of(
        &mut self,
        op: Op,
        params: &[i64],
        args: Vec<Vec<Operand<T>>>,
        dim: usize,
    ) -> Vec<Operand<T>> {
        let outs: Vec<u32> = (0..dim).map(|_| self.fresh()).collect();
        let found = outs.iter().map(|&out| Operand::Reg(out)).collect();
        self.push(Instr::Eval(Box::new(Eval { op, params: params.to_vec(), args, outs })));
        found
    }
}

/// Where the rules of [`Emit::Parts`] write.
struct Writer<'w, 'a, T> {
    lower: &'w mut Lower<'a, T>,
    values: Vec<Operand<T>>,
    /// A step has no instruction.
    strange: bool,
}

impl<T: Float> Writer<'_, '_, T> {
    fn keep(&mut self, value: Operand<T>) -> Part {
        self.values.push(value);
        Part(self.values.len() as u32 - 1)
    }
}

impl<T: Float> Parts for Writer<'_, '_, T> {
    fn constant(&mut self, value: f64) -> Part {
        self.keep(Operand::Number(T::from_f64(value)))
    }

    fn make(&mut self, code: &'static str, args: &[Part]) -> Part {
        let values: Vec<Operand<T>> = args.iter().map(|p| self.values[p.0 as usize]).collect();
        let value = match of_code(code) {
            Some(make) => self.lower.make(make, &values),
            None => {
                self.strange = true;
                Operand::Number(T::ZERO)
            }
        };
        self.keep(value)
    }
}
