/* The CUDA loop of the `panel` family, for sums over many components. A block of rows meets a
 * panel of columns in two steps. First the sums of all pairs are made, and left in shared memory:
 * this is the work of a provider, here tf_panel_sums. Then every thread folds its row, column by
 * column, with the sums at hand, as the `rows` family does. So nothing holds a whole row, and what
 * is made of the sums knows nothing of where they come from.
 *
 * S is a stage with what templates/shared/panel.hbs adds. Entries, states and splits are those of
 * cuda_rows.cuh.
 */
#ifndef TF_CUDA_PANEL_CUH
#define TF_CUDA_PANEL_CUH
#include "cuda_rows.cuh"
#include "cuda_wide.cuh"

#define TF_COLUMNS(c) TF_UNROLL for (int c = 0; c < C; ++c)

/* Sizes of a panel, and who has what in it. A thread makes the sums of GROUP rows and COLUMNS
 * columns; its rows lie in runs of TF_VEC4 neighbours, its columns in runs of RUN, so that shared
 * memory is read 16 bytes at a time. Threads that read different addresses at a time are neighbours
 * along the columns. */
template <class S> struct tf_panel {
  static constexpr int ROWS = S::THREADS, GROUP = 8, ACROSS = 8, COLS = ACROSS * S::COLUMNS;
  static constexpr int RUN = (int)S::COLUMNS < (int)TF_VEC4 ? (int)S::COLUMNS : (int)TF_VEC4;
  static_assert(ROWS == GROUP * (S::THREADS / ACROSS), "threads cover the panel");
  static_assert(S::TILE % COLS == 0 && COLS % S::COLS == 0, "whole blocks");

  TF_FN int across() { return tf_thread() % ACROSS; }
  TF_FN int down() { return tf_thread() / ACROSS; }
  /* The first row of run g, and the first column of run h, of this thread. */
  TF_FN int row(int g) { return (g * (S::THREADS / ACROSS) + down()) * TF_VEC4; }
  TF_FN int col(int h) { return (h * ACROSS + across()) * RUN; }

  /* Where a sum lies among those of a panel. The column is number `slot` of those from `col` on,
   * which begins a run.
   *
   * Row after row, so that a thread that folds its row reads 16 bytes at a time. Those of 8 rows
   * change places, so that threads of neighbouring rows read from different banks; two rows differ
   * by 4 of them, which is what tensor cores leave of one. A wide accumulator reads columns of 8
   * rows: then column after column, rows next to each other but for runs that change places, so
   * that threads across write to different banks. */
  static constexpr bool BY_ROW = S::OUTPUTS == 0;
  static constexpr int PLACES = COLS / TF_VEC4;
  TF_FN int turned(int row) {
    return PLACES >= 8 ? row % 2 * 4 + row / 2 % 4 : row / (8 / PLACES) % PLACES;
  }
  TF_FN int home(int stream, int row, int col, int slot) {
    if (BY_ROW) {
      const int column = col + slot, place = column / TF_VEC4 ^ turned(row);
      return (stream * ROWS + row) * COLS + place * TF_VEC4 + column % TF_VEC4;
    }
    const int run = row / TF_VEC4 ^ (col / RUN + slot / RUN) % ACROSS;
    return (stream * COLS + slot) * ROWS + col * ROWS + run * TF_VEC4 + row % TF_VEC4;
  }
};

/* Makes the sums of a panel, DEPTH components at a time. They are on their way while those before
 * them are summed. */
