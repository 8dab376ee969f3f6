package org.moe4j.engine.offload;

import java.util.SortedMap;
import org.moe4j.engine.EngineException;

/**
 * How much is kept of what lies on disk.
 *
 * @param slots for each layer that routes, by its index, how many of its experts stay in memory
 * @param spares experts that can be on their way from disk at once, beside those
 * @param ahead how many of the spares guessed experts may take; 0 for no guessing
 * @param readers threads that read and pack
 * @param direct whether reads go past the system's file cache
 */
public record CacheSizes(
    SortedMap<Integer, Integer> slots, int spares, int ahead, int readers, boolean direct) {
  /** Checks the numbers. */
  public CacheSizes {
    slots.forEach((layer, count) -> check(count >= 1, "slots of layer " + layer, count));
    check(spares >= 1, "spares", spares);
    check(ahead >= 0 && ahead <= spares, "ahead", ahead);
    check(readers >= 1 && readers <= 64, "readers", readers);
  }

  private static void check(boolean fits, String name, int value) {
    if (!fits) {
      throw new EngineException(
          "a cache of experts with " + value + " as its " + name + " cannot be made");
    }
  }
}
