package org.moe4j.engine.offload;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Which experts of a layer are in memory, in the order of their last use. A request for several
 * experts at once first refreshes all that are here, then lets the others in, so that none of a
 * request drives out another of it while there is one that was not asked for (Eliseev and Mazur,
 * 2023, section 3.1).
 *
 * @param <S> where an expert lies
 */
final class ExpertLru<S> {
  private final int capacity;
  private final LinkedHashMap<Integer, S> held;

  /** An empty one for at most {@code capacity} experts. */
  ExpertLru(int capacity) {
    if (capacity < 1) {
      throw new IllegalArgumentException("a cache of " + capacity + " experts holds none");
    }
    this.capacity = capacity;
    this.held = LinkedHashMap.newLinkedHashMap(capacity + 1);
  }

  /** The most experts it holds. */
  int capacity() {
    return capacity;
  }

  /** Those that are here, the one to go first in front. */
  List<Integer> experts() {
    return List.copyOf(held.keySet());
  }

  boolean holds(int expert) {
    return held.containsKey(expert);
  }

  /** Where {@code expert} lies, if it is here; it counts as used now. */
  Optional<S> use(int expert) {
    Optional<S> place = Optional.ofNullable(held.get(expert));
    place.ifPresent(p -> held.putLast(expert, p));
    return place;
  }

  /**
   * Lets in {@code expert}, which is not here, as the last used.
   *
   * @return where the least recently used one lay, if it had to go
   */
  Optional<S> put(int expert, S place) {
    Optional<S> freed = Optional.empty();
    if (held.size() == capacity) {
      Map.Entry<Integer, S> oldest = held.pollFirstEntry();
      freed = Optional.of(oldest.getValue());
    }
    held.putLast(expert, place);
    return freed;
  }
}
