package org.moe4j.train.data;

/**
 * The SplitMix64 generator (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
 * Generators", OOPSLA 2014) and its finaliser as a hash: the same numbers on every JDK.
 */
final class SplitMix64 {
  private static final long GAMMA = 0x9E3779B97F4A7C15L;
  private long state;

  SplitMix64(long seed) {
    state = seed;
  }

  long next() {
    state += GAMMA;
    return mix(state);
  }

  /** A number in [0, bound); the bias is below bound / 2^64. */
  int next(int bound) {
    return (int) Math.unsignedMultiplyHigh(next(), bound);
  }

  /** A bijection of the longs in which every input bit moves about half of the output's. */
  static long mix(long value) {
    long z = value;
    z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
    z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
    return z ^ z >>> 31;
  }

  /** A hash of {@code text} that depends on {@code seed}. */
  static long hash(CharSequence text, long seed) {
    long hash = mix(seed + GAMMA);
    for (int i = 0; i < text.length(); i++) {
      hash = (hash ^ text.charAt(i)) * 0xD6E8FEB86659FD93L;
      hash ^= hash >>> 32;
    }
    return mix(hash + text.length());
  }
}
