// The cells: gates from their sums, and the sums' gradients.
//
// A GRU's candidate has two sums, of x and of h, since its reset stands after the matrix product:
// SUMS is GATES or one more.
#pragma once

#include "products.h"

struct State {
  Vector h, c;
};

struct LSTM {
  static constexpr int GATES = 4, SUMS = 4, KEPT = 5, STATES = 2;

  INLINE State forward(const Vector *sum, State before, Real *kept, int64_t next) {
    Vector ig[2], fo[2];
    take(sigmoid_quotient(sum[0]), tanh_quotient(sum[3]), sigmoid_quotient(sum[1]),
         sigmoid_quotient(sum[2]), ig, fo);
    Vector i = ig[0], f = fo[0], o = fo[1], g = ig[1];
    store(kept, i), store(kept + next, f), store(kept + 2 * next, o), store(kept + 3 * next, g);
    Vector c = f * before.c + i * g;
    return {o * tanh(c), c};
  }

  // writes the gradients of the sums; returns those of the state before, but for the product's
  INLINE State back(const Real *kept, int64_t next, State before, State grad, Term *sums) {
    Vector i = load(kept), f = load(kept + next), o = load(kept + 2 * next);
    Vector g = load(kept + 3 * next), c = tanh(load(kept + 4 * next)), one = splat(1);
    Vector dc = grad.c + grad.h * o * (one - c * c);
    put(sums, dc * g * i * (one - i));
    put(sums + next, dc * before.c * f * (one - f));
    put(sums + 2 * next, grad.h * c * o * (one - o));
    put(sums + 3 * next, dc * i * (one - g * g));
    return {Vector{}, dc * f};
  }
};

struct GRU {
  static constexpr int GATES = 3, SUMS = 4, KEPT = 4, STATES = 1;

  INLINE State forward(const Vector *sum, State before, Real *kept, int64_t next) {
    Vector rz[2];
    take(sigmoid_quotient(sum[0]), sigmoid_quotient(sum[1]), rz);
    Vector r = rz[0], z = rz[1], n = tanh(sum[2] + r * sum[3]);
    store(kept, r), store(kept + next, z), store(kept + 2 * next, n);
    store(kept + 3 * next, sum[3]);
    return {n + z * (before.h - n), before.c};
  }

  INLINE State back(const Real *kept, int64_t next, State before, State grad, Term *sums) {
    Vector r = load(kept), z = load(kept + next), n = load(kept + 2 * next);
    Vector by_h = load(kept + 3 * next), one = splat(1);
    Vector dn = grad.h * (one - z) * (one - n * n);
    put(sums, dn * by_h * r * (one - r));
    put(sums + next, grad.h * (before.h - n) * z * (one - z));
    put(sums + 2 * next, dn);
    put(sums + 3 * next, dn * r);
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

  INLINE State back(const Real *kept, int64_t, State, State grad, Term *sums) {
    Vector h = load(kept);
    put(sums, grad.h * (splat(1) - h * h));
    return {Vector{}, grad.c};
  }
};
