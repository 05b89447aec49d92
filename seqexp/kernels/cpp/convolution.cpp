// A convolution of one-hot tokens on the CPU, forward and back, without a multiplication.
//
// What filters give for a window is a sum of weights, of each token those of its place: rows of a
// table. Some tokens side by side make a word, and the table has a row a word, so that a window is
// a sum of fewer rows; where it has room, words of three. Back, the gradient of each position is
// added to the rows that it was the sum of, and those of words are summed to those of their tokens.
//
// Padding has rows of zeros, and so has what is outside of a sequence. Each sum is taken in an order
// that depends neither on the number of threads nor, forward, on the other rows of the batch.
//
// REAL is float or double, by the compiler's command line.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include "room.h"
#include "threads.h"

using Real = REAL;
using Int = std::conditional_t<sizeof(Real) == 4, int32_t, int64_t>;  // as wide

#if defined(__AVX512F__)
constexpr int BYTES = 64;  // of a vector
#elif defined(__AVX__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

constexpr int MOST = BYTES / sizeof(Real);  // numbers in a vector
constexpr int64_t ROOM = 1 << 15;           // bytes of a table, which stays in the nearest cache
constexpr int64_t LONGEST = 3;              // tokens of a word: longer ones are too many
constexpr int64_t GRAIN = 1 << 15;          // sums of vectors that are worth a thread

extern "C" struct Layer {
  int64_t models, batch, time, symbols;
  int64_t filters, width, positions;
  int64_t before;                      // the first window starts so far before the first token
  int64_t rectified;                   // no output below 0, nor strongest response
  int64_t threads;
  int64_t of_model, of_row, of_token;  // distances in tokens
  const int64_t *tokens;               // (models, batch, time); 0 is padding
  const Real *weight, *bias;           // (models, filters, symbols, width), (models, filters)
  const uint8_t *is_real;              // (models, batch, positions), or null
  int64_t *strongest;                  // (models, batch, filters): if it is not null, the position of
                                       // each filter's strongest response, which alone is the output
  Real *out;                           // (models, batch, positions, filters), or without positions
  const Real *grad;                    // of that
  Real *grad_weight, *grad_bias;
};

namespace {
enum Result { FINE, NO_MEMORY, NO_TOKEN };

template <int N>  // numbers; of one, the number itself
struct Lanes {
  typedef Real Type __attribute__((vector_size(N * sizeof(Real))));
  typedef Int Ints __attribute__((vector_size(N * sizeof(Real))));
};
template <>
struct Lanes<1> {
  typedef Real Type;
  typedef Int Ints;
};

template <int N>
class Pass {
  using V = typename Lanes<N>::Type;
  using Ints = typename Lanes<N>::Ints;
  const Layer &l;
  const int64_t ids = l.symbols + 1, row = (l.filters + N - 1) / N * N;  // of a table
  int64_t length = 1, words = ids, groups = l.width;  // a group is a word's place in a window
  const int64_t whole = l.positions - (row + l.filters - 1) / l.filters;  // the last with room behind

 public:
  explicit Pass(const Layer &layer) : l(layer) {
    // where responses are ranked, windows of like letters must not differ by the rounding of words
    const bool is_ranked = l.strongest && !l.rectified;
    while (!is_ranked && length < std::min(LONGEST, l.width)) {
      int64_t parts = (l.width + length) / (length + 1);
      if (parts * words * ids * row * int64_t(sizeof(Real)) > ROOM) break;
      length++, words *= ids, groups = parts;
    }
  }

  Result forward() const {
    Room<Real> tables(l.models * groups * words * row), rows(ids * row);
    for (int64_t model = 0; model < l.models; model++)
      fill(model, tables + model * groups * words * row, rows);
    return each(l.models * l.batch, [&](int64_t first, int64_t last) {
      Room<int64_t> places(room());
      for (int64_t index = first; index < last; index++) {
        if (!read(index / l.batch, index % l.batch, places)) return NO_TOKEN;
        const Real *table = tables + index / l.batch * groups * words * row;
        columns([&](auto count, int64_t column) {
          if (l.strongest)
            highest<count>(table, places, index, column);
          else
            all<count>(table, places, l.out + index * l.positions * l.filters, column);
        });
      }
      return FINE;
    });
  }

