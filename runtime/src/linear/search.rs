//! The search of conjugate gradients. Goes in: an operator, right sides, settings that are checked.
//! Comes out: solutions, and where each of them stands. It never trusts a residual that it did not
//! compute from the solution.
//!
//! The method is that of Hestenes and Stiefel (1952), with a preconditioner as in Golub and Van
//! Loan, Matrix Computations, chapter 11. Its residual follows a recurrence that drifts away from
//! `b - (alpha I + K) a` by rounding. So where the recurrence has converged, the residual is
//! computed anew, and the search starts again from it as long as that at least halves it (compare
//! van der Vorst and Ye, Residual replacement strategies, 2000).
//!
//! Each right side is first scaled by a power of two, which is exact, so that neither very large
//! nor very small ones lose their squares.

use ndarray::{Array2, ArrayView2};

use super::solve::{ConjugateGradients, Solution, Status, System};
use super::vectors::{Frame, exponent, scale};
use super::{LinearOperator, Real};
use crate::error::Error;
use crate::words;

/// Where a system stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Running,
    /// The recurrence ended so; the residual is not yet computed from the solution.
    Stopped(Status),
    Done(Status),
}

/// One system, scaled by `2^-exponent`.
#[derive(Clone, Copy, Debug)]
struct State {
    exponent: i32,
    /// The residual to reach; NaN if the right side is not finite.
    target: f64,
    /// The residual by the recurrence, or computed anew.
    residual: f64,
    /// The last residual that was computed from the solution.
    proven: f64,
    /// The smallest residual of the recurrence: that of the best iterate, if they are kept.
    best: f64,
    /// `r' P r` of the last iteration.
    rho: f64,
    iterations: usize,
    phase: Phase,
}

impl State {
    fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    fn stop(&mut self, status: Status) {
        self.phase = Phase::Stopped(status);
    }
}

pub(super) struct Search<'s, T: Real, K: ?Sized> {
    settings: &'s ConjugateGradients<'s, T>,
    operator: &'s K,
    b: ArrayView2<'s, T>,
    frame: Frame,
    limit: usize,
    x: Vec<T>,
    r: Vec<T>,
    p: Vec<T>,
    q: Vec<T>,
    /// The preconditioned residual, if there is a preconditioner.
    z: Option<Vec<T>>,
    best: Option<Vec<T>>,
    states: Vec<State>,
}

impl<'s, T: Real, K: LinearOperator<T> + ?Sized> Search<'s, T, K> {
    pub(super) fn new(
        settings: &'s ConjugateGradients<'s, T>,
        operator: &'s K,
        b: ArrayView2<'s, T>,
        frame: Frame,
    ) -> Result<Self, Error> {
        let limit = settings.iterations.unwrap_or_else(|| frame.n.saturating_mul(10).min(10_000));
        let mut search = Search {
            settings,
            operator,
            b,
            frame,
            limit,
            x: frame.zeros()?,
            r: frame.zeros()?,
            p: frame.zeros()?,
            q: frame.zeros()?,
            z: settings.preconditioner.map(|_| frame.zeros()).transpose()?,
            best: settings.best.then(|| frame.zeros()).transpose()?,
            states: Vec::new(),
        };
        search.start();
        Ok(search)
    }

    /// Scales the right sides to about 1 and starts at `x = 0`.
    fn start(&mut self) {
        let mut largest = vec![0.0_f64; self.frame.systems()];
        if !self.frame.is_empty() {
            for (system, b) in self.frame.owners().zip(&self.b) {
                let size = if b.to_f64().is_finite() { b.to_f64().abs() } else { f64::INFINITY };
                largest[system] = largest[system].max(size);
            }
        }
        let settings = self.settings;
        let state = |&largest: &f64| State {
            exponent: if largest > 0.0 && largest.is_finite() { exponent(largest) } else { 0 },
            target: 0.0,
            residual: if largest.is_finite() { 0.0 } else { f64::NAN },
            proven: 0.0,
            best: 0.0,
            rho: 0.0,
            iterations: 0,
            phase: match largest {
                0.0 => Phase::Done(Status::Converged),
                size if size.is_finite() => Phase::Running,
                _ => Phase::Done(Status::NotFinite),
            },
        };
        self.states = largest.iter().map(state).collect();
        if self.frame.is_empty() {
            return;
        }
        for ((system, r), b) in self.frame.owners().zip(&mut self.r).zip(&self.b) {
            let state = &self.states[system];
            if state.is_running() {
                *r = T::from_f64(scale(b.to_f64(), -state.exponent));
            }
        }
        for (state, square) in self.states.iter_mut().zip(self.frame.dots(&self.r, &self.r)) {
            if state.phase == Phase::Done(Status::NotFinite) {
                state.target = f64::NAN;
                continue;
            }
            let absolute = scale(settings.absolute, -state.exponent);
            state.target = absolute.max(settings.relative * square.sqrt());
            if state.is_running() {
                state.residual = square.sqrt();
                state.proven = state.residual;
                state.best = state.residual;
                if state.residual <= state.target {
                    state.phase = Phase::Done(Status::Converged);
                }
            }
        }
    }

