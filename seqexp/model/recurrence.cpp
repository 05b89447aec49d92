// One recurrent layer over a whole sequence on the CPU, forward and back: LSTM, GRU and RNN.
//
// Rows of a batch do not depend on each other: they are split over threads once, in blocks whose
// states stay in the cache from the first token to the last. A step is one product of [x_t | h_t-1],
// side by side, with the weights of all gates; the sums of a tile of rows and units are in
// registers when the gates are applied to them. Back, a step is one product for the gradients of
// x_t and h_t-1, and the weights' gradient is one product over all tokens at the end.
//
// Each sum is taken in an order that depends neither on the number of threads nor on the other rows
// of the batch, so that values do not either.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>

#ifdef _OPENMP
#include <omp.h>
#endif

using Real = REAL;  // float or double; REAL and CELL are defined on the compiler's command line

#if defined(__AVX512F__)
constexpr int BYTES = 64, ROWS = 8;  // of a vector; of a tile, so that its sums fit the registers
#elif defined(__AVX__)
constexpr int BYTES = 32, ROWS = 6;
#elif defined(__aarch64__)
constexpr int BYTES = 16, ROWS = 8;
#else
constexpr int BYTES = 16, ROWS = 6;
#endif

constexpr int LANES = BYTES / sizeof(Real);
constexpr int WIDE = 2;              // vectors side by side in a tile
constexpr int PANEL = WIDE * LANES;  // columns of a tile
constexpr int64_t BLOCK = 32;        // rows that a thread takes through the sequence at once
constexpr int64_t CHUNK = 128;       // tokens at once in the product for the weights' gradient
constexpr int64_t WINDOW = 1024;     // tokens whose gradients are held until they are used

typedef Real Vector __attribute__((vector_size(BYTES)));
typedef Real Loose __attribute__((vector_size(BYTES), aligned(sizeof(Real)), may_alias));

#define INLINE static inline __attribute__((always_inline))

extern "C" struct Layer {
  int64_t batch, time, inputs, hidden;
  int64_t num_masks;  // 1: for all gates; else one for each gate
  int64_t threads;
  int64_t x_row, x_step;  // distances in x, of rows and of tokens
  const Real *x, *weight_x, *weight_h, *bias, *h0, *c0;
  const Real *x_masks, *h_masks;  // (masks, batch, .), or null
  const uint8_t *is_real;         // (batch, time), or null
  Real *h, *c;                    // (batch, time, hidden); of an LSTM, c after the last token
  Real *kept;                     // what the way back needs of each token
  const Real *grad_h, *grad_c;
  Real *grad_x;  // or null, if nobody asks for it
  Real *grad_weight_x, *grad_weight_h, *grad_bias, *grad_h0, *grad_c0;
};

// --- vectors ----------------------------------------------------------------------------------

INLINE Vector load(const Real *from) { return *reinterpret_cast<const Loose *>(from); }
INLINE void store(Real *to, Vector values) { *reinterpret_cast<Loose *>(to) = values; }
INLINE Vector splat(Real value) { return value - Vector{}; }

INLINE Vector load_part(const Real *from, int64_t count) {  // zeros behind the first `count`
  if (count >= LANES) return load(from);
  Vector values = {};
  std::memcpy(&values, from, count * sizeof(Real));
  return values;
}

constexpr int64_t up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

// distance of rows: an odd number of vectors, or rows of a tile would share places in the cache
constexpr int64_t apart(int64_t count) { return (up(count, LANES) / LANES | 1) * LANES; }

// e^y and e^y - 1, by 2^n (e^r - 1) of y = n ln 2 + r, for y <= 0; NaN stays NaN
struct Exponential {
  Vector value, minus_one;
};