  // a thread has groups of its own, so that nothing is added up by two
  Result back() const {
    return each(l.models * groups, [&](int64_t first, int64_t last) {
      Room<Real> table(groups * words * row), rows(ids * row);
      Room<int64_t> places(room()), active(l.positions);
      for (; first < last; first = (first / groups + 1) * groups) {
        int64_t model = first / groups, begin = first % groups;
        int64_t end = std::min(groups, begin + last - first);
        std::fill(table + begin * words * row, table + end * words * row, Real(0));
        for (int64_t index = model * l.batch; index < (model + 1) * l.batch; index++) {
          if (!read(model, index % l.batch, places)) return NO_TOKEN;
          if (l.strongest)
            gather_strongest(index, places, table, begin, end);
          else
            gather(index, places, active, table, begin, end);
        }
        for (int64_t group = begin; group < end; group++)
          spread(model, group, table + group * words * row, rows);
      }
      return FINE;
    });
  }

 private:
  // Give items to the threads; work returns what came of it.
  template <class Work>
  Result each(int64_t items, Work &&work) const {
    std::atomic<Result> result{FINE};
    const int64_t sums = l.models * l.batch * l.positions * groups * (row / N);
    split(items, std::min(l.threads, sums / GRAIN), [&](int64_t, int64_t first, int64_t last) {
      Result ours;
      try {
        ours = work(first, last);
      } catch (const std::bad_alloc &) {
        ours = NO_MEMORY;
      }
      if (ours != FINE) result = ours;
    });
    return result;
  }

  // Call work with the columns of a row, as many vectors at once as stay in registers, from the
  // last: what is written beyond a position's filters is written over by the next one's first.
  template <class Work>
  void columns(Work &&work) const {
    int64_t column = row;
    if (row / N % 2) work(std::integral_constant<int, 1>(), column -= N);
    if constexpr (N == MOST) {
      if (row / N % 4 >= 2) work(std::integral_constant<int, 2>(), column -= 2 * N);
      while (column > 0) work(std::integral_constant<int, 4>(), column -= 4 * N);
    }
  }

  static V load(const Real *from) {
    V values;
    std::memcpy(&values, from, sizeof(V));
    return values;
  }
  static void store(Real *to, V values) { std::memcpy(to, &values, sizeof(V)); }
  void add(Real *to, const Real *a, const Real *b) const {
    for (int64_t i = 0; i < row; i += N) store(to + i, load(a + i) + load(b + i));
  }

  // --- words -----------------------------------------------------------------------------------

  int64_t room() const { return l.positions + (groups + 1) * length; }

  // of each place from the start of the first window, the row of the word there; false: no token
  bool read(int64_t model, int64_t index, int64_t *places) const {
    const int64_t *tokens = l.tokens + model * l.of_model + index * l.of_row - l.before * l.of_token;
    const int64_t end = l.positions + groups * length - 1;
    const int64_t begin = std::min(l.before, end), stop = std::min(l.before + l.time, end);
    bool fine = true;
    std::fill(places, places + begin, 0);
    for (int64_t i = begin; i < stop; i++) {
      places[i] = tokens[i * l.of_token];
      fine &= uint64_t(places[i]) < uint64_t(ids);
    }
    std::fill(places + stop, places + end, 0);
    if (!fine) return false;
    const int64_t count = end - length + 1;
    if (length == 3)
      for (int64_t i = 0; i < count; i++)
        places[i] = ((places[i] * ids + places[i + 1]) * ids + places[i + 2]) * row;
    else if (length == 2)
      for (int64_t i = 0; i < count; i++) places[i] = (places[i] * ids + places[i + 1]) * row;
    else
      for (int64_t i = 0; i < count; i++) places[i] *= row;
    return true;
  }

  const Real *weight(const Real *all, int64_t model, int64_t symbol, int64_t place) const {
    return all + (model * l.filters * l.symbols + symbol) * l.width + place;
  }

