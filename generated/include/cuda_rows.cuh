/* The CUDA loop of the `rows` family: a thread owns R rows, a block shares a tile of packed
 * columns, word by word, and every thread of a warp reads the same column at the same time. COLS
 * columns are written out; what their accumulators find unsound is done again column by column.
 *
 * S is a stage, the same text as on the CPU. Blocks (x, y, z) of a dense launch: x is the block of
 * rows, y the split of the columns, z the item of a batch. The rows entry leaves one State a thread
 * and split in the workspace; the finish entry merges the splits in order and writes the results,
 * so results do not depend on timing. A sparse launch is a list of tiles, one a block and the same
 * for all items: what its rows fold of their ranges. Its entry also does dense launches of several
 * items, so that the one of a single item keeps no addresses of items in registers.
 */
#ifndef TF_CUDA_ROWS_CUH
#define TF_CUDA_ROWS_CUH
#include "kernel.h"
#include "cuda_reduce.cuh"

#define TF_FENCE()

/* What folds a column of a tile of packed ones: column jj of the tile that starts at column `at`,
 * at a slot of a block, or alone (-1). */
template <class S, class Way> struct tf_rows_pairs {
  const T *p, *x, *tile;
  i64 at;
  TF_METHOD void operator()(typename S::Acc &a, typename S::State &s, int jj, int slot) const {
    const tf_col y = {tile + (slot < 0 ? jj : jj - slot), S::TILE, slot};
    S::pair(Way(), a, s, p, x, y, at, jj, 0);
  }
  /* What folds each column of a block from jj on. */
  TF_METHOD const tf_rows_pairs &block(int) const { return *this; }
  /* After some columns from jj on. */
  TF_METHOD void done(typename S::Acc &, int, int) const {}
};

template <class Pointer> struct tf_pointed;
template <class Pointed> struct tf_pointed<Pointed *> { typedef Pointed Type; };

/* What a row leaves in the workspace: its state, or what the stage calls its home. */
template <class S> TF_FN typename S::Home *tf_home(void *at, int) {
  return (typename S::Home *)at;
}
template <class S> TF_FN typename S::State *tf_home(void *at, long) {
  return (typename S::State *)at;
}
template <class S>
TF_FN auto tf_leave_all(typename S::Home &to, const typename S::State &s, int)
    -> decltype(S::leave(to, s)) {
  S::leave(to, s);
}
template <class S>
TF_FN void tf_leave_all(typename S::State &to, const typename S::State &s, long) {
  to = s;
}

/* Folds n columns of a tile by `pairs`, COLS at a time. */
template <class S, class Pairs> struct tf_cuda_fold {
  typedef typename S::Acc Acc;
  typedef typename S::State State;
  /* Columns alone, until sums are flushed. */
  static constexpr int CHAIN = (int)S::COLS < (int)TF_CHAIN ? (int)S::COLS : (int)TF_CHAIN;

  TF_FN void tile(Acc &a, State &s, const Pairs &pairs, int n) {
    int jj = 0;
    /* Where a block was refused for its powers, the next ones most likely would be. */
    bool alone = false;
    TF_NO_UNROLL
    for (; jj + S::COLS <= n; jj += S::COLS) {
      if (!(S::WATCHED && alone) && block(a, s, pairs, jj)) continue;
      alone = true;
      TF_NO_UNROLL
      for (int done = 0; done < S::COLS; done += CHAIN) {
        columns(a, s, pairs, jj + done, jj + done + CHAIN);
        if ((int)S::BLOCK == (int)S::COLS) S::flush(a, s);
      }
    }
    TF_NO_UNROLL
    for (; jj < n; ++jj) {
      columns(a, s, pairs, jj, jj + 1);
      if ((int)S::BLOCK <= (int)S::COLS) S::flush(a, s);
    }
    if ((int)S::BLOCK > (int)S::COLS) S::flush(a, s);
  }

  /* COLS columns from jj on; false if they are refused, which leaves all as it was. */
  TF_FN bool block(Acc &a, State &s, const Pairs &pairs, int jj) {
    const Acc before = a;
    const auto &each = pairs.block(jj);
    TF_UNROLL
    for (int q = 0; q < S::COLS; ++q) {
      each(a, s, jj + q, S::COLS > 1 ? q : -1);
      if ((int)S::BLOCK < (int)S::COLS) S::flush(a, s);
    }
    if (!tf_sound<S>(a, 0)) {
      a = before;
      return false;
    }
    pairs.done(a, jj, S::COLS);
    if ((int)S::BLOCK == (int)S::COLS) S::flush(a, s);
    return true;
  }

  /* The columns from jj to `stop`, one by one. */
  TF_FN void columns(Acc &a, State &s, const Pairs &pairs, int jj, int stop) {
    TF_NO_UNROLL
    for (; jj < stop; ++jj) {
      pairs(a, s, jj, -1);
      pairs.done(a, jj, 1);
    }
  }
};

