// From the first token to the last: the states, and what the way back needs.
#pragma once

#include "cells.h"
#include "layer.h"

template <class Cell>
class Forward {
  const Layer &l;
  const Part x{l.inputs, l.weight_x, l.x_masks, false}, h{l.hidden, l.weight_h, l.h_masks, true};
  const int64_t units = up(l.hidden, PANEL), depth = deep(l.inputs) + deep(l.hidden);
  const int64_t a_row = apart(depth), a_mask = BLOCK * a_row;
  const int64_t of_state = BLOCK * units, of_sums = BLOCK * PANEL;
  const Room<Term> packed{units * Cell::GATES * depth};
  const Room<Real> bias{units * Cell::GATES};

 public:
  explicit Forward(const Layer &layer) : l(layer) {}

  void run() {
    split(units / PANEL, l.threads, [&](int64_t, int64_t first, int64_t last) {
      for (int64_t tile = first * Cell::GATES; tile < last * Cell::GATES; tile++) pack(tile);
    });
    const int64_t threads = std::min(l.threads, l.batch), of_a = l.num_masks * a_mask;
    const int64_t scratch = 2 * of_state + Cell::SUMS * of_sums;
    const Room<Term> a{threads * of_a};  // x_t and h_t-1 side by side, by each mask
    const Room<Real> states{threads * scratch};
    split(l.batch, l.threads, [&](int64_t thread, int64_t first, int64_t last) {
      [[maybe_unused]] const Tiles tiles;
      for (; first < last; first += BLOCK)
        block(first, std::min(first + BLOCK, last), a + thread * of_a, states + thread * scratch);
    });
  }

 private:
  // in the order of reading: for each input the weights of a tile's units, 0 behind the last one
  void pack(int64_t tile) {
    const int64_t unit = tile / Cell::GATES * PANEL, row = tile % Cell::GATES * l.hidden + unit;
    const int64_t count = std::min<int64_t>(PANEL, l.hidden - unit);
    Term *of_x = packed + tile * depth * PANEL, *of_h = of_x + deep(l.inputs) * PANEL;
    put_columns(of_x, l.weight_x + row * l.inputs, l.inputs, count, l.inputs);
    put_columns(of_h, l.weight_h + row * l.hidden, l.hidden, count, l.hidden);
    for (int64_t i = 0; i < PANEL; i += LANES)
      store(bias + tile * PANEL + i, load_part(l.bias + row + i, count - i));
  }

  void block(int64_t first, int64_t last, Term *a, Real *states) const {
    Real *c = states + of_state, *sums = c + of_state;
    std::fill(a, a + l.num_masks * a_mask, Term(0));
    std::fill(states, states + 2 * of_state, Real(0));
    copy_rows(last - first, l.hidden, l.h0 + first * l.hidden, l.hidden, states, units);
    if (Cell::STATES > 1)
      copy_rows(last - first, l.hidden, l.c0 + first * l.hidden, l.hidden, c, units);
    for (int64_t t = 0; t < l.time; t++) {
      for (int64_t m = 0; m < l.num_masks; m++)
        for (int64_t i = 0; i < last - first; i++) {
          Term *to = a + m * a_mask + i * a_row;
          const Real *from = l.x + (first + i) * l.x_row + t * l.x_step;
          for (int64_t k = 0; k < l.inputs; k += LANES) fetch(from + l.x_step + k);  // x_t+1
          put_row(to, {from, x.mask(l, m, first + i), x.size});
          put_row(to + deep(x.size), {states + i * units, h.mask(l, m, first + i), h.size});
        }
      for (int64_t unit = 0; unit < units; unit += PANEL) {
        for (int gate = 0; gate < Cell::GATES; gate++)
          sum(last - first, a, unit * Cell::GATES + gate * PANEL, gate, sums);
        for (int64_t i = 0; i < last - first; i++) cells(t, first + i, i, unit, sums, states, c);
      }
      copy_rows(last - first, l.hidden, states, units, l.h + (first * l.time + t) * l.hidden,
                l.time * l.hidden);
    }
    if (Cell::STATES > 1)
      copy_rows(last - first, l.hidden, c, units, l.c + first * l.hidden, l.hidden);
  }

  // what a gate of a panel of units adds up
  void sum(int64_t rows, const Term *a, int64_t panel, int gate, Real *sums) const {
    if (l.num_masks > 1) a += gate * a_mask;
    const Left left{a, a_row}, left_h{a + deep(x.size), a_row};
    const Right right{packed + panel * depth}, right_h{right.at + deep(x.size) * PANEL};
    Real *of_x = sums + x.place<Cell>(gate) * of_sums, *of_h = sums + h.place<Cell>(gate) * of_sums;
    if (of_x == of_h) {
      product<false>(rows, left, right, depth, of_x, PANEL);
    } else {
      product<false>(rows, left, right, deep(x.size), of_x, PANEL);
      product<false>(rows, left_h, right_h, deep(h.size), of_h, PANEL);
    }
  }

  // what the cells of a row make of a panel's sums
  void cells(int64_t t, int64_t row, int64_t i, int64_t unit, const Real *sums, Real *states,
             Real *c) const {
    for (int64_t j = 0; j < PANEL; j += LANES) {
      int64_t place = i * units + unit + j;
      Real *kept = l.kept + ((t * l.batch + row) * Cell::KEPT) * units + unit + j;
      for (int k = 0; k < Cell::KEPT; k++) fetch_to_write(kept + (Cell::KEPT + k) * units);
      Vector sum[Cell::SUMS];
      for (int k = 0; k < Cell::SUMS; k++) sum[k] = load(sums + k * of_sums + i * PANEL + j);
      for (int gate = 0; gate < Cell::GATES; gate++)
        sum[gate] += load(bias + unit * Cell::GATES + gate * PANEL + j);
      State before = {load(states + place), load(c + place)};
      State after = Cell::forward(sum, before, kept, units);
      if (!real(l, row, t)) after = before;
      store(states + place, after.h);
      if (Cell::STATES > 1) {
        store(c + place, after.c);
        store(kept + (Cell::KEPT - 1) * units, after.c);
      }
    }
  }
};