template <class S> struct tf_panel_sums {
  typedef tf_panel<S> P;
  static constexpr int DEPTH = TF_K(8, 4);
  /* Four more, so that neighbouring components lie in different banks. */
  static constexpr int ROW_STRIDE = P::ROWS + 4, COL_STRIDE = P::COLS + 4;
  static constexpr int CHUNK =
      DEPTH * (S::ROW_PARTS * ROW_STRIDE + S::COL_PARTS * COL_STRIDE + S::LAUNCH_PARTS);
  /* Scalars that the provider needs: the sums take the place of the components. */
  static constexpr int SUMS = S::STREAMS * P::COLS * P::ROWS;
  static constexpr int WORDS = 2 * CHUNK < SUMS ? SUMS : 2 * CHUNK;
  static constexpr int ROWS_EACH = P::ROWS * DEPTH / S::THREADS;
  static constexpr int COLS_EACH = (P::COLS * DEPTH + S::THREADS - 1) / S::THREADS;
  static_assert(S::THREADS % DEPTH == 0, "a thread reads one component of a chunk");

  const tf_array *v;
  const T *p;
  i64 row0, rows_end, col0, cols_end;
  T *shared;

  /* Once a block, which has this number; `scratch` are the bytes of the workspace for what the
   * providers of all blocks keep. */
  TF_METHOD void begin(void *scratch, i64 block) const { TF_UNUSED(scratch, block); }

  /* One chunk on its way: what this thread reads of it. */
  template <class Sum> struct Ahead {
    T row[ROWS_EACH][Sum::ROW_PARTS > 0 ? Sum::ROW_PARTS : 1];
    T col[COLS_EACH][Sum::COL_PARTS > 0 ? Sum::COL_PARTS : 1];
    T launch[Sum::LAUNCH_PARTS > 0 ? Sum::LAUNCH_PARTS : 1];
  };

  /* Past the last component it is read again, and not used. */
  template <class Sum> TF_METHOD void fetch(Ahead<Sum> &to, int k0) const {
    const int mine = k0 + tf_thread() % DEPTH;
    const int k = Sum::DIM % DEPTH == 0 || mine < Sum::DIM ? mine : Sum::DIM - 1;
    const int first = tf_thread() / DEPTH;
    TF_UNROLL
    for (int m = 0; m < ROWS_EACH; ++m)
      Sum::row(v, p, row0 + first + m * (S::THREADS / DEPTH), rows_end, k, to.row[m]);
    TF_UNROLL
    for (int m = 0; m < COLS_EACH; ++m)
      Sum::col(v, p, col0 + first + m * (S::THREADS / DEPTH), cols_end, k, to.col[m]);
    Sum::launch(p, k, to.launch);
  }

  template <class Sum> TF_METHOD void put(const Ahead<Sum> &from, T *chunk) const {
    const int k = tf_thread() % DEPTH, first = tf_thread() / DEPTH;
    TF_UNROLL
    for (int m = 0; m < ROWS_EACH; ++m)
      for (int n = 0; n < Sum::ROW_PARTS; ++n)
        rows_of(chunk, n, k)[first + m * (S::THREADS / DEPTH)] = from.row[m][n];
    TF_UNROLL
    for (int m = 0; m < COLS_EACH; ++m) {
      const int col = first + m * (S::THREADS / DEPTH);
      for (int n = 0; n < Sum::COL_PARTS; ++n)
        if (P::COLS * DEPTH % S::THREADS == 0 || col < P::COLS)
          cols_of(chunk, n, k)[col] = from.col[m][n];
    }
    for (int n = 0; n < Sum::LAUNCH_PARTS; ++n)
      if (first == 0) launch_of(chunk)[n * DEPTH + k] = from.launch[n];
  }

  TF_FN T *rows_of(T *chunk, int n, int k) { return chunk + (n * DEPTH + k) * ROW_STRIDE; }
  TF_FN T *cols_of(T *chunk, int n, int k) {
    return chunk + S::ROW_PARTS * DEPTH * ROW_STRIDE + (n * DEPTH + k) * COL_STRIDE;
  }
  TF_FN T *launch_of(T *chunk) { return cols_of(chunk, S::COL_PARTS, 0); }

  /* Adds component k of a chunk. */
  template <class Sum>
  TF_METHOD void add(V (&z)[S::COLUMNS][P::GROUP], T *chunk, int k) const {
    V x[Sum::ROW_PARTS > 0 ? Sum::ROW_PARTS : 1][P::GROUP];
    V y[Sum::COL_PARTS > 0 ? Sum::COL_PARTS : 1][S::COLUMNS];
    V q[Sum::LAUNCH_PARTS > 0 ? Sum::LAUNCH_PARTS : 1];
    TF_UNROLL
    for (int n = 0; n < Sum::ROW_PARTS; ++n)
      TF_UNROLL
      for (int r = 0; r < P::GROUP; ++r)
        x[n][r] = tf_load4(rows_of(chunk, n, k) + P::row(r / TF_VEC4)).at[r % TF_VEC4];
    TF_UNROLL
    for (int n = 0; n < Sum::COL_PARTS; ++n)
      TF_UNROLL
      for (int c = 0; c < S::COLUMNS; ++c) {
        const T *from = cols_of(chunk, n, k) + P::col(c / P::RUN);
        y[n][c] = P::RUN < TF_VEC4 ? from[c % P::RUN] : tf_load4(from).at[c % TF_VEC4];
      }
    for (int n = 0; n < Sum::LAUNCH_PARTS; ++n) q[n] = launch_of(chunk)[n * DEPTH + k];
    Sum::template terms<P::GROUP, S::COLUMNS>(z, x, y, q);
  }

  /* The sums of this thread. */
  template <class Sum> TF_METHOD void make(V (&z)[S::COLUMNS][P::GROUP]) const {
    TF_UNROLL
    for (int c = 0; c < S::COLUMNS; ++c)
      TF_UNROLL
      for (int r = 0; r < P::GROUP; ++r) z[c][r] = tf_c(0.0);
    Ahead<Sum> ahead;
    fetch<Sum>(ahead, 0);
    tf_sync();
    put<Sum>(ahead, shared);
    int half = 0;
    TF_NO_UNROLL
    for (int k0 = 0; k0 + DEPTH <= Sum::DIM; k0 += DEPTH) {
      tf_sync();
      const bool more = k0 + DEPTH < Sum::DIM;
      if (more) fetch<Sum>(ahead, k0 + DEPTH);
      TF_UNROLL
      for (int k = 0; k < DEPTH; ++k) add<Sum>(z, shared + half, k);
      half = CHUNK - half;
      if (more) put<Sum>(ahead, shared + half);
    }
    if (Sum::DIM % DEPTH != 0) {
      tf_sync();
      TF_NO_UNROLL
      for (int k = 0; k < Sum::DIM % DEPTH; ++k) add<Sum>(z, shared + half, k);
    }
  }

  typedef V Sums[S::STREAMS][S::COLUMNS][P::GROUP];
  struct Each {
    const tf_panel_sums &of;
    Sums &z;
    template <class Sum> TF_METHOD void operator()(int stream) const {
      of.template make<Sum>(z[stream]);
    }
  };

  /* Makes all sums of the panel and leaves them at their homes. Before, every thread is done with
   * what was in shared memory; after, a barrier has to come. */
  TF_METHOD void operator()() const {
    Sums z;
    S::sums(Each{*this, z});
    tf_sync();
    if (P::BY_ROW)
      leave_rows(z);
    else
      leave_columns(z);
  }

  /* What there is to do with a panel: to fold its sums, nothing more, or all of it again. */
  enum Rest { TO_FOLD, FOLDED, AGAIN };
  template <class Pairs>
  TF_METHOD Rest folds(typename S::Acc &, typename S::State &, const Pairs &, int) const {
    return TO_FOLD;
  }

  TF_METHOD void leave_columns(const Sums &z) const {
    TF_UNROLL
    for (int n = 0; n < S::STREAMS; ++n)
      TF_UNROLL
      for (int c = 0; c < S::COLUMNS; ++c)
        TF_UNROLL
        for (int g = 0; g < P::GROUP / TF_VEC4; ++g) {
          TfVec4 run;
          for (int r = 0; r < TF_VEC4; ++r) run.at[r] = z[n][c][g * TF_VEC4 + r];
          tf_store4(shared + P::home(n, P::row(g), P::col(c / P::RUN), c % P::RUN), run);
        }
  }
  TF_METHOD void leave_rows(const Sums &z) const {
    TF_UNROLL
    for (int n = 0; n < S::STREAMS; ++n)
      TF_UNROLL
      for (int r = 0; r < P::GROUP; ++r)
        TF_UNROLL
        for (int h = 0; h < S::COLUMNS / P::RUN; ++h) {
          const int row = P::row(r / TF_VEC4) + r % TF_VEC4;
          T *const to = shared + P::home(n, row, P::col(h), 0);
          TfVec4 run;
          TF_UNROLL
          for (int c = 0; c < P::RUN; ++c) {
            run.at[c] = z[n][h * P::RUN + c][r];
            if ((int)P::RUN < (int)TF_VEC4) to[c] = run.at[c];
          }
          if ((int)P::RUN == (int)TF_VEC4) tf_store4(to, run);
        }
  }
};