    pub(super) fn run(&mut self) -> Result<(), Error> {
        loop {
            self.descend()?;
            if !self.prove()? {
                break;
            }
        }
        self.prefer_best()
    }

    /// Iterates until no system runs.
    fn descend(&mut self) -> Result<(), Error> {
        let mut is_fresh = true;
        loop {
            for state in self.states.iter_mut().filter(|state| state.is_running()) {
                if state.iterations >= self.limit {
                    state.stop(Status::IterationLimit);
                }
            }
            if !self.states.iter().any(State::is_running) {
                return Ok(());
            }
            self.turn(is_fresh)?;
            self.step()?;
            is_fresh = false;
        }
    }

    /// The next directions: `p = z + beta p`, where `z = P r`.
    fn turn(&mut self, is_fresh: bool) -> Result<(), Error> {
        let frame = self.frame;
        let z = match (&mut self.z, self.settings.preconditioner) {
            (Some(z), Some(inverse)) => {
                inverse.apply(frame.view(&self.r), frame.view_mut(z))?;
                &*z
            }
            _ => &self.r,
        };
        let rhos = frame.dots(&self.r, z);
        let mut factors = vec![None; frame.systems()];
        for ((state, &rho), factor) in self.states.iter_mut().zip(&rhos).zip(&mut factors) {
            if !state.is_running() {
                continue;
            }
            if !rho.is_finite() {
                state.stop(Status::NotFinite);
            } else if rho <= 0.0 {
                state.stop(Status::PreconditionerNotPositive);
            } else {
                *factor = Some(if is_fresh { 0.0 } else { rho / state.rho });
                state.rho = rho;
            }
        }
        frame.turn(&mut self.p, &factors, z);
        Ok(())
    }

    /// A step along the directions, each of the length that minimises the error.
    fn step(&mut self) -> Result<(), Error> {
        let frame = self.frame;
        self.operator.apply(frame.view(&self.p), frame.view_mut(&mut self.q))?;
        frame.add(&mut self.q, &vec![self.settings.alpha; frame.systems()], &self.p);
        let curvatures = frame.dots(&self.p, &self.q);
        let mut steps = vec![0.0; frame.systems()];
        for ((state, &curvature), step) in self.states.iter_mut().zip(&curvatures).zip(&mut steps) {
            if !state.is_running() {
                continue;
            }
            if !curvature.is_finite() {
                state.stop(Status::NotFinite);
            } else if curvature <= 0.0 {
                state.stop(Status::NotPositive);
            } else {
                *step = state.rho / curvature;
                state.iterations += 1;
            }
        }
        self.move_by(&steps);
        let squares = frame.dots(&self.r, &self.r);
        for (state, square) in self.states.iter_mut().zip(squares) {
            if !state.is_running() {
                continue;
            }
            state.residual = square.sqrt();
            if !state.residual.is_finite() {
                state.stop(Status::NotFinite);
            } else if state.residual <= state.target.max(T::EPSILON * state.proven) {
                // Or the recurrence has no digit left in common with the residual.
                state.stop(Status::Converged);
            }
        }
        self.keep_best();
        Ok(())
    }

    /// `x += step p` and `r -= step q`; nothing moves where the step is 0.
    fn move_by(&mut self, steps: &[f64]) {
        let numbers = self.x.iter_mut().zip(&mut self.r).zip(self.p.iter().zip(&self.q));
        for (system, ((x, r), (p, q))) in self.frame.owners().zip(numbers) {
            let step = steps[system];
            if step != 0.0 {
                *x = T::from_f64(x.to_f64() + step * p.to_f64());
                *r = T::from_f64(r.to_f64() - step * q.to_f64());
            }
        }
    }

    /// Copies the iterates that are better than all before, if they are asked for.
    fn keep_best(&mut self) {
        let Some(best) = &mut self.best else { return };
        let better = |state: &State| state.residual < state.best;
        if !self.states.iter().any(better) {
            return;
        }
        for (system, (best, x)) in self.frame.owners().zip(best.iter_mut().zip(&self.x)) {
            if better(&self.states[system]) {
                *best = *x;
            }
        }
        for state in self.states.iter_mut().filter(|state| better(state)) {
            state.best = state.residual;
        }
    }

