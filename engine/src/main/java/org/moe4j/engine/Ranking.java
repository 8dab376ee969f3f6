package org.moe4j.engine;

import java.util.Arrays;

/** Indices in the order of their numbers, the highest first, of equals the lower index. */
final class Ranking {
  private Ranking() {}

  /** The first {@code count} of all. */
  static int[] first(float[] z, int count) {
    if (count <= 0) {
      return new int[0];
    }
    long[] keys = new long[Math.min(z.length, 2 * count)];
    int held = 0;
    long worst = Long.MAX_VALUE;
    for (int i = 0; i < z.length; i++) {
      long key = key(z[i], i);
      if (key < worst) {
        if (held == keys.length) {
          Arrays.sort(keys);
          held = count;
          worst = keys[count - 1];
          if (key > worst) {
            continue;
          }
        }
        keys[held++] = key;
      }
    }
    return indices(keys, held, Math.min(held, count));
  }

  /** All whose number is at least this. */
  static int[] above(float[] z, float least) {
    long[] keys = new long[z.length];
    int held = 0;
    for (int i = 0; i < z.length; i++) {
      if (z[i] >= least) {
        keys[held++] = key(z[i], i);
      }
    }
    return indices(keys, held, held);
  }

  /** Smaller for a higher number. */
  private static long key(float z, int index) {
    int bits = Float.floatToIntBits(0 - z);
    return ((long) (bits ^ ((bits >> 31) & Integer.MAX_VALUE)) << 32) | index;
  }

  private static int[] indices(long[] keys, int held, int count) {
    Arrays.sort(keys, 0, held);
    int[] indices = new int[count];
    Arrays.setAll(indices, i -> (int) keys[i]);
    return indices;
  }
}