/* The words of packed columns that were read before: as tf_col. */
template <int WORDS, int COLS> struct tf_read_cols {
  const V (&words)[WORDS][COLS];
  int slot;
  TF_METHOD V at(int word) const { return words[word][slot]; }
};

/* Column jj of the panel that starts at column `at`: as tf_rows_pairs, with its sums. */
template <class S> struct tf_panel_pairs {
  typedef tf_panel<S> P;
  const T *p, *x, *cols;
  T *sums;
  i64 at;
  template <class A> TF_METHOD void operator()(A &a, typename S::State &s, int jj, int slot) const {
    const int first = slot < 0 ? jj / P::RUN * P::RUN : jj - slot;
    V z[S::STREAMS][1];
    TF_UNROLL
    for (int n = 0; n < S::STREAMS; ++n)
      z[n][0] = sums[P::home(n, tf_thread(), first, slot < 0 ? jj % P::RUN : slot)];
    const tf_col y = {cols + (slot < 0 ? jj : first), P::COLS, slot};
    S::pair(tf_plain(), a, s, p, x, y, at, jj, 0, z);
  }
  /* The same, alone, with sums that are not at their homes. */
  TF_METHOD void summed(typename S::Acc &a, typename S::State &s, int jj,
                        const V (*z)[1]) const {
    const tf_col y = {cols + jj, P::COLS, -1};
    S::pair(tf_plain(), a, s, p, x, y, at, jj, 0, z);
  }

  /* A block of columns whose sums and words were read first, 16 bytes at a time: nvcc does not
   * bring together what is read between the powers of the columns. */
  static constexpr int COLS = S::COLS, WORDS = S::COL_WORDS > 0 ? S::COL_WORDS : 1;
  struct Block {
    const tf_panel_pairs &pairs;
    V sums[S::STREAMS][COLS], words[WORDS][COLS];
    template <class A>
    TF_METHOD void operator()(A &a, typename S::State &s, int jj, int slot) const {
      V z[S::STREAMS][1];
      TF_UNROLL
      for (int n = 0; n < S::STREAMS; ++n) z[n][0] = sums[n][slot];
      const tf_read_cols<WORDS, COLS> y = {words, slot};
      S::pair(tf_plain(), a, s, pairs.p, pairs.x, y, pairs.at, jj, 0, z);
    }
  };
  TF_FN void read(V (&to)[COLS], const T *from, int q) {
    const TfVec4 read = tf_load4(from);
    TF_UNROLL
    for (int k = 0; k < TF_VEC4; ++k) to[q + k] = read.at[k];
  }
  /* Columns of many words would take more registers than there are. */
  static constexpr bool READS_FIRST = P::BY_ROW && COLS % TF_VEC4 == 0 && S::COL_WORDS <= 4;
  TF_METHOD auto block(int jj) const {
    if constexpr (READS_FIRST) {
      Block block = {*this, {}, {}};
      TF_UNROLL
      for (int q = 0; q < COLS; q += TF_VEC4) {
        TF_UNROLL
        for (int n = 0; n < S::STREAMS; ++n)
          read(block.sums[n], sums + P::home(n, tf_thread(), jj + q, 0), q);
        TF_UNROLL
        for (int w = 0; w < S::COL_WORDS; ++w)
          read(block.words[w], cols + w * P::COLS + jj + q, q);
      }
      return block;
    } else {
      return *this;
    }
  }
  /* Leaves the numbers of a wide accumulator where the first sums were. */
  TF_METHOD void done(typename S::Acc &a, int jj, int count) const {
    if constexpr (S::OUTPUTS > 0) {
      auto &wide = S::wide(a);
      const V change = wide.change();
      if (change != tf_c(1.0)) {
        TF_NO_UNROLL
        for (int q = 0; q < jj; ++q) {
          T &number = sums[P::home(0, tf_thread(), q / P::RUN * P::RUN, q % P::RUN)];
          number = number * change;
        }
      }
      TF_UNROLL
      for (int q = 0; q < S::COLS; ++q)
        if (q < count) {
          const int first = count == 1 ? jj / P::RUN * P::RUN : jj;
          sums[P::home(0, tf_thread(), first, count == 1 ? jj % P::RUN : q)] = wide.number[q];
        }
    }
    TF_UNUSED(a, jj, count);
  }
};

