/* Runs launches that a file lists, in a program that a sanitizer watches.
 *
 *   driver FILE
 *
 * What goes in: problems, one after the other, each a table of arrays and the launches of one
 * kernel. What comes out: the number of problems on stdout and status 0, or the emulation's words
 * and status 2. Every array is an allocation of its own, of exactly its size. It never looks at
 * results.
 */
#include <dlfcn.h>

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
  bool at_end() {
    const int next = std::getc(file);
    if (next == EOF) return true;
    std::ungetc(next, file);
    return false;
  }
};

using Bytes = std::unique_ptr<char[]>;

struct Problem {
  std::vector<Bytes> arrays;
  std::vector<tf_array> values;
  Bytes workspace;
};

void read_values(Reader &in, Problem &problem) {
  for (uint64_t left = in.number(); left != 0; --left) {
    const auto rows = static_cast<int64_t>(in.number());
    const auto cols = static_cast<int64_t>(in.number());
    const uint64_t count = in.number();
    problem.arrays.emplace_back(new char[count]);
    in.bytes(problem.arrays.back().get(), count);
    problem.values.push_back({problem.arrays.back().get(), rows, cols, 1});
  }
}

void launch(Reader &in, Problem &problem) {
  std::string name(in.number(), ' ');
  in.bytes(name.data(), name.size());
  tf_emulate_request request = {};
  request.kernel = dlsym(RTLD_DEFAULT, name.c_str());
  request.values = problem.values.data();
  request.n_values = static_cast<uint32_t>(problem.values.size());
  request.grid_x = static_cast<uint32_t>(in.number());
  request.grid_y = static_cast<uint32_t>(in.number());
  request.threads = static_cast<uint32_t>(in.number());
  request.shared_bytes = in.number();
  request.n_rows = static_cast<int64_t>(in.number());
  request.n_cols = static_cast<int64_t>(in.number());
  request.cols_per_split = static_cast<int64_t>(in.number());
  request.splits = static_cast<int32_t>(in.number());
  request.seed = in.number();
  const bool renew = in.number() != 0;
  const uint64_t count = in.number();
  if (renew) {
    problem.workspace.reset(new char[count]);
    std::memset(problem.workspace.get(), 0xff, count);
  }
  request.workspace = problem.workspace.get();
  char error[256];
  if (tf_emulate_launch(&request, error, sizeof error) != 0) {
    std::printf("%s: %s\n", name.c_str(), error);
    std::exit(2);
  }
}

}  // namespace

int main(int count, char **arguments) {
  Reader in = {count == 2 ? std::fopen(arguments[1], "rb") : nullptr};
  if (in.file == nullptr) {
    std::fprintf(stderr, "usage: driver FILE\n");
    return 3;
  }
  int problems = 0;
  for (; !in.at_end(); ++problems) {
    Problem problem;
    read_values(in, problem);
    for (uint64_t left = in.number(); left != 0; --left) launch(in, problem);
  }
  std::printf("%d problems\n", problems);
  return 0;
}