  // the rows of all words of a model
  void fill(int64_t model, Real *table, Real *rows) const {
    std::fill(rows, rows + ids * row, Real(0));
    for (int64_t group = 0; group < groups; group++, table += words * row) {
      std::fill(table, table + row, Real(0));
      if (group == 0) std::copy_n(l.bias + model * l.filters, l.filters, table);
      int64_t place = group * length, count = 1;
      for (int64_t k = 0; k < length; k++, place++, count *= ids) {
        for (int64_t symbol = 0; symbol < l.symbols; symbol++) {
          const Real *from = weight(l.weight, model, symbol, place);
          for (int64_t filter = 0; filter < l.filters; filter++)
            rows[(symbol + 1) * row + filter] =
                place < l.width ? from[filter * l.symbols * l.width] : Real(0);
        }
        for (int64_t word = count - 1; word >= 0; word--)  // the longer ones stand behind
          for (int64_t id = ids - 1; id >= 0; id--)
            add(table + (word * ids + id) * row, table + word * row, rows + id * row);
      }
    }
  }

  // from the gradients of a group's words to those of its weights
  void spread(int64_t model, int64_t group, Real *table, Real *rows) const {
    int64_t count = words;
    for (int64_t place = (group + 1) * length - 1; place >= group * length; place--) {
      count /= ids;
      std::fill(rows, rows + ids * row, Real(0));
      for (int64_t word = 0; word < count; word++) {
        const Real *from = table + word * ids * row;
        for (int64_t id = 0; id < ids; id++)
          add(rows + id * row, rows + id * row, from + id * row);
        add(table + word * row, from, from + row);
        for (int64_t id = 2; id < ids; id++)
          add(table + word * row, table + word * row, from + id * row);
      }
      if (place >= l.width) continue;
      for (int64_t symbol = 0; symbol < l.symbols; symbol++) {
        Real *to = const_cast<Real *>(weight(l.grad_weight, model, symbol, place));
        for (int64_t filter = 0; filter < l.filters; filter++)
          to[filter * l.symbols * l.width] = rows[(symbol + 1) * row + filter];
      }
    }
    // each position has added to one word
    if (group == 0) std::copy_n(+table, l.filters, l.grad_bias + model * l.filters);
  }

  // --- positions -------------------------------------------------------------------------------

  // numbers of a position's vector that there are, which ends where the filters do
  int64_t there(int64_t column) const { return std::min<int64_t>(N, l.filters - column); }

  // What filters give for a window.
  template <int COUNT>
  static void sum(const Real *table, const int64_t *place, int64_t groups, int64_t of_group,
                  int64_t length, V *sums) {
    for (int j = 0; j < COUNT; j++) sums[j] = load(table + *place + j * N);
    for (int64_t group = 1; group < groups; group++) {
      table += of_group, place += length;
      for (int j = 0; j < COUNT; j++) sums[j] += load(table + *place + j * N);
    }
  }

  template <int COUNT>
  void all(const Real *table, const int64_t *places, Real *out, int64_t column) const {
    // what is written might be members, for all that the compiler knows
    const int64_t of_group = words * row, groups = this->groups, length = this->length;
    const int64_t filters = l.filters, positions = l.positions, whole = this->whole;
    const bool rectified = l.rectified;
    table += column, out += column;
    for (int64_t at = 0; at < positions; at++, out += filters) {
      V sums[COUNT];
      sum<COUNT>(table, places + at, groups, of_group, length, sums);
      for (int j = 0; j < COUNT; j++) {
        V value = rectified ? (sums[j] < V{} ? V{} : sums[j]) : sums[j];  // NaN stays
        if (at <= whole)
          store(out + j * N, value);
        else
          std::memcpy(out + j * N, &value, there(column + j * N) * sizeof(Real));
      }
    }
  }

  // the first of the strongest responses; of no position where all is padding: 0, or -inf where
  // responses are not rectified
  template <int COUNT>
  void highest(const Real *table, const int64_t *places, int64_t index, int64_t column) const {
    const int64_t of_group = words * row;
    const uint8_t *is_real = l.is_real + index * l.positions;
    V best[COUNT];
    Ints where[COUNT];
    for (int j = 0; j < COUNT; j++) best[j] = V{} - INFINITY, where[j] = Ints{} - Int(1);
    for (int64_t at = 0; at < l.positions; at++) {
      if (!is_real[at]) continue;
      V sums[COUNT];
      sum<COUNT>(table + column, places + at, groups, of_group, length, sums);
      for (int j = 0; j < COUNT; j++) {
        auto higher = (sums[j] > best[j]) | (sums[j] != sums[j]) | (where[j] < 0);  // NaN stays
        best[j] = higher ? sums[j] : best[j];
        where[j] = higher ? Ints{} + Int(at) : where[j];
      }
    }
    for (int j = 0; j < COUNT; j++) {
      int64_t first = index * l.filters + column + j * N, count = there(column + j * N);
      V value = best[j];
      if (l.rectified) value = (where[j] < 0) | (best[j] < V{}) ? V{} : best[j];
      std::memcpy(l.out + first, &value, count * sizeof(Real));
      Int numbers[N];
      std::memcpy(numbers, &where[j], sizeof numbers);
      std::copy_n(numbers, count, l.strongest + first);
    }
  }

