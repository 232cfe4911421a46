//! Points for the examples: numbers that are the same on every machine.
#![allow(dead_code, reason = "no example needs all of them")]

use ndarray::Array2;

/// splitmix64.
pub struct Random(u64);

impl Random {
    /// Numbers that depend on the seed only.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Of mean 0 and variance 1, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Points in the unit cube.
    pub fn cube(&mut self, rows: usize, cols: usize) -> Array2<f64> {
        Array2::from_shape_simple_fn((rows, cols), || self.uniform())
    }

    /// Points around centers that take turns, at a distance of about `spread`.
    pub fn around(&mut self, centers: &Array2<f64>, spread: f64, rows: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, centers.ncols()), |(row, col)| {
            centers[[row % centers.nrows(), col]] + spread * self.normal()
        })
    }
}
