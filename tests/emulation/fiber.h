/* Stacks and the switch between them: what a CUDA thread becomes on one CPU thread.
 *
 * What goes in: a function to run on a stack of its own. What comes out: control, back and forth.
 * AddressSanitizer is told of every switch, so that it knows the stack it is on. ThreadSanitizer
 * takes each fiber for a thread and is told that a switch orders nothing: accesses of two fibers
 * race unless barriers order them, whatever the order they happened to run in.
 * It never schedules; block.h does.
 */
#ifndef TF_EMULATE_FIBER_H
#define TF_EMULATE_FIBER_H
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#if defined(__x86_64__) && !defined(TF_EMULATE_UCONTEXT)
#define TF_EMULATE_ASM_SWITCH 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define TF_EMULATE_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define TF_EMULATE_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TF_EMULATE_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define TF_EMULATE_TSAN 1
#endif
#endif

#ifdef TF_EMULATE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef TF_EMULATE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* For functions that run between two fibers, whose data no kernel sees: ThreadSanitizer must
 * neither count their frames nor watch their accesses. They call no function templates of the
 * library, which would be watched. */
#define TF_EMULATE_UNWATCHED __attribute__((no_sanitize("thread"), noinline))

/* Kernels loaded together into one program share nothing. */
#define TF_EMULATE_HIDDEN __attribute__((visibility("hidden")))

namespace tf_emulate TF_EMULATE_HIDDEN {

/* A stack that is not running. */
struct Context {
#ifdef TF_EMULATE_ASM_SWITCH
  void *stack_pointer = nullptr;
#else
  ucontext_t machine = {};
#endif
  const void *stack_low = nullptr;
  std::size_t stack_bytes = 0;
  void *asan_fake_stack = nullptr;
  void *tsan_fiber = nullptr;
};

#ifdef TF_EMULATE_ASM_SWITCH
/* Pushes what a callee must keep, stores the stack pointer, pops the same of the other stack. */
__attribute__((naked, noinline, no_sanitize("thread", "address", "undefined"))) inline void
swap_stacks(void ** /*save*/, void * /*load*/) {
  asm("pushq %rbp\n\t"
      "pushq %rbx\n\t"
      "pushq %r12\n\t"
      "pushq %r13\n\t"
      "pushq %r14\n\t"
      "pushq %r15\n\t"
      "movq %rsp, (%rdi)\n\t"
      "movq %rsi, %rsp\n\t"
      "popq %r15\n\t"
      "popq %r14\n\t"
      "popq %r13\n\t"
      "popq %r12\n\t"
      "popq %rbx\n\t"
      "popq %rbp\n\t"
      "ret");
}
#endif

/* Leaves `from` for `to`. With `forever`, nothing will come back to `from`. */
TF_EMULATE_UNWATCHED inline void switch_fiber(Context &from, Context &to, bool forever) {
#ifdef TF_EMULATE_ASAN
  __sanitizer_start_switch_fiber(forever ? nullptr : &from.asan_fake_stack, to.stack_low,
                                 to.stack_bytes);
#else
  (void)forever;
#endif
#ifdef TF_EMULATE_TSAN
  __tsan_switch_to_fiber(to.tsan_fiber, __tsan_switch_to_fiber_no_sync);
#endif
#ifdef TF_EMULATE_ASM_SWITCH
  swap_stacks(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.machine, &to.machine);
#endif
#ifdef TF_EMULATE_ASAN
  __sanitizer_finish_switch_fiber(from.asan_fake_stack, nullptr, nullptr);
#endif
}

/* The first thing that a new fiber does; `caller` is the context that switched to it. */
TF_EMULATE_UNWATCHED inline void arrive_first_time(Context &caller) {
#ifdef TF_EMULATE_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &caller.stack_low, &caller.stack_bytes);
#else
  (void)caller;
#endif
}

/* Makes `context` call `entry`, which never returns, at the next switch to it. */
TF_EMULATE_UNWATCHED inline void prepare_fiber(Context &context, void *low, std::size_t bytes,
                                               void (*entry)()) {
  context.stack_low = low;
  context.stack_bytes = bytes;
  context.asan_fake_stack = nullptr;
#ifdef TF_EMULATE_ASM_SWITCH
  /* As if `entry` had been called: its return address, then what swap_stacks pops. */
  void **top = reinterpret_cast<void **>(static_cast<char *>(low) + bytes);
  *--top = nullptr;
  *--top = reinterpret_cast<void *>(entry);
  for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
  context.stack_pointer = top;
#else
  getcontext(&context.machine);
  context.machine.uc_stack.ss_sp = low;
  context.machine.uc_stack.ss_size = bytes;
  context.machine.uc_link = nullptr;
  makecontext(&context.machine, entry, 0);
#endif
#ifdef TF_EMULATE_TSAN
  context.tsan_fiber = __tsan_create_fiber(0);
#endif
}

/* Gives back what prepare_fiber took; the fiber may have been left in the middle. */
TF_EMULATE_UNWATCHED inline void retire_fiber(Context &context) {
#ifdef TF_EMULATE_ASAN
  __asan_unpoison_memory_region(context.stack_low, context.stack_bytes);
#endif
#ifdef TF_EMULATE_TSAN
  __tsan_destroy_fiber(context.tsan_fiber);
  context.tsan_fiber = nullptr;
#else
  (void)context;
#endif
}

/* Fresh pages. ThreadSanitizer forgets what happened at their addresses before. */
class Pages {
 public:
  Pages() = default;
  Pages(const Pages &) = delete;
  Pages &operator=(const Pages &) = delete;
  ~Pages() { release(); }

  void renew(std::size_t bytes) {
    release();
    const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    bytes_ = (bytes + page - 1) / page * page;
    low_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (low_ == MAP_FAILED) {
      std::fprintf(stderr, "tf_emulate: no memory for %zu bytes\n", bytes_);
      std::abort();
    }
  }
  char *low() const { return static_cast<char *>(low_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void release() {
    if (low_ == nullptr) return;
#ifdef TF_EMULATE_ASAN
    __asan_unpoison_memory_region(low_, bytes_);
#endif
    munmap(low_, bytes_);
    low_ = nullptr;
  }
  void *low_ = nullptr;
  std::size_t bytes_ = 0;
};

/* One stack a CUDA thread, each with a page below it that may not be touched. */
class Stacks {
 public:
  static constexpr std::size_t BYTES = std::size_t{256} << 10;

  void renew(int count) {
    guard_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    stride_ = guard_ + BYTES;
    pages_.renew(stride_ * static_cast<std::size_t>(count));
    for (int k = 0; k < count; ++k) mprotect(low(k) - guard_, guard_, PROT_NONE);
  }
  char *low(int k) const { return pages_.low() + stride_ * static_cast<std::size_t>(k) + guard_; }

 private:
  Pages pages_;
  std::size_t stride_ = 0;
  std::size_t guard_ = 0;
};

}  // namespace tf_emulate
#endif
