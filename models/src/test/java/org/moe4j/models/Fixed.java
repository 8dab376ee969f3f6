package org.moe4j.models;

import java.util.Map;
import org.moe4j.InitScheme;
import org.moe4j.MoeConfig;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;

/** Small decoders whose routers are steered by ids and domains. */
public final class Fixed {
  private Fixed() {}

  public static DecoderConfig config(String router, int experts, int k, Map<String, ?> options) {
    MoeConfig moe =
        MoeConfig.builder(32, 24, experts, k).router(router, options).init(InitScheme.T5).build();
    return DecoderConfig.of(
            Tiny.VOCAB,
            32,
            AttentionConfig.of(32, 4).withKvHeads(2),
            FeedForwardConfig.every(2, new FeedForwardConfig.Moe(moe)))
        .toBuilder()
        .maxPositions(64)
        .initStd(0.3)
        .build();
  }

  /** A model with experts that differ much. */
  public static Decoder model(DecoderConfig config, DType dtype) {
    RandomSource random = new RandomSource(5);
    Decoder model = new Decoder(config, new ParameterStore(random, Device.CPU, dtype));
    try (Scope scope = Scope.open()) {
      for (Parameter p : model.parameters().all()) {
        if (!(p.role() instanceof Role.State)) {
          p.tensor()
              .detach()
              .addInPlace(random.normal(0, 0.2, DType.F32, p.tensor().shape()).to(dtype));
        }
      }
    }
    return dtype == DType.F64 ? model.withPrecision(DType.F64) : model;
  }
}