/* The table of the item that this block works on, of that of the first one. */
template <class Values> TF_FN Values tf_of_item(Values v) {
  TF_UNROLL
  for (int k = 0; k < (int)(sizeof(v.v) / sizeof(v.v[0])); ++k)
    v.v[k].data = (char *)v.v[k].data + tf_item() * v.v[k].item_bytes;
  return v;
}

/* What a block of a dense launch folds: columns [j0, j1), for rows from row0 on. */
struct tf_dense_part {
  i64 row0, rows_end, j0, j1;

  TF_FN tf_dense_part of(int rows, i64 n_rows, i64 n_cols, i64 cols_per_split, tf_tiles) {
    const i64 j0 = tf_block_y() * cols_per_split;
    const i64 j1 = j0 + cols_per_split < n_cols ? j0 + cols_per_split : n_cols;
    return tf_dense_part{(i64)tf_block_x() * rows, n_rows, j0, j1};
  }
  /* The arrays that it reads. */
  template <class Values> TF_FN const Values &own(const Values &v) { return v; }
  /* The number of the state that it leaves, and how many the launch leaves. */
  TF_FN i64 state() { return (i64)tf_block_y() * tf_grid_x() + tf_block_x(); }
  TF_FN i64 states() { return (i64)tf_grid_y() * tf_grid_x(); }
  /* Goes on to the next columns, if there are any. */
  TF_METHOD bool next() { return false; }
};

/* The same of a sparse launch: one range of a tile after the other. Without a list it is dense. */
struct tf_sparse_part {
  i64 row0, rows_end, j0, j1;
  const tf_tile *tile;
  const i64 *range, *end;

  TF_FN tf_sparse_part of(int rows, i64 n_rows, i64 n_cols, i64 cols_per_split, tf_tiles tiles) {
    if (tiles.at == nullptr) {
      const tf_dense_part all = tf_dense_part::of(rows, n_rows, n_cols, cols_per_split, tiles);
      return tf_sparse_part{all.row0, all.rows_end, all.j0, all.j1, nullptr, nullptr, nullptr};
    }
    const tf_tile *const tile = tiles.at + tf_block_x();
    const i64 *const range = tiles.ranges + 2 * tile->first;
    tf_sparse_part part = {tile->row, tile->rows_end, 0, 0, tile, range, range + 2 * tile->count};
    part.clip();
    return part;
  }
  template <class Values> TF_FN Values own(const Values &v) { return tf_of_item(v); }
  TF_FN i64 state() { return tf_item() * tf_dense_part::states() + tf_dense_part::state(); }
  TF_FN i64 states() { return tf_items() * tf_dense_part::states(); }
  TF_METHOD void clip() {
    j0 = range[0] < tile->col ? tile->col : range[0];
    j1 = range[1] < tile->cols_end ? range[1] : tile->cols_end;
  }
  TF_METHOD bool next() {
    if (range == end || (range += 2) == end) return false;
    clip();
    return true;
  }
};

