/* Reads the problems that cpu.cpp and cuda.cpp run. What goes in: a file of problems, each a table
 * of arrays and what to do with them. What comes out: arrays as kernels take them, and a file of
 * results. Every array is an allocation of its own, of exactly its size, so that a sanitizer sees
 * one element too far at either end. */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Reader {
  FILE *file;

  void bytes(void *to, std::size_t count) {
    if (count != 0 && std::fread(to, 1, count, file) != count) {
      std::printf("the file ends early\n");
      std::exit(3);
    }
  }
  uint64_t number() {
    uint64_t n;
    bytes(&n, sizeof n);
    return n;
  }
  std::string text() {
    std::string text(number(), ' ');
    bytes(text.data(), text.size());
    return text;
  }
  bool at_end() {
    const int next = std::getc(file);
    if (next == EOF) return true;
    std::ungetc(next, file);
    return false;
  }
};

/* Bytes at an alignment, all ones: NaN, or -1. */
struct Memory {
  void *start = nullptr;

  Memory(std::size_t alignment, std::size_t count) {
    if (posix_memalign(&start, alignment, count) != 0) std::abort();
    std::memset(start, 0xff, count);
  }
  Memory(Memory &&other) noexcept : start(other.start) { other.start = nullptr; }
  Memory(const Memory &) = delete;
  ~Memory() { std::free(start); }
  template <typename T>
  T *at(std::size_t byte) const {
    return reinterpret_cast<T *>(static_cast<char *>(start) + byte);
  }
};

/* How the entries of inputs lie in memory; outputs are dense. */
enum Layout : uint64_t { DENSE, SPACED, REVERSED };

struct Problem {
  std::string symbol;
  int64_t sizes[3] = {0, 0, 1}; /* rows of each TF_AXIS_ */
  std::vector<Memory> memory;
  std::vector<tf_array> values;
  std::vector<std::size_t> result_bytes; /* of the outputs, which come last, for an item */
  uint64_t items = 1;

  /* Copies a dense array to memory with gaps, behind one entry that is not the array's. */
  void add_spaced(const std::vector<char> &dense, int64_t rows, int64_t cols, std::size_t word,
                  bool pairs, bool reversed) {
    const int64_t col_stride = pairs ? 1 : 2, row_stride = cols * col_stride + 3;
    const bool empty = rows == 0 || cols == 0;
    const int64_t entries = empty ? 0 : (rows - 1) * row_stride + (cols - 1) * col_stride + 1;
    memory.emplace_back(sizeof(void *), static_cast<std::size_t>(entries + 1) * word);
    char *const first = memory.back().at<char>(word);
    const bool mirror = reversed && !pairs;
    char *const data = first + (mirror ? (empty ? 0 : entries - 1) * int64_t(word) : 0);
    const int64_t sign = mirror ? -1 : 1;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        std::memcpy(data + sign * (r * row_stride + c * col_stride) * int64_t(word),
                    dense.data() + (r * cols + c) * int64_t(word), word);
    values.push_back({data, rows, sign * row_stride, sign * col_stride, 0});
  }

  void read(Reader &in) {
    for (int axis : {TF_AXIS_I, TF_AXIS_J}) sizes[axis] = static_cast<int64_t>(in.number());
    const uint64_t inputs = in.number(), outputs = in.number(), all = in.number();
    const uint64_t layout = in.number();
    items = in.number();
    for (uint64_t n = 0; n < all; ++n) {
      const auto rows = static_cast<int64_t>(in.number());
      const auto cols = static_cast<int64_t>(in.number());
      const std::size_t word = in.number();
      const bool pairs = in.number() != 0;
      std::vector<char> dense(static_cast<std::size_t>(rows * cols) * word);
      in.bytes(dense.data(), dense.size());
      if (n < inputs && layout != DENSE) {
        add_spaced(dense, rows, cols, word, pairs, layout == REVERSED);
      } else {
        memory.emplace_back(sizeof(void *), items * dense.size());
        for (uint64_t item = 0; item < items && !dense.empty(); ++item)
          std::memcpy(memory.back().at<char>(item * dense.size()), dense.data(), dense.size());
        const auto apart = static_cast<int64_t>(dense.size());
        values.push_back({memory.back().start, rows, cols, 1, apart});
      }
      if (n + outputs >= all) result_bytes.push_back(dense.size());
    }
  }

  void write_results(FILE *to) const {
    const std::size_t first = values.size() - result_bytes.size();
    for (std::size_t n = 0; n < result_bytes.size(); ++n)
      std::fwrite(values[first + n].data, 1, result_bytes[n], to);
  }

  /* Whether all items, which have the same inputs, have the same results. */
  bool items_agree() const {
    for (std::size_t n = 0; n < result_bytes.size(); ++n) {
      const std::size_t bytes = result_bytes[n];
      const Memory &all = memory[memory.size() - result_bytes.size() + n];
      for (uint64_t item = 1; item < items; ++item)
        if (std::memcmp(all.start, all.at<char>(item * bytes), bytes) != 0) return false;
    }
    return true;
  }
};

/* Runs every problem of a file. A file of results called `-` is stdout, where names would be in the
 * way; each is written before the next problem is read. */
template <typename Run>
int run_all(int count, char **arguments, Run run) {
  Reader in = {count == 3 ? std::fopen(arguments[1], "rb") : nullptr};
  const bool answers = count == 3 && std::strcmp(arguments[2], "-") == 0;
  FILE *const results =
      answers ? stdout : (count == 3 ? std::fopen(arguments[2], "wb") : nullptr);
  if (in.file == nullptr || results == nullptr) {
    std::fprintf(stderr, "usage: driver PROBLEMS RESULTS\n");
    return 3;
  }
  while (!in.at_end()) {
    Problem problem;
    problem.symbol = in.text();
    if (!answers) std::printf("%s\n", problem.symbol.c_str());
    std::fflush(stdout);
    problem.read(in);
    run(in, problem);
    problem.write_results(results);
    std::fflush(results);
  }
  std::fclose(in.file);
  return std::fclose(results);
}

}  // namespace