/* What a wide accumulator takes, if there is one. */
template <class S, bool ANY> struct tf_panel_wide {
  static constexpr int WORDS = 1;
};
template <class S> struct tf_panel_wide<S, true> : tf_panel_outputs<S, tf_panel<S>> {};

template <class S, int BYTES, class Provider = tf_panel_sums<S>>
struct tf_cuda_panel : tf_cuda_rows<S, BYTES> {
  typedef tf_cuda_rows<S, BYTES> Rows;
  typedef tf_panel<S> P;
  static constexpr int SUM_WORDS = Provider::WORDS;
  static constexpr int COL_WORDS = S::COL_WORDS > 0 ? S::COL_WORDS * P::COLS : 1;
  typedef tf_panel_wide<S, (S::OUTPUTS > 0)> Outputs;
  static constexpr int WIDE_WORDS = Outputs::WORDS;
  static_assert(P::ROWS == S::THREADS && S::R == 1, "a thread folds one row");

  template <class Part>
  TF_FN void rows(const tf_array *v, Part part, T *sums, T *cols, T *outputs, void *workspace) {
    T p[Rows::PARAMS], x[Rows::ROWS];
    S::launch(v, p);
    S::row(v, p, part.row0 + tf_thread(), part.rows_end, S::THREADS, x);
    typename S::State s;
    S::init(s);
    Provider provider(
        tf_panel_sums<S>{v, p, part.row0, part.rows_end, part.j0, part.j1, sums});
    /* Behind the states of the launch, room for what a provider keeps. */
    provider.begin((char *)workspace + Part::states() * S::THREADS * BYTES, Part::state());
    const typename Rows::Home home = Rows::home(workspace, Part::state());
    if constexpr (S::OUTPUTS > 0) S::init(*home);
    do {
      const i64 j1 = provider.cols_end = part.j1;
      for (i64 at = part.j0; at < j1; at += P::COLS) {
        const int n = j1 - at < P::COLS ? (int)(j1 - at) : (int)P::COLS;
        provider.col0 = at;
        provider();
        for (int jj = tf_thread(); jj < n; jj += S::THREADS)
          S::col(v, p, at + jj, j1, 1, cols + jj, 1, P::COLS);
        tf_sync();
        typename S::Acc a;
        S::open(a, s);
        const tf_panel_pairs<S> pairs = {p, x, cols, sums, at};
        const typename Provider::Rest rest = provider.folds(a, s, pairs, n);
        if (rest == Provider::AGAIN) {
          at -= P::COLS;
          continue;
        }
        if (rest == Provider::TO_FOLD) tf_cuda_fold<S, tf_panel_pairs<S>>::tile(a, s, pairs, n);
        S::close(a, s, at);
        if constexpr (S::OUTPUTS > 0) {
          outputs[Outputs::TABLE + tf_thread()] = S::wide(a).factor();
          char *homes = (char *)home - (i64)tf_thread() * BYTES;
          const tf_panel_outputs<S, P> add = {v,  p,    part.row0, part.rows_end, at,
                                              j1, sums, outputs,   homes,         BYTES};
          add(n);
        }
      }
    } while (part.next());
    tf_leave_all<S>(*home, s, 0);
  }
};

