package org.moe4j.engine.model;

import java.util.ArrayList;
import java.util.List;

/**
 * All experts in memory.
 *
 * @param layers for each layer its experts; none if it does not route
 */
record ResidentExperts(List<List<Expert>> layers) implements ExpertSource {
  private record All(List<Expert> experts) implements Lease {
    @Override
    public void close() {}
  }

  @Override
  public Lease lease(int layer, int[] experts) {
    List<Expert> wanted = new ArrayList<>(experts.length);
    for (int e : experts) {
      wanted.add(layers.get(layer).get(e));
    }
    return new All(wanted);
  }
}