INLINE Exponential exponential(Vector y) {
  constexpr bool SINGLE = sizeof(Real) == 4;
  using Int = std::conditional_t<SINGLE, int32_t, int64_t>;
  typedef Int Ints __attribute__((vector_size(BYTES)));
  constexpr int TERMS = SINGLE ? 7 : 13;  // of the series: the next is below half a unit
  constexpr int FRACTION = SINGLE ? 23 : 52, BIAS = SINGLE ? 127 : 1023;
  constexpr Real LOWEST = SINGLE ? -87 : -708;  // 2^n is a normal number
  constexpr Real LN2_HIGH = SINGLE ? 0x1.62e4p-1 : 0x1.62e42fefap-1;  // n * this is exact
  constexpr Real LN2_LOW = SINGLE ? 0x1.7f7d1cp-20 : 0x1.cf79abc9e3b398p-40;
  constexpr Real INTEGER = SINGLE ? 0x1.8p23 : 0x1.8p52;  // adding it rounds to a whole number

  y = y < splat(LOWEST) ? splat(LOWEST) : y;
  Vector n = y * splat(Real(1.4426950408889634)) + splat(INTEGER);
  Ints bits = (Ints)n;  // the number stands in the lowest bits
  n = n - splat(INTEGER);
  Vector r = (y - n * splat(LN2_HIGH)) - n * splat(LN2_LOW);
  Real factor = 1;
  for (int k = 2; k <= TERMS; k++) factor /= k;
  Vector series = splat(factor);
  for (int k = TERMS; k >= 2; k--) {
    factor *= k;
    series = series * r + splat(factor);
  }
  series = series * r;  // e^r - 1
  Vector power = (Vector)((bits << FRACTION) + (Int(BIAS) << FRACTION));
  return {power * series + power, power * series + (power - splat(1))};
}

INLINE Vector tanh(Vector x) {
  Vector low = x < splat(0) ? x : -x;
  Vector e = exponential(low + low).minus_one;
  Vector size = -e / (e + splat(2));
  return x < splat(0) ? -size : size;
}

INLINE Vector sigmoid(Vector x) {
  Vector e = exponential(x < splat(0) ? x : -x).value;
  Vector top = x < splat(0) ? e : splat(1);
  return top / (e + splat(1));
}

// --- the cells: gates from their sums, and the sums' gradients ----------------------------------
// A GRU's candidate has two sums, of x and of h, since its reset stands after the matrix product:
// SUMS is GATES or one more.

struct State {
  Vector h, c;
};

struct LSTM {
  static constexpr int GATES = 4, SUMS = 4, KEPT = 5, STATES = 2;

  INLINE State forward(const Vector *sum, State before, Real *kept, int64_t next) {
    Vector i = sigmoid(sum[0]), f = sigmoid(sum[1]), o = sigmoid(sum[2]), g = tanh(sum[3]);
    store(kept, i), store(kept + next, f), store(kept + 2 * next, o), store(kept + 3 * next, g);
    Vector c = f * before.c + i * g;
    return {o * tanh(c), c};
  }

  // writes the gradients of the sums; returns those of the state before, but for the product's
  INLINE State back(const Real *kept, int64_t next, State before, State grad, Real *sums) {
    Vector i = load(kept), f = load(kept + next), o = load(kept + 2 * next);
    Vector g = load(kept + 3 * next), c = tanh(load(kept + 4 * next)), one = splat(1);
    Vector dc = grad.c + grad.h * o * (one - c * c);
    store(sums, dc * g * i * (one - i));
    store(sums + next, dc * before.c * f * (one - f));
    store(sums + 2 * next, grad.h * c * o * (one - o));
    store(sums + 3 * next, dc * i * (one - g * g));
    return {Vector{}, dc * f};
  }
};

struct GRU {
  static constexpr int GATES = 3, SUMS = 4, KEPT = 4, STATES = 1;

  INLINE State forward(const Vector *sum, State before, Real *kept, int64_t next) {
    Vector r = sigmoid(sum[0]), z = sigmoid(sum[1]), n = tanh(sum[2] + r * sum[3]);
    store(kept, r), store(kept + next, z), store(kept + 2 * next, n);
    store(kept + 3 * next, sum[3]);
    return {n + z * (before.h - n), before.c};
  }

