/* Checks the words of tf_mma.cuh in emulation: layouts and sums of tf_mma, the two halves of a
 * float, products of floats by three of halves against their bound, what lanes tell each other, and
 * that a warp whose threads part ways is found.
 *
 *   g++ -std=c++20 -DTF_REAL_T=float -include tests/emulation/tf_emulate.h -I templates/include
 *       tests/emulation/mma.cpp
 *
 * Exit status: 0 if all hold; else 1, with one line on stdout for each that does not.
 */
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "tf_mma.cuh"

namespace {

constexpr int M = 16, N = 8, K = 16;
enum Mode { EXACT, SPLIT_PLAIN, SPLIT_SCALED, TALKS, PARTS_WAYS, MEETS_BLOCK };
enum { A, B, C, D, VALUES };

struct tf_values {
  tf_array at[VALUES];
};
float *entries(const tf_values &v, int which) { return static_cast<float *>(v.at[which].data); }

/* Registers of halves, with the indices of PTX: entry i of a lane is half i % 2 of word i / 2. */
template <class Of> void gather(uint32_t *to, int count, Of of) {
  for (int w = 0; w < count; ++w) to[w] = tf_pack_halves(of(2 * w), of(2 * w + 1));
}

template <int LOW> void split_product(const tf_values &v, int lane, float (&total)[4]) {
  const int group = lane >> 2, in_group = lane % 4;
  uint32_t high_a[4], low_a[4], high_b[2], low_b[2];
  for (int w = 0; w < 4; ++w) {
    const int row = group + (w % 2) * 8, col = in_group * 2 + (w / 2) * 8;
    const float *from = entries(v, A) + row * K + col;
    const tf_halves h = tf_split<LOW>(from[0], from[1]);
    high_a[w] = h.high, low_a[w] = h.low;
  }
  for (int w = 0; w < 2; ++w) {
    const int row = in_group * 2 + w * 8;
    const float *from = entries(v, B) + row * N + group;
    const tf_halves h = tf_split<LOW>(from[0], from[N]);
    high_b[w] = h.high, low_b[w] = h.low;
  }
  tf_mma_split<LOW>(total, high_a, low_a, high_b, low_b);
}

/* What each lane hears: votes, what another lane has, and what its neighbour left in memory. */
void talk(int lane, float (&heard)[4]) {
  TF_SHARED(int, left, 32);
  const uint32_t votes = tf_lanes_of_warp(lane % 3 == 1);
  heard[0] = static_cast<float>(votes & 0xffffu);
  heard[1] = static_cast<float>(votes >> 16);
  heard[2] = static_cast<float>(tf_from_lane(-7 * lane, 5) + tf_from_lane(100 * lane, 31));
  left[lane] = lane * lane;
  tf_sync_warp();
  heard[3] = static_cast<float>(left[(lane + 1) % 32]);
}

/* One warp a product; the mode comes as the number of rows. */
TF_GLOBAL void product(tf_values v, i64 mode, i64, i64, int, void *, tf_tiles) {
  const int lane = tf_thread() % 32, group = lane >> 2, in_group = lane % 4;
  const auto row_of_c = [=](int i) { return i < 2 ? group : group + 8; };
  const auto col_of_c = [=](int i) { return in_group * 2 + (i & 1); };
  float d[4] = {0, 0, 0, 0};
  if (mode == PARTS_WAYS && lane == 5) return;
  if (mode == MEETS_BLOCK && lane == 5) tf_sync();
  if (mode == TALKS) {
    talk(lane, d);
  } else if (mode == SPLIT_PLAIN) {
    split_product<1>(v, lane, d);
  } else if (mode == SPLIT_SCALED) {
    split_product<2048>(v, lane, d);
  } else {
    uint32_t a[4], b[2];
    gather(a, 4, [&](int i) {
      const int row = i < 2 || (i >= 4 && i < 6) ? group : group + 8;
      const int col = in_group * 2 + (i & 1) + (i < 4 ? 0 : 8);
      return entries(v, A)[row * K + col];
    });
    gather(b, 2, [&](int i) {
      const int row = in_group * 2 + (i & 1) + (i < 2 ? 0 : 8);
      return entries(v, B)[row * N + group];
    });
    float c[4];
    for (int i = 0; i < 4; ++i) c[i] = entries(v, C)[row_of_c(i) * N + col_of_c(i)];
    tf_mma(d, a, b, c);
  }
  for (int i = 0; i < 4; ++i) entries(v, D)[row_of_c(i) * N + col_of_c(i)] = d[i];
}

int failures = 0;
void expect(bool holds, const char *what, double number) {
  if (holds) return;
  ++failures;
  std::printf("%s: %g\n", what, number);
}

/* Numbers in [-1, 1), always the same ones. */
struct Random {
  uint64_t state;
  double next() {
    return 2 * static_cast<double>(tf_emulate::next_random(state) >> 11) * 0x1p-53 - 1;
  }
};

struct Problem {
  std::vector<float> a = std::vector<float>(M * K), b = std::vector<float>(K * N);
  std::vector<float> c = std::vector<float>(M * N), d = std::vector<float>(M * N);
};

/* The error of the launch, or nothing. */
const char *run(Problem &p, Mode mode, unsigned threads = 32, uint64_t seed = 3) {
  static char error[256];
  tf_array values[VALUES] = {{p.a.data(), M, K, 1, 0},
                             {p.b.data(), K, N, 1, 0},
                             {p.c.data(), M, N, 1, 0},
                             {p.d.data(), M, N, 1, 0}};
  tf_emulate_request request = {};
  request.kernel = reinterpret_cast<void *>(product);
  request.values = values;
  request.n_values = VALUES;
  request.grid_x = request.grid_y = request.grid_z = 1;
  request.threads = threads;
  request.n_rows = mode;
  request.seed = seed;
  return tf_emulate_launch(&request, error, sizeof error) == 0 ? nullptr : error;
}

/* Runs, and gives the largest error of d, in units of 2^-24 of the sum of magnitudes. */
double worst(Problem &p, Mode mode, uint64_t seed = 3) {
  if (run(p, mode, 32, seed) != nullptr) return HUGE_VAL;
  double most = 0;
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) {
      double sum = p.c[i * N + j], size = std::fabs(sum);
      for (int k = 0; k < K; ++k) {
        const double term = double{p.a[i * K + k]} * p.b[k * N + j];
        sum += term;
        size += std::fabs(term);
      }
      const double off = std::fabs(p.d[i * N + j] - sum) / (size * 0x1p-24);
      if (size > 0 || sum != p.d[i * N + j]) most = off <= most ? most : off;
    }
  return most;
}

