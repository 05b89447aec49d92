// Vectors of the processor, of what size they are, and the exponential of one.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

using Real = REAL;  // float or double

#if defined(__AVX512F__)
constexpr int BYTES = 64, ROWS = 11;  // of a vector; of a tile, so that its sums fit the registers
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

typedef Real Vector __attribute__((vector_size(BYTES)));
typedef Real Loose __attribute__((vector_size(BYTES), aligned(sizeof(Real)), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE Vector load(const Real *from) { return *reinterpret_cast<const Loose *>(from); }
INLINE void store(Real *to, Vector values) { *reinterpret_cast<Loose *>(to) = values; }
// into the cache, what the processor would not guess to be wanted soon
INLINE void fetch(const void *from) { __builtin_prefetch(from); }
INLINE void fetch_to_write(const void *from) { __builtin_prefetch(from, 1); }
INLINE Vector splat(Real value) { return value - Vector{}; }

// the first `count`, and zeros behind them
INLINE Vector load_part(const Real *from, int64_t count) {
  if (count >= LANES) return load(from);
  Vector values = {};
  if (count > 0) std::memcpy(&values, from, count * sizeof(Real));
  return values;
}
INLINE void store_part(Real *to, Vector values, int64_t count) {
  if (count >= LANES)
    store(to, values);
  else if (count > 0)
    std::memcpy(to, &values, count * sizeof(Real));
}

constexpr int64_t up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

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

// A quotient, before it is taken; `bottom` is from 1 to 2.
struct Quotient {
  Vector top, bottom;
};

INLINE Quotient tanh_quotient(Vector x) {
  Vector low = x < splat(0) ? x : -x;
  Vector e = exponential(low + low).minus_one;
  return {x < splat(0) ? e : -e, e + splat(2)};
}

INLINE Quotient sigmoid_quotient(Vector x) {
  Vector e = exponential(x < splat(0) ? x : -x).value;
  return {x < splat(0) ? e : splat(1), e + splat(1)};
}

INLINE Vector taken(Quotient q) { return q.top / q.bottom; }

// two, or four, by one division, which takes longer than the products that spare others
INLINE void take(Quotient a, Quotient b, Vector of_one, Vector (&values)[2]) {
  values[0] = a.top * (of_one * b.bottom);
  values[1] = b.top * (of_one * a.bottom);
}
INLINE void take(Quotient a, Quotient b, Vector (&values)[2]) {
  take(a, b, splat(1) / (a.bottom * b.bottom), values);
}
INLINE void take(Quotient a, Quotient b, Quotient c, Quotient d, Vector (&ab)[2], Vector (&cd)[2]) {
  Vector first = a.bottom * b.bottom, second = c.bottom * d.bottom;
  Vector of_one = splat(1) / (first * second);
  take(a, b, of_one * second, ab);
  take(c, d, of_one * first, cd);
}

INLINE Vector tanh(Vector x) { return taken(tanh_quotient(x)); }