  INLINE State back(const Real *kept, int64_t next, State before, State grad, Real *sums) {
    Vector r = load(kept), z = load(kept + next), n = load(kept + 2 * next);
    Vector by_h = load(kept + 3 * next), one = splat(1);
    Vector dn = grad.h * (one - z) * (one - n * n);
    store(sums, dn * by_h * r * (one - r));
    store(sums + next, grad.h * (before.h - n) * z * (one - z));
    store(sums + 2 * next, dn);
    store(sums + 3 * next, dn * r);
    return {grad.h * z, grad.c};
  }
};

struct RNN {
  static constexpr int GATES = 1, SUMS = 1, KEPT = 1, STATES = 1;

  INLINE State forward(const Vector *sum, State before, Real *kept, int64_t) {
    Vector h = tanh(sum[0]);
    store(kept, h);
    return {h, before.c};
  }

  INLINE State back(const Real *kept, int64_t, State, State grad, Real *sums) {
    Vector h = load(kept);
    store(sums, grad.h * (splat(1) - h * h));
    return {Vector{}, grad.c};
  }
};

// --- products -----------------------------------------------------------------------------------

// Add to a tile of M rows the products of rows of `a`, a number each `a_step`, with rows of `b`.
template <int M>
INLINE void multiply(const Real *a, int64_t a_row, int64_t a_step, const Real *b, int64_t b_step,
                     int64_t depth, Vector (&tile)[M][WIDE]) {
  for (int64_t k = 0; k < depth; k++) {
    Vector columns[WIDE];
    for (int j = 0; j < WIDE; j++) columns[j] = load(b + k * b_step + j * LANES);
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) tile[i][j] += splat(a[k * a_step + i * a_row]) * columns[j];
  }
}

// Call work(M, first) for tiles of M <= ROWS rows.
template <int M, class Work>
INLINE void last_tile(int64_t rows, int64_t first, Work &&work) {
  if constexpr (M > 0) {
    if (rows == M)
      work(std::integral_constant<int, M>{}, first);
    else
      last_tile<M - 1>(rows, first, work);
  }
}

template <class Work>
INLINE void for_tiles(int64_t first, int64_t last, Work &&work) {
  for (; first + ROWS <= last; first += ROWS) work(std::integral_constant<int, ROWS>{}, first);
  last_tile<ROWS - 1>(last - first, first, work);
}

// --- threads and scratch ------------------------------------------------------------------------

// Call work(thread, first, last) with a part of the items for each thread.
template <class Work>
void split(int64_t items, int64_t threads, Work &&work) {
#ifdef _OPENMP
  if (std::min(items, threads) > 1) {
#pragma omp parallel num_threads(std::min(items, threads))
    {
      int64_t index = omp_get_thread_num(), count = omp_get_num_threads();
      work(index, items * index / count, items * (index + 1) / count);
    }
    return;
  }
#endif
  work(0, 0, items);
}

struct Numbers {  // uninitialised
  std::unique_ptr<Real[]> all;
  explicit Numbers(int64_t count) : all(new Real[std::max<int64_t>(count, 1)]) {}
  operator Real *() const { return all.get(); }
};

INLINE void masked(Real *to, const Real *from, const Real *mask, int64_t count) {
  if (mask)
    for (int64_t i = 0; i < count; i++) to[i] = from[i] * mask[i];
  else
    std::memcpy(to, from, count * sizeof(Real));
}

INLINE void copy_rows(int64_t rows, int64_t count, const Real *from, int64_t from_row, Real *to,
                      int64_t to_row) {
  for (int64_t i = 0; i < rows; i++)
    std::memcpy(to + i * to_row, from + i * from_row, count * sizeof(Real));
}

// What x and h have alike: a size, weights, masks; and where a gate's sum stands.
struct Part {
  int64_t size;
  const Real *weight, *masks;
  bool is_h;

