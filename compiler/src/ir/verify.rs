//! The checks of the invariants of [`super`].
