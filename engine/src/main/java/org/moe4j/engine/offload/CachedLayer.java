package org.moe4j.engine.offload;

import java.lang.foreign.MemorySegment;

/**
 * A layer whose experts come and go.
 *
 * @param stored on disk
 * @param lru those in memory
 * @param slots the memory they lie in
 */
record CachedLayer(int index, StoredLayer stored, ExpertLru<MemorySegment> lru, Slots slots) {}