  const Real *mask(const Layer &l, int64_t number, int64_t row) const {
    return masks ? masks + (number * l.batch + row) * size : nullptr;
  }
  template <class Cell>
  int64_t place(int64_t gate) const {
    return is_h && gate == Cell::GATES - 1 ? Cell::SUMS - 1 : gate;
  }
};

INLINE bool real(const Layer &l, int64_t row, int64_t t) {
  return !l.is_real || l.is_real[row * l.time + t];
}

// --- forward ------------------------------------------------------------------------------------

template <class Cell>
class Forward {
  const Layer &l;
  const Part x{l.inputs, l.weight_x, l.x_masks, false}, h{l.hidden, l.weight_h, l.h_masks, true};
  const int64_t units = up(l.hidden, PANEL), depth = l.inputs + l.hidden;
  const int64_t a_row = apart(depth), a_mask = BLOCK * a_row;
  const int64_t of_state = BLOCK * units, scratch = l.num_masks * a_mask + 2 * of_state;
  const Numbers packed{units * Cell::GATES * depth}, bias{units * Cell::GATES};

 public:
  explicit Forward(const Layer &layer) : l(layer) {}

  void run() {
    split(units / PANEL, l.threads, [&](int64_t, int64_t first, int64_t last) {
      for (int64_t tile = first * Cell::GATES; tile < last * Cell::GATES; tile++) pack(tile);
    });
    Numbers all{std::min(l.threads, l.batch) * scratch};
    split(l.batch, l.threads, [&](int64_t thread, int64_t first, int64_t last) {
      for (int64_t begin = first; begin < last; begin += BLOCK)
        block(begin, std::min(begin + BLOCK, last), all + thread * scratch);
    });
  }

 private:
  // in the order of reading: for each input the weights of a tile's units, 0 behind the last one
  void pack(int64_t tile) {
    Real *to = packed + tile * depth * PANEL;
    for (int64_t column = 0; column < PANEL; column++) {
      int64_t unit = tile / Cell::GATES * PANEL + column;
      int64_t row = tile % Cell::GATES * l.hidden + unit;
      bool is_unit = unit < l.hidden;
      bias[tile * PANEL + column] = is_unit ? l.bias[row] : Real(0);
      for (int64_t k = 0; k < l.inputs; k++)
        to[k * PANEL + column] = is_unit ? l.weight_x[row * l.inputs + k] : Real(0);
      for (int64_t k = 0; k < l.hidden; k++)
        to[(l.inputs + k) * PANEL + column] = is_unit ? l.weight_h[row * l.hidden + k] : Real(0);
    }
  }

  void block(int64_t first, int64_t last, Real *a) const {
    Real *states = a + l.num_masks * a_mask, *c = states + of_state;
    std::fill(states, states + 2 * of_state, Real(0));
    copy_rows(last - first, l.hidden, l.h0 + first * l.hidden, l.hidden, states, units);
    if (Cell::STATES > 1)
      copy_rows(last - first, l.hidden, l.c0 + first * l.hidden, l.hidden, c, units);
    for (int64_t t = 0; t < l.time; t++) {
      for (int64_t m = 0; m < l.num_masks; m++)
        for (int64_t i = 0; i < last - first; i++) {
          Real *to = a + m * a_mask + i * a_row;
          masked(to, l.x + (first + i) * l.x_row + t * l.x_step, x.mask(l, m, first + i), x.size);
          masked(to + l.inputs, states + i * units, h.mask(l, m, first + i), h.size);
        }
      for (int64_t unit = 0; unit < units; unit += PANEL)
        for_tiles(0, last - first, [&](auto rows, int64_t i) {
          step<rows>(a + i * a_row, unit, t, first + i, states + i * units, c + i * units);
        });
      copy_rows(last - first, l.hidden, states, units, l.h + (first * l.time + t) * l.hidden,
                l.time * l.hidden);
    }
    if (Cell::STATES > 1)
      copy_rows(last - first, l.hidden, c, units, l.c + first * l.hidden, l.hidden);
  }

