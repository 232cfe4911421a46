/* Runs selftest.cu with one of its bugs and compares with plain float64 loops.
 *
 *   selftest <bug> [seed]
 *
 * Exit status: 0, the numbers are right; 1, they are wrong; 2, the emulation refused the kernel and
 * says why; 3, wrong usage. A sanitizer exits with a status of its own.
 */
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "selftest.cu"

namespace {

constexpr i64 ROWS = 150, COLS = 333, COLS_PER_SPLIT = 4 * TILE;
constexpr int SPLITS = (COLS + COLS_PER_SPLIT - 1) / COLS_PER_SPLIT;
constexpr float GAMMA_VALUE = 2.0f;

struct Problem {
  std::vector<float> x, y, b, gamma, bug, out;
  std::vector<double> workspace;
};

/* Numbers in [0, 1), always the same ones. */
std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::vector<float> all(count);
  for (float &each : all) {
    seed = seed * 1664525u + 1013904223u;
    each = static_cast<float>(seed >> 8) / 16777216.0f;
  }
  return all;
}

Problem problem(int bug) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  return {numbers(3 * ROWS, 1),           numbers(3 * COLS, 2),
          numbers(COLS, 3),               {GAMMA_VALUE},
          {static_cast<float>(bug)},      std::vector<float>(ROWS, nan),
          std::vector<double>(SPLITS * ROWS, nan)};
}

/* Runs one kernel; false: `error` says why not. */
template <class Kernel>
bool run(Kernel kernel, int splits_in_grid, Problem &p, unsigned seed, char *error,
         std::size_t error_bytes) {
  tf_array values[VALUES];
  values[X] = {p.x.data(), ROWS, 3, 1, 0};
  values[Y] = {p.y.data(), COLS, 3, 1, 0};
  values[B] = {p.b.data(), COLS, 1, 1, 0};
  values[GAMMA] = {p.gamma.data(), 1, 1, 1, 0};
  values[BUG] = {p.bug.data(), 1, 1, 1, 0};
  values[OUT] = {p.out.data(), ROWS, 1, 1, 0};
  tf_emulate_request request = {};
  request.kernel = reinterpret_cast<void *>(kernel);
  request.values = values;
  request.n_values = VALUES;
  request.grid_x = (ROWS + THREADS - 1) / THREADS;
  request.grid_y = static_cast<uint32_t>(splits_in_grid);
  request.grid_z = 1;
  request.threads = THREADS;
  request.shared_bytes = SHARED_BYTES;
  request.n_rows = ROWS;
  request.n_cols = COLS;
  request.cols_per_split = COLS_PER_SPLIT;
  request.workspace = p.workspace.data();
  request.seed = seed;
  request.splits = SPLITS;
  return tf_emulate_launch(&request, error, error_bytes) == 0;
}

double expected(const Problem &p, i64 i) {
  double sum = 0;
  for (i64 j = 0; j < COLS; ++j) {
    double distance = 0;
    for (int d = 0; d < 3; ++d) distance += std::pow(double{p.x[3 * i + d]} - p.y[3 * j + d], 2);
    sum += std::exp(-double{p.gamma[0]} * distance) * p.b[j];
  }
  return sum;
}

int bug_number(const char *name) {
#define TF_SELFTEST_MATCH(text, number) \
  if (std::strcmp(name, text) == 0) return number;
  TF_SELFTEST_BUGS(TF_SELFTEST_MATCH)
#undef TF_SELFTEST_MATCH
  return -1;
}

}  // namespace

int main(int count, char **arguments) {
  const int bug = count < 2 ? -1 : bug_number(arguments[1]);
  if (bug < 0) {
    std::fprintf(stderr, "usage: selftest <bug> [seed]; selftest.h names the bugs\n");
    return 3;
  }
  const unsigned seed = count < 3 ? 0 : static_cast<unsigned>(std::atoi(arguments[2]));
  Problem p = problem(bug);
  char error[256];
  if (!run(selftest_rows, SPLITS, p, seed, error, sizeof error) ||
      !run(selftest_finish, 1, p, seed, error, sizeof error)) {
    std::printf("%s: %s\n", arguments[1], error);
    return 2;
  }
  double worst = 0;
  for (i64 i = 0; i < ROWS; ++i) {
    const double off = std::fabs(p.out[i] - expected(p, i)) / expected(p, i);
    worst = std::isnan(off) || off > worst ? (std::isnan(off) ? HUGE_VAL : off) : worst;
  }
  std::printf("%s: relative error %.1e\n", arguments[1], worst);
  return worst < 1e-6 ? 0 : 1;
}