/* Small integers: exact in any order, so that a wrong layout is a wrong number. */
void check_layout() {
  Random random = {1};
  for (uint64_t seed = 0; seed < 8; ++seed) {
    Problem p;
    for (float &x : p.a) x = static_cast<float>(std::floor(random.next() * 40));
    for (float &x : p.b) x = static_cast<float>(std::floor(random.next() * 40));
    for (float &x : p.c) x = static_cast<float>(std::floor(random.next() * 1000));
    const double off = worst(p, EXACT, seed);
    expect(off == 0, "layout", off);
  }
}

/* Halves of many sizes: the sum is cut off, within 36 units. */
void check_sums() {
  Random random = {2};
  for (int spread = 0; spread <= 14; ++spread) {
    Problem p;
    const auto half = [&] {
      const double x = random.next() * std::exp2(spread * random.next());
      return tf_lower_half(tf_pack_halves(static_cast<float>(x), 0));
    };
    for (float &x : p.a) x = half();
    for (float &x : p.b) x = half();
    for (float &x : p.c) x = static_cast<float>(random.next());
    const double off = worst(p, EXACT);
    expect(off <= 36, "sum of halves", off);
  }
  /* What is cut off adds up: one large product, and others with bits below its last one. */
  Problem p;
  for (int k = 0; k < K; ++k) {
    for (int i = 0; i < M; ++i) p.a[i * K + k] = k == 5 ? 1024.0f : 0x1.68p-2f;
    for (int j = 0; j < N; ++j) p.b[k * N + j] = k == 5 ? 1024.0f : 0x1.68p-2f;
  }
  const double off = worst(p, EXACT);
  expect(off > 25 && off <= 36, "cut off", off);
  p.a[3] = std::numeric_limits<float>::infinity();
  expect(run(p, EXACT) == nullptr, "run", 1);
  expect(std::isinf(p.d[0]) && !std::isinf(p.d[N]), "infinity", p.d[0]);
  p.b[3 * N] = 0;
  expect(run(p, EXACT) == nullptr, "run", 2);
  expect(std::isnan(p.d[0]), "infinity by zero", p.d[0]);
}