  // the sums of all gates for M rows and a panel of units, and what the cell makes of them
  template <int M>
  void step(const Real *a, int64_t unit, int64_t t, int64_t row, Real *states, Real *c) const {
    Vector sums[WIDE][M][Cell::SUMS];
    for (int gate = 0; gate < Cell::GATES; gate++) {
      int64_t panel = unit * Cell::GATES + gate * PANEL;
      const Real *from = a + (l.num_masks > 1 ? gate * a_mask : 0), *b = packed + panel * depth;
      Vector tile[M][WIDE];
      for (int i = 0; i < M; i++)
        for (int j = 0; j < WIDE; j++) tile[i][j] = load(bias + panel + j * LANES);
      multiply<M>(from, a_row, 1, b, PANEL, l.inputs, tile);
      if (h.place<Cell>(gate) != gate) {
        for (int i = 0; i < M; i++)
          for (int j = 0; j < WIDE; j++) sums[j][i][gate] = tile[i][j], tile[i][j] = Vector{};
      }
      multiply<M>(from + l.inputs, a_row, 1, b + l.inputs * PANEL, PANEL, l.hidden, tile);
      for (int i = 0; i < M; i++)
        for (int j = 0; j < WIDE; j++) sums[j][i][h.place<Cell>(gate)] = tile[i][j];
    }
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) {
        int64_t place = i * units + unit + j * LANES;
        Real *kept = l.kept + ((t * l.batch + row + i) * Cell::KEPT) * units + unit + j * LANES;
        State before = {load(states + place), load(c + place)};
        State after = Cell::forward(sums[j][i], before, kept, units);
        if (!real(l, row + i, t)) after = before;
        store(states + place, after.h);
        if (Cell::STATES > 1) {
          store(c + place, after.c);
          store(kept + (Cell::KEPT - 1) * units, after.c);
        }
      }
  }
};

// --- back ---------------------------------------------------------------------------------------

template <class Cell>
class Back {
  const Layer &l;
  const Part x{l.inputs, l.weight_x, l.x_masks, false}, h{l.hidden, l.weight_h, l.h_masks, true};
  const int64_t units = up(l.hidden, PANEL), rows = Cell::GATES * l.hidden;  // of the weights
  const int64_t g_row = apart(Cell::SUMS * units);
  const int64_t window = std::min(l.time, WINDOW / std::max<int64_t>(l.batch, 1) + 1);  // steps
  const Numbers packed_x{up(l.inputs, PANEL) * rows}, packed_h{units * rows};
  const Numbers total_x{up(l.inputs, PANEL) * rows}, total_h{units * rows};  // the weights' gradients
  const Numbers grad_h{l.batch * units}, grad_c{l.batch * units};  // of the state
  const Numbers sums{window * l.batch * g_row};  // the gradients of the gates' sums

 public:
  explicit Back(const Layer &layer) : l(layer) {}

  void run() {
    begin();
    int64_t threads = std::min(l.threads, rows);
    int64_t of_chunk = CHUNK * apart(std::max(up(l.inputs, PANEL), units));
    Numbers chunks{threads * of_chunk};
    for (int64_t end = l.time; end > 0; end -= window) {
      int64_t start = std::max<int64_t>(0, end - window);
      split(l.batch, l.threads, [&](int64_t, int64_t first, int64_t last) {
        for (; first < last; first += BLOCK) block(start, end, first, std::min(first + BLOCK, last));
      });
      split(rows, threads, [&](int64_t thread, int64_t first, int64_t last) {
        weights(start, end, x, first, last, chunks + thread * of_chunk, total_x);
        weights(start, end, h, first, last, chunks + thread * of_chunk, total_h);
      });
    }
    copy_rows(rows, l.inputs, total_x, up(l.inputs, PANEL), l.grad_weight_x, l.inputs);
    copy_rows(rows, l.hidden, total_h, units, l.grad_weight_h, l.hidden);
    copy_rows(l.batch, l.hidden, grad_h, units, l.grad_h0, l.hidden);
    if (Cell::STATES > 1) copy_rows(l.batch, l.hidden, grad_c, units, l.grad_c0, l.hidden);
  }

