//! Formulas on candle tensors: values, gradients, and what is refused.

mod common;
mod errors;
mod gradients;
mod second_order;
