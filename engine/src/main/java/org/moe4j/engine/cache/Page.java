package org.moe4j.engine.cache;

import java.lang.foreign.MemorySegment;

/** Memory of a page and how many hold it: caches, and the tree of prefixes as one. */
final class Page {
  final MemorySegment memory;

  /** Guarded by the pool. */
  int holders;

  /** Whether the tree is one of the holders. */
  boolean kept;

  Page(MemorySegment memory) {
    this.memory = memory;
  }
}