  // Add the gradients of a sequence to the words that it has, from one group to another.
  void gather(int64_t index, const int64_t *places, int64_t *active, Real *table, int64_t begin,
              int64_t end) const {
    const Real *grad = l.grad + index * l.positions * l.filters;
    const Real *out = l.out + index * l.positions * l.filters;
    const int64_t positions = l.positions, filters = l.filters;
    int64_t count = 0;
    for (int64_t at = 0; at < positions; at++) {  // without a branch to guess
      active[count] = at;
      count += is_active(grad + at * filters, out + at * filters, filters);
    }
    columns([&](auto vectors, int64_t column) {
      add_to<vectors>(grad, out, places, active, count, table, begin, end, column);
    });
  }

  void gather_strongest(int64_t index, const int64_t *places, Real *table, int64_t begin,
                        int64_t end) const {
    for (int64_t filter = 0; filter < l.filters; filter++) {
      const int64_t from = index * l.filters + filter, at = l.strongest[from];
      const Real grad = l.grad[from];
      if (at < 0 || grad == 0 || l.out[from] <= 0) continue;
      for (int64_t group = begin; group < end; group++)
        table[group * words * row + places[at + group * length] + filter] += grad;
    }
  }

  // whether a gradient reaches the filters; of several, whether it is not 0 before the rectifier
  bool is_active(const Real *grad, const Real *out, int64_t count) const {
    if (N == 1) return (*grad != 0) & !(l.rectified && *out <= 0);
    using Bits = std::conditional_t<sizeof(Real) == 4, uint32_t, uint64_t>;
    Bits any = 0;
    for (int64_t i = 0; i < count; i++) {
      Bits bits;
      std::memcpy(&bits, grad + i, sizeof bits);
      any |= bits;
    }
    return any;
  }

  template <int COUNT>
  void add_to(const Real *grad, const Real *out, const int64_t *places, const int64_t *active,
              int64_t count, Real *table, int64_t begin, int64_t end, int64_t column) const {
    const int64_t of_group = words * row, length = this->length, filters = l.filters;
    const int64_t whole = this->whole;
    const bool rectified = l.rectified;
    table += column + begin * of_group, grad += column, out += column, places += begin * length;
    for (int64_t i = 0; i < count; i++) {
      const int64_t at = active[i];
      V values[COUNT];
      for (int j = 0; j < COUNT; j++) {
        V value = {}, given = {};
        const int64_t from = at * filters + j * N;
        if (at <= whole)
          value = load(grad + from), given = load(out + from);
        else {
          std::memcpy(&value, grad + from, there(column + j * N) * sizeof(Real));
          std::memcpy(&given, out + from, there(column + j * N) * sizeof(Real));
        }
        values[j] = rectified ? (given <= V{} ? V{} : value) : value;
      }
      const int64_t *place = places + at;
      Real *to = table;
      for (int64_t group = begin; group < end; group++, place += length, to += of_group)
        for (int j = 0; j < COUNT; j++)
          store(to + *place + j * N, load(to + *place + j * N) + values[j]);
    }
  }
};

// The narrowest vectors that all filters fit into, or several of the widest.
template <int N = 1, class Call>
Result of(const Layer &layer, Call &&call) {
  try {
    if constexpr (N < MOST)
      if (layer.filters > N) return of<2 * N>(layer, call);
    return call(Pass<N>(layer));
  } catch (const std::bad_alloc &) {
    return NO_MEMORY;
  }
}
}  // namespace

extern "C" {
int forward(const Layer *layer) {
  return of(*layer, [](const auto &pass) { return pass.forward(); });
}
int back(const Layer *layer) {
  return of(*layer, [](const auto &pass) { return pass.back(); });
}
}
