package org.moe4j;

import java.util.Arrays;

/**
 * A balanced assignment in the making, in whole numbers. Every token that has a place has it where
 * its cost plus the price is least.
 */
final class AssignmentState {
  /** A token without a place. */
  static final int NOWHERE = -1;

  final int tokens;
  final int experts;
  final int places; // of each expert
  final long[] cost; // [T,E] what the token's best score is above this one
  final long[] price; // [E]
  final int[] expert; // [T]

  AssignmentState(int tokens, int experts, long[] cost) {
    this.tokens = tokens;
    this.experts = experts;
    this.places = tokens / experts;
    this.cost = cost;
    this.price = new long[experts];
    this.expert = new int[tokens];
    Arrays.fill(expert, NOWHERE);
  }
}
