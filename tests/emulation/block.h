/* One block of CUDA threads at a time, every thread a fiber: its schedule, its barriers, those of
 * its warps, and its shared memory.
 *
 * What goes in: a body that every thread of every block of a grid runs. What comes out: nothing,
 * or the one rule of CUDA that the body broke, in words. Threads run in turn from one barrier to
 * the next, in an order that the seed picks. It never looks at what the body computes.
 */
#ifndef TF_EMULATE_BLOCK_H
#define TF_EMULATE_BLOCK_H
#include <cstdarg>
#include <cstdint>
#include <cstring>
#include <memory>

#include "fiber.h"

namespace tf_emulate TF_EMULATE_HIDDEN {

enum class State : unsigned char { Runs, WaitsForWarp, Waits, Left };

struct Place {
  const char *file;
  int line;
};

struct Thread {
  Context context;
  State state = State::Runs;
  Place barrier = {nullptr, 0};
  unsigned barriers_passed = 0;
  unsigned warp_barriers_passed = 0;
  unsigned votes_cast = 0;
};

constexpr int WARP = 32;

/* What a thread shows the others of its warp. */
struct Shown {
  float values[12];
};

/* A TF_SHARED array, known by the address of a static of its declaration. */
struct SharedArray {
  const void *declaration;
  std::size_t offset;
};

struct Grid {
  unsigned blocks_x, blocks_y, blocks_z, threads;
  std::size_t dynamic_bytes;
  std::size_t shared_limit;
  std::uint64_t seed;
  void (*body)(const void *);
  const void *argument;
};

constexpr int MAX_THREADS = 1024;
constexpr int MAX_SHARED_ARRAYS = 32;
/* Between shared arrays, so that AddressSanitizer sees a step from one to the next. */
constexpr std::size_t GAP = 1024;
constexpr std::size_t SHARED_ALIGNMENT = 16;

/* Where the next shared array may start when the last one ends at `offset`. */
constexpr std::size_t after_gap(std::size_t offset) {
  return (offset + SHARED_ALIGNMENT - 1) / SHARED_ALIGNMENT * SHARED_ALIGNMENT + GAP;
}

struct Block {
  const Grid *grid;
  Thread *threads;
  int current;
  int x, y, z;
  Context scheduler;
  /* Shared memory: a gap, the dynamic part, then gaps and TF_SHARED arrays in order of use. */
  char *arena;
  std::size_t arena_bytes, arena_used, static_bytes;
  SharedArray arrays[MAX_SHARED_ARRAYS];
  int array_count;
  std::uint64_t random;
  int order[MAX_THREADS];
  /* By the parity of warp barriers: a thread that is past one shows the next in the other half. */
  Shown shown[2][MAX_THREADS];
  /* Of three votes in turn: threads may still look at the last one, and the next is cleared. */
  bool votes[3];
  char left_tag;
  bool failed;
  char *error;
  std::size_t error_bytes;
};

/* The block that this CPU thread is running. */
inline constinit thread_local Block *block = nullptr;

TF_EMULATE_UNWATCHED inline void order_after([[maybe_unused]] void *tag) {
#ifdef TF_EMULATE_TSAN
  __tsan_acquire(tag);
#endif
}
TF_EMULATE_UNWATCHED inline void order_before([[maybe_unused]] void *tag) {
#ifdef TF_EMULATE_TSAN
  __tsan_release(tag);
#endif
}

/* Barriers alternate between two tags: a thread that is already past a barrier releases the other
 * one, which no thread still at the first acquires. They lie in the arena, whose pages are new for
 * every block, so nothing orders two blocks. */
TF_EMULATE_UNWATCHED inline void *barrier_tag(unsigned barrier) {
  return block->arena + SHARED_ALIGNMENT * (barrier & 1u);
}

/* The same for the barriers of this thread's warp. */
TF_EMULATE_UNWATCHED inline void *warp_tag() {
  const unsigned passed = block->threads[block->current].warp_barriers_passed & 1u;
  static_assert(2 * SHARED_ALIGNMENT + MAX_THREADS / WARP * 2 * 8 <= GAP);
  return block->arena + 2 * SHARED_ALIGNMENT + (block->current / WARP * 2 + passed) * 8;
}

TF_EMULATE_UNWATCHED __attribute__((format(printf, 1, 2))) inline void set_error(const char *format,
                                                                               ...) {
  block->failed = true;
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(block->error, block->error_bytes, format, arguments);
  va_end(arguments);
  const std::size_t used = length < 0 ? 0 : static_cast<std::size_t>(length);
  if (used < block->error_bytes) {
    std::snprintf(block->error + used, block->error_bytes - used, " (block %d, %d, %d)", block->x,
                  block->y, block->z);
  }
}

/* Ends the running thread, and with it the launch, after set_error. */
[[noreturn]] TF_EMULATE_UNWATCHED inline void give_up() {
  switch_fiber(block->threads[block->current].context, block->scheduler, true);
  std::abort();
}

/* ---- What kernels call ---- */

TF_EMULATE_UNWATCHED inline void barrier(Place place) {
  Thread &thread = block->threads[block->current];
  void *tag = barrier_tag(thread.barriers_passed++);
  order_before(tag);
  thread.state = State::Waits;
  thread.barrier = place;
  switch_fiber(thread.context, block->scheduler, false);
  order_after(tag);
}

/* A barrier that says whether any thread came with true. */
TF_EMULATE_UNWATCHED inline bool any_of_block(bool own, Place place) {
  Block &b = *block;
  const unsigned vote = b.threads[b.current].votes_cast++;
  b.votes[(vote + 1) % 3] = false;
  if (own) b.votes[vote % 3] = true;
  barrier(place);
  return b.votes[vote % 3];
}

/* Shows something to the warp and waits for all of it. Comes back with what lane 0 shows; the other
 * lanes follow. It orders nothing but that: memory is what block barriers are for. */
TF_EMULATE_UNWATCHED inline const Shown *show_warp(const Shown &own, Place place) {
  Block &b = *block;
  const int self = b.current;
  Thread &thread = b.threads[self];
  Shown *const all = b.shown[thread.warp_barriers_passed++ & 1u];
  all[self] = own;
  /* For who looks at memory after the launch, should nobody come. */
  order_before(&b.left_tag);
  thread.state = State::WaitsForWarp;
  thread.barrier = place;
  switch_fiber(thread.context, b.scheduler, false);
  return all + self / WARP * WARP;
}

TF_EMULATE_UNWATCHED inline void *dynamic_shared() { return block->arena + GAP; }

/* The memory of a TF_SHARED array, given out at its first use in a block. */
TF_EMULATE_UNWATCHED inline void *shared_array(const void *declaration, std::size_t bytes) {
  Block &b = *block;
  for (int k = 0; k < b.array_count; ++k) {
    if (b.arrays[k].declaration == declaration) return b.arena + b.arrays[k].offset;
  }
  b.static_bytes += bytes;
  if (b.array_count == MAX_SHARED_ARRAYS ||
      b.static_bytes + b.grid->dynamic_bytes > b.grid->shared_limit) {
    set_error("shared memory: %zu bytes static in %d arrays and %zu dynamic exceed %zu",
              b.static_bytes, b.array_count + 1, b.grid->dynamic_bytes, b.grid->shared_limit);
    give_up();
  }
  const std::size_t offset = b.arena_used;
  b.arrays[b.array_count++] = {declaration, offset};
  b.arena_used = after_gap(offset + bytes);
#ifdef TF_EMULATE_ASAN
  __asan_unpoison_memory_region(b.arena + offset, bytes);
#endif
  return b.arena + offset;
}

/* ---- The schedule ---- */

/* The first frame of every thread. */
TF_EMULATE_UNWATCHED inline void thread_main() {
  arrive_first_time(block->scheduler);
  block->grid->body(block->grid->argument);
  Thread &thread = block->threads[block->current];
  thread.state = State::Left;
  order_before(&block->left_tag);
  give_up();
}

/* splitmix64. */
TF_EMULATE_UNWATCHED inline std::uint64_t next_random(std::uint64_t &state) {
  state += 0x9e3779b97f4a7c15u;
  std::uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

/* Another order of the threads, unless the seed is 0. */
TF_EMULATE_UNWATCHED inline void shuffle_threads() {
  if (block->grid->seed == 0) return;
  for (unsigned left = block->grid->threads; left > 1; --left) {
    const unsigned pick = static_cast<unsigned>(next_random(block->random) % left);
    const int last = block->order[left - 1];
    block->order[left - 1] = block->order[pick];
    block->order[pick] = last;
  }
}

/* Checks that all threads wait at one barrier. False: none waits, or a rule is broken. */
TF_EMULATE_UNWATCHED inline bool all_wait_together() {
  const int count = static_cast<int>(block->grid->threads);
  int waits = -1, left = -1;
  for (int t = count - 1; t >= 0; --t) {
    if (block->threads[t].state == State::Waits) waits = t;
    if (block->threads[t].state == State::Left) left = t;
  }
  if (waits < 0) return false;
  const Place first = block->threads[waits].barrier;
  if (left >= 0) {
    set_error("divergent barrier: thread %d waits at %s:%d, thread %d has left the kernel", waits,
              first.file, first.line, left);
    return false;
  }
  for (int t = 0; t < count; ++t) {
    const Place other = block->threads[t].barrier;
    if (other.line == first.line && std::strcmp(other.file, first.file) == 0) continue;
    set_error("divergent barrier: thread %d waits at %s:%d, thread %d at %s:%d", waits, first.file,
              first.line, t, other.file, other.line);
    return false;
  }
  return true;
}

/* Lets the warps whose threads wait for each other go on. False: there are none, or a rule is
 * broken. No thread runs, so that one that waits for its warp in vain waits for ever. */
TF_EMULATE_UNWATCHED inline bool warps_go_on() {
  const int count = static_cast<int>(block->grid->threads);
  bool any = false;
  for (int first = 0; first < count; first += WARP) {
    Thread *const warp = block->threads + first;
    const int lanes = count - first < WARP ? count - first : WARP;
    int waits = -1, other = -1;
    for (int l = 0; l < lanes; ++l) {
      if (warp[l].state == State::WaitsForWarp) waits = l;
    }
    if (waits < 0) continue;
    const Place here = warp[waits].barrier;
    for (int l = 0; l < lanes; ++l) {
      const Place there = warp[l].barrier;
      const bool same = there.line == here.line && std::strcmp(there.file, here.file) == 0;
      if (warp[l].state != State::WaitsForWarp || !same) other = l;
    }
    if (lanes < WARP || other >= 0) {
      set_error("divergent warp: thread %d waits for its warp at %s:%d, %s does not",
                first + waits, here.file, here.line,
                lanes < WARP ? "which is not whole and" : "another thread of it");
      return false;
    }
    for (int l = 0; l < lanes; ++l) warp[l].state = State::Runs;
    any = true;
  }
  return any;
}

/* Runs every thread that is `ready`, up to where it waits. */
template <class Ready>
TF_EMULATE_UNWATCHED inline void run_all(Ready ready) {
  for (unsigned k = 0; k < block->grid->threads && !block->failed; ++k) {
    Thread &thread = block->threads[block->order[k]];
    if (!ready(thread.state)) continue;
    thread.state = State::Runs;
    block->current = block->order[k];
    switch_fiber(block->scheduler, thread.context, false);
  }
}

TF_EMULATE_UNWATCHED inline void run_threads() {
  do {
    shuffle_threads();
    run_all([](State state) { return state != State::Left; });
    while (!block->failed && warps_go_on()) {
      shuffle_threads();
      run_all([](State state) { return state == State::Runs; });
    }
  } while (!block->failed && all_wait_together());
}

/* Shared memory of all ones: reading what no thread wrote gives NaN, or -1. */
TF_EMULATE_UNWATCHED inline void clear_shared(Block &b, Pages &pages) {
#ifdef TF_EMULATE_TSAN
  pages.renew(b.arena_bytes);
#else
  if (pages.low() == nullptr) pages.renew(b.arena_bytes);
#endif
  b.arena = pages.low();
  b.array_count = 0;
  b.static_bytes = 0;
  const std::size_t dynamic = b.grid->dynamic_bytes;
  b.arena_used = after_gap(GAP + dynamic);
#ifdef TF_EMULATE_ASAN
  __asan_unpoison_memory_region(b.arena, b.arena_bytes);
  std::memset(b.arena, 0xff, b.arena_bytes);
  __asan_poison_memory_region(b.arena, b.arena_bytes);
  __asan_unpoison_memory_region(b.arena + GAP, dynamic);
#else
  std::memset(b.arena, 0xff, b.arena_bytes);
#endif
}

TF_EMULATE_UNWATCHED inline void run_block(Block &b, Pages &shared, Stacks &stacks,
                                           std::uint64_t at) {
  const int count = static_cast<int>(b.grid->threads);
  b.x = static_cast<int>(at % b.grid->blocks_x);
  b.y = static_cast<int>(at / b.grid->blocks_x % b.grid->blocks_y);
  b.z = static_cast<int>(at / b.grid->blocks_x / b.grid->blocks_y);
  for (bool &vote : b.votes) vote = false;
  clear_shared(b, shared);
#ifdef TF_EMULATE_TSAN
  stacks.renew(count);
#endif
  for (int t = 0; t < count; ++t) {
    Thread &thread = b.threads[t];
    thread.state = State::Runs;
    thread.barriers_passed = 0;
    thread.warp_barriers_passed = 0;
    thread.votes_cast = 0;
    prepare_fiber(thread.context, stacks.low(t), Stacks::BYTES, thread_main);
  }
  run_threads();
  for (int t = 0; t < count; ++t) retire_fiber(b.threads[t].context);
  if (b.failed) {
    order_after(barrier_tag(0));
    order_after(barrier_tag(1));
  }
}

/* Runs every block; blocks too come in an order that the seed picks. False: `error` says why. */
inline bool run_grid(const Grid &grid, char *error, std::size_t error_bytes) {
  const auto threads = std::make_unique<Thread[]>(grid.threads);
  const auto state = std::make_unique<Block>();
  Block &b = *state;
  b.grid = &grid;
  b.threads = threads.get();
  b.arena_bytes = GAP + grid.shared_limit + (MAX_SHARED_ARRAYS + 1) * (GAP + SHARED_ALIGNMENT);
  b.random = grid.seed;
  b.error = error;
  b.error_bytes = error_bytes;
  for (unsigned t = 0; t < grid.threads; ++t) b.order[t] = static_cast<int>(t);
#ifdef TF_EMULATE_TSAN
  b.scheduler.tsan_fiber = __tsan_get_current_fiber();
#endif
  Pages shared;
  Stacks stacks;
  stacks.renew(static_cast<int>(grid.threads));
  block = &b;
  const std::uint64_t blocks = std::uint64_t{grid.blocks_x} * grid.blocks_y * grid.blocks_z;
  const std::uint64_t first = grid.seed == 0 ? 0 : next_random(b.random) % blocks;
  const bool backwards = grid.seed != 0 && next_random(b.random) % 2 == 1;
  for (std::uint64_t k = 0; k < blocks && !b.failed; ++k) {
    const std::uint64_t at = (first + (backwards ? blocks - k : k)) % blocks;
    run_block(b, shared, stacks, at);
  }
  order_after(&b.left_tag);
  block = nullptr;
  return !b.failed;
}

}  // namespace tf_emulate
#endif