/* The two halves of numbers of every size that has some. */
template <int LOW> void check_halves() {
  Random random = {4};
  for (int e = -60; e < 16; ++e) {
    for (int n = 0; n < 400; ++n) {
      const float x = static_cast<float>((1.5 + random.next() / 2) * std::exp2(e));
      const tf_halves h = tf_split<LOW>(x, -x);
      const double read = tf_lower_half(h.high) + double{tf_lower_half(h.low)} / LOW;
      const double mirrored = tf_upper_half(h.high) + double{tf_upper_half(h.low)} / LOW;
      const double allowed = std::fmax(0x1p-23 * x, 0x1p-25 / LOW);
      if (x < 65520) expect(std::fabs(read - x) <= allowed, "two halves", x);
      if (x < 65520) expect(mirrored == -read, "two halves of the negative", x);
    }
  }
  for (const float x : {65520.0f, 1e30f, std::numeric_limits<float>::infinity(),
                        std::numeric_limits<float>::quiet_NaN()}) {
    const tf_halves h = tf_split<LOW>(x, 0);
    const float high = tf_lower_half(h.high), low = tf_lower_half(h.low);
    expect(!std::isfinite(high) && !(std::fabs(high + low) >= 0), "no halves", x);
  }
  const tf_halves zero = tf_split<LOW>(0.0f, -0.0f);
  expect(tf_lower_half(zero.high) == 0 && tf_upper_half(zero.low) == 0, "halves of zero", 0);
}

/* Floats of a range in which halves keep all digits, within 36 + 1 + 8 units. */
void check_products(Mode mode, int low) {
  Random random = {5};
  for (int n = 0; n < 60; ++n) {
    Problem p;
    /* Down to 2^-2 / LOW, from nearly 2^16; the last ones at random places in that. */
    const double spread = n % 4 * (low == 1 ? 2 : 4), top = n % 3 == 0 ? 15.9 : 4;
    const auto real = [&] {
      const double x = (random.next() < 0 ? -1 : 1) * (1 + 0.05 * random.next());
      return static_cast<float>(x * std::exp2(top - 0.1 - spread * (1 + random.next()) / 2));
    };
    for (float &x : p.a) x = n % 7 == 6 && random.next() < 0 ? 0 : real();
    for (float &x : p.b) x = real();
    const double off = worst(p, mode);
    expect(off <= 45, "product of floats", off);
  }
  /* Infinite halves never make a finite product, wherever they meet. */
  Problem p;
  for (float &x : p.a) x = 1.25f;
  for (float &x : p.b) x = 1.25f;
  p.a[2 * K + 7] = 7e4f;
  p.b[7 * N + 3] = 0;
  expect(run(p, mode) == nullptr, "run", 3);
  for (int j = 0; j < N; ++j) expect(std::isnan(p.d[2 * N + j]), "too large", p.d[2 * N + j]);
  expect(p.d[0] == 25.0f && p.d[3] == 25.0f - 1.5625f, "beside too large", p.d[0]);
}

void check_talk() {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    Problem p;
    expect(run(p, TALKS, 32, seed) == nullptr, "run", 4);
    for (int lane = 0; lane < 32; ++lane) {
      const int next = (lane + 1) % 32, row = lane / 4, col = lane % 4 * 2;
      const float heard[4] = {p.d[row * N + col], p.d[row * N + col + 1], p.d[(row + 8) * N + col],
                              p.d[(row + 8) * N + col + 1]};
      expect(heard[0] == 0x2492 && heard[1] == 0x9249, "votes", heard[0]);
      expect(heard[2] == -35 + 3100, "another lane", heard[2]);
      expect(heard[3] == static_cast<float>(next * next), "left in memory", heard[3]);
    }
  }
  expect(tf_lowest_bit(uint64_t{5} << 40) == 40 && tf_count_bits(~uint64_t{0}) == 64, "bits", 0);
}

void check_rules() {
  Problem p;
  for (const Mode mode : {PARTS_WAYS, MEETS_BLOCK}) {
    const char *why = run(p, mode);
    expect(why != nullptr && std::strstr(why, "divergent warp") != nullptr, "divergent warp", mode);
  }
  const char *why = run(p, EXACT, 33);
  expect(why != nullptr && std::strstr(why, "divergent warp") != nullptr, "a warp of one", 33);
}

}  // namespace

int main() {
  check_layout();
  check_sums();
  check_halves<1>();
  check_halves<2048>();
  check_products(SPLIT_PLAIN, 1);
  check_products(SPLIT_SCALED, 2048);
  check_talk();
  check_rules();
  return failures == 0 ? 0 : 1;
}
