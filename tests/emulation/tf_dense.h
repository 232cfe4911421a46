/* Leaves out the entries of sparse launches, which are as much text again as those of dense ones.
 * Included after cuda_rows.cuh and cuda_panel.cuh, before the kernels of a test that launches no
 * tiles; those that do are emulated without it.
 */
#ifndef TF_DENSE_H
#define TF_DENSE_H

#undef TF_ROWS_ENTRY
#define TF_ROWS_ENTRY(symbol, S, f32, f64) \
  TF_ROWS_OF_PART(symbol, S, f32, f64, _rows, tf_dense_part)
#undef TF_PROVIDED_ENTRY
#define TF_PROVIDED_ENTRY(symbol, S, f32, f64, ...) \
  TF_PANEL_OF_PART(symbol, S, f32, f64, _rows, tf_dense_part, __VA_ARGS__)

#endif
