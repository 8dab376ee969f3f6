package org.moe4j.engine.offload;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** An expert on its way from disk into a slot. Guarded by the store's lock. */
final class Load {
  final CachedLayer layer;
  final int expert;
  final MemorySegment slot;

  /** Asked for, not just guessed. */
  boolean wanted;

  /** Of no use any more: no further part is begun. */
  private boolean dropped;

  private int begun;
  private int ended;
  private @Nullable RuntimeException failure;

  Load(CachedLayer layer, int expert, MemorySegment slot, boolean wanted) {
    this.layer = layer;
    this.expert = expert;
    this.slot = slot;
    this.wanted = wanted;
  }

  /** True if parts are left to begin. */
  boolean more() {
    return !dropped && failure == null && begun < layer.stored().parts().size();
  }

  Part begin() {
    return layer.stored().parts().get(begun++);
  }

  void end() {
    ended++;
  }

  void fail(RuntimeException e) {
    ended++;
    if (failure == null) {
      failure = e;
    }
  }

  void drop() {
    dropped = true;
  }

  boolean dropped() {
    return dropped;
  }

  /** True if nothing is being read and nothing will be. */
  boolean over() {
    return !more() && begun == ended;
  }

  @Nullable RuntimeException failure() {
    return failure;
  }
}
