package org.moe4j;

import java.util.Arrays;

/**
 * Successive shortest paths on the graph of the experts: a token is placed along the cheapest chain
 * of moves that ends at an expert with room. The way from expert e to f is as long as the least
 * that one of e's tokens loses by moving there. Prices keep all lengths at zero or above, so
 * Dijkstra's algorithm finds the chain in O(E^2), and each of its moves costs O(E) and, where the
 * mover was the cheapest, a search among e's tokens.
 */
final class AssignmentPaths {
  private final AssignmentState state;
  private final int experts;
  private final int[] members; // [E,places]
  private final int[] size; // [E]
  private final int[] place; // [T] where among its expert's members a token is
  private final long[] loss; // [E,E] the least loss of a move, without prices
  private final int[] mover; // [E,E] whose it is
  private final long[] distance; // [E]
  private final int[] from; // [E]
  private final boolean[] done; // [E]
  private final int[] settled; // the experts that are done, nearest first

  AssignmentPaths(AssignmentState state) {
    this.state = state;
    this.experts = state.experts;
    this.members = new int[state.tokens];
    this.size = new int[experts];
    this.place = new int[state.tokens];
    this.loss = new long[experts * experts];
    this.mover = new int[experts * experts];
    this.distance = new long[experts];
    this.from = new int[experts];
    this.done = new boolean[experts];
    this.settled = new int[experts];
  }

  /** Gives every token a place. */
  void run() {
    Arrays.fill(loss, Long.MAX_VALUE);
    Arrays.fill(mover, AssignmentState.NOWHERE);
    for (int t = 0; t < state.tokens; t++) {
      if (state.expert[t] >= 0) {
        join(t, state.expert[t]);
      }
    }
    for (int t = 0; t < state.tokens; t++) {
      if (state.expert[t] < 0) {
        insert(t);
      }
    }
  }

  private void insert(int t) {
    int row = t * experts;
    long least = Long.MAX_VALUE;
    for (int e = 0; e < experts; e++) {
      distance[e] = state.cost[row + e] + state.price[e];
      least = Math.min(least, distance[e]);
    }
    for (int e = 0; e < experts; e++) {
      distance[e] -= least;
    }
    int to = nearestWithRoom();
    while (from[to] >= 0) {
      int e = from[to];
      int moved = mover[e * experts + to];
      leave(moved, e);
      join(moved, to);
      to = e;
    }
    join(t, to);
  }

  /** Dijkstra's algorithm from the distances given; raises the prices of the experts passed. */
  private int nearestWithRoom() {
    Arrays.fill(from, AssignmentState.NOWHERE);
    Arrays.fill(done, false);
    int n = 0;
    int e = nearest();
    while (size[e] == state.places) {
      done[e] = true;
      settled[n++] = e;
      int edge = e * experts;
      long before = distance[e] - state.price[e];
      for (int f = 0; f < experts; f++) {
        if (!done[f]) {
          // A full expert has a mover to everywhere, so the loss is no sentinel here.
          long d = before + loss[edge + f] + state.price[f];
          if (d < distance[f]) {
            distance[f] = d;
            from[f] = e;
          }
        }
      }
      e = nearest();
    }
    for (int i = 0; i < n; i++) {
      state.price[settled[i]] += distance[e] - distance[settled[i]];
    }
    return e;
  }

  private int nearest() {
    int best = AssignmentState.NOWHERE;
    for (int e = 0; e < experts; e++) {
      if (!done[e] && (best < 0 || distance[e] < distance[best])) {
        best = e;
      }
    }
    return best;
  }

  private void join(int t, int e) {
    state.expert[t] = e;
    place[t] = size[e];
    members[e * state.places + size[e]++] = t;
    int row = t * experts;
    int edge = e * experts;
    long own = state.cost[row + e];
    for (int f = 0; f < experts; f++) {
      long lost = state.cost[row + f] - own;
      if (lost < loss[edge + f]) {
        loss[edge + f] = lost;
        mover[edge + f] = t;
      }
    }
  }

  private void leave(int t, int e) {
    int base = e * state.places;
    int last = members[base + --size[e]];
    members[base + place[t]] = last;
    place[last] = place[t];
    for (int f = 0; f < experts; f++) {
      if (mover[e * experts + f] == t) {
        search(e, f);
      }
    }
  }

  /** Finds the cheapest mover from e to f anew. */
  private void search(int e, int f) {
    int base = e * state.places;
    long least = Long.MAX_VALUE;
    int who = AssignmentState.NOWHERE;
    for (int i = 0; i < size[e]; i++) {
      int row = members[base + i] * experts;
      long lost = state.cost[row + f] - state.cost[row + e];
      if (lost < least) {
        least = lost;
        who = members[base + i];
      }
    }
    loss[e * experts + f] = least;
    mover[e * experts + f] = who;
  }
}