#define TF_PANEL_ENTRY(symbol, S, f32, f64)                                                        \
  TF_PROVIDED_ENTRY(symbol, S, f32, f64, tf_panel_sums<S>)
#define TF_PROVIDED_ENTRY(symbol, S, f32, f64, ...)                                                \
  TF_PANEL_OF_PART(symbol, S, f32, f64, _rows, tf_dense_part, __VA_ARGS__)                         \
  TF_PANEL_OF_PART(symbol, S, f32, f64, _tiles, tf_sparse_part, __VA_ARGS__)
#define TF_PANEL_OF_PART(symbol, S, f32, f64, kind, Part, ...)                                     \
  TF_GLOBAL void TF_LAUNCH_BOUNDS(S::THREADS) TF_ENTRY_NAME(symbol, S, kind)(TF_ARGUMENTS) {       \
    typedef tf_cuda_panel<S, TF_DOUBLE ? f64 : f32, __VA_ARGS__> Code;                             \
    TF_SHARED(T, sums, Code::SUM_WORDS);                                                           \
    TF_SHARED(T, cols, Code::COL_WORDS);                                                           \
    TF_SHARED(T, outputs, Code::WIDE_WORDS);                                                       \
    TF_UNUSED(splits);                                                                             \
    const tf_values &own = Part::own(v);                                                           \
    Code::rows(own.v, Part::of(S::THREADS, n_rows, n_cols, cols_per_split, tiles), sums, cols,     \
               outputs, workspace);                                                                \
  }
#endif
