package org.moe4j.models.hf;

import org.moe4j.models.Decoder;

/** Our own layout: every parameter whole, under its name in the model. */
final class Moe4jNames {
  private Moe4jNames() {}

  static WeightMap of(Decoder model) {
    WeightMap map = new WeightMap();
    model.parameters().all().forEach(p -> map.whole(p.name(), p));
    return map;
  }
}