template <class S, int BYTES> struct tf_cuda_rows {
  typedef decltype(tf_home<S>(nullptr, 0)) Home;
  static_assert(sizeof(*Home()) <= BYTES, "the descriptor promises enough workspace");
  static_assert(S::G == S::R, "the rows of a thread are one group");
  enum {
    PARAMS = S::PARAM_WORDS > 0 ? S::PARAM_WORDS : 1,
    ROWS = S::ROW_WORDS > 0 ? S::ROW_WORDS * S::R : 1,
    TILE_WORDS = S::COL_WORDS > 0 ? S::COL_WORDS * S::TILE : 1
  };

  /* This thread's part of a state in the workspace. */
  TF_FN Home home(void *workspace, i64 state) {
    return tf_home<S>((char *)workspace + (state * S::THREADS + tf_thread()) * BYTES, 0);
  }

  /* Waits until a tile of n columns is packed; whether they and all rows of the block are near. */
  TF_FN bool is_near(const T *p, const T *x, const T *tile, int n) {
    const T reach = S::reach(p);
    bool near = reach <= T(TF_MAX / 8);
    TF_UNROLL
    for (int r = 0; r < S::R; ++r) near &= tf_abs(x[S::NORM_ROW * S::R + r]) <= reach;
    for (int jj = tf_thread(); jj < n; jj += S::THREADS)
      near &= tf_abs(tile[S::NORM_COL * S::TILE + jj]) <= reach;
    return !tf_any_of_block(!near);
  }

  /* Folds a tile of n columns from column `at` on. */
  template <class Way>
  TF_FN void fold(typename S::State &s, const T *p, const T *x, const T *tile, i64 at, int n) {
    typename S::Acc a;
    S::open(a, s);
    const tf_rows_pairs<S, Way> pairs = {p, x, tile, at};
    tf_cuda_fold<S, tf_rows_pairs<S, Way>>::tile(a, s, pairs, n);
    S::close(a, s, at);
  }

  template <class Part> TF_FN void rows(const tf_array *v, Part part, T *tile, void *workspace) {
    T p[PARAMS], x[ROWS];
    S::launch(v, p);
    S::row(v, p, part.row0 + tf_thread(), part.rows_end, S::THREADS, x);
    typename S::State s;
    S::init(s);
    do {
      for (i64 at = part.j0; at < part.j1; at += S::TILE) {
        const int n = part.j1 - at < S::TILE ? (int)(part.j1 - at) : (int)S::TILE;
        tf_sync();
        for (int jj = tf_thread(); jj < n; jj += S::THREADS)
          S::col(v, p, at + jj, part.j1, 1, tile + jj, 1, S::TILE);
        if constexpr (tf_has_near<S>(0)) {
          if (is_near(p, x, tile, n)) {
            fold<tf_near>(s, p, x, tile, at, n);
            continue;
          }
        } else {
          tf_sync();
        }
        fold<tf_plain>(s, p, x, tile, at, n);
      }
    } while (part.next());
    tf_leave_all<S>(*home(workspace, Part::state()), s, 0);
  }

  TF_FN void finish(const tf_array *v, i64 n_rows, int splits, void *workspace, tf_tiles tiles) {
    i64 row = (i64)tf_block_x() * S::THREADS * S::R, end = n_rows;
    /* The states of a block of rows follow each other in a list, and lie a grid apart else. */
    i64 state = (i64)tf_item() * splits * tf_grid_x() + tf_block_x(), apart = tf_grid_x();
    if (tiles.at != nullptr) {
      const tf_tile tile = tiles.at[tf_block_x()];
      row = tile.row, end = tile.rows_end;
      state = tf_item() * tiles.states + tile.first, apart = 1, splits = (int)tile.count;
    }
    row += tf_thread();
    T p[PARAMS], x[ROWS];
    S::launch(v, p);
    S::row(v, p, row, end, S::THREADS, x);
    typename tf_pointed<Home>::Type s;
    S::init(s);
    for (int split = 0; split < splits; ++split, state += apart) {
      TF_UNROLL
      for (int r = 0; r < S::R; ++r) S::merge(s, r, *home(workspace, state), r);
    }
    S::finish(v, p, x, s, row, end, S::THREADS);
  }
};

#define TF_STAGE_CODE(S, f32, f64) tf_cuda_rows<S, TF_DOUBLE ? f64 : f32>

#define TF_ARGUMENTS                                                                               \
  tf_values v, i64 n_rows, i64 n_cols, i64 cols_per_split, int splits, void *workspace,            \
      tf_tiles tiles

#define TF_ROWS_ENTRY(symbol, S, f32, f64)                                                         \
  TF_ROWS_OF_PART(symbol, S, f32, f64, _rows, tf_dense_part)                                       \
  TF_ROWS_OF_PART(symbol, S, f32, f64, _tiles, tf_sparse_part)
#define TF_ROWS_OF_PART(symbol, S, f32, f64, kind, Part)                                           \
  TF_GLOBAL void TF_LAUNCH_BOUNDS(S::THREADS) TF_ENTRY_NAME(symbol, S, kind)(TF_ARGUMENTS) {       \
    TF_UNUSED(splits);                                                                             \
    typedef TF_STAGE_CODE(S, f32, f64) Code;                                                       \
    TF_SHARED(T, tile, Code::TILE_WORDS);                                                          \
    const tf_values &own = Part::own(v);                                                           \
    Code::rows(own.v, Part::of(S::THREADS *S::R, n_rows, n_cols, cols_per_split, tiles), tile,     \
               workspace);                                                                         \
  }

#define TF_FINISH_ENTRY(symbol, S, f32, f64)                                                       \
  TF_GLOBAL void TF_LAUNCH_BOUNDS(S::THREADS) TF_ENTRY_NAME(symbol, S, _finish)(TF_ARGUMENTS) {    \
    TF_UNUSED(n_cols, cols_per_split);                                                             \
    TF_STAGE_CODE(S, f32, f64)::finish(tf_of_item(v).v, n_rows, splits, workspace, tiles);         \
  }
#endif
