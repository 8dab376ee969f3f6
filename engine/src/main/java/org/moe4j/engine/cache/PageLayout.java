package org.moe4j.engine.cache;

import org.moe4j.engine.kernel.CachedHeads;

/**
 * What a page holds: {@value CachedHeads#PAGE} positions of every layer and key head, one behind
 * the other.
 */
public record PageLayout(CachedHeads heads, int layers, int keyHeads) {
  /** Positions of a page. */
  public static final int POSITIONS = CachedHeads.PAGE;

  /** Bytes of a page. */
  public long bytes() {
    return heads.bytes() * layers * keyHeads;
  }

  /** Where a head of a layer begins. */
  public long at(int layer, int head) {
    return ((long) layer * keyHeads + head) * heads.bytes();
  }

  /** How many pages hold so many positions. */
  public static int pages(int positions) {
    return Math.ceilDiv(positions, POSITIONS);
  }
}
