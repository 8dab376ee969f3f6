package org.moe4j.engine.model;

import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.moe4j.engine.kernel.Packing;
import org.moe4j.engine.kernel.Workers;

/**
 * All experts in memory.
 *
 * @param layers the experts of those that route, by index
 */
record ResidentExperts(SortedMap<Integer, List<Expert>> layers) implements ExpertSource {
  static ResidentExperts pack(
      SortedMap<Integer, ExpertTensors> stored, Packing packing, Workers workers) {
    SortedMap<Integer, List<Expert>> layers = new TreeMap<>();
    stored.forEach(
        (index, tensors) -> {
          Expert[] all = new Expert[tensors.count()];
          workers.run(all.length, (e, worker) -> all[e] = tensors.pack(e, packing));
          layers.put(index, List.of(all));
        });
    return new ResidentExperts(layers);
  }

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
    List<Expert> all = layers.getOrDefault(layer, List.of());
    Expert[] wanted = new Expert[experts.length];
    int[] which = new int[experts.length];
    for (int i = 0; i < experts.length; i++) {
      wanted[i] = all.get(experts[i]);
      which[i] = i;
    }
    return new All(new Ready(which, List.of(wanted)));
  }
}
