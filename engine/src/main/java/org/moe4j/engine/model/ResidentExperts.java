package org.moe4j.engine.model;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * All experts in memory.
 *
 * @param layers for each layer its experts; none if it does not route
 */
record ResidentExperts(List<List<Expert>> layers) implements ExpertSource {
  private static final class All implements Request {
    private Ready left;

    All(Ready all) {
      left = all;
    }

    @Override
    public Ready next() {
      Ready now = left;
      left = Ready.NONE;
      return now;
    }

    @Override
    public void close() {}
  }

  @Override
  public Request request(int layer, int[] experts) {
    List<Expert> wanted = new ArrayList<>(experts.length);
    for (int e : experts) {
      wanted.add(layers.get(layer).get(e));
    }
    return new All(new Ready(IntStream.range(0, experts.length).toArray(), wanted));
  }
}