 private:
  void begin() {
    pack(x, packed_x);
    pack(h, packed_h);
    std::fill(total_x + 0, total_x + up(l.inputs, PANEL) * rows, Real(0));
    std::fill(total_h + 0, total_h + units * rows, Real(0));
    std::fill(grad_h + 0, grad_h + l.batch * units, Real(0));
    std::fill(grad_c + 0, grad_c + l.batch * units, Real(0));
    std::fill(l.grad_bias, l.grad_bias + rows, Real(0));
    if (Cell::STATES > 1) copy_rows(l.batch, l.hidden, l.grad_c, l.hidden, grad_c, units);
  }

  // in the order of reading: for each row the weights of a panel's columns, 0 behind the last one
  void pack(const Part &part, Real *to) {
    for (int64_t first = 0; first < part.size; first += PANEL, to += rows * PANEL) {
      int64_t count = std::min<int64_t>(PANEL, part.size - first);
      if (count < PANEL) std::fill(to, to + rows * PANEL, Real(0));
      copy_rows(rows, count, part.weight + first, part.size, to, PANEL);
    }
  }

  // h_t-1 of a row
  const Real *before(int64_t row, int64_t t) const {
    return t > 0 ? l.h + (row * l.time + t - 1) * l.hidden : l.h0 + row * l.hidden;
  }

  void block(int64_t start, int64_t end, int64_t first, int64_t last) const {
    for (int64_t t = end - 1; t >= start; t--) {
      Real *grads = sums + (t - start) * l.batch * g_row;
      for (int64_t row = first; row < last; row++) gates(t, row, grads + row * g_row);
      for (int64_t from = 0; from < l.inputs && l.grad_x; from += PANEL)
        for_tiles(first, last, [&](auto count, int64_t row) {
          Real *to = l.grad_x + (row * l.time + t) * l.inputs;
          columns<count>(x, packed_x, from, row, grads, to, l.time * l.inputs);
        });
      for (int64_t from = 0; from < l.hidden; from += PANEL)
        for_tiles(first, last, [&](auto count, int64_t row) {
          columns<count>(h, packed_h, from, row, grads, grad_h + row * units, units);
        });
    }
  }

  // from the gradients of a token's state to those of its gates' sums
  void gates(int64_t t, int64_t row, Real *to) const {
    const Real *given = l.grad_h + (row * l.time + t) * l.hidden;
    const Real *kept = l.kept + (t * l.batch + row) * Cell::KEPT * units;
    const Real *c = kept + (Cell::KEPT - 1) * units - l.batch * Cell::KEPT * units;  // of t - 1
    const bool is_real = real(l, row, t);
    for (int64_t unit = 0; unit < units; unit += LANES) {
      int64_t count = std::max<int64_t>(0, std::min<int64_t>(LANES, l.hidden - unit));
      Real *dh = grad_h + row * units + unit, *dc = grad_c + row * units + unit;
      State grad = {load(dh) + load_part(given + unit, count), load(dc)};
      if (is_real) {
        State old = {load_part(before(row, t) + unit, count), Vector{}};
        if (Cell::STATES > 1)
          old.c = t > 0 ? load(c + unit) : load_part(l.c0 + row * l.hidden + unit, count);
        grad = Cell::back(kept + unit, units, old, grad, to + unit);
      } else {
        for (int j = 0; j < Cell::SUMS; j++) store(to + j * units + unit, Vector{});
      }
      store(dh, grad.h);
      store(dc, grad.c);
    }
  }

