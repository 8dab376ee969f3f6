package org.moe4j.models.hf;

import org.moe4j.models.Decoder;
import org.moe4j.models.DecoderConfig;

/** Our own layout: all that a configuration says, every parameter whole under its own name. */
final class Moe4jFamily implements Family {
  @Override
  public String modelType() {
    return "moe4j";
  }

  @Override
  public DecoderConfig config(ConfigFile file) {
    return Moe4jConfigs.read(file);
  }

  @Override
  public WeightMap names(Decoder model, ExpertLayout layout) {
    WeightMap map = new WeightMap();
    model.parameters().all().forEach(p -> map.whole(p.name(), p));
    return map;
  }
}