    /// Computes `r = b - (alpha I + K) x` for what stopped, and the norms.
    fn residuals(&mut self) -> Result<Vec<f64>, Error> {
        let frame = self.frame;
        self.operator.apply(frame.view(&self.x), frame.view_mut(&mut self.q))?;
        let mut squares = vec![0.0; frame.systems()];
        let numbers = self.r.iter_mut().zip(self.x.iter().zip(&self.q)).zip(&self.b);
        for (system, ((r, (x, q)), b)) in frame.owners().zip(numbers) {
            let state = &self.states[system];
            if matches!(state.phase, Phase::Stopped(_)) {
                let b = scale(b.to_f64(), -state.exponent);
                let residual = b - (self.settings.alpha * x.to_f64() + q.to_f64());
                squares[system] += residual * residual;
                *r = T::from_f64(residual);
            }
        }
        Ok(squares.into_iter().map(f64::sqrt).collect())
    }

    /// Looks at the residuals of what stopped; whether any system goes on.
    fn prove(&mut self) -> Result<bool, Error> {
        if !self.states.iter().any(|state| matches!(state.phase, Phase::Stopped(_))) {
            return Ok(false);
        }
        let norms = self.residuals()?;
        for (state, norm) in self.states.iter_mut().zip(norms) {
            let Phase::Stopped(status) = state.phase else { continue };
            let is_better = norm <= state.proven / 2.0;
            state.residual = norm;
            state.phase = if norm <= state.target {
                Phase::Done(Status::Converged)
            } else if !norm.is_finite() {
                Phase::Done(Status::NotFinite)
            } else if status != Status::Converged {
                Phase::Done(status)
            } else if is_better {
                Phase::Running
            } else {
                Phase::Done(Status::Stagnated)
            };
            state.proven = norm;
        }
        Ok(self.states.iter().any(State::is_running))
    }

    /// Where a system is not solved, takes the best iterate if that proves better than the last.
    fn prefer_best(&mut self) -> Result<(), Error> {
        let Some(mut best) = self.best.take() else { return Ok(()) };
        let is_candidate = |state: &State| {
            let is_posed = !state.target.is_nan();
            let is_solved = state.phase == Phase::Done(Status::Converged);
            is_posed && !is_solved && (state.best < state.residual || state.residual.is_nan())
        };
        if !self.states.iter().any(is_candidate) {
            return Ok(());
        }
        let last = self.states.clone();
        for state in self.states.iter_mut().filter(|state| is_candidate(state)) {
            let Phase::Done(status) = state.phase else { continue };
            state.phase = Phase::Stopped(status);
        }
        self.swap_stopped(&mut best);
        let norms = self.residuals()?;
        for ((state, last), norm) in self.states.iter_mut().zip(&last).zip(&norms) {
            // A best iterate that is worse after all goes back.
            let is_better = *norm < last.residual || last.residual.is_nan();
            match (state.phase, is_better) {
                (Phase::Stopped(status), true) => {
                    state.residual = *norm;
                    state.phase = Phase::Done(status);
                }
                _ => *state = State { phase: state.phase, ..*last },
            }
        }
        self.swap_stopped(&mut best);
        self.states.iter_mut().zip(&last).for_each(|(state, last)| state.phase = last.phase);
        Ok(())
    }

    /// Exchanges the iterates of what stopped.
    fn swap_stopped(&mut self, other: &mut [T]) {
        for (system, (x, other)) in self.frame.owners().zip(self.x.iter_mut().zip(other)) {
            if matches!(self.states[system].phase, Phase::Stopped(_)) {
                std::mem::swap(x, other);
            }
        }
    }

    /// Undoes the scaling, and refuses what is not solved.
    pub(super) fn finish(mut self) -> Result<Solution<T>, Error> {
        let mut is_finite = vec![true; self.frame.systems()];
        if !self.frame.is_empty() {
            for (system, x) in self.frame.owners().zip(&mut self.x) {
                let state = &self.states[system];
                let value = match state.target.is_nan() {
                    true => f64::NAN,
                    false => scale(x.to_f64(), state.exponent),
                };
                *x = T::from_f64(value);
                is_finite[system] &= x.to_f64().is_finite();
            }
        }
        let columns = self.frame.columns;
        let system = |(index, (state, is_finite)): (usize, (&State, bool))| System {
            block: index / columns,
            column: index % columns,
            iterations: state.iterations,
            residual: scale(state.residual, state.exponent),
            target: scale(state.target, state.exponent),
            status: match state.phase {
                _ if !is_finite => Status::NotFinite,
                Phase::Done(status) | Phase::Stopped(status) => status,
                Phase::Running => Status::IterationLimit,
            },
        };
        let systems: Vec<System> =
            self.states.iter().zip(is_finite).enumerate().map(system).collect();
        if !self.settings.best
            && let Some(error) = words::linear::unsolved(&systems, T::DTYPE.name())
        {
            return Err(error);
        }
        let x = Array2::from_shape_vec((self.frame.n, columns), self.x);
        Ok(Solution { x: x.expect("a frame has one length"), systems })
    }
}