  // for M rows, gradients of columns of x_t, or what is added to those of h_t-1
  template <int M>
  void columns(const Part &part, const Real *packed, int64_t from, int64_t row, const Real *grads,
               Real *to, int64_t to_row) const {
    int64_t count = std::min<int64_t>(PANEL, part.size - from);
    const bool is_tied = l.num_masks == 1;
    Vector tile[M][WIDE] = {};
    for (int64_t gate = 0; gate < Cell::GATES; gate++) {
      multiply<M>(grads + row * g_row + part.place<Cell>(gate) * units, g_row, 1,
                  packed + from * rows + gate * l.hidden * PANEL, PANEL, l.hidden, tile);
      if (is_tied && gate < Cell::GATES - 1) continue;
      for (int i = 0; i < M; i++) {
        Real *out = to + i * to_row + from, values[PANEL];
        for (int j = 0; j < WIDE; j++) store(values + j * LANES, tile[i][j]), tile[i][j] = Vector{};
        const Real *mask = part.mask(l, is_tied ? 0 : gate, row + i);
        if (mask) masked(values, values, mask + from, count);
        if (part.is_h || (!is_tied && gate > 0))
          for (int64_t k = 0; k < count; k++) out[k] += values[k];
        else
          std::memcpy(out, values, count * sizeof(Real));
      }
    }
  }

  // add to rows of the weights' gradient, in chunks of tokens that fit into the cache
  void weights(int64_t start, int64_t end, const Part &part, int64_t first, int64_t last,
               Real *chunk, Real *total) const {
    int64_t width = up(part.size, PANEL), b_row = apart(width), all = (end - start) * l.batch;
    std::fill(chunk, chunk + CHUNK * b_row, Real(0));
    for (int64_t token = 0; token < all; token += CHUNK) {
      int64_t count = std::min(CHUNK, all - token);
      for (int64_t gate = first / l.hidden; gate * l.hidden < last; gate++) {
        int64_t begin = std::max(first, gate * l.hidden), stop = std::min(last, (gate + 1) * l.hidden);
        const Real *a = sums + token * g_row + part.place<Cell>(gate) * units - gate * l.hidden;
        if (l.num_masks > 1 || begin == first) fill(part, gate, start, token, count, chunk, b_row);
        if (!part.is_h)
          for (int64_t k = 0; k < count; k++)
            for (int64_t row = begin; row < stop; row++) l.grad_bias[row] += a[k * g_row + row];
        for_tiles(begin, stop, [&](auto tile, int64_t row) {
          for (int64_t column = 0; column < width; column += PANEL)
            add<tile>(a + row, chunk + column, b_row, count, total + row * width + column, width);
        });
      }
    }
  }

  // x_t or h_t-1 of tokens, as the products had them
  void fill(const Part &part, int64_t gate, int64_t start, int64_t token, int64_t count, Real *to,
            int64_t to_row) const {
    for (int64_t k = token; k < token + count; k++, to += to_row) {
      int64_t t = start + k / l.batch, row = k % l.batch;
      const Real *from = part.is_h ? before(row, t) : l.x + row * l.x_row + t * l.x_step;
      masked(to, from, part.mask(l, l.num_masks > 1 ? gate : 0, row), part.size);
    }
  }

  template <int M>
  void add(const Real *a, const Real *b, int64_t b_row, int64_t count, Real *to,
           int64_t to_row) const {
    Vector tile[M][WIDE];
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) tile[i][j] = load(to + i * to_row + j * LANES);
    multiply<M>(a, 1, g_row, b, b_row, count, tile);
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) store(to + i * to_row + j * LANES, tile[i][j]);
  }
};

// --- what Python calls ----------------------------------------------------------------------------

template <class Pass>
int run(const Layer &layer) {
  try {
    Pass(layer).run();
  } catch (const std::bad_alloc &) {
    return 1;
  }
  return 0;
}

extern "C" {
int forward(const Layer *layer) { return run<Forward<CELL>>(*layer); }
int back(const Layer *layer) { return run<Back<CELL>>(*layer); }

// numbers of `kept`, for each token of each row
int64_t kept(int64_t hidden) { return CELL::KEPT * up(hidden, PANEL); }
}
