/* A kernel with switchable bugs, to prove that the emulation catches them. It is what the emitter
 * writes in small: sum_j exp(-gamma |x_i - y_j|^2) b_j over 3-d points, columns tiled through
 * shared memory and split over grid_y, then a merge. driver.cpp runs it.
 */
#define TF_REAL_T float
#include "selftest.h"
#include "tf_cuda.cuh"

struct tf_values {
  tf_array at[VALUES];
};

/* A row of value `which`, which here is dense. */
TF_FN const T *row(const tf_values &values, int which, i64 index) {
  return static_cast<const T *>(values.at[which].data) + index * values.at[which].row_stride;
}

TF_FN T field_of_column(const tf_values &values, int field, i64 j) {
  return field < 3 ? row(values, Y, j)[field] : row(values, B, j)[0];
}

TF_GLOBAL void TF_LAUNCH_BOUNDS(THREADS)
    selftest_rows(tf_values values, i64 n_rows, i64 n_cols, i64 cols_per_split, int /*splits*/,
                  void *workspace, tf_tiles /*tiles*/) {
  TF_DYN_SHARED(T, tile); /* 4 fields of TILE columns */
  TF_SHARED(T, minus_gamma, 1);
  const int bug = static_cast<int>(row(values, BUG, 0)[0]);
  const i64 i = static_cast<i64>(tf_block_x()) * THREADS + tf_thread();
  const i64 first = tf_block_y() * cols_per_split;
  const i64 last = first + cols_per_split < n_cols ? first + cols_per_split : n_cols;
  const bool lives = i < n_rows;

  T x[3] = {};
  if (lives) {
    for (int d = 0; d < 3; ++d) x[d] = row(values, X, i)[d];
  }
  if (tf_thread() == 0 && bug != SHARED_NEVER_WRITTEN) minus_gamma[0] = -row(values, GAMMA, 0)[0];

  double sum = 0;
  for (i64 j0 = first; j0 < last; j0 += TILE) {
    if (bug != NO_BARRIER_AFTER_USE) tf_sync();
    for (int k = tf_thread(); k < 4 * TILE; k += THREADS) {
      const i64 j = j0 + k % TILE;
      const bool inside = j < n_cols || bug == GLOBAL_PAST_END;
      tile[bug == SHARED_PAST_END ? k + 1 : k] =
          inside ? field_of_column(values, k / TILE, j) : T(0);
    }
    if (bug == BARRIER_UNDER_CONDITION) {
      if (lives) tf_sync();
    } else if (bug == BARRIERS_OF_TWO_BRANCHES) {
      if (tf_thread() % 2 == 0) {
        tf_sync();
      } else {
        tf_sync();
      }
    } else if (bug != NO_BARRIER_BEFORE_USE) {
      tf_sync();
    }
    const i64 count = last - j0 < TILE ? last - j0 : i64{TILE};
    for (int jj = 0; jj < count; jj += TF_VEC4) {
      TfVec4 field[4];
      const int shift = bug == MISALIGNED_VECTOR ? 1 : 0;
      for (int f = 0; f < 4; ++f) field[f] = tf_load4(tile + f * TILE + jj + shift);
      for (int lane = 0; lane < TF_VEC4; ++lane) {
        V distance = tf_c(0);
        for (int d = 0; d < 3; ++d) {
          const V step = x[d] - field[d].at[lane];
          distance += step * step;
        }
        tf_widen_add(&sum, tf_exp(minus_gamma[0] * distance) * field[3].at[lane]);
      }
    }
  }
  const int split = bug == SPLITS_SHARE_A_STATE ? 0 : tf_block_y();
  if (lives) static_cast<double *>(workspace)[split * n_rows + i] = sum;
}

TF_GLOBAL void TF_LAUNCH_BOUNDS(THREADS)
    selftest_finish(tf_values values, i64 n_rows, i64 /*n_cols*/, i64 /*cols_per_split*/,
                    int splits, void *workspace, tf_tiles /*tiles*/) {
  const i64 i = static_cast<i64>(tf_block_x()) * THREADS + tf_thread();
  if (i >= n_rows) return;
  double sum = 0;
  for (int split = 0; split < splits; ++split)
    sum += static_cast<const double *>(workspace)[split * n_rows + i];
  tf_store(static_cast<T *>(values.at[OUT].data) + i, static_cast<T>(sum));
}
