/* The K smallest or largest values of every row and where they are, on a CPU.
 *
 * The values of a block of columns are kept, and compared with the K-th of each row at the block's
 * end: one comparison a vector. What passes waits in a queue of its row, about K ln(N / K) times a
 * row. A full queue empties those of all lanes: each level of the queues is inserted in all lanes
 * by the same instructions, a network. The K-th value is not looked at in between, so that somewhat
 * more waits than is inserted; what comes too late changes no list.
 *
 * Included by cpu_rows.h. Columns come in the order of their rows, so that among equal values the
 * one in the list stays before.
 */
#ifndef TF_CPU_LISTS_H
#define TF_CPU_LISTS_H

namespace {

typedef VI tf_unaligned_i __attribute__((aligned(sizeof(T)), may_alias));
TF_FN VI tf_load_i(const tf_int *p) { return *(const tf_unaligned_i *)p; }
TF_FN void tf_store_i(tf_int *p, VI v) { *(tf_unaligned_i *)p = v; }

/* A bit for each lane of a mask. */
TF_FN unsigned tf_mask_bits(M m) {
#if TF_LEVEL == 4
  TF_K(unsigned short, unsigned char) bits;
  asm("vpmov" TF_K("d", "q") "2m %1, %0" : "=k"(bits) : "v"(m));
  return bits;
#else
  unsigned bits = 0;
#if TF_LEVEL == 3
  asm("vmovmsk" TF_PS " %1, %0" : "=r"(bits) : "x"(m));
#elif TF_LEVEL == 2
  asm("movmsk" TF_PS " %1, %0" : "=r"(bits) : "x"(m));
#else
  TF_LANES(l) bits |= (unsigned)(m[l] & 1) << l;
#endif
  return bits;
#endif
}

/* A bit for each lane of x that is not at or behind `bar`: before it, or not a number, or any where
 * the bar is not a number. */
template <int S> TF_FN unsigned tf_passing(V x, V bar) {
#if TF_LEVEL == 4
  TF_K(unsigned short, unsigned char) bits;
  if (S > 0)
    asm("vcmp" TF_PS " $22, %1, %2, %0" : "=k"(bits) : "vm"(x), "v"(bar));
  else
    asm("vcmp" TF_PS " $25, %1, %2, %0" : "=k"(bits) : "vm"(x), "v"(bar));
  return bits;
#else
  return tf_mask_bits(~(S > 0 ? bar <= x : bar >= x));
#endif
}

/* Whether a lane of 8 vectors, STEP apart, passes. */
template <int S, int STEP> TF_FN bool tf_any_passes(const T *x, V bar) {
#if TF_LEVEL == 4
  /* Each comparison is of the lanes that were behind so far: one instruction. */
#define TF_BEHIND(c, of) "\n\tvcmp" TF_PS " %4, " #c "*%c3(%1), %2, %0" of
  typedef T eight[7 * STEP + W];
  TF_K(unsigned short, unsigned char) behind;
  asm(TF_BEHIND(0, "") TF_BEHIND(1, "%{%0%}") TF_BEHIND(2, "%{%0%}") TF_BEHIND(3, "%{%0%}")
        TF_BEHIND(4, "%{%0%}") TF_BEHIND(5, "%{%0%}") TF_BEHIND(6, "%{%0%}") TF_BEHIND(7, "%{%0%}")
      : "=&Yk"(behind)
      : "r"(x), "v"(bar), "i"(STEP * sizeof(T)), "i"(S > 0 ? 18 : 29), "m"(*(const eight *)x));
#undef TF_BEHIND
  return behind != (decltype(behind))-1;
#else
  M behind = ~(VI){};
#pragma GCC unroll 8
  for (int c = 0; c < 8; ++c) {
    const V of = tf_load(x + c * STEP);
    behind &= S > 0 ? bar <= of : bar >= of;
  }
  return tf_mask_bits(behind) != (1u << W) - 1;
#endif
}

/* Missing entries are (S inf, -1). MASKED: some pairs are left out (`add_if`). */
template <int E, int K, int R, int S, bool MASKED> struct tf_k_lanes {
  enum {
    QUEUE = K < 3 ? 2 : 8,
    /* Levels of a queue whose values stay in registers. */
    LEVELS = QUEUE < TF_R(8, 4) ? QUEUE : TF_R(8, 4),
    LANES = R * W
  };
  struct State {
    T best[E][K][LANES];
    /* Row numbers. Those from 2^31 on take the slow way, and a second word in f32. */
    tf_int at[E][K][LANES];
    tf_int above[TF_K(E, 1)][TF_K(K, 1)][LANES];
    /* What has to be passed: the K-th value, or NaN while there is none. */
    T bar[E][LANES];
    T kept[E][8][LANES];
    T allowed[MASKED ? 8 : 1][LANES];
    T queued[E][QUEUE][LANES];
    tf_int from[E][QUEUE][LANES];
    int waiting[E][LANES];
    /* Lanes whose list is full of NaN, which nothing is before. */
    unsigned full[E][R];
  };
  i64 first;
  int held;

  TF_FN i64 row(const State &s, int e, int k, int l) {
    const i64 low = s.at[e][k][l];
    return TF_DOUBLE ? low : low + ((i64)s.above[TF_K(e, 0)][TF_K(k, 0)][l] << 32);
  }
  TF_FN void set_row(State &s, int e, int k, int l, i64 j) {
    s.at[e][k][l] = (tf_int)j;
    if (!TF_DOUBLE) s.above[TF_K(e, 0)][TF_K(k, 0)][l] = (tf_int)((j - (tf_int)j) >> 32);
  }
  TF_FN void init(State &s) {
    for (int e = 0; e < E; ++e) {
      for (int k = 0; k < K; ++k)
        for (int l = 0; l < LANES; ++l) s.best[e][k][l] = (T)(S * TF_INF), set_row(s, e, k, l, -1);
      for (int l = 0; l < LANES; ++l) s.bar[e][l] = (T)TF_NAN, s.waiting[e][l] = 0;
      for (int q = 0; q < QUEUE; ++q)
        for (int l = 0; l < LANES; ++l) s.queued[e][q][l] = (T)(S * TF_INF);
      for (int r = 0; r < R; ++r) s.full[e][r] = 0;
    }
  }

  TF_METHOD void open(const State &) { first = held = 0; }
  TF_METHOD void add(State &s, int e, int r, V x, i64 tile, int jj) {
    const int c = jj % 8;
    tf_store(&s.kept[e][c][r * W], x);
    held = c + 1;
    first = tile + jj - c;
  }
  TF_METHOD void add_if(State &s, int e, int r, V x, V mask, i64 tile, int jj) {
    add(s, e, r, x, tile, jj);
    tf_store(&s.allowed[MASKED ? jj % 8 : 0][r * W], mask);
  }
  /* Blocks of sums may be shorter than what is kept. */
  TF_METHOD void flush(State &s) {
    if (held < 8) return;
    held = 0;
    for (int e = 0; e < E; ++e) {
      unsigned hits = 0;
      TF_ROWS(r) {
        const V bar = tf_load(&s.bar[e][r * W]);
        hits |= (unsigned)tf_any_passes<S, LANES>(&s.kept[e][0][r * W], bar) << r;
      }
      if (hits) take(s, e, hits, first, 8);
    }
  }
  TF_METHOD void close(State &s, i64) {
    if (held > 0)
      for (int e = 0; e < E; ++e) take(s, e, (1u << R) - 1, first, held);
    held = 0;
  }

  /* Queues what passes of a block, of the vectors that `hits` names. */
  static __attribute__((noinline)) void take(State &s, int e, unsigned hits, i64 first, int held) {
    for (; hits != 0; hits &= hits - 1) {
      const int r = __builtin_ctz(hits);
      const V bar = tf_load(&s.bar[e][r * W]);
      /* The bits of the columns that fill a word, and of the others. */
      enum { WORD = 8 * W > 64 ? 64 / W : 8 };
      unsigned long long low = 0, high = 0;
#pragma GCC unroll 8
      for (int c = 0; c < 8; ++c) {
        unsigned of = tf_passing<S>(tf_load(&s.kept[e][c][r * W]), bar);
        if (MASKED) of &= tf_mask_bits(tf_load(&s.allowed[MASKED ? c : 0][r * W]) != tf_c(0.0));
        of &= ~s.full[e][r];
        if (c < WORD)
          low |= (unsigned long long)of << c * W;
        else
          high |= (unsigned long long)of << (c - WORD) * W;
      }
      if (held < WORD) low &= ~0ull >> (64 - held * W);
      if (held < 8) high &= held > WORD ? ~0ull >> (64 - (held - WORD) * W) : 0;
      /* Most often there is one, in this word or that: no branch depends on it. */
      while ((low | high) != 0) {
        const unsigned long long second = -(unsigned long long)(low == 0);
        const int bit = __builtin_ctzll(low | (high & second));
        const int c = bit / W + (int)(second & WORD);
        low &= low - 1;
        high &= (high - 1) | ~second;
        offer(s, e, r, bit % W, c, first + c);
      }
    }
  }
  TF_FN void offer(State &s, int e, int r, int lane, int c, i64 j) {
    const int l = r * W + lane;
    const T x = s.kept[e][c][l];
    if (__builtin_expect(!(S > 0 ? x < (T)TF_INF : x > (T)-TF_INF) || j >> 31, 0))
      return put(s, e, r, l, x, j);
    const int n = s.waiting[e][l]++;
    s.queued[e][n][l] = x;
    s.from[e][n][l] = (tf_int)j;
    if (n + 1 == QUEUE) drain(s, e, r);
  }

  /* Inserts what waits for the lists of vector r. */
  static __attribute__((noinline)) void drain(State &s, int e, int r) {
    for (int q0 = 0; q0 < QUEUE; q0 += LEVELS) {
      V x[LEVELS], moved[LEVELS];
      VI rows[LEVELS];
#pragma GCC unroll 8
      for (int q = 0; q < LEVELS; ++q) {
        x[q] = moved[q] = tf_load(&s.queued[e][q0 + q][r * W]);
        rows[q] = tf_load_i(&s.from[e][q0 + q][r * W]);
        tf_store(&s.queued[e][q0 + q][r * W], tf_c(S * TF_INF));
      }
      /* An entry that x is before gets what was moved: x, or the entry before. */
      TF_ROLLED
      for (int k = 0; k < K; ++k) {
        V best = tf_load(&s.best[e][k][r * W]);
        VI at = tf_load_i(&s.at[e][k][r * W]);
#pragma GCC unroll 8
        for (int q = 0; q < LEVELS; ++q) {
          const M before = S > 0 ? x[q] < best : x[q] > best;
          const V value = best;
          const VI row = at;
          best = before ? moved[q] : value;
          at = before ? rows[q] : row;
          moved[q] = before ? value : moved[q];
          rows[q] = before ? row : rows[q];
        }
        tf_store(&s.best[e][k][r * W], best);
        tf_store_i(&s.at[e][k][r * W], at);
      }
    }
    TF_LANES(l) s.waiting[e][r * W + l] = 0;
    raise(s, e, r);
  }
  TF_FN void raise(State &s, int e, int r) {
    const VI at = tf_load_i(&s.at[e][K - 1][r * W]);
    const V last = tf_load(&s.best[e][K - 1][r * W]);
    tf_store(&s.bar[e][r * W], at < 0 ? tf_c(TF_NAN) : last);
    s.full[e][r] = tf_mask_bits((at >= 0) & (last != last));
  }

  /* One value that is NaN, or as good as a missing one, or far down. */
  static __attribute__((noinline, cold)) void put(State &s, int e, int r, int l, T x, i64 j) {
    int waiting = 0;
    TF_LANES(m) waiting |= s.waiting[e][r * W + m];
    if (waiting) drain(s, e, r);
    insert(s, e, l, x, j);
    raise(s, e, r);
  }
  /* Whether x is in the list of lane l then. */
  static __attribute__((noinline)) bool insert(State &s, int e, int l, T x, i64 j) {
    int k = K;
    TF_ROLLED
    for (; k > 0; --k) {
      const T before = s.best[e][k - 1][l];
      const i64 at = row(s, e, k - 1, l);
      if (at >= 0 && !tf_before<S>(x, j, before, at)) break;
      if (k < K) s.best[e][k][l] = before, set_row(s, e, k, l, at);
    }
    if (k < K) s.best[e][k][l] = x, set_row(s, e, k, l, j);
    return k < K;
  }

  /* After the columns of a fold: nothing waits. */
  TF_FN void settle(State &s) {
    for (int e = 0; e < E; ++e)
      for (int r = 0; r < R; ++r) {
        int waiting = 0;
        TF_LANES(l) waiting |= s.waiting[e][r * W + l];
        if (waiting) drain(s, e, r);
      }
  }
  TF_FN void merge(State &s, int l, const State &o, int m) {
    for (int e = 0; e < E; ++e)
      TF_ROLLED
      for (int k = 0; k < K; ++k) {
        const i64 j = row(o, e, k, m);
        if (j < 0 || !insert(s, e, l, o.best[e][k][m], j)) break;
      }
    for (int e = 0; e < E; ++e) raise(s, e, l / W);
  }
  TF_FN void spread(State &s, int l) {
    for (int e = 0; e < E; ++e)
      for (int k = 0; k < K; ++k) {
        const i64 j = row(s, e, k, l);
        if (j >= 0) set_row(s, e, k, l, j * W + l);
      }
  }
  /* Component e * dim + c of the result is entry e of component c. */
  TF_FN V value(const State &s, int, int n, int r) { return tf_load(&s.best[n % E][n / E][r * W]); }
  TF_FN i64 index(const State &s, int n, int lane) { return row(s, n % E, n / E, lane); }
};

/* Takes up the pairs of a column by itself. */
template <class A> struct tf_k_once;
template <int E, int K, int R, int S, bool MASKED>
struct tf_k_once<tf_k_lanes<E, K, R, S, MASKED>> {
  typedef tf_k_lanes<E, K, R, S, MASKED> A;
  TF_METHOD void add(typename A::State &s, int e, int r, V x, i64 tile, int jj) {
    const unsigned lanes = tf_passing<S>(x, tf_load(&s.bar[e][r * W])) & ~s.full[e][r];
    if (lanes != 0) take(s, e, r, x, lanes, tile + jj);
  }
  static __attribute__((noinline)) void take(typename A::State &s, int e, int r, V x,
                                             unsigned lanes, i64 j) {
    tf_store(&s.kept[e][0][r * W], x);
    for (; lanes != 0; lanes &= lanes - 1) A::offer(s, e, r, __builtin_ctz(lanes), 0, j);
  }
};

/* Inserts what waits, where anything does. */
template <class A> TF_FN auto tf_settle(typename A::State &s, int) -> decltype(A::settle(s)) {
  return A::settle(s);
}
template <class A> TF_FN void tf_settle(typename A::State &, long) {}

} // namespace
#endif
