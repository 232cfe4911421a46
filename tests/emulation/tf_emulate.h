/* Runs the text of an emitted CUDA kernel on a CPU. Force it in front of the kernel:
 *
 *   g++ -std=c++20 -x c++ -include tests/emulation/tf_emulate.h -I templates/include kernel.cu
 *
 * What goes in: kernels written in the words of tf_cuda.cuh, all with the signature that tf_abi.h
 * fixes. What comes out: tf_emulate_launch, an exported C function that runs one of them over a
 * grid. Works as a shared library (-shared -fPIC, then dlopen) and in a program, with
 * -fsanitize=address,undefined or -fsanitize=thread too. It keeps no state between launches, and
 * several CPU threads may launch at a time.
 *
 * What it finds is listed in README.md. It never checks weak memory order, timing, the GPU's own
 * exp, log and so on, or anything finer than barriers.
 */
#ifndef TF_EMULATE_H
#define TF_EMULATE_H
#define TF_EMULATED 1

#include <math.h>
#include <stdint.h>

#include <cmath>
#include <utility>

#include "block.h"
#include "tf_abi.h"
#include "warp.h"

/* ---- The words of tf_cuda.cuh's section 1 ---- */

/* Inlined as the compiler likes: nvcc has to, but here that would be two thirds of its time. */
#define TF_FN [[maybe_unused]] static inline
#define TF_GLOBAL extern "C" __attribute__((visibility("default")))
#define TF_LAUNCH_BOUNDS(threads)
#define TF_UNROLL
#define TF_NO_UNROLL

#define TF_SHARED(type, name, ...)                                       \
  static char name##_declaration;                                        \
  type(&name)[__VA_ARGS__] = *static_cast<type(*)[__VA_ARGS__]>(         \
      ::tf_emulate::shared_array(&name##_declaration, sizeof(type[__VA_ARGS__])))
#define TF_DYN_SHARED(type, name) \
  type *const name = static_cast<type *>(::tf_emulate::dynamic_shared())

TF_FN int tf_thread() { return tf_emulate::block->current; }
TF_FN int tf_block_x() { return tf_emulate::block->x; }
TF_FN int tf_block_y() { return tf_emulate::block->y; }
TF_FN int tf_grid_x() { return static_cast<int>(tf_emulate::block->grid->blocks_x); }
TF_FN int tf_grid_y() { return static_cast<int>(tf_emulate::block->grid->blocks_y); }
TF_FN int tf_item() { return tf_emulate::block->z; }
TF_FN int tf_items() { return static_cast<int>(tf_emulate::block->grid->blocks_z); }
TF_FN void tf_sync(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  tf_emulate::barrier({file, line});
}
TF_FN bool tf_any_of_block(bool b, const char *file = __builtin_FILE(),
                           int line = __builtin_LINE()) {
  return tf_emulate::any_of_block(b, {file, line});
}

/* The host's lgamma leaves a sign in a global variable, which would be a race; CUDA's does not. */
TF_FN float tf_emulate_lgamma(float x) {
  int sign;
  return ::lgammaf_r(x, &sign);
}
TF_FN double tf_emulate_lgamma(double x) {
  int sign;
  return ::lgamma_r(x, &sign);
}
#define lgammaf(x) tf_emulate_lgamma(x)
#define lgamma(x) tf_emulate_lgamma(x)

/* ---- Launching ---- */

/* One launch of a kernel `void (values by value, n_rows, n_cols, cols_per_split, splits,
 * workspace, tiles)`; `kernel` is its address, as from dlsym. */
typedef struct tf_emulate_request {
  void *kernel;
  const tf_array *values;
  uint32_t n_values;
  uint32_t grid_x;
  uint32_t grid_y;
  uint32_t grid_z;
  uint32_t threads; /* a block */
  uint64_t shared_bytes; /* dynamic */
  uint64_t shared_limit; /* static and dynamic together; 0: the 49152 that need no opt-in */
  int64_t n_rows;
  int64_t n_cols;
  int64_t cols_per_split;
  void *workspace;
  uint64_t seed; /* of the order of threads and blocks; 0: ascending */
  int32_t splits;
  tf_tiles tiles; /* null: dense */
} tf_emulate_request;

enum { TF_EMULATE_MAX_VALUES = 64 };

namespace tf_emulate TF_EMULATE_HIDDEN {

template <std::size_t COUNT>
struct Values {
  tf_array at[COUNT];
};

/* What one CUDA thread does: the call, with a table of exactly the size that the kernel takes. */
template <std::size_t COUNT>
void call_kernel(const void *argument) {
  const auto &request = *static_cast<const tf_emulate_request *>(argument);
  using Kernel = void (*)(Values<COUNT>, int64_t, int64_t, int64_t, int32_t, void *, tf_tiles);
  Values<COUNT> values;
  for (std::size_t k = 0; k < COUNT; ++k) values.at[k] = request.values[k];
  reinterpret_cast<Kernel>(request.kernel)(values, request.n_rows, request.n_cols,
                                           request.cols_per_split, request.splits,
                                           request.workspace, request.tiles);
}

using Body = void (*)(const void *);

template <std::size_t... COUNTS>
Body body_for(std::size_t count, std::index_sequence<COUNTS...>) {
  static constexpr Body bodies[] = {call_kernel<COUNTS + 1>...};
  return bodies[count - 1];
}

/* What a CUDA driver refuses before it starts a kernel. */
inline const char *refusal(const tf_emulate_request &request, uint64_t shared_limit) {
  if (request.kernel == nullptr) return "the kernel is null";
  if (request.n_values == 0 || request.n_values > TF_EMULATE_MAX_VALUES)
    return "n_values is not in 1..=64";
  if (request.threads == 0 || request.threads > MAX_THREADS) return "threads is not in 1..=1024";
  if (request.grid_x == 0 || request.grid_x > 0x7fffffffu) return "grid_x is not in 1..=2147483647";
  if (request.grid_y == 0 || request.grid_y > 65535u) return "grid_y is not in 1..=65535";
  if (request.grid_z == 0 || request.grid_z > 65535u) return "grid_z is not in 1..=65535";
  if (request.shared_bytes > shared_limit) return "shared_bytes exceeds the limit";
  return nullptr;
}

}  // namespace tf_emulate

/* Runs the kernel. 0: it ran; 1: a launch that CUDA refuses; 2: the kernel broke a rule of CUDA.
 * For 1 and 2, `error` holds why, cut to `error_bytes` with its final zero. */
extern "C" __attribute__((visibility("default"), used)) inline int tf_emulate_launch(
    const tf_emulate_request *request, char *error, uint64_t error_bytes) {
  const uint64_t shared_limit = request->shared_limit == 0 ? 49152 : request->shared_limit;
  if (error_bytes != 0) error[0] = 0;
  if (const char *why = tf_emulate::refusal(*request, shared_limit)) {
    std::snprintf(error, error_bytes, "launch refused: %s", why);
    return 1;
  }
  tf_emulate::Grid grid;
  grid.blocks_x = request->grid_x;
  grid.blocks_y = request->grid_y;
  grid.blocks_z = request->grid_z;
  grid.threads = request->threads;
  grid.dynamic_bytes = request->shared_bytes;
  grid.shared_limit = shared_limit;
  grid.seed = request->seed;
  grid.body = tf_emulate::body_for(request->n_values,
                                   std::make_index_sequence<TF_EMULATE_MAX_VALUES>{});
  grid.argument = request;
  return tf_emulate::run_grid(grid, error, error_bytes) ? 0 : 2;
}
#endif
